"""Progress of long work in a script or a notebook, where nothing is shown unless somebody asks."""

from __future__ import annotations

from contextlib import AbstractContextManager

from bonelift import progress
from bonelift.progress_lines import shown_on


def show_progress() -> AbstractContextManager[None]:
    """Show how far long work is, inside a ``with`` block: bars on a terminal, else a line every so often.

    Returns
    -------
    contextlib.AbstractContextManager
        Inside its block every function of bonelift that takes long tells what it does and how long it still takes.

    Examples
    --------
    >>> import bonelift
    >>> with bonelift.show_progress():  # doctest: +SKIP
    ...     bonelift.train("study", "run", preset="laptop")
    """
    return progress.shown_by(shown_on())
