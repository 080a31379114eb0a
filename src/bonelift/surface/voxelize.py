"""Mesh to signed distance on a grid, and from there to soft labels.

The unsigned distance is exact: each triangle visits the voxels within ``band_mm`` of it. The sign is a vote of six
crossing counts (along each grid axis, from both ends), so that an open end, a missing triangle or unwelded vertices
do not leak: a hole spoils at most the rays that pass through it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from bonelift.images.volume import LABEL_NAMES, LabelGrid, LabelMap
from bonelift.surface.mesh import TriangleMesh
from bonelift.surface.triangle_distance import closest_on_triangle

Float = NDArray[np.float64]


def signed_distance_grid(
    mesh: TriangleMesh, shape: tuple[int, int, int], world_from_voxel: ArrayLike, band_mm: float = 4.0
) -> NDArray[np.float32]:
    """Signed distance (I, J, K) float32, mm, negative inside, clipped to +-``band_mm``.

    mesh: in the world of ``world_from_voxel`` (4, 4), mm; any affine grid. Open ends are closed by the vote along the
        grid's axes, so an end cut roughly across one axis stays where it was cut. An empty mesh gives +``band_mm``.
    """
    matrix = np.asarray(world_from_voxel, dtype=np.float64)
    if mesh.is_empty:
        return np.full(shape, band_mm, dtype=np.float32)
    voxel_from_world = np.linalg.inv(matrix)
    corners_mm = np.ascontiguousarray(mesh.triangles)
    corners_voxel = np.ascontiguousarray(corners_mm @ voxel_from_world[:3, :3].T + voxel_from_world[:3, 3])
    squared = _squared_distance(corners_mm, corners_voxel, matrix, band_mm, shape)
    distance = np.sqrt(squared, out=squared)
    inside = _inside_votes(corners_voxel, shape) > 3
    np.negative(distance, out=distance, where=inside)
    return distance


def occupancy(signed_distance_mm: NDArray[np.floating], spacing_mm: float) -> NDArray[np.float32]:
    """Soft label in [0, 1]: the inner part of a voxel of side ``spacing_mm`` cut by a surface flat to its face."""
    return np.clip(0.5 - signed_distance_mm / spacing_mm, 0.0, 1.0).astype(np.float32)


def soft_label(mesh: TriangleMesh, grid: LabelGrid) -> NDArray[np.float32]:
    """(I, J, K) occupancy of a bone's surface (radius frame, mm) on a label grid, in [0, 1]."""
    distance = signed_distance_grid(mesh, grid.shape, grid.radius_from_voxel, band_mm=2 * grid.spacing_mm)
    return occupancy(distance, grid.spacing_mm)


def label_surfaces(surfaces: Mapping[str, TriangleMesh], spacing_mm: float, margin_voxels: int = 2) -> LabelMap:
    """The inside of each surface as a label map on cubic voxels along the axes, around all of them.

    surfaces: bone -> mesh in one world, mm, in which the map lies too; open ends across an axis are closed flat.
    A voxel is a bone's where its centre is inside; inside of two, it is that in which it lies deeper. Centres lie half
    a voxel beside whole multiples of ``spacing_mm``, so that a cut at such a height runs between them.
    Raises ValueError where every mesh is empty.
    """
    shown = {name: mesh for name, mesh in surfaces.items() if not mesh.is_empty}
    if not shown:
        raise ValueError("no surface to voxelise: all are empty")
    points = np.concatenate([mesh.vertices for mesh in shown.values()])
    first = np.floor(points.min(axis=0) / spacing_mm) - margin_voxels
    counts = (np.ceil(points.max(axis=0) / spacing_mm) + margin_voxels - first + 1).astype(int)
    shape = (int(counts[0]), int(counts[1]), int(counts[2]))
    world_from_voxel = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    world_from_voxel[:3, 3] = (first + 0.5) * spacing_mm
    deepest = np.zeros(shape, dtype=np.float32)
    labels = np.zeros(shape, dtype=np.uint8)
    for value, name in LABEL_NAMES.items():
        if name in shown:
            distance = signed_distance_grid(shown[name], shape, world_from_voxel, band_mm=2 * spacing_mm)
            labels[distance < deepest] = value
            deepest = np.minimum(deepest, distance)
    return LabelMap(labels, world_from_voxel, dict(LABEL_NAMES))


