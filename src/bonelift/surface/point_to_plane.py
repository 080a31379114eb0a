"""One Gauss-Newton step of robust point-to-plane alignment, rigid or with a scale: the step of every surface fit here.

Sources: Chen and Medioni 1992 (doi:10.1016/0262-8856(92)90066-C); weights: Tukey's biweight on the median distance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonelift.geometry import rigid_from_vector, translation

Float = NDArray[np.float64]

_TUKEY = 4.685 * 1.4826
"""Biweight cut-off in median distances: 95 % efficient under Gaussian noise."""


@dataclass(frozen=True)
class StepRules:
    """smallest_mm: least median distance that the weights go by, so that a perfect fit still has weights.
    damping: share of the curvature that is added to it. largest_turn: rad. scaled: whether the size may change, too."""

    smallest_mm: float = 1e-4
    damping: float = 1e-6
    largest_turn: float = 0.5
    scaled: bool = False


@dataclass(frozen=True, eq=False)
class PlaneStep:
    """motion: (4, 4) that moves the points, ``growth`` times a rigid motion; growth is 1 where the size may not change.
    largest: the largest of its numbers, in rad, mm and log of the growth."""

    motion: Float
    growth: float
    largest: float


def biweights(distances_mm: Float, kept: NDArray[np.bool_], smallest_mm: float) -> Float:
    """(N,) weights in [0, 1] of matches: 0 where not ``kept``, and for those far beyond the median distance."""
    median = float(np.median(distances_mm[kept])) if kept.any() else 0.0
    return kept * np.clip(1 - (distances_mm / (_TUKEY * max(median, smallest_mm))) ** 2, 0, None) ** 2


def point_to_plane_step(
    moving: Float, fixed: Float, normals: Float, kept: NDArray[np.bool_] | None = None, rules: StepRules | None = None
) -> PlaneStep:
    """The step that brings ``moving`` nearer to the planes through ``fixed``.

    moving, fixed: (N, 3) mm, matched row by row, one frame; normals: (N, 3) unit, of the planes. kept: (N,) which
    matches count; all where None. The damping lies far under the curvature of a bone: it only keeps a shape that is
    free to slide or spin from running off.
    """
    rules = rules or StepRules()
    middle = moving.mean(axis=0)
    gap, centred = fixed - moving, moving - middle
    weight = biweights(
        np.linalg.norm(gap, axis=1), np.ones(len(gap), dtype=bool) if kept is None else kept, rules.smallest_mm
    )
    columns = [np.cross(centred, normals), normals]
    if rules.scaled:
        columns.append(np.einsum("ni,ni->n", normals, centred)[:, None])
    jacobian = np.concatenate(columns, axis=1)
    hessian = jacobian.T @ (weight[:, None] * jacobian)
    hessian += rules.damping * np.diag(np.diag(hessian)) + 1e-9 * np.eye(len(hessian))
    step = np.linalg.solve(hessian, jacobian.T @ (weight * np.einsum("ni,ni->n", normals, gap)))
    step[:3] *= min(1.0, rules.largest_turn / max(float(np.linalg.norm(step[:3])), 1e-12))
    growth = float(np.exp(step[6])) if rules.scaled else 1.0
    motion = rigid_from_vector(step[:6])
    motion[:3, :3] *= growth
    return PlaneStep(translation(middle) @ motion @ translation(-middle), growth, float(np.abs(step).max()))
