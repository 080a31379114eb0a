"""Local refinement by Levenberg-Marquardt: of anything, and of a pose on the residuals of the similarity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from bonelift.registration.chart import PoseChart
from bonelift.registration.objective import Objective, PosePrior

Float = NDArray[np.float64]
State = TypeVar("State")

FLAT_STEP = np.array([2e-4, 2e-4, 2e-4, 0.005, 0.005, 0.1])
"""A step (rad, mm) below which a pose counts as at rest."""


@dataclass(frozen=True)
class Settled(Generic[State]):
    """state: the best found. cost: the squares of its residuals. jacobian: (M, P) there. evaluations: of residuals.
    at_rest: the last step was small."""

    state: State
    cost: float
    jacobian: Float
    evaluations: int
    at_rest: bool


def levenberg_marquardt(
    linearise: Callable[[State], tuple[Float, Float]],
    moved: Callable[[State, Float], State],
    start: State,
    flat_step: Float,
    iterations: int,
    least_gain: float = 0.0,
) -> Settled[State]:
    """Minimise a sum of squares from ``start``.

    linearise: a state to its residuals (M,) and their derivatives (M, P) by a small step (P,) from it.
    moved: a state and a step to the next state. flat_step: (P,) below which a step counts as none.
    least_gain: it ends, too, when a step lowers the cost by less.
    """
    state, damping = start, 1e-2
    residual, jacobian = linearise(state)
    cost, evaluations, at_rest = float(residual @ residual), 1, False
    for _ in range(iterations):
        hessian = jacobian.T @ jacobian
        damped = hessian + damping * np.diag(np.diag(hessian) + 1e-12)
        step = np.asarray(-np.linalg.solve(damped, jacobian.T @ residual), dtype=np.float64)
        candidate = moved(state, step)
        new_residual, new_jacobian = linearise(candidate)
        new_cost = float(new_residual @ new_residual)
        evaluations += 1
        at_rest = bool((np.abs(step) < flat_step).all())
        gain = cost - new_cost
        if gain > 0:
            state, residual, jacobian, cost = candidate, new_residual, new_jacobian, new_cost
            damping = max(damping / 5, 1e-6)
        else:
            damping *= 8
        if at_rest or 0 < gain < least_gain:
            break
    return Settled(state, cost, jacobian, evaluations, at_rest)


@dataclass(frozen=True)
class Refined:
    """parameters: (6,) in the chart given. cost: with the prior. curvature: (6, 6) half the second derivative of
    1 - similarity, without the prior. evaluations: projections computed. at_rest: the last step was small."""

    parameters: Float
    cost: float
    curvature: Float
    evaluations: int
    at_rest: bool


def refine(problem: Objective, prior: PosePrior, chart: PoseChart, start: Float, iterations: int = 12) -> Refined:
    """Minimise 1 - similarity + prior from ``start`` (6,), parameters of ``chart``."""

    def linearise(parameters: Float) -> tuple[Float, Float]:
        here = chart.recentred(chart.poses(parameters[None])[0])
        residual, jacobian = problem.residuals(here)
        # The prior's derivative is exact at parameters 0 and close enough over the few degrees it allows.
        residual = np.concatenate([residual, prior.residuals(parameters)])
        return residual, np.concatenate([jacobian, prior.jacobian])

    def moved(parameters: Float, step: Float) -> Float:
        here = chart.recentred(chart.poses(parameters[None])[0])
        return chart.parameters(here.poses(step[None])[0])

    start = np.array(start, dtype=np.float64)
    end = levenberg_marquardt(linearise, moved, start, FLAT_STEP, iterations)
    image_part = end.jacobian[:-6]
    return Refined(end.state, end.cost, image_part.T @ image_part, end.evaluations, end.at_rest)
