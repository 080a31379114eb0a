"""The frame of the radius, roughly, from labels alone: good enough to start a registration from, without landmarks.

Z is the shaft axis, distal; the origin is where it leaves the bone at the joint; X points to the ulna. Against the
landmarks' frame (anatomy/frame.py) it is off by a few mm and, about the shaft, by how far the forearm is turned.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bonelift.errors import InputError
from bonelift.images import LABEL_NAMES, RADIUS, ULNA, LabelMap, Side

Float = NDArray[np.float64]

_SLICE_MM = 2.0
_SHAFT_SPAN_MM = (25.0, 60.0)
"""Distances proximal of the distal end over which the shaft axis is fitted."""
ULNAR_HEAD_ANGLE_RAD = np.deg2rad(-18.0)
"""Direction of the end of the ulna in the radius frame, from +X towards palmar: the mean of 16 virtual wrists (SD 3.5
degrees; seed 3101)."""


def rough_right_from_world(labels: LabelMap, side: Side) -> Float:
    """(4, 4) from the labels' world to the radius frame of a right wrist; determinant -1 for a left wrist.

    Errors: InputError where a bone is missing or the radius is too short to have a shaft.
    """
    radius, ulna = (_points(labels, label) for label in (RADIUS, ULNA))
    z = _distal_axis(radius)
    axis_point, z = _shaft(radius, z)
    height = (radius - axis_point) @ z
    across = radius - axis_point - height[:, None] * z
    near_axis = np.linalg.norm(across, axis=1) < 4.0
    origin = axis_point + z * (height[near_axis].max() if near_axis.any() else height.max())
    ulna_height = (ulna - origin) @ z
    head = ulna[ulna_height > max(ulna_height.max() - 15.0, ulna_height.min())].mean(axis=0)
    x = head - origin - ((head - origin) @ z) * z
    if np.linalg.norm(x) < 3:
        raise InputError("labels: radius and ulna lie on one line; expected them side by side")
    x /= np.linalg.norm(x)
    y = np.cross(z, x) if side == "right" else np.cross(x, z)
    x, y = (
        np.cos(ULNAR_HEAD_ANGLE_RAD) * x - np.sin(ULNAR_HEAD_ANGLE_RAD) * y,
        np.sin(ULNAR_HEAD_ANGLE_RAD) * x + np.cos(ULNAR_HEAD_ANGLE_RAD) * y,
    )
    right_from_world = np.eye(4)
    right_from_world[:3, :3] = np.stack([x, y, z])
    right_from_world[:3, 3] = -right_from_world[:3, :3] @ origin
    return right_from_world


def _points(labels: LabelMap, label: int) -> Float:
    """(N, 3) voxel centres of a label, world mm."""
    indices = np.argwhere(labels.labels == label)
    if len(indices) < 200:
        raise InputError(
            f"labels hold {len(indices)} voxels of the {LABEL_NAMES[label]}; expected it segmented as label {label}"
        )
    indices = indices[:: max(1, len(indices) // 20000)]
    return indices @ labels.world_from_voxel[:3, :3].T + labels.world_from_voxel[:3, 3]


def _distal_axis(points: Float) -> Float:
    """(3,) unit vector along the bone, towards its wider end."""
    axis = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)[2][0]
    height = (points - points.mean(axis=0)) @ axis
    low, high = np.percentile(height, [0, 100])
    third = (high - low) / 3
    return axis if (height > high - third).sum() > (height < low + third).sum() else -axis


def _shaft(points: Float, z: Float) -> tuple[Float, Float]:
    """A point of the shaft axis and its direction (3,), from the middles of cross sections."""
    height = points @ z
    top = height.max()
    low, high = top - _SHAFT_SPAN_MM[1], top - _SHAFT_SPAN_MM[0]
    low = max(low, height.min() + _SLICE_MM)
    if high - low < 8:
        raise InputError(f"labels: the radius is {top - height.min():.0f} mm long; expected 40 mm or more of it")
    edges = np.arange(low, high, _SLICE_MM)
    middles = [points[(height >= edge) & (height < edge + _SLICE_MM)] for edge in edges]
    centres = np.array([part.mean(axis=0) for part in middles if len(part) > 5])
    direction = np.linalg.svd(centres - centres.mean(axis=0))[2][0]
    return centres.mean(axis=0), direction if direction @ z > 0 else -direction
