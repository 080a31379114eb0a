"""Exact nearest point on a mesh, by a balanced tree of boxes over the triangles."""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from bonelift.surface.mesh import TriangleMesh
from bonelift.surface.triangle_distance import closest_on_triangle

Float = NDArray[np.float64]

_LEAF_TRIANGLES = 4


@dataclass(frozen=True, eq=False)
class SurfaceTree:
    """A mesh prepared for queries; build it with :func:`build_tree`.

    corners: (F, 3, 3) triangles in tree order, mm; face_order: (F,) their index in the mesh.
    boxes: (2L - 1, 6) lower and upper corner of each node, children of n at 2n + 1 and 2n + 2, the L leaves last.
    border_edges, border_corners: (F, 3) whether edge AB, BC, CA, and corner A, B, C, is on an open end, in tree order.
    """

    corners: Float
    face_order: NDArray[np.int64]
    boxes: Float
    border_edges: NDArray[np.bool_]
    border_corners: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Nearest:
    """Answer to a query of N points: distance (N,) mm, nearest point (N, 3), its face (N,), and whether it lies on an
    open end of the mesh (N,), which means that the true partner may have been cut away."""

    distance_mm: Float
    points: Float
    faces: NDArray[np.int64]
    on_border: NDArray[np.bool_]


def build_tree(mesh: TriangleMesh) -> SurfaceTree:
    """Raises ValueError for a mesh without faces."""
    if mesh.is_empty:
        raise ValueError("mesh has no faces, so it has no nearest point")
    corners = mesh.triangles
    order = _median_order(corners.mean(axis=1))
    corners = np.ascontiguousarray(corners[order])
    leaves = _leaf_count(len(corners))
    boxes = np.empty((2 * leaves - 1, 6))
    boxes[:, :3], boxes[:, 3:] = np.inf, -np.inf
    padded = leaves * _LEAF_TRIANGLES - len(corners)
    low = np.concatenate([corners.min(axis=1), np.full((padded, 3), np.inf)])
    high = np.concatenate([corners.max(axis=1), np.full((padded, 3), -np.inf)])
    boxes[leaves - 1 :, :3] = low.reshape(leaves, _LEAF_TRIANGLES, 3).min(axis=1)
    boxes[leaves - 1 :, 3:] = high.reshape(leaves, _LEAF_TRIANGLES, 3).max(axis=1)
    first, width = leaves - 1, leaves
    while width > 1:
        children = boxes[first : first + width].reshape(width // 2, 2, 6)
        width //= 2
        first = width - 1
        boxes[first : first + width, :3] = children[:, :, :3].min(axis=1)
        boxes[first : first + width, 3:] = children[:, :, 3:].max(axis=1)
    border_corners = mesh.border_vertices()[mesh.faces]
    return SurfaceTree(corners, order, boxes, mesh.border_edges()[order], border_corners[order])


def find_nearest(points: ArrayLike, tree: SurfaceTree) -> Nearest:
    """Nearest point of the mesh to each of ``points`` (N, 3) mm; exact up to rounding."""
    queries = np.ascontiguousarray(points, dtype=np.float64).reshape(-1, 3)
    squared, leaf_faces, weights = _query(queries, tree.corners, tree.boxes)
    corner = tree.corners[leaf_faces]
    s, t = weights[:, :1], weights[:, 1:]
    found = corner[:, 0] + s * (corner[:, 1] - corner[:, 0]) + t * (corner[:, 2] - corner[:, 0])
    on_border = _at_open_end(weights, tree.border_edges[leaf_faces], tree.border_corners[leaf_faces])
    return Nearest(np.sqrt(squared), found, tree.face_order[leaf_faces], on_border)


def _at_open_end(weights: Float, edges: NDArray[np.bool_], corners: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(N,) whether the point A + s AB + t AC of a face lies on a border edge, or on a corner that one ends in."""
    s, t = weights.T
    tiny = 1e-9
    on_edges = np.column_stack([t < tiny, s + t > 1 - tiny, s < tiny])
    on_corners = np.column_stack([s + t < tiny, s > 1 - tiny, t > 1 - tiny])
    return np.any((edges & on_edges) | (corners & on_corners), axis=1)


def _median_order(centres: Float) -> NDArray[np.int64]:
    """(F,) order in which neighbours in space are neighbours in the list: halves split along their longest side.

    The splits fall on whole nodes of a complete tree, so that their boxes are tight. All nodes of a level go at once;
    the list is filled up with places at infinity, which every split puts last.
    """
    leaves = _leaf_count(len(centres))
    places = np.concatenate([centres, np.full((leaves * _LEAF_TRIANGLES - len(centres), 3), np.inf)])
    order = np.arange(len(places))
    width = len(places)
    while width > _LEAF_TRIANGLES:
        nodes = order.reshape(-1, width)
        inside = places[nodes]
        real = np.isfinite(inside)
        extent = np.where(real, inside, -np.inf).max(axis=1) - np.where(real, inside, np.inf).min(axis=1)
        along = np.take_along_axis(inside, extent.argmax(axis=1)[:, None, None], axis=2)[..., 0]
        order = np.take_along_axis(nodes, np.argpartition(along, width // 2 - 1, axis=1), axis=1).reshape(-1)
        width //= 2
    return order[order < len(centres)]


def _leaf_count(triangles: int) -> int:
    """The smallest power of two whose leaves hold them all."""
    return 1 << max(0, int(np.ceil(np.log2(triangles / _LEAF_TRIANGLES))))


@numba.njit(cache=True, inline="always")
def _box_squared(box, x, y, z):  # pragma: no cover - compiled
    dx = max(box[0] - x, 0.0, x - box[3])
    dy = max(box[1] - y, 0.0, y - box[4])
    dz = max(box[2] - z, 0.0, z - box[5])
    return dx * dx + dy * dy + dz * dz


@numba.njit(cache=True)
def _query(points, corners, boxes):  # pragma: no cover - compiled
    """Squared distances (N,), faces in tree order (N,), and the (s, t) of the nearest points (N, 2)."""
    count, leaf_count = len(points), (len(boxes) + 1) // 2
    squared = np.empty(count)
    faces = np.zeros(count, dtype=np.int64)
    weights = np.zeros((count, 2))
    stack = np.empty(64, dtype=np.int64)
    previous = 0
    for n in range(count):
        x, y, z = points[n, 0], points[n, 1], points[n, 2]
        best = np.inf
        # The answer for the previous point bounds this one: neighbours in the list are neighbours in space.
        stack[0], stack[1], top = 0, leaf_count - 1 + previous // 4, 2
        while top > 0:
            top -= 1
            node = stack[top]
            if _box_squared(boxes[node], x, y, z) >= best:
                continue
            if node >= leaf_count - 1:
                start = (node - leaf_count + 1) * 4
                for f in range(start, min(start + 4, len(corners))):
                    a, b, c = corners[f, 0], corners[f, 1], corners[f, 2]
                    found, s, t = closest_on_triangle(
                        x, y, z, a[0], a[1], a[2], b[0] - a[0], b[1] - a[1], b[2] - a[2],
                        c[0] - a[0], c[1] - a[1], c[2] - a[2],
                    )  # fmt: skip
                    if found < best:
                        best, faces[n], weights[n, 0], weights[n, 1] = found, f, s, t
                continue
            left, right = 2 * node + 1, 2 * node + 2
            if _box_squared(boxes[left], x, y, z) < _box_squared(boxes[right], x, y, z):
                left, right = right, left
            stack[top], stack[top + 1] = left, right
            top += 2
        squared[n] = best
        previous = faces[n]
    return squared, faces, weights
