"""Fitting a shape model's mean and modes to a bone's surface: what the model can represent, at best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.spatial import KDTree

from bonelift.anatomy.surface_fit import SurfaceCloud, match_vertices
from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]

POSE_SD = (20.0, 0.3, 0.1)
"""Prior SD of translation (mm), rotation (rad) and relative scale: wide, they are not shape."""


@dataclass(frozen=True)
class ModelFit:
    """surface: the fitted template in the bone's frame; matched (V,) where it lies on bone; coefficients (K,) in SD.

    known (K,): share of each coefficient's prior variance that the surface removes, 0 to 1: of a bone that the model
    draws, the squared coefficient has this mean.
    """

    surface: TriangleMesh
    matched: NDArray[np.bool_]
    coefficients: Float
    known: Float


def fit_model(
    mean: TriangleMesh,
    modes: NDArray[np.floating],
    target: SurfaceCloud,
    noise_mm: float = 0.15,
    iterations: int = 16,
    free_scale: bool = True,
) -> ModelFit:
    """Maximum a posteriori pose, scale and mode coefficients of ``mean`` on ``target``, which lies near it already.

    modes: (K, V, 3) of one SD each, a priori standard normal; free_scale: False where they hold size. Each vertex is
    drawn to the nearest surface that faces its way, with ``noise_mm`` along the normal and three times that across it;
    the noise starts eight times as large.
    """
    vertices = mean.vertices
    centre = vertices.mean(axis=0)
    pose = _pose_columns(vertices - centre)[: 7 if free_scale else 6]
    columns = np.concatenate([pose, np.asarray(modes, dtype=np.float64)])
    tree = KDTree(target.points)
    coefficients, spread = np.zeros(len(columns)), np.ones(len(columns))
    moved, matched = vertices.copy(), np.zeros(len(vertices), dtype=bool)
    for step in range(iterations):
        noise = noise_mm * 8.0 ** max(0.0, 1 - step / (0.6 * iterations))
        reach = max(3.0, 10.0 * (1 - step / (0.5 * iterations)))
        nearest, matched = match_vertices(TriangleMesh(moved, mean.faces), target, tree, reach)
        aims = target.points[nearest[matched]] - vertices[matched]
        coefficients, spread = _posterior(columns[:, matched], target.normals[nearest[matched]], aims, noise)
        moved = vertices + np.tensordot(coefficients, columns, axes=1)
    shape = slice(len(pose), None)
    return ModelFit(TriangleMesh(moved, mean.faces), matched, coefficients[shape], 1 - spread[shape])


def _pose_columns(offset: Float) -> Float:
    """(7, V, 3): translations, small rotations and scale about the centre, as displacements of one prior SD."""
    translation_sd, rotation_sd, scale_sd = POSE_SD
    shifts = translation_sd * np.broadcast_to(np.eye(3)[:, None, :], (3, *offset.shape))
    turns = rotation_sd * np.stack([np.cross(axis, offset) for axis in np.eye(3)])
    return np.concatenate([shifts, turns, scale_sd * offset[None]])


def _posterior(columns: Float, normals: Float, aims: Float, noise_mm: float) -> tuple[Float, Float]:
    """Ridge solution (K,) for columns (K, n, 3) and aims (n, 3), and its posterior variance (K,)."""
    along = np.einsum("knx,nx->nk", columns, normals)
    across = columns.reshape(len(columns), -1).T / 3
    system = along.T @ along + across.T @ across
    right = along.T @ (aims * normals).sum(axis=1) + across.T @ (aims.ravel() / 3)
    system[np.diag_indices_from(system)] += noise_mm**2
    factor = cho_factor(system)
    variance = noise_mm**2 * np.diag(cho_solve(factor, np.eye(len(system))))
    return cho_solve(factor, right), variance
