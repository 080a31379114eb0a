"""Compilation of the kernels ahead of need: the first run after an install has seconds of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from bonelift.drr.gradients import project_with_pose_gradient
from bonelift.drr.joseph import project


def compile_kernels() -> None:
    """Project one voxel, with gradient: compiles what registration runs, or reads it from numba's cache."""
    voxel = np.ones((1, 1, 1, 1), dtype=np.float32)
    camera_from_voxel = np.eye(4)
    camera_from_voxel[2, 3] = 10.0
    project(voxel, np.eye(3), camera_from_voxel, (1, 1))
    project_with_pose_gradient(voxel, np.eye(3), camera_from_voxel, (1, 1))


@contextmanager
def kernels_compiling() -> Iterator[None]:
    """The kernels compile in a thread while the body does something else. Whoever needs them in it waits for them."""
    thread = threading.Thread(target=compile_kernels, name="compile kernels")
    thread.start()
    try:
        yield
    finally:
        thread.join()
