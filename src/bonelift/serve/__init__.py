"""``bonelift serve``: a page on this machine to work in. Nothing leaves the machine.

:mod:`bonelift.serve.server` listens, :mod:`bonelift.serve.app` answers, :mod:`bonelift.serve.guard` stands before it;
:mod:`bonelift.serve.desk` keeps the wrists and the one queue; whatever reads a file or reconstructs does so in a child
process (:mod:`bonelift.serve.worker`). The page itself lies in ``static``.
"""
