"""Compilation of numba's kernels beside other work: after an install, the first reconstruction has seconds of it.

A child process compiles the projector into numba's cache, a thread of this one the rest; who needs the projector waits.
Once everything is in the cache, no process is started and reading it takes a moment. This module imports next to
nothing, so that the child starts before the seconds that the other imports of a reconstruction take.

    python -m bonelift.cli.warm_up        # compile now, so that no reconstruction has to: a part of an installation
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def compile_projector() -> None:
    """Project next to nothing: compiles what that runs, or reads it from numba's cache."""
    import numpy as np

    from bonelift.drr import RayVolume, project

    volume = RayVolume(np.ones((1, 1, 1, 1), np.float32), ((0, 0, 0), (1, 1, 1)), np.ones((1, 1, 1), np.uint8))
    camera_from_voxel = np.eye(4)
    camera_from_voxel[2, 3] = 10.0
    project(volume, np.eye(3), camera_from_voxel, (1, 1))


def compile_rest() -> None:
    """Label, scan and draw next to nothing: compiles what that runs, or reads it from numba's cache."""
    import numpy as np

    from bonelift.drr import prepare
    from bonelift.report.rasterise import render_attributes
    from bonelift.surface.mesh import TriangleMesh
    from bonelift.surface.voxelize import signed_distance_grid

    corner = np.array([[0.0, 0, 0], [4, 0, 0], [0, 4, 0], [0, 0, 4]])
    tetrahedron = TriangleMesh(corner, np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], dtype=np.int32))
    prepare(signed_distance_grid(tetrahedron, (4, 4, 4), np.eye(4))[None])
    triangle = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
    render_attributes(triangle, np.ones(3), np.array([[0, 1, 2]], dtype=np.int32), np.ones((3, 1)), (2, 2))


class KernelWarmUp:
    """Kernels that compile, or have compiled."""

    def __init__(self) -> None:
        self._child = None if _projector_is_cached() else _start_child()
        self._thread: threading.Thread | None = None
        self._stopped = False

    def start_rest(self) -> None:
        """Begin with what this process has a hand in: later than the child, once it is known that there is work."""
        # Imported here and not by the thread, which could count on ``warnings.catch_warnings`` as little as the body.
        import bonelift.report.rasterise
        import bonelift.surface.voxelize  # noqa: F401

        self._thread = threading.Thread(target=self._compile, name="compile kernels")
        self._thread.start()

    def _compile(self) -> None:
        compile_rest()
        if self._child is not None:
            self._child.wait()
        if not self._stopped:
            compile_projector()  # From the cache; where the child failed, here after all.

    def wait(self) -> None:
        """Until everything is compiled."""
        if self._thread is not None:
            self._thread.join()

    def stop(self) -> None:
        """End what can be ended: nobody will project."""
        self._stopped = True
        if self._child is not None:
            self._child.terminate()
            self._child.wait()
        self.wait()


@contextmanager
def kernels_compiling() -> Iterator[KernelWarmUp]:
    """The projector compiles in another process from here on; the body calls ``start_rest`` when it has read its
    input, and ``wait`` before it projects. Whoever needs another kernel waits for that one.

    What the body imports after ``start_rest`` may not count on ``warnings.catch_warnings``, which two threads cannot
    use at once: the one warning that an import of the body is known to give is silenced for good.
    """
    warnings.filterwarnings("ignore", "Could not import matplotlib", UserWarning)
    kernels = KernelWarmUp()
    try:
        yield kernels
    except BaseException:
        kernels.stop()
        raise
    kernels.wait()


@contextmanager
def kernels_compiling_beside() -> Iterator[None]:
    """All of it in another process while the body goes on, where it is not in the cache; ended with the body."""
    command = [sys.executable, "-c", "from bonelift.cli.warm_up import compile_all as run; run()"]
    child = None if _projector_is_cached() else _start(command)
    try:
        yield
    finally:
        if child is not None:
            child.terminate()
            child.wait()


def compile_all() -> None:
    """The projector and the rest."""
    compile_projector()
    compile_rest()


def _projector_is_cached() -> bool:
    """Whether numba has an index of the kernel that takes longest: a guess without importing numba, which takes half a
    second. A wrong guess costs another process, or time."""
    name = "joseph_kernels.march-*.nbi"
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    if chosen:
        return any(Path(chosen).glob(f"*/{name}"))
    return any((Path(__file__).parents[1] / "drr" / "__pycache__").glob(name))


def _start_child() -> subprocess.Popen[bytes] | None:
    return _start([sys.executable, "-c", "from bonelift.cli.warm_up import compile_in_child as run; run()"])


def _start(command: list[str]) -> subprocess.Popen[bytes] | None:
    try:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except OSError:
        return None


def compile_in_child() -> None:
    """Compile the projector and end. Nothing is collected: a fifth of the time would go into looking for garbage."""
    gc.disable()
    compile_projector()


if __name__ == "__main__":
    compile_all()
