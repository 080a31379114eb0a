"""Where rays of several X-rays meet."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEAST_CROSSING_DEG = 20.0
"""Rays that cross at less tell too little of the depth along them."""


def nearest_to_rays(origins: ArrayLike, directions: ArrayLike, point: ArrayLike) -> NDArray[np.float64]:
    """The point (3,) with the least sum of squared distances from the lines.

    origins, directions: (N, 3) a point and a direction of any length for each line.
    point: (3,) what is moved there, and stays where it is along what the lines leave open: where they are parallel to
        LEAST_CROSSING_DEG, along them.
    """
    start, unit = np.asarray(point, dtype=np.float64), np.asarray(directions, dtype=np.float64)
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    across = np.eye(3) - unit[:, :, None] * unit[:, None, :]
    residual = np.einsum("nij,nj->i", across, np.asarray(origins, dtype=np.float64) - start)
    # Two lines that cross at an angle a: eigenvalues 2, 2 cos(a/2)^2 and 2 sin(a/2)^2 of the normal matrix.
    least = np.sin(np.deg2rad(LEAST_CROSSING_DEG) / 2) ** 2
    return start + np.linalg.pinv(across.sum(axis=0), rcond=least, hermitian=True) @ residual
