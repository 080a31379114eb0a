"""Homogeneous transforms as plain (4, 4) float64 arrays, named ``target_from_source``.

``camera_from_voxel = camera_from_world @ world_from_voxel``: inner names match, the result reads outside in.
"""

from __future__ import annotations

from functools import reduce

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

Float = NDArray[np.float64]


def translation(offset_mm: ArrayLike) -> Float:
    """The (4, 4) transform that adds ``offset_mm`` (3,)."""
    target_from_source = np.eye(4)
    target_from_source[:3, 3] = offset_mm
    return target_from_source


def rotation_about_axis(axis: ArrayLike, angle_rad: float) -> Float:
    """The (4, 4) right-handed rotation by ``angle_rad`` about ``axis`` (3,), which need not be of unit length."""
    axis = np.asarray(axis, dtype=np.float64)
    length = np.linalg.norm(axis)
    if length == 0:
        raise ValueError("rotation axis has length 0; expected a non-zero vector")
    target_from_source = np.eye(4)
    target_from_source[:3, :3] = Rotation.from_rotvec(axis / length * angle_rad).as_matrix()
    return target_from_source


def rigid_from_vector(pose: ArrayLike) -> Float:
    """(6,) -> (4, 4): rotation vector (rad) in the first three entries, translation (mm) in the last three.

    The rotation is applied first, then the translation.
    """
    pose = np.asarray(pose, dtype=np.float64)
    target_from_source = np.eye(4)
    target_from_source[:3, :3] = Rotation.from_rotvec(pose[:3]).as_matrix()
    target_from_source[:3, 3] = pose[3:]
    return target_from_source


def vector_from_rigid(target_from_source: ArrayLike) -> Float:
    """Inverse of :func:`rigid_from_vector`; rotation angles come out in [0, pi]."""
    matrix = np.asarray(target_from_source, dtype=np.float64)
    return np.concatenate([Rotation.from_matrix(matrix[:3, :3]).as_rotvec(), matrix[:3, 3]])


def invert_rigid(target_from_source: ArrayLike) -> Float:
    """Inverse of a rigid (4, 4) transform, by transposing its rotation."""
    matrix = np.asarray(target_from_source, dtype=np.float64)
    source_from_target = np.eye(4)
    source_from_target[:3, :3] = matrix[:3, :3].T
    source_from_target[:3, 3] = -matrix[:3, :3].T @ matrix[:3, 3]
    return source_from_target


def compose(*transforms: ArrayLike) -> Float:
    """``compose(c_from_b, b_from_a)`` is ``c_from_a``."""
    return reduce(np.matmul, (np.asarray(t, dtype=np.float64) for t in transforms), np.eye(4))


def apply_transform(target_from_source: ArrayLike, points: ArrayLike) -> Float:
    """Move points (..., 3) by an affine (4, 4) transform."""
    matrix = np.asarray(target_from_source, dtype=np.float64)
    return np.asarray(points, dtype=np.float64) @ matrix[:3, :3].T + matrix[:3, 3]


def is_rigid(target_from_source: ArrayLike, tolerance: float = 1e-6) -> bool:
    """True for a finite (4, 4) proper rotation (det +1) and translation; a mirror is not rigid."""
    matrix = np.asarray(target_from_source, dtype=np.float64)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        return False
    rotation = matrix[:3, :3]
    return bool(
        np.allclose(rotation @ rotation.T, np.eye(3), atol=tolerance)
        and np.linalg.det(rotation) > 0
        and np.allclose(matrix[3], [0, 0, 0, 1], atol=tolerance)
    )


def rigid_between(source: ArrayLike, target: ArrayLike, weights: Float | None = None) -> Float:
    """target_from_source (4, 4), rigid with det +1, nearest in least squares to corresponding points (N, 3).

    weights: (N,) >= 0, or None for equal ones. Source: Kabsch 1976, doi:10.1107/S0567739476001873.
    """
    a, b = (np.asarray(points, dtype=np.float64) for points in (source, target))
    weights = np.ones(len(a)) if weights is None else weights
    middle, aim = np.average(a, axis=0, weights=weights), np.average(b, axis=0, weights=weights)
    u, _, v_t = np.linalg.svd(((b - aim) * weights[:, None]).T @ (a - middle))
    rotation = u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ v_t))]) @ v_t
    target_from_source = np.eye(4)
    target_from_source[:3, :3] = rotation
    target_from_source[:3, 3] = aim - rotation @ middle
    return target_from_source


def rotation_angle(target_from_source: ArrayLike) -> float:
    """Angle (rad, in [0, pi]) of the rotation part: how far two poses differ when given ``a_from_b``."""
    return float(Rotation.from_matrix(np.asarray(target_from_source)[:3, :3]).magnitude())
