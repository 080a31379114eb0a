"""Cameras, poses and volumes that the DRR tests share."""

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation


def film(rows, columns, spacing_mm=0.5, sdd_mm=1000.0):
    """image_from_camera with the central ray through the image centre."""
    focal = sdd_mm / spacing_mm
    return np.array([[focal, 0, (columns - 1) / 2], [0, focal, (rows - 1) / 2], [0, 0, 1.0]])


def centred_pose(shape, spacing_mm, rotation_vector=(0, 0, 0), depth_mm=950.0):
    """camera_from_voxel that puts the centre of the grid on the central ray at ``depth_mm``."""
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_rotvec(rotation_vector).as_matrix() @ np.diag(np.broadcast_to(spacing_mm, 3))
    pose[:3, 3] = [0, 0, depth_mm] - pose[:3, :3] @ ((np.array(shape) - 1) / 2)
    return pose


def radial_distance(shape, spacing_mm):
    """Distance of every voxel centre from the middle of the grid, mm."""
    axes = [(np.arange(n) - (n - 1) / 2) * s for n, s in zip(shape, spacing_mm, strict=True)]
    return np.sqrt(sum(a**2 for a in np.meshgrid(*axes, indexing="ij", sparse=True)))


def smooth_volume(rng, shape, sigma_voxels=2.0, channels=1):
    """(C, *shape) float32 random fields that fade to zero at the faces."""
    noise = ndimage.gaussian_filter(rng.standard_normal((channels, *shape)), (0, *[sigma_voxels] * 3))
    fade = [np.sin(np.pi * (np.arange(n) + 0.5) / n) for n in shape]
    window = fade[0][:, None, None] * fade[1][:, None] * fade[2]
    return np.ascontiguousarray(noise * window / noise.std(), dtype=np.float32)
