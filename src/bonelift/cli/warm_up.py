"""Compilation of numba's kernels beside other work: after an install, the first reconstruction has seconds of it."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from bonelift.drr import project, project_with_pose_gradient
from bonelift.report.rasterise import fill_mask, render_attributes
from bonelift.surface.mesh import TriangleMesh
from bonelift.surface.voxelize import signed_distance_grid


def compile_kernels() -> None:
    """Label, project and draw next to nothing: compiles what that runs, or reads it from numba's cache. In the order in
    which a reconstruction needs it."""
    corner = np.array([[0.0, 0, 0], [4, 0, 0], [0, 4, 0], [0, 0, 4]])
    tetrahedron = TriangleMesh(corner, np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], dtype=np.int32))
    signed_distance_grid(tetrahedron, (4, 4, 4), np.eye(4))
    voxel = np.ones((1, 1, 1, 1), dtype=np.float32)
    camera_from_voxel = np.eye(4)
    camera_from_voxel[2, 3] = 10.0
    project(voxel, np.eye(3), camera_from_voxel, (1, 1))
    project_with_pose_gradient(voxel, np.eye(3), camera_from_voxel, (1, 1))
    triangle = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0]])
    fill_mask(triangle[None], (2, 2))
    render_attributes(triangle, np.ones(3), np.array([[0, 1, 2]], dtype=np.int32), np.ones((3, 1)), (2, 2))


@contextmanager
def kernels_compiling() -> Iterator[None]:
    """The kernels compile in a thread while the body does something else. Whoever needs one in it waits for that one.

    What the thread and the body import may not count on ``warnings.catch_warnings``, which two threads cannot use at
    once: the one warning that an import of the body is known to give is silenced for good.
    """
    warnings.filterwarnings("ignore", "Could not import matplotlib", UserWarning)
    thread = threading.Thread(target=compile_kernels, name="compile kernels")
    thread.start()
    try:
        yield
    finally:
        thread.join()
