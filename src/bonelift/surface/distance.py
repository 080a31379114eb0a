"""How far two surfaces are apart, in mm: the paper's measure and measures that do not depend on the meshing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import KDTree

from bonelift.surface.mesh import TriangleMesh
from bonelift.surface.nearest import build_tree, find_nearest

Float = NDArray[np.float64]

PAPER_VOXEL_MM = 0.625
"""Voxel side of the paper's grid, and so about the distance between the points that it compares."""


@dataclass(frozen=True)
class SurfaceDistances:
    """Distances between two surfaces, mm; NaN where one of them is empty.

    asd_paper_mm: mean distance from each point of either mesh to the nearest *point* of the other, pooled. The points
        are the vertices; where they are farther apart than PAPER_VOXEL_MM points are put between, or a coarse mesh
        would be charged for the points that it lacks. Even so, two good meshes of one bone are about 0.2 mm apart by
        this measure. Source: Shiode et al. 2021, Methods.
    asd_surface_mm: mean distance from the area of either mesh to the nearest *point* of the other, pooled by area.
    hd95_mm: the larger of the two directed 95th percentiles (by area) of the same distances.
    maximum_mm: the largest of the same distances, vertices included (Hausdorff distance of the samples).
    compared_fraction: part of the area that was compared; 1 unless open ends were excluded.
    """

    asd_paper_mm: float
    asd_surface_mm: float
    hd95_mm: float
    maximum_mm: float
    compared_fraction: float


def surface_distances(
    first: TriangleMesh, second: TriangleMesh, *, sample_mm: float = 0.7, exclude_open_ends: bool = False
) -> SurfaceDistances:
    """All distances at once; symmetric in its arguments, both in one frame, mm.

    sample_mm: triangles are split evenly until no edge is longer than this; each part counts with its area at its
        centroid, and the distance from there is exact (point to triangle). The distance changes by at most 1 mm per mm,
        and its linear part cancels within a triangle; for bones the mean is right to better than 0.01 mm (tested).
    exclude_open_ends: leave out what is nearest to the other mesh's open end. Off where both were cut by one plane (as
        predicted); on after an alignment, which moves one cut past the other.
    """
    if first.is_empty or second.is_empty:
        return SurfaceDistances(np.nan, np.nan, np.nan, np.nan, np.nan)
    pairs = ((first, second), (second, first))
    directed = [_directed(source, target, sample_mm, exclude_open_ends) for source, target in pairs]
    distances = np.concatenate([d for d, _, _ in directed])
    areas = np.concatenate([a for _, a, _ in directed])
    if areas.sum() <= 0:
        return SurfaceDistances(np.nan, np.nan, np.nan, np.nan, 0.0)
    point_distances = np.concatenate([_point_distances(*pair, exclude_open_ends) for pair in pairs])
    return SurfaceDistances(
        asd_paper_mm=float(point_distances.mean()) if len(point_distances) else np.nan,
        asd_surface_mm=float(np.average(distances, weights=areas)),
        hd95_mm=max(_weighted_percentile(d, a, 0.95) for d, a, _ in directed if a.sum() > 0),
        maximum_mm=float(max(farthest for _, _, farthest in directed)),
        compared_fraction=float(areas.sum() / (first.area_mm2 + second.area_mm2)),
    )


def distance_to_surface(points: ArrayLike, mesh: TriangleMesh) -> Float:
    """(N,) mm: exact distance from each of ``points`` (N, 3) to the mesh; NaN for an empty mesh."""
    queries = np.asarray(points, dtype=np.float64).reshape(-1, 3)
    if mesh.is_empty:
        return np.full(len(queries), np.nan)
    return find_nearest(queries, build_tree(mesh)).distance_mm


def sample_by_area(mesh: TriangleMesh, sample_mm: float) -> tuple[Float, Float]:
    """Centroids (N, 3) and areas (N,) mm^2 of the parts of each triangle, split until edges are <= ``sample_mm``."""
    corners, areas = mesh.triangles, mesh.face_areas_mm2
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1, initial=0.0)
    splits = _cuts(longest, sample_mm)
    # Keep the order of the faces: neighbours in the list are neighbours in space, which makes queries fast.
    points, weights = [np.zeros((0, 3))], [np.zeros(0)]
    for n in np.unique(splits):
        chosen = splits == n
        barycentric = _part_centroids(int(n))
        points.append(np.einsum("pc,fcx->fpx", barycentric, corners[chosen]).reshape(-1, 3))
        weights.append(np.repeat(areas[chosen] / len(barycentric), len(barycentric)))
    return np.concatenate(points), np.concatenate(weights)