def _squared_distance(
    corners_mm: Float, corners_voxel: Float, world_from_voxel: Float, band_mm: float, shape: tuple[int, int, int]
) -> NDArray[np.float32]:
    """(I, J, K) mm^2, at most ``band_mm`` squared."""
    reach = band_mm * np.linalg.norm(np.linalg.inv(world_from_voxel)[:3, :3], axis=1)
    first = np.ceil(corners_voxel.min(axis=1) - reach).clip(0, None)
    last = np.floor(corners_voxel.max(axis=1) + reach).clip(-1, np.subtract(shape, 1))
    normals = np.cross(corners_mm[:, 1] - corners_mm[:, 0], corners_mm[:, 2] - corners_mm[:, 0])
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    normals = np.divide(normals, length, out=np.zeros_like(normals), where=length > 0)
    centres = corners_mm.mean(axis=1)
    radii = np.linalg.norm(corners_mm - centres[:, None], axis=2).max(axis=1)
    spheres = np.column_stack([centres, (radii + band_mm) ** 2])
    squared = np.full(shape, band_mm**2, dtype=np.float32)
    boxes = np.stack([first, last], axis=2).astype(np.int64)
    _scatter_squared_distance(corners_mm, boxes, normals, spheres, world_from_voxel, squared)
    return squared


def _inside_votes(corners_voxel: Float, shape: tuple[int, int, int]) -> NDArray[np.int8]:
    """(I, J, K): how many of six rays from each voxel (+-i, +-j, +-k) say that it is inside."""
    votes = np.zeros(shape, dtype=np.int8)
    for axis in range(3):
        # The cast axis goes last; a cyclic permutation keeps the orientation of the triangles.
        order = [(axis + 1) % 3, (axis + 2) % 3, axis]
        crossings = np.zeros([shape[a] + (a == axis) for a in order], dtype=np.int16)
        corners = np.ascontiguousarray(corners_voxel[..., order])
        bounds = np.stack([corners.min(axis=1), corners.max(axis=1)], axis=1)
        last = crossings.shape[1] - 1
        lines = np.column_stack(
            [np.ceil(bounds[:, 0, 1]).clip(0, last + 1), np.floor(bounds[:, 1, 1]).clip(-1, last)]
        ).astype(np.int64)
        _scatter_crossings(corners, bounds, lines, crossings)
        entered = np.cumsum(crossings, axis=2, out=crossings)
        before, total = entered[..., :-1], entered[..., -1:]
        votes.transpose(order)[...] += (before > 0).astype(np.int8) + (before > total)
    return votes


