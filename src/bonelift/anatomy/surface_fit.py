"""Laying a template surface on a bone: smooth Gaussian-process deformation, coarse to fine.

The displacement of the template's vertices is a Gaussian process with a kernel summed over several lengths.
Inducing vertices make each step a small ridge regression; where the bone is missing (the scan ends) the field
falls back on what its neighbourhood says. Method: Gerig et al. 2014 and Luethi et al. 2018 (GP morphable models),
non-rigid ICP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist

from bonelift.errors import InputError
from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]

FACING_COSINE = 0.5
"""A template vertex is drawn only to surface that faces its own way to within 60 degrees."""


@dataclass(frozen=True)
class SurfaceCloud:
    """A bone's surface as dense points with outward normals.

    points (N, 3) mm, normals (N, 3) unit, on_border (N,) True near an open end: no vertex is drawn there.
    """

    points: Float
    normals: Float
    on_border: NDArray[np.bool_]


@dataclass(frozen=True)
class DisplacementBasis:
    """(V, M) scalar functions on the template, scaled so that unit-normal coefficients give the prior in mm.

    The same functions serve x, y and z, which are independent a priori.
    """

    functions: Float


def smooth_basis(
    vertices: Float, lengths_mm: Sequence[float], sds_mm: Sequence[float], count: int
) -> DisplacementBasis:
    """Basis of a sum of Gaussian kernels ``sd^2 exp(-d^2 / (2 length^2))``, by ``count`` inducing vertices (Nystroem).

    Exact at the inducing vertices, which are spread evenly; no eigendecomposition is needed for regression.
    """
    chosen = spread_points(vertices, count)

    def kernel(points: Float) -> Float:
        squared = cdist(points, vertices[chosen], "sqeuclidean")
        terms = [sd**2 * np.exp(-squared / (2 * length**2)) for length, sd in zip(lengths_mm, sds_mm, strict=True)]
        return np.sum(terms, axis=0)

    inner = kernel(vertices[chosen])
    inner[np.diag_indices_from(inner)] *= 1 + 1e-6
    factor = cholesky(inner, lower=True)
    return DisplacementBasis(solve_triangular(factor, kernel(vertices).T, lower=True).T)


def spread_points(points: Float, count: int) -> NDArray[np.int64]:
    """Indices of ``count`` points far from each other (farthest-point sampling from the first)."""
    chosen = np.zeros(min(count, len(points)), dtype=np.int64)
    distance = np.full(len(points), np.inf)
    for k in range(1, len(chosen)):
        distance = np.minimum(distance, ((points - points[chosen[k - 1]]) ** 2).sum(axis=1))
        chosen[k] = np.argmax(distance)
    return chosen


def surface_cloud(mesh: TriangleMesh, spacing_mm: float, border_mm: float = 1.0) -> SurfaceCloud:
    """Points on ``mesh`` no farther than about ``spacing_mm`` apart, by splitting its triangles at their centroids.

    Raises InputError for an empty mesh.
    """
    if mesh.is_empty:
        raise InputError("no surface is left in the part of the bone that is looked at; expected a longer bone, in mm")
    corners = mesh.triangles
    normals = mesh.vertex_normals[mesh.faces]
    longest = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)
    splits = np.clip(np.ceil(longest / spacing_mm), 1, 8).astype(int)
    points, point_normals = [mesh.vertices], [mesh.vertex_normals]
    for n in np.unique(splits):
        if n == 1:
            continue
        i, j = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
        inside = i + j <= n
        weights = np.stack([i[inside], j[inside], n - i[inside] - j[inside]], axis=1) / n
        chosen = splits == n
        points.append(np.einsum("pk,fkx->fpx", weights, corners[chosen]).reshape(-1, 3))
        point_normals.append(np.einsum("pk,fkx->fpx", weights, normals[chosen]).reshape(-1, 3))
    cloud, directions = np.concatenate(points), np.concatenate(point_normals)
    directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-12)
    border = mesh.vertices[mesh.border_vertices()]
    near = np.zeros(len(cloud), dtype=bool)
    if len(border):
        near = KDTree(border).query(cloud, distance_upper_bound=border_mm)[0] < border_mm
    return SurfaceCloud(cloud, directions, near)


def fit_template(
    template: TriangleMesh,
    basis: DisplacementBasis,
    target: SurfaceCloud,
    noise_mm: Sequence[float] = (2.0, 1.0, 0.5, 0.3, 0.2, 0.15),
    reach_mm: Sequence[float] = (8.0, 6.0, 4.0, 3.0, 2.5, 2.5),
    repeats: int = 4,
) -> tuple[Float, NDArray[np.bool_]]:
    """Displaced vertices (V, 3) of the template lying on ``target``, and (V,) where target surface was found.

    noise_mm, reach_mm: per stage, SD of the match along the normal and the farthest match; matches slide along the
        surface with three times the normal's SD.
    """
    tree = KDTree(target.points)
    moved = template.vertices.copy()
    matched = np.zeros(len(moved), dtype=bool)
    coefficients = np.zeros((basis.functions.shape[1], 3))
    for noise, reach in zip(noise_mm, reach_mm, strict=True):
        for _ in range(repeats):
            nearest, matched = match_vertices(TriangleMesh(moved, template.faces), target, tree, reach)
            normals = target.normals[nearest]
            gap = target.points[nearest] - moved
            along = (gap * normals).sum(axis=1, keepdims=True) * normals
            aim = moved + along + (gap - along) / 3 - template.vertices
            coefficients = _ridge(basis.functions[matched], aim[matched], noise)
            moved = template.vertices + basis.functions @ coefficients
    return moved, matched


def match_vertices(
    moved: TriangleMesh, target: SurfaceCloud, tree: KDTree, reach_mm: float
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Nearest target point that faces the vertex's way, among eight; and where there is one within reach."""
    distances, candidates = tree.query(moved.vertices, k=8, distance_upper_bound=reach_mm)  # unbounded it is slow
    candidates = np.minimum(candidates, len(target.points) - 1)  # the index of "none" is one too high
    facing = np.einsum("vx,vkx->vk", moved.vertex_normals, target.normals[candidates]) > FACING_COSINE
    first = np.argmax(facing, axis=1)
    rows = np.arange(len(first))
    nearest = candidates[rows, first]
    found = facing[rows, first] & (distances[rows, first] < reach_mm) & ~target.on_border[nearest]
    return nearest, found


def _ridge(functions: Float, aims: Float, noise_mm: float) -> Float:
    """Posterior mean coefficients (M, 3) of the Gaussian process given displacements (n, 3) with SD ``noise_mm``."""
    normal = functions.T @ functions / noise_mm**2
    normal[np.diag_indices_from(normal)] += 1.0
    return cho_solve(cho_factor(normal), functions.T @ aims / noise_mm**2)
