"""The oracle of the projector: exact line integrals of the trilinear interpolant, in float64, slowly.

Model: voxel values sit at voxel centres, the volume between them is their trilinear interpolant, and beyond the outer
centres it falls linearly to zero over one voxel (the grid is embedded in zeros). Along a ray that field is a cubic
polynomial between two crossings of planes of voxel centres, and two Gauss-Legendre points integrate a cubic exactly.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from bonelift.errors import InputError
from bonelift.geometry import XrayCamera
from bonelift.images import Volume

Float = NDArray[np.floating]

_GAUSS_POINTS = (0.5 - np.sqrt(1 / 12), 0.5 + np.sqrt(1 / 12))
"""Two-point Gauss-Legendre abscissae on [0, 1]; both weights are 1/2."""


def line_integrals(volume: Volume, camera: XrayCamera, points_px: ArrayLike | None = None) -> Float:
    """Integrals from the source to infinity, in value * mm.

    volume: values finite; ``world_from_voxel`` any invertible affine map.
    points_px: (..., 2) image points as (column, row); None means every pixel centre.
    Returns (...) float64, or (rows, columns) for None.
    """
    if not np.isfinite(volume.values).all():
        raise InputError("drr: the volume holds NaN or infinite voxels; replace them (air is 0) before projecting")
    if points_px is None:
        rows, columns = np.mgrid[: camera.height_px, : camera.width_px]
        points_px = np.stack([columns, rows], axis=-1)
    points = np.asarray(points_px, dtype=np.float64)
    source, directions = _rays_in_voxels(volume, camera, points.reshape(-1, 2))
    padded = np.pad(np.asarray(volume.values, dtype=np.float64), 1)
    integrals = [_integrate(padded, source + 1.0, direction) for direction in directions]
    return np.array(integrals).reshape(points.shape[:-1])


def _rays_in_voxels(volume: Volume, camera: XrayCamera, points_px: Float) -> tuple[Float, Float]:
    """Source (3,) and directions (M, 3) in voxels; a direction is one mm of the ray, pointing away from the source."""
    homogeneous = np.column_stack([points_px, np.ones(len(points_px))])
    rays_camera = homogeneous @ np.linalg.inv(camera.image_from_camera).T
    rays_camera *= np.sign(rays_camera[:, 2:]) / np.linalg.norm(rays_camera, axis=1, keepdims=True)
    voxel_from_camera = np.linalg.inv(camera.camera_from_world @ volume.world_from_voxel)
    return voxel_from_camera[:3, 3], rays_camera @ voxel_from_camera[:3, :3].T


def _integrate(values: Float, source: Float, direction: Float) -> float:
    """One ray through ``values``, zero at and beyond its outermost voxel centres. Lengths along the ray in mm."""
    entry_mm, exit_mm = 0.0, np.inf
    crossings = []
    for start, slope, size in zip(source, direction, values.shape, strict=True):
        if abs(slope) < 1e-12:
            if not 0 <= start <= size - 1:
                return 0.0
            continue
        planes_mm = (np.arange(size) - start) / slope
        crossings.append(planes_mm)
        entry_mm, exit_mm = max(entry_mm, planes_mm.min()), min(exit_mm, planes_mm.max())
    if entry_mm >= exit_mm:
        return 0.0
    knots_mm = np.unique(np.clip(np.concatenate([*crossings, [entry_mm, exit_mm]]), entry_mm, exit_mm))
    lengths_mm = np.diff(knots_mm)
    sampled = sum(
        ndimage.map_coordinates(
            values, source[:, None] + direction[:, None] * (knots_mm[:-1] + fraction * lengths_mm), order=1
        )
        for fraction in _GAUSS_POINTS
    )
    return float(lengths_mm @ sampled / 2)