def _part_centroids(n: int) -> Float:
    """(n^2, 3) barycentric centroids of the n^2 equal triangles into which n cuts per side divide one."""
    upright = [(i + 1 / 3, j + 1 / 3) for i in range(n) for j in range(n - i)]
    inverted = [(i + 2 / 3, j + 2 / 3) for i in range(n - 1) for j in range(n - 1 - i)]
    st = np.array(upright + inverted) / n
    return np.column_stack([1 - st.sum(axis=1), st])


def _directed(
    source: TriangleMesh, target: TriangleMesh, sample_mm: float, exclude: bool
) -> tuple[Float, Float, float]:
    """Distances (N,), areas (N,) of samples of ``source``, and the largest distance, its vertices included."""
    tree = build_tree(target)
    points, areas = sample_by_area(source, sample_mm)
    used = np.unique(source.faces)
    nearest = find_nearest(np.concatenate([points, source.vertices[used]]), tree)
    keep = ~nearest.on_border if exclude else np.ones(len(nearest.distance_mm), dtype=bool)
    of_samples = keep[: len(points)]
    return (
        nearest.distance_mm[: len(points)][of_samples],
        areas[of_samples],
        float(nearest.distance_mm[keep].max(initial=0.0)),
    )


def _point_distances(source: TriangleMesh, target: TriangleMesh, exclude: bool) -> Float:
    """(N,) distance from each point of ``source`` to the nearest point of ``target``."""
    candidates, on_border = mesh_points(target, PAPER_VOXEL_MM)
    distances, index = KDTree(candidates).query(mesh_points(source, PAPER_VOXEL_MM)[0])
    return distances[~on_border[index]] if exclude else distances


def mesh_points(mesh: TriangleMesh, spacing_mm: float) -> tuple[Float, NDArray[np.bool_]]:
    """Vertices, and points evenly along edges and over faces where they are farther apart than ``spacing_mm``.

    Returns (N, 3) mm, each point once, and (N,) whether it lies on an open end.
    """
    used = np.unique(mesh.faces)
    edges = np.sort(mesh.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1).astype(np.int64)
    _, first = np.unique(edges[:, 0] * len(mesh.vertices) + edges[:, 1], return_index=True)
    ends = mesh.vertices[edges[first]]
    edge_on_border = mesh.border_edges().reshape(-1)[first]
    edge_cuts = _cuts(np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1), spacing_mm)
    corners = mesh.triangles
    face_cuts = _cuts(np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1), spacing_mm)

    points, on_border = [mesh.vertices[used]], [mesh.border_vertices()[used]]
    for n in np.unique(edge_cuts[edge_cuts > 1]):
        chosen, at = edge_cuts == n, np.arange(1, n) / n
        weights = np.column_stack([1 - at, at])
        points.append(np.einsum("pe,nex->npx", weights, ends[chosen]).reshape(-1, 3))
        on_border.append(np.repeat(edge_on_border[chosen], n - 1))
    for n in np.unique(face_cuts[face_cuts > 2]):
        chosen = face_cuts == n
        st = np.array([(i, j) for i in range(1, n - 1) for j in range(1, n - i)]) / n
        weights = np.column_stack([1 - st.sum(axis=1), st])
        points.append(np.einsum("pc,ncx->npx", weights, corners[chosen]).reshape(-1, 3))
        on_border.append(np.zeros(len(points[-1]), dtype=bool))
    return np.concatenate(points), np.concatenate(on_border)


def _cuts(length_mm: Float, spacing_mm: float) -> NDArray[np.int64]:
    """Into how many equal parts a side is cut so that none is longer than ``spacing_mm``."""
    return np.maximum(1, np.ceil(length_mm / spacing_mm - 1e-9)).astype(np.int64)


def _weighted_percentile(values: Float, weights: Float, fraction: float) -> float:
    order = np.argsort(values)
    cumulative = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(cumulative, fraction * cumulative[-1])])
