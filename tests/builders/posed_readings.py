"""Readings of S drawn at random, and the projections that their poses mean."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from bonelift.film.standard import standard_projection
from bonelift.images import View
from bonelift.networks.occluding_contour import POSE_SD, OutlinedBones


def reading_of(bones: OutlinedBones, seed: int, size: float = 0.5) -> np.ndarray:
    return size * np.random.default_rng(seed).normal(size=bones.numbers)


def px_from_radius(reading: np.ndarray, bones: OutlinedBones, view: View) -> np.ndarray:
    """(3, 4) of the pose of a reading."""
    pose = reading[bones.code_length :] * POSE_SD
    motion = np.eye(4)
    motion[:3, :3], motion[:3, 3] = Rotation.from_rotvec(pose[:3]).as_matrix(), pose[3:]
    return standard_projection(view) @ motion
