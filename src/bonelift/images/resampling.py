"""Volumes and label maps on other grids: isotropic voxels for CTs of thick slices, labels onto their CT."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonelift.errors import InputError
from bonelift.images.volume import LabelMap, Volume, occupied_box
from bonelift.images.voxel_data import MAX_VOXELS

Float = NDArray[np.float64]
Interpolation = Literal["linear", "cubic"]
Shape = tuple[int, int, int]

_SAME_LATTICE_VOXELS = 0.01
"""Grids whose voxels lie within this part of a voxel of each other are one lattice: labels are copied."""
_BAND_VOXELS = 3


def isotropic_grid(shape: Shape, world_from_voxel: Float, spacing_mm: float) -> tuple[Shape, Float]:
    """Shape and (4, 4) world_from_voxel of voxels of side ``spacing_mm`` over the same box, along the same axes.

    The outer faces of the first voxels stay where they were; at the other end the box is met within half a voxel.
    """
    old_mm = np.linalg.norm(world_from_voxel[:3, :3], axis=0)
    size = np.maximum(np.rint(np.array(shape) * old_mm / spacing_mm), 1).astype(int)
    if int(np.prod(size)) > MAX_VOXELS:
        raise InputError(
            f"CT: {' x '.join(map(str, size))} voxels of {spacing_mm:g} mm are too many; crop the scan first"
        )
    grid = world_from_voxel.copy()
    grid[:3, :3] = world_from_voxel[:3, :3] / old_mm * spacing_mm
    first_centre = (spacing_mm / old_mm - 1) / 2
    grid[:3, 3] = world_from_voxel[:3, :3] @ first_centre + world_from_voxel[:3, 3]
    return (int(size[0]), int(size[1]), int(size[2])), grid


def is_isotropic(world_from_voxel: Float, spacing_mm: float, tolerance: float = 0.01) -> bool:
    """Whether all voxel edges are within ``tolerance`` (a part) of ``spacing_mm``."""
    steps = np.linalg.norm(world_from_voxel[:3, :3], axis=0)
    return bool((np.abs(steps / spacing_mm - 1) <= tolerance).all())


def resample_volume(volume: Volume, shape: Shape, world_from_voxel: Float, how: Interpolation = "linear") -> Volume:
    """``volume`` at the voxel centres of another grid, float32; the nearest voxel's value outside of it.

    how: "linear" never leaves the range of its neighbours; "cubic" (B-spline) keeps edges sharper and overshoots at
    them by some HU. Where the new voxels are larger, a Gaussian first removes what they cannot carry.
    """
    old_from_new = np.linalg.inv(volume.world_from_voxel) @ world_from_voxel
    shrink = np.linalg.norm(world_from_voxel[:3, :3], axis=0) / volume.spacing_mm
    values = np.asarray(volume.values, dtype=np.float32)
    sigma = 0.4 * np.sqrt(np.maximum(shrink**2 - 1, 0)) if _is_diagonal(old_from_new) else np.zeros(3)
    if (sigma > 0.1).any():
        values = np.asarray(ndimage.gaussian_filter(values, sigma, mode="nearest"), dtype=np.float32)
    return Volume(_sampled(values, old_from_new, shape, 1 if how == "linear" else 3, np.nan), world_from_voxel)


def resample_labels(label_map: LabelMap, shape: Shape, world_from_voxel: Float) -> LabelMap:
    """Labels on another grid, by shape-based interpolation: background outside of the old one.

    Each label's signed distance (mm, + outside, from voxel centre to voxel centre) is interpolated linearly and is the
    label where it is at most 0; of several the deepest. A sheet one voxel thick stays one voxel thick, and outlines
    move smoothly from slice to slice, where nearest-neighbour labels step and averaged masks lose what is thin.
    Source: Raya and Udupa 1990, IEEE Trans Med Imaging 9(1):32-42, doi:10.1109/42.52980.

    Where both grids are one lattice, voxels are copied.
    """
    old_from_new = np.linalg.inv(label_map.world_from_voxel) @ world_from_voxel
    offset = np.rint(old_from_new[:3, 3])
    corner = np.array([*np.array(shape) - 1.0, 1.0])
    same = np.eye(4)
    same[:3, 3] = offset
    if (np.abs((old_from_new - same) @ corner) < _SAME_LATTICE_VOXELS).all() and np.allclose(
        old_from_new[:3, :3], np.eye(3), atol=_SAME_LATTICE_VOXELS
    ):
        return LabelMap(_shifted(label_map.labels, offset.astype(int), shape), world_from_voxel, label_map.names)
    labels = np.zeros(shape, dtype=np.uint8)
    deepest = np.full(shape, 1e-6, dtype=np.float32)  # 0 exactly, half way between voxels, is inside
    for value in (int(v) for v in np.unique(label_map.labels) if v):
        box, distance, first = _signed_distance(label_map, value, old_from_new, shape)
        if box is None:
            continue
        shifted = old_from_new.copy()
        start = np.array([s.start for s in box])
        shifted[:3, 3] += old_from_new[:3, :3] @ start - first
        part = _sampled(distance, shifted, labels[box].shape, 1, float(distance.max()))
        nearer = part < deepest[box]
        labels[box][nearer] = value
        deepest[box][nearer] = part[nearer]
    return LabelMap(labels, world_from_voxel, label_map.names)


def share_inside(label_map: LabelMap, shape: Shape, world_from_voxel: Float) -> float:
    """The part of the labelled voxels whose centre lies inside the box of a grid (its outer faces)."""
    indices = np.argwhere(label_map.labels > 0)
    if len(indices) == 0:
        return 0.0
    new_from_old = np.linalg.inv(world_from_voxel) @ label_map.world_from_voxel
    points = indices @ new_from_old[:3, :3].T + new_from_old[:3, 3]
    return float(((points >= -0.5) & (points <= np.array(shape) - 0.5)).all(axis=1).mean())


def _is_diagonal(matrix: Float) -> bool:
    linear = matrix[:3, :3]
    return bool(np.abs(linear - np.diag(np.diag(linear))).max() < 1e-3)


def _sampled(values: NDArray[np.float32], old_from_new: Float, shape: Shape, order: int, outside: float) -> NDArray:
    """Interpolated at the new voxel centres. outside: the value there; NaN for that of the nearest voxel."""
    mode = "nearest" if np.isnan(outside) else "constant"
    linear = np.diag(old_from_new[:3, :3]) if _is_diagonal(old_from_new) else old_from_new[:3, :3]
    cval = 0.0 if np.isnan(outside) else outside
    offset: Any = old_from_new[:3, 3]
    return ndimage.affine_transform(values, linear, offset, shape, np.float32, order, mode=mode, cval=cval)


def _shifted(labels: NDArray[np.uint8], offset: NDArray[np.intp], shape: Shape) -> NDArray[np.uint8]:
    """``labels`` cut and padded with background so that voxel 0 of the new grid is voxel ``offset`` of the old one."""
    moved = np.zeros(shape, dtype=np.uint8)
    first = np.maximum(offset, 0)
    last = np.minimum(offset + shape, labels.shape)
    if (first < last).all():
        target = tuple(slice(a - o, b - o) for a, b, o in zip(first, last, offset, strict=True))
        moved[target] = labels[tuple(slice(a, b) for a, b in zip(first, last, strict=True))]
    return moved


def _signed_distance(
    label_map: LabelMap, value: int, old_from_new: Float, shape: Shape
) -> tuple[tuple[slice, slice, slice] | None, NDArray[np.float32], NDArray[np.intp]]:
    """(box of the new grid that the label can reach, signed distance on a crop of the old one, its first index)."""
    mask = label_map.labels == value
    first_inside, past_inside = occupied_box(mask)
    low, high = first_inside - _BAND_VOXELS, past_inside + _BAND_VOXELS
    crop = (
        _shifted(mask.astype(np.uint8), low, (int(high[0] - low[0]), int(high[1] - low[1]), int(high[2] - low[2]))) > 0
    )
    spacing = label_map.spacing_mm
    distance = np.asarray(ndimage.distance_transform_edt(~crop, spacing))
    distance = distance - np.asarray(ndimage.distance_transform_edt(crop, spacing))
    new_from_old = np.linalg.inv(old_from_new)
    corners = np.stack(np.meshgrid(*zip(low, high - 1, strict=True), indexing="ij"), axis=-1).reshape(-1, 3)
    reached = corners @ new_from_old[:3, :3].T + new_from_old[:3, 3]
    first = np.clip(np.floor(reached.min(axis=0)), 0, shape).astype(int)
    last = np.clip(np.ceil(reached.max(axis=0)) + 1, 0, shape).astype(int)
    if (first >= last).any():
        return None, np.zeros((1, 1, 1), np.float32), low
    i, j, k = (slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
    return (i, j, k), distance.astype(np.float32), low