@numba.njit(cache=True, nogil=True)
def _scatter_crossings(corners, bounds, lines, crossings):  # pragma: no cover - compiled
    """Add to ``crossings[a, b, c]`` the signed surfaces met on the line (a, b) between centres c - 1 and c.

    +1 where the line enters. Scan lines share each edge's arithmetic and use half-open intervals, so that a line
    through an edge or a vertex meets exactly one of the triangles around it.
    bounds: (F, 2, 3) lowest and highest position of each triangle; lines: (F, 2) first and last b it can meet.
    """
    size_a, _, size_c = crossings.shape
    for f in range(corners.shape[0]):
        p, q, r = corners[f, 0], corners[f, 1], corners[f, 2]
        ux, uy, uz = q[0] - p[0], q[1] - p[1], q[2] - p[2]
        vx, vy, vz = r[0] - p[0], r[1] - p[1], r[2] - p[2]
        normal_c = ux * vy - uy * vx
        if normal_c == 0.0:
            continue
        slope_a = -(uy * vz - uz * vy) / normal_c
        slope_b = -(uz * vx - ux * vz) / normal_c
        lowest, highest = bounds[f, 0, 2], bounds[f, 1, 2]
        for b in range(lines[f, 0], lines[f, 1] + 1):
            low, high = np.inf, -np.inf
            for e in range(3):
                s, t = corners[f, e], corners[f, (e + 1) % 3]
                if s[1] > t[1]:
                    s, t = t, s
                if s[1] <= b < t[1]:
                    at = s[0] + (b - s[1]) / (t[1] - s[1]) * (t[0] - s[0])
                    low, high = min(low, at), max(high, at)
            if low > high:
                continue
            for a in range(max(0, int(np.ceil(low))), min(size_a, int(np.ceil(high)))):
                c = min(max(p[2] + slope_a * (a - p[0]) + slope_b * (b - p[1]), lowest), highest)
                cell = min(max(int(np.ceil(c)), 0), size_c - 1)
                crossings[a, b, cell] += 1 if normal_c < 0 else -1


@numba.njit(cache=True, fastmath=True, nogil=True)
def _scatter_squared_distance(corners, boxes, normals, spheres, matrix, squared):  # pragma: no cover - compiled
    """Lower ``squared`` (I, J, K), mm^2, to the squared distance of each triangle, inside that triangle's reach.

    boxes: (F, 3, 2) first and last voxel; spheres: (F, 4) centre and squared radius, both dilated by the band.
    """
    step_x, step_y, step_z = matrix[0, 2], matrix[1, 2], matrix[2, 2]
    step_squared = step_x * step_x + step_y * step_y + step_z * step_z
    for f in range(corners.shape[0]):
        ax, ay, az = corners[f, 0, 0], corners[f, 0, 1], corners[f, 0, 2]
        abx, aby, abz = corners[f, 1, 0] - ax, corners[f, 1, 1] - ay, corners[f, 1, 2] - az
        acx, acy, acz = corners[f, 2, 0] - ax, corners[f, 2, 1] - ay, corners[f, 2, 2] - az
        nx, ny, nz = normals[f, 0], normals[f, 1], normals[f, 2]
        plane_step = nx * step_x + ny * step_y + nz * step_z
        for i in range(boxes[f, 0, 0], boxes[f, 0, 1] + 1):
            for j in range(boxes[f, 1, 0], boxes[f, 1, 1] + 1):
                # The line of voxels (i, j, :) starts at O; keep the part inside the sphere.
                ox = matrix[0, 0] * i + matrix[0, 1] * j + matrix[0, 3]
                oy = matrix[1, 0] * i + matrix[1, 1] * j + matrix[1, 3]
                oz = matrix[2, 0] * i + matrix[2, 1] * j + matrix[2, 3]
                qx, qy, qz = spheres[f, 0] - ox, spheres[f, 1] - oy, spheres[f, 2] - oz
                middle = (qx * step_x + qy * step_y + qz * step_z) / step_squared
                half = (spheres[f, 3] - (qx * qx + qy * qy + qz * qz)) / step_squared + middle * middle
                if half < 0.0:
                    continue
                half = np.sqrt(half)
                plane_0 = nx * (ox - ax) + ny * (oy - ay) + nz * (oz - az)
                first = max(boxes[f, 2, 0], int(np.ceil(middle - half)))
                for k in range(first, min(boxes[f, 2, 1], int(np.floor(middle + half))) + 1):
                    plane = plane_0 + k * plane_step
                    best = squared[i, j, k]
                    if plane * plane >= best:
                        continue
                    px, py, pz = ox + k * step_x, oy + k * step_y, oz + k * step_z
                    found, _, _ = closest_on_triangle(px, py, pz, ax, ay, az, abx, aby, abz, acx, acy, acz)
                    if found < best:
                        squared[i, j, k] = found
