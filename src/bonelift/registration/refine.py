"""Local refinement of a pose by Levenberg-Marquardt on the residuals of the gradient correlation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonelift.registration.chart import PoseChart
from bonelift.registration.objective import Objective, PosePrior

Float = NDArray[np.float64]

FLAT_STEP = np.array([2e-4, 2e-4, 2e-4, 0.005, 0.005, 0.1])
"""A step (rad, mm) below which a pose counts as at rest."""


@dataclass(frozen=True)
class Refined:
    """parameters: (6,) in the chart given. cost: with the prior. curvature: (6, 6) half the second derivative of
    1 - gradient correlation, without the prior. evaluations: projections computed. at_rest: the last step was small."""

    parameters: Float
    cost: float
    curvature: Float
    evaluations: int
    at_rest: bool


def refine(problem: Objective, prior: PosePrior, chart: PoseChart, start: Float, iterations: int = 12) -> Refined:
    """Minimise 1 - gradient correlation + prior from ``start`` (6,), parameters of ``chart``."""
    parameters = np.array(start, dtype=np.float64)
    damping = 1e-2
    residual, jacobian, cost = _linearise(problem, prior, chart, parameters)
    evaluations, at_rest = 1, False
    for _ in range(iterations):
        hessian = jacobian.T @ jacobian
        damped = hessian + damping * np.diag(np.diag(hessian) + 1e-12)
        step = np.asarray(-np.linalg.solve(damped, jacobian.T @ residual), dtype=np.float64)
        here = chart.recentred(chart.poses(parameters[None])[0])
        candidate = chart.parameters(here.poses(step[None])[0])
        new_residual, new_jacobian, new_cost = _linearise(problem, prior, chart, candidate)
        evaluations += 1
        at_rest = bool((np.abs(step) < FLAT_STEP).all())
        if new_cost < cost:
            parameters, residual, jacobian, cost = candidate, new_residual, new_jacobian, new_cost
            damping = max(damping / 5, 1e-6)
        else:
            damping *= 8
        if at_rest:
            break
    image_part = jacobian[:-6]
    return Refined(parameters, cost, image_part.T @ image_part, evaluations, at_rest)


def _linearise(problem: Objective, prior: PosePrior, chart: PoseChart, parameters: Float) -> tuple[Float, Float, float]:
    here = chart.recentred(chart.poses(parameters[None])[0])
    residual, jacobian = problem.residuals(here)
    # The prior's derivative is exact at parameters 0 and close enough over the few degrees it allows.
    residual = np.concatenate([residual, prior.residuals(parameters)])
    return residual, np.concatenate([jacobian, prior.jacobian]), float(residual @ residual)
