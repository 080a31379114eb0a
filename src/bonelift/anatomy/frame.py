"""The radius frame: +Z the radial shaft axis, distal; origin where it meets the distal joint surface; +X ulnar-wards.

+X runs parallel to the reference line from the tip of the radial styloid to the volar edge of the sigmoid notch, seen
along Z; +Y = Z x X is palmar on a right wrist. Source: Shiode et al. 2021, Methods (normalisation).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bonelift.errors import InputError
from bonelift.geometry import apply_transform, compose
from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]

SHAFT_SPAN_MM = (-60.0, -25.0)
"""Heights between which the radial shaft axis is fitted, where the bone reaches that far."""
SHAFT_STEP_MM = 5.0
SHOWN_ABOVE_MM = -40.0
"""Bones are shown and scored at and above this height of the radius frame; their proximal end is open there."""


@dataclass(frozen=True)
class ShaftAxis:
    """A line: point (3,) mm and unit direction (3,), distal."""

    point: Float
    direction: Float


def radius_from_landmarks(
    styloid_tip: ArrayLike, notch_volar: ArrayLike, axis: ShaftAxis, articular_point: ArrayLike
) -> Float:
    """(4, 4) radius_from_world for a right wrist.

    styloid_tip, notch_volar, articular_point: (3,) world mm; the last is where the axis meets the joint surface.
    Raises InputError where the styloid and the notch lie along the shaft, so that X is undefined.
    """
    z = np.asarray(axis.direction, dtype=np.float64)
    z = z / np.linalg.norm(z)
    line = np.asarray(notch_volar, dtype=np.float64) - np.asarray(styloid_tip, dtype=np.float64)
    x = line - (line @ z) * z
    length = np.linalg.norm(x)
    if not np.isfinite(length) or length < 1:
        raise InputError(
            f"radius frame: the styloid and the notch's volar edge are {length:.2f} mm apart across the shaft; "
            "expected about 30 mm; check the landmarks"
        )
    x = x / length
    radius_from_world = np.eye(4)
    radius_from_world[:3, :3] = np.stack([x, np.cross(z, x), z])
    radius_from_world[:3, 3] = -radius_from_world[:3, :3] @ np.asarray(articular_point, dtype=np.float64)
    return radius_from_world


def section_centroid(mesh: TriangleMesh, height_mm: float) -> tuple[Float, float]:
    """Centroid (3,) and area (mm^2) of the cut through ``mesh`` at z = ``height_mm``; area 0 where nothing is cut.

    Green's theorem over the oriented segments in which the plane cuts the faces: no contour needs to be traced.
    """
    segments = section_segments(mesh, height_mm)
    if len(segments) == 0:
        return np.array([np.nan, np.nan, height_mm]), 0.0
    centre = segments.mean(axis=(0, 1))
    start, end = segments[:, 0] - centre, segments[:, 1] - centre
    cross = start[:, 0] * end[:, 1] - start[:, 1] * end[:, 0]
    area = float(cross.sum() / 2)
    if abs(area) < 1e-9:
        return np.array([np.nan, np.nan, height_mm]), 0.0
    centroid = ((start + end) * cross[:, None]).sum(axis=0) / (6 * area)
    return np.array([*(centroid + centre), height_mm]), abs(area)


def section_segments(mesh: TriangleMesh, height_mm: float) -> Float:
    """(S, 2, 2) oriented xy segments of the cut at z = ``height_mm``; counter-clockwise around the inside from +Z."""
    height = mesh.vertices[:, 2] - height_mm
    above = height[mesh.faces] > 0
    crossing = above.any(axis=1) & ~above.all(axis=1)
    faces, above = mesh.faces[crossing], above[crossing]
    # Turn each face so that its first corner is alone on its side of the plane.
    alone = np.where(above.sum(axis=1) == 1, np.argmax(above, axis=1), np.argmin(above, axis=1))
    order = (alone[:, None] + np.arange(3)) % 3
    corner = np.take_along_axis(faces, order, axis=1)
    points, h = mesh.vertices[corner], height[corner]

    def cut(k: int) -> Float:
        fraction = h[:, 0] / (h[:, 0] - h[:, k])
        return (points[:, 0] + fraction[:, None] * (points[:, k] - points[:, 0]))[:, :2]

    first, second = cut(1), cut(2)
    lone_above = np.take_along_axis(above, order, axis=1)[:, 0]
    return np.where(lone_above[:, None, None], np.stack([first, second], 1), np.stack([second, first], 1))


def fit_shaft_axis(radius: TriangleMesh, span_mm: tuple[float, float] = SHAFT_SPAN_MM) -> ShaftAxis:
    """Least-squares line through the centroids of the cuts between ``span_mm``; +Z of the mesh's frame is distal.

    Needs cuts over at least 10 mm (InputError): an axis from less is noise.
    """
    heights = np.arange(span_mm[0], span_mm[1] + 1e-6, SHAFT_STEP_MM)
    low = radius.vertices[:, 2].min() + 0.5
    centroids = [c for c, area in (section_centroid(radius, h) for h in heights if h > low) if area > 0]
    if len(centroids) < 3:
        raise InputError(
            f"radius: the shaft reaches down to z = {low:.0f} mm; the shaft axis needs it to z = "
            f"{span_mm[1] - 2 * SHAFT_STEP_MM:.0f} mm at least"
        )
    points = np.array(centroids)
    centre = points.mean(axis=0)
    direction = np.linalg.svd(points - centre)[2][0]
    return ShaftAxis(centre, direction if direction[2] > 0 else -direction)


def articular_point(radius: TriangleMesh, axis: ShaftAxis) -> Float:
    """(3,) the most distal point where the axis passes through the surface."""
    corners = radius.triangles
    edge_1, edge_2 = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    normal = np.cross(edge_1, edge_2)
    facing = normal @ axis.direction
    with np.errstate(divide="ignore", invalid="ignore"):
        along = np.einsum("fi,fi->f", corners[:, 0] - axis.point, normal) / facing
    hit = axis.point + along[:, None] * axis.direction - corners[:, 0]
    d11, d12, d22 = (edge_1**2).sum(1), (edge_1 * edge_2).sum(1), (edge_2**2).sum(1)
    h1, h2 = (hit * edge_1).sum(1), (hit * edge_2).sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        det = d11 * d22 - d12**2
        u, v = (d22 * h1 - d12 * h2) / det, (d11 * h2 - d12 * h1) / det
    inside = np.isfinite(along) & (u >= -1e-9) & (v >= -1e-9) & (u + v <= 1 + 1e-9)
    if not inside.any():
        raise InputError("radius: the shaft axis misses the joint surface; expected a distal radius with +Z distal")
    return axis.point + along[inside].max() * axis.direction


def radius_from_mesh(radius: TriangleMesh, styloid_tip: ArrayLike, notch_volar: ArrayLike, repeats: int = 3) -> Float:
    """(4, 4) radius_from_mesh of a right radius roughly in its frame (within about 20 degrees, 10 mm).

    Repeated because the heights of the shaft cuts refer to the frame they define; three rounds settle to 0.01 mm.
    """
    radius_from_source = np.eye(4)
    for _ in range(repeats):
        moved = radius.transformed(radius_from_source)
        tip, volar = apply_transform(radius_from_source, np.stack([styloid_tip, notch_volar]))
        axis = fit_shaft_axis(moved)
        step = radius_from_landmarks(tip, volar, axis, articular_point(moved, axis))
        radius_from_source = compose(step, radius_from_source)
    return radius_from_source
