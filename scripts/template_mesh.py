"""A smooth, evenly meshed template of a long bone's distal end: fine at the joint, coarse up the shaft."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.spatial import KDTree
from skimage.measure import marching_cubes

from bonelift.anatomy.surface_fit import surface_cloud
from bonelift.geometry import apply_transform
from bonelift.surface.mesh import TriangleMesh
from bonelift.surface.voxelize import signed_distance_grid

Float = NDArray[np.float64]

FINE_ABOVE_MM = -30.0
"""Above this height edges have their full fineness; below, the shaft is meshed coarser along z."""
SHAFT_STRETCH = 2.6


def build_template(
    bone: TriangleMesh, end_mm: float, edge_mm: float, smoothing_mm: float, relaxations: int = 40
) -> TriangleMesh:
    """Closed template of ``bone`` above ``end_mm``: smoothed signed distance, marching cubes, tangential relaxation."""
    warped = TriangleMesh(_compress(bone.vertices), bone.faces)
    bottom = float(_compress(np.array([[0, 0, end_mm]]))[0, 2])
    low = warped.vertices[warped.vertices[:, 2] > bottom].min(axis=0) - 4
    high = warped.vertices[warped.vertices[:, 2] > bottom].max(axis=0) + 4
    low[2] = bottom - 4
    shape = tuple(int(n) for n in np.ceil((high - low) / edge_mm) + 1)
    grid = np.diag([edge_mm, edge_mm, edge_mm, 1.0])
    grid[:3, 3] = low
    distance = signed_distance_grid(warped, (shape[0], shape[1], shape[2]), grid, band_mm=6.0).astype(np.float64)
    distance = ndimage.gaussian_filter(distance, smoothing_mm / edge_mm)
    height = low[2] + edge_mm * np.arange(shape[2])
    distance = np.maximum(distance, (bottom - height)[None, None, :])  # a flat cap
    corners, faces, _, _ = marching_cubes(distance, 0.0)
    surface = TriangleMesh(_stretch(apply_transform(grid, corners)), faces.astype(np.int32))
    if surface.volume_mm3 < 0:
        surface = TriangleMesh(surface.vertices, surface.faces[:, ::-1])
    return relax(surface.welded(), relaxations)


def _compress(points: Float) -> Float:
    out = points.copy()
    below = np.minimum(points[:, 2] - FINE_ABOVE_MM, 0.0)
    out[:, 2] = points[:, 2] - below + below / SHAFT_STRETCH
    return out


def _stretch(points: Float) -> Float:
    out = points.copy()
    below = np.minimum(points[:, 2] - FINE_ABOVE_MM, 0.0)
    out[:, 2] = points[:, 2] - below + below * SHAFT_STRETCH
    return out


def neighbour_average(mesh: TriangleMesh) -> sparse.csr_matrix:
    """(V, V) row-stochastic: the mean of each vertex's neighbours."""
    pairs = np.concatenate([mesh.faces[:, [0, 1]], mesh.faces[:, [1, 2]], mesh.faces[:, [2, 0]]])
    pairs = np.concatenate([pairs, pairs[:, ::-1]])
    n = len(mesh.vertices)
    adjacency = sparse.csr_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    adjacency.data[:] = 1.0
    return sparse.diags(1 / np.asarray(adjacency.sum(axis=1)).ravel()) @ adjacency


def relax(mesh: TriangleMesh, iterations: int) -> TriangleMesh:
    """Vertices slide along the surface towards their neighbours' mean, then back onto the starting surface."""
    cloud = surface_cloud(mesh, 0.3)
    tree = KDTree(cloud.points)
    average = neighbour_average(mesh)
    current = mesh
    for _ in range(iterations):
        normals = current.vertex_normals
        step = average @ current.vertices - current.vertices
        step -= (step * normals).sum(axis=1, keepdims=True) * normals
        moved = current.vertices + 0.5 * step
        nearest = tree.query(moved)[1]
        offset = ((cloud.points[nearest] - moved) * cloud.normals[nearest]).sum(axis=1, keepdims=True)
        current = TriangleMesh(moved + offset * cloud.normals[nearest], mesh.faces)
    return current
