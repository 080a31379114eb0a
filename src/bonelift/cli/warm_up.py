"""Compilation of numba's kernels beside other work: after an install, the first reconstruction has seconds of it.

A child process compiles the projector into numba's cache, a thread of this one the rest; who needs the projector waits.
Once everything is in the cache, no process is started and reading it takes a moment.

    python -m bonelift.cli.warm_up        # compile now, so that no reconstruction has to: a part of an installation
"""

from __future__ import annotations

import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np


def compile_projector() -> None:
    """Project next to nothing: compiles what that runs, or reads it from numba's cache."""
    from bonelift.drr import project, project_with_pose_gradient

    voxel = np.ones((1, 1, 1, 1), dtype=np.float32)
    camera_from_voxel = np.eye(4)
    camera_from_voxel[2, 3] = 10.0
    project(voxel, np.eye(3), camera_from_voxel, (1, 1))
    project_with_pose_gradient(voxel, np.eye(3), camera_from_voxel, (1, 1))


def compile_surface_kernels() -> None:
    """Label and draw next to nothing: compiles what that runs, or reads it from numba's cache."""
    from bonelift.report.rasterise import render_attributes
    from bonelift.surface.mesh import TriangleMesh
    from bonelift.surface.voxelize import signed_distance_grid

    corner = np.array([[0.0, 0, 0], [4, 0, 0], [0, 4, 0], [0, 0, 4]])
    tetrahedron = TriangleMesh(corner, np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], dtype=np.int32))
    signed_distance_grid(tetrahedron, (4, 4, 4), np.eye(4))
    triangle = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
    render_attributes(triangle, np.ones(3), np.array([[0, 1, 2]], dtype=np.int32), np.ones((3, 1)), (2, 2))


class KernelWarmUp:
    """Kernels that compile, or have compiled."""

    def __init__(self) -> None:
        self._child = None if _projector_is_cached() else _start_child()
        # Imported here and not by the thread, which could count on ``warnings.catch_warnings`` as little as the body.
        import bonelift.report.rasterise
        import bonelift.surface.voxelize  # noqa: F401

        self._thread = threading.Thread(target=self._compile, name="compile kernels")
        self._thread.start()

    def _compile(self) -> None:
        compile_surface_kernels()
        if self._child is not None:
            self._child.wait()
        compile_projector()  # From the cache; where the child failed, here after all.

    def wait(self) -> None:
        """Until everything is compiled."""
        self._thread.join()


@contextmanager
def kernels_compiling() -> Iterator[KernelWarmUp]:
    """The kernels compile while the body does something else. Before it projects it calls ``wait``; whoever needs
    another kernel waits for that one.

    What the body imports may not count on ``warnings.catch_warnings``, which two threads cannot use at
    once: the one warning that an import of the body is known to give is silenced for good.
    """
    warnings.filterwarnings("ignore", "Could not import matplotlib", UserWarning)
    kernels = KernelWarmUp()
    try:
        yield kernels
    finally:
        kernels.wait()


def _projector_is_cached() -> bool:
    """Whether numba has an index of the kernel that takes longest: a guess, which costs time if wrong."""
    from bonelift.drr.gradient_kernels import march_gradient

    folder = march_gradient.stats.cache_path
    return folder is not None and any(Path(folder).glob("*march_gradient*.nbi"))


def _start_child() -> subprocess.Popen[bytes] | None:
    command = [sys.executable, "-c", "from bonelift.cli.warm_up import compile_projector as run; run()"]
    try:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except OSError:
        return None


if __name__ == "__main__":
    compile_projector()
    compile_surface_kernels()
