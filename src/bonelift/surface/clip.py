"""Exact cut of a mesh by a plane; the cut is left open."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]


def clip_below(mesh: TriangleMesh, z_mm: float) -> TriangleMesh:
    """What lies at or above ``z_mm`` of the mesh's own frame; the part below goes and the end stays open."""
    return clip_by_plane(mesh, point_mm=(0.0, 0.0, z_mm), normal=(0.0, 0.0, 1.0))


def clip_by_plane(mesh: TriangleMesh, point_mm: ArrayLike, normal: ArrayLike) -> TriangleMesh:
    """The part of the mesh on the side of the plane to which ``normal`` (3,) points; ``point_mm`` (3,) is on it.

    Triangles across the plane are cut along it. Neighbours share the new vertices, so the cut makes no cracks.
    """
    direction = np.asarray(normal, dtype=np.float64)
    height = (mesh.vertices - np.asarray(point_mm, dtype=np.float64)) @ (direction / np.linalg.norm(direction))
    kept_corners = (height >= 0)[mesh.faces]
    count = kept_corners.sum(axis=1)
    whole = mesh.faces[count == 3]

    # Turn each cut face so that its lone corner (kept where one is, dropped where two are) comes first.
    one, two = count == 1, count == 2
    one_faces = _turned(mesh.faces[one], kept_corners[one].argmax(axis=1))
    two_faces = _turned(mesh.faces[two], (~kept_corners[two]).argmax(axis=1))
    edges = np.concatenate(
        [one_faces[:, [0, 1]], one_faces[:, [0, 2]], two_faces[:, [0, 1]], two_faces[:, [0, 2]]]
    ).reshape(-1, 2)
    crossings, at = _edge_crossings(mesh.vertices, height, edges)
    at = at + len(mesh.vertices)
    n, m = len(one_faces), len(two_faces)
    one_b, one_c, two_b, two_c = at[:n], at[n : 2 * n], at[2 * n : 2 * n + m], at[2 * n + m :]
    faces = np.concatenate(
        [
            whole,
            np.column_stack([one_faces[:, 0], one_b, one_c]),
            np.column_stack([two_b, two_faces[:, 1], two_faces[:, 2]]),
            np.column_stack([two_b, two_faces[:, 2], two_c]),
        ]
    )
    vertices = np.concatenate([mesh.vertices, crossings])
    used, faces = np.unique(faces, return_inverse=True)
    return TriangleMesh(vertices[used], faces.reshape(-1, 3).astype(np.int32)).welded()


def _turned(faces: NDArray[np.int32], first_corner: NDArray[np.intp]) -> NDArray[np.int32]:
    """Cyclic order with ``first_corner`` in front; the winding stays."""
    return np.take_along_axis(faces, (first_corner[:, None] + np.arange(3)) % 3, axis=1)


def _edge_crossings(vertices: Float, height: Float, edges: NDArray[np.int32]) -> tuple[Float, NDArray[np.intp]]:
    """Where edges (E, 2) meet height 0: unique points (P, 3) and, for each edge, its point's index (E,)."""
    unique, inverse = np.unique(np.sort(edges, axis=1), axis=0, return_inverse=True)
    low, high = unique[:, 0], unique[:, 1]
    part = (height[low] / (height[low] - height[high]))[:, None]
    return vertices[low] * (1 - part) + vertices[high] * part, inverse.reshape(-1)
