"""Signed distance to radius and ulna on a grid of the radius frame: what their insides are filled by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonelift.phantom.interior import Bone
from bonelift.phantom.long_forearm import SLOPE_MM, continuation_slopes, continued
from bonelift.surface.mesh import TriangleMesh
from bonelift.surface.voxelize import signed_distance_grid

Float = NDArray[np.float64]

BAND_MM = 4.0
EXACT_BAND_MM = 1.3
"""At least, and more than two voxels: surface, partial volume and the slope of the surface need exact distances, the
depth of the spongiosa does not."""


@dataclass(frozen=True)
class BoneField:
    """Signed distance (mm, negative inside) of one bone on the box of a grid that starts at first_index."""

    distance_mm: NDArray[np.float32]
    first_index: tuple[int, int, int]


def grid_from_first_voxel(first_mm: Float, spacing_mm: float) -> Float:
    """(4, 4) of an isotropic grid parallel to the radius frame, its first voxel's centre at ``first_mm`` (3,)."""
    radius_from_voxel = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    radius_from_voxel[:3, 3] = first_mm
    return radius_from_voxel


def bone_field(mesh: TriangleMesh, radius_from_voxel: Float, shape: tuple[int, int, int]) -> BoneField:
    """Signed distance on the part of the grid that lies within the band around the mesh.

    Exact within EXACT_BAND_MM of the surface; deeper it comes from a grid twice as coarse, at a quarter of the cost.
    """
    spacing = radius_from_voxel[0, 0]
    corner = radius_from_voxel[:3, 3]
    first = np.floor((mesh.vertices.min(axis=0) - BAND_MM - corner) / spacing).clip(0, np.subtract(shape, 1))
    last = np.ceil((mesh.vertices.max(axis=0) + BAND_MM - corner) / spacing + 1).clip(first + 1, shape)
    size = (last - first).astype(int)
    box = grid_from_first_voxel(corner + spacing * first, spacing)
    exact_mm = np.float32(max(EXACT_BAND_MM, 2.2 * spacing))
    near = signed_distance_grid(mesh, (size[0], size[1], size[2]), box, band_mm=float(exact_mm))
    half = size // 2 + 1
    coarse_box = grid_from_first_voxel(box[:3, 3], 2 * spacing)
    far = signed_distance_grid(mesh, (half[0], half[1], half[2]), coarse_box, band_mm=BAND_MM)
    distance = _doubled(far)[: size[0], : size[1], : size[2]]
    beyond = np.maximum(np.abs(distance), exact_mm)
    # Where the band clipped it, a distance is the band to within rounding.
    distance = np.where(np.abs(near) < np.float32(0.999) * exact_mm, near, np.copysign(beyond, near))
    return BoneField(distance, (int(first[0]), int(first[1]), int(first[2])))


def _doubled(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Linear interpolation onto a grid of half the spacing with the same first voxel: (2 I, 2 J, 2 K)."""
    for axis in range(values.ndim):
        source = np.moveaxis(values, axis, 0)
        fine = np.empty((2 * len(source), *source.shape[1:]), np.float32)
        fine[::2] = source
        fine[1:-1:2] = 0.5 * (source[:-1] + source[1:])
        fine[-1] = source[-1]
        values = np.moveaxis(fine, 0, axis)
    return values


def continued_fields(
    fields: dict[Bone, BoneField], radius_from_voxel: Float, shape: tuple[int, int, int], cut_mm: float
) -> dict[Bone, BoneField]:
    """The bones below z = cut_mm replaced by their section there, going on down to the grid's first plane."""
    spacing = radius_from_voxel[0, 0]
    cut = int(np.ceil((cut_mm - radius_from_voxel[2, 3]) / spacing))
    centres = []
    for field in fields.values():
        start = cut - field.first_index[2]
        inside = field.distance_mm[:, :, start : start + max(int(SLOPE_MM / spacing), 2)] < 0
        count = np.maximum(inside.sum(axis=(0, 1)), 1)
        x, y, _ = field_axes(field, radius_from_voxel)
        centres.append(np.column_stack([inside.sum(axis=1).T @ x, inside.sum(axis=0).T @ y]) / count[:, None])
    slopes = continuation_slopes(centres, spacing)
    made: dict[Bone, BoneField] = {}
    for (bone, field), slope in zip(fields.items(), slopes, strict=True):
        i, j, k = field.first_index
        distance, before_i, before_j = continued(field.distance_mm, cut - k, cut, slope, spacing)
        moved = BoneField(distance, (i - before_i, j - before_j, 0))
        made[bone] = cropped(moved, np.zeros(3, int), np.array(shape))
    return made


def cropped(field: BoneField, first: Float, last: Float) -> BoneField:
    """The same field, indexed in a grid that starts at index ``first`` and ends before ``last``."""
    start = np.maximum(np.asarray(field.first_index) - first, 0)
    skip = np.maximum(first - np.asarray(field.first_index), 0)
    keep = np.minimum(np.array(field.distance_mm.shape) - skip, last - first - start)
    box = tuple(slice(int(s), int(s + n)) for s, n in zip(skip, keep, strict=True))
    return BoneField(np.ascontiguousarray(field.distance_mm[box]), (int(start[0]), int(start[1]), int(start[2])))


def field_axes(field: BoneField, radius_from_voxel: Float) -> tuple[Float, Float, Float]:
    """Radius-frame positions (mm) of the field's voxels along x, y and z."""
    x, y, z = (
        radius_from_voxel[a, 3]
        + radius_from_voxel[a, a] * (field.first_index[a] + np.arange(field.distance_mm.shape[a]))
        for a in range(3)
    )
    return x, y, z
