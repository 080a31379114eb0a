"""Open ends closed by caps, so that a bone can be printed. Scores and measurements use the open surface."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from bonelift.surface.mesh import TriangleMesh


def closed_ends(mesh: TriangleMesh) -> tuple[TriangleMesh, int]:
    """The mesh with every open end closed, and how many triangles that took: the last ones of its faces.

    Each end gets a fan of triangles around the middle of its edge: flat where the edge is, watertight whatever its
    shape. Where the outline is so bent that the fan folds over, the folds cancel in volume and in winding number.
    A closed mesh comes back as it is, with 0.
    """
    corners = mesh.faces[:, [[0, 1], [1, 2], [2, 0]]]
    edges = corners[mesh.border_edges()]
    if len(edges) == 0:
        return mesh, 0
    count = len(mesh.vertices)
    graph = coo_array((np.ones(len(edges)), (edges[:, 0], edges[:, 1])), shape=(count, count))
    end_of_vertex = connected_components(graph, directed=False)[1]
    _, end = np.unique(end_of_vertex[edges[:, 0]], return_inverse=True)
    start, stop = mesh.vertices[edges[:, 0]], mesh.vertices[edges[:, 1]]
    length = np.linalg.norm(stop - start, axis=1)
    weighed = (start + stop) / 2 * length[:, None]
    total = np.bincount(end, length)
    middles = np.stack([np.bincount(end, weighed[:, axis]) / total for axis in range(3)], axis=1)
    # Against the direction in which the surface runs along the edge: then the cap faces outward as the surface does.
    caps = np.column_stack([edges[:, 1], edges[:, 0], count + end]).astype(np.int32)
    return TriangleMesh(np.concatenate([mesh.vertices, middles]), np.concatenate([mesh.faces, caps])), len(caps)
