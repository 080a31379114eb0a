"""Iso-surfaces of continuous fields by marching cubes."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from skimage.measure import marching_cubes

from bonelift.surface.mesh import TriangleMesh


def extract_surface(
    field: NDArray[np.floating],
    world_from_voxel: ArrayLike,
    level: float,
    *,
    inside: Literal["above", "below"],
) -> TriangleMesh:
    """The surface on which ``field`` equals ``level``, with normals pointing outward.

    field: (I, J, K), finite, values at voxel centres.
    world_from_voxel: (4, 4); the mesh comes out in that world, mm. A grid that mirrors is allowed.
    inside: "above" for probability or occupancy (level 0.5), "below" for signed distance (level 0).

    Where the object meets the border of the grid the surface is left open. A level that the field does not cross gives
    an empty mesh. Source: Lewiner et al. 2003 (doi:10.1080/10867651.2003.10487582), as in scikit-image.
    """
    values = np.asarray(field, dtype=np.float32)
    if values.ndim != 3 or not np.isfinite(values).all():
        raise ValueError(f"field has shape {values.shape}; expected three axes of finite numbers")
    empty = TriangleMesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int32))
    if min(values.shape) < 2 or not values.min() < level < values.max():
        return empty
    # scikit-image's "descent" winds faces inwards around high values in our sense; the tests check the sign.
    direction = "ascent" if inside == "above" else "descent"
    vertices, faces, _, _ = marching_cubes(values, level, gradient_direction=direction, allow_degenerate=False)
    if len(faces) == 0:
        return empty
    return TriangleMesh(vertices.astype(np.float64), faces.astype(np.int32)).transformed(world_from_voxel)


def largest_piece(mesh: TriangleMesh) -> TriangleMesh:
    """The connected piece with the largest area: what is left of a bone when specks are dropped."""
    if mesh.is_empty:
        return mesh
    edges = mesh.faces[:, [[0, 1], [1, 2]]].reshape(-1, 2)
    count = len(mesh.vertices)
    graph = sparse.coo_matrix((np.ones(len(edges), dtype=np.int8), (edges[:, 0], edges[:, 1])), shape=(count, count))
    _, piece_of_vertex = sparse.csgraph.connected_components(graph, directed=False)
    piece_of_face = piece_of_vertex[mesh.faces[:, 0]]
    area = np.bincount(piece_of_face, mesh.face_areas_mm2)
    used, faces = np.unique(mesh.faces[piece_of_face == area.argmax()], return_inverse=True)
    return TriangleMesh(mesh.vertices[used], faces.reshape(-1, 3).astype(np.int32))
