"""Rigid 2D-3D pose of bones in one or several X-ray images, with a record of how far to trust it.

Several starts are searched by CMA-ES on small images, the best are refined on larger ones, and how well they agree,
how sharply the similarity falls around the pose and how far the prior was stretched are kept beside the pose.

Sources: Otake et al. 2012, doi:10.1109/TMI.2011.2176555 (gradient similarity, CMA-ES, several views);
Otake et al. 2013, doi:10.1088/0031-9155/58/23/8535 (multi-start).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bonelift.errors import InputError
from bonelift.geometry import XrayCamera
from bonelift.registration.chart import PoseChart, pose_chart
from bonelift.registration.convergence import Ending, doubt
from bonelift.registration.film_response import LINE_INTEGRALS, FilmResponse
from bonelift.registration.objective import Objective, PosePrior, objective
from bonelift.registration.refine import Refined, refine
from bonelift.registration.search import cma_search
from bonelift.registration.similarity import Similarity
from bonelift.registration.views import FixedView, MovingBone

Float = NDArray[np.float64]


CLOSE_COST = 0.05
"""A start that ended so much worse than the best one is out of the running."""


@dataclass(frozen=True)
class PoseSettings:
    """How to search. Six-vectors are (tilt, tilt, turn in the plane; rad), (right, down, depth; mm).

    start_sigma: spread of the starts and first step of the search; 0 entries are not searched over.
    prior_sigma, cost_of_sigma: the weak prior about the given start (:class:`PosePrior`).
    coarse_factor, fine_factor: images are shrunk so much for the search, and for the refinement of every start.
    last_iterations: steps that the best start then takes on the full image.
    finalists: so many of the best starts take them, where they ended apart and nearly as well (CLOSE_COST).
    smoothing_px: Gaussian on both images, in px of the shrunk image.
    similarity: what is maximised; its patch variant only in the search, where gradient correlation refines.
    response: what the images show of a projection: its line integrals (bones), or less where they saturate (metal).
    population, generations: of each start's search; 0 generations refines the starts as they are.
    starts_in_doubt: where no other of ``starts`` confirms the best one, the search goes on to so many.
    start_confirms: the given start was itself read from the images, by other means: a search that ends there is
        confirmed by it.
    """

    start_sigma: tuple[float, ...] = (0.10, 0.10, 0.08, 4.0, 4.0, 15.0)
    prior_sigma: tuple[float, ...] = (0.20, 0.20, 0.30, 12.0, 12.0, 20.0)
    cost_of_sigma: float = 0.002
    starts: int = 4
    starts_in_doubt: int = 0
    start_confirms: bool = False
    population: int = 14
    generations: int = 18
    coarse_factor: int = 4
    fine_factor: int = 2
    last_iterations: int = 8
    finalists: int = 1
    smoothing_px: float = 0.7
    similarity: Similarity = "gradient_correlation"
    minimum_similarity: float = 0.35
    response: FilmResponse = LINE_INTEGRALS


@dataclass(frozen=True)
class PoseResult:
    """Where the bone lies, and what is known about how well that was found.

    world_from_bone: (4, 4), in the world of the cameras, mm.
    similarity, similarity_per_view: on the last, largest image, in [-1, 1]; of the kind that was refined.
    agreeing_starts, starts: how many searches ended within 2 degrees and 1 mm in the plane of the best; the given start
        counts as one where it confirms (``PoseSettings.start_confirms``).
    spread: (6,) SD over the starts that reached a similarity within 0.02 of the best (rad, mm; chart directions).
    slack: (6,) how far the pose can drift, everything else following, before the similarity falls by 0.01.
    turn_slack: the same of a turn about the bone's own long axis (rad), which the image of a round bone hardly tells.
    prior_sigmas: (6,) distance from the start in units of the prior's sigma.
    seen: fraction of the bone's projection that lies inside the image (and mask), least favourable view.
    evaluations: projections computed.
    converged, reason: whether nothing speaks against the pose, and in words what does
    (:mod:`bonelift.registration.convergence`); "" when converged.
    """

    world_from_bone: Float
    similarity: float
    similarity_per_view: tuple[float, ...]
    agreeing_starts: int
    starts: int
    spread: tuple[float, ...]
    slack: tuple[float, ...]
    turn_slack: float
    prior_sigmas: tuple[float, ...]
    seen: float
    evaluations: int
    converged: bool
    reason: str


@dataclass(frozen=True)
class Stages:
    """What is compared: on small images in the search, then for each start's end, then for the best on large images.

    The last two are made at the pose found so far (4, 4), which may decide where the images are looked at.
    """

    search: Objective
    refine: Callable[[Float], Objective]
    last: Callable[[Float], Objective]


@dataclass(frozen=True)
class _Candidates:
    """refined: one end a start. moved: (6,) for each, where the last refinement took it; final: the best of those."""

    refined: list[Refined] = field(default_factory=list)
    evaluations: int = 0
    moved: list[Float] = field(default_factory=list)
    final: Refined | None = None

    @property
    def best(self) -> Refined:
        return self.final or min(self.refined, key=lambda r: r.cost)


def register(
    bone: MovingBone,
    views: Sequence[FixedView],
    world_from_start: Float,
    settings: PoseSettings | None = None,
    others: Sequence[tuple[MovingBone, Float]] = (),
    seed: int = 0,
    guesses: Sequence[Float] = (),
) -> PoseResult:
    """Find world_from_bone near ``world_from_start`` (4, 4).

    views: one or more images whose cameras share one world; depth and tilt follow the prior where one image leaves
        them open.
    others: bones (bone, world_from_bone) that stay where they are and are part of every projection.
    guesses: poses (4, 4) that are known from elsewhere. Each is refined as it is and is then one of the starts, which
        may win or confirm where another one ended. The prior stays about ``world_from_start``.
    Errors: InputError without a view, or where the start lies behind the source.
    """
    settings = settings or PoseSettings()
    if not views:
        raise InputError("registration: no image given; expected at least one view")
    chart = start_chart(views[0].camera, world_from_start, bone.centre_mm)

    def level(factor: int) -> Objective:
        return objective(bone, views, factor, settings.smoothing_px, others, settings.similarity, settings.response)

    stages = Stages(level(settings.coarse_factor), lambda _: level(settings.fine_factor), lambda _: level(1))
    return solve(stages, chart, settings, seed, guesses)


def start_chart(camera: XrayCamera, world_from_start: Float, centre_mm: Float) -> PoseChart:
    """The chart about a start; InputError where it lies behind the source."""
    chart = pose_chart(camera, world_from_start, centre_mm)
    if not np.isfinite(chart.world_from_view).all():
        raise InputError("registration: the start lies behind the X-ray source; check the camera and the start")
    return chart


def solve(
    stages: Stages, chart: PoseChart, settings: PoseSettings, seed: int = 0, guesses: Sequence[Float] = ()
) -> PoseResult:
    """Search, refine every start's end, refine the best again, and keep the record. Poses are sought near chart's 0;
    guesses: see :func:`register`."""
    prior = PosePrior(np.asarray(settings.prior_sigma), settings.cost_of_sigma)

    def pose_of(candidate: Refined) -> Float:
        return chart.poses(candidate.parameters[None])[0]

    def settled(found: _Candidates) -> PoseResult:
        candidates = _refine_all(found, stages.refine(pose_of(found.best)), prior, chart)
        last = stages.last(pose_of(candidates.best))
        candidates = _finals(candidates, last, prior, chart, settings)
        return _record(candidates, last, prior, chart, settings)

    guessed = _guessed(stages.search, chart, prior, guesses)
    found = _together(guessed, _search(stages.search, chart, prior, settings, seed, range(settings.starts)))
    result = settled(found)
    if result.agreeing_starts < 2 and settings.starts_in_doubt > settings.starts:
        more = range(settings.starts, settings.starts_in_doubt)
        added = _search(stages.search, chart, prior, settings, seed, more)
        result = settled(_together(found, added))
    return result


def _together(first: _Candidates, second: _Candidates) -> _Candidates:
    return _Candidates(first.refined + second.refined, first.evaluations + second.evaluations)


def _guessed(coarse: Objective, chart: PoseChart, prior: PosePrior, guesses: Sequence[Float]) -> _Candidates:
    """One coarse refinement from each guess (4, 4)."""
    ends = [refine(coarse, prior, chart, chart.parameters(guess)) for guess in guesses]
    return _Candidates(ends, sum(end.evaluations for end in ends))


def _search(
    coarse: Objective, chart: PoseChart, prior: PosePrior, settings: PoseSettings, seed: int, starts: range
) -> _Candidates:
    """One search and one coarse refinement from each of the numbered ``starts``."""
    scale = np.asarray(settings.start_sigma)

    def cost(parameters: Float) -> Float:
        similarity = coarse.similarity(chart.poses(parameters), settings.similarity).mean(axis=0)
        return 1 - similarity + prior.cost(parameters)

    ends, evaluations = [], 0
    for index in starts:
        rng = np.random.default_rng([seed, index])
        start = np.zeros(6) if index == 0 else scale * rng.standard_normal(6)
        if settings.generations > 0:
            found = cma_search(cost, start, scale, rng, settings.population, settings.generations)
            start, evaluations = found.best, evaluations + found.evaluations
        ends.append(refine(coarse, prior, chart, start))
    return _Candidates(ends, evaluations + sum(end.evaluations for end in ends))


def _refine_all(candidates: _Candidates, fine: Objective, prior: PosePrior, chart: PoseChart) -> _Candidates:
    """Every start on the finer image, so that their agreement means something."""
    refined = [refine(fine, prior, chart, candidate.parameters) for candidate in candidates.refined]
    return _Candidates(refined, candidates.evaluations + sum(r.evaluations for r in refined))


def _finals(
    candidates: _Candidates, last: Objective, prior: PosePrior, chart: PoseChart, settings: PoseSettings
) -> _Candidates:
    """The best starts refined on the largest image, and where that took every start's end."""
    ranked = sorted(candidates.refined, key=lambda r: r.cost)
    chosen: list[Refined] = []
    for candidate in ranked:
        apart = all(not _agree(candidate.parameters, other.parameters, 0.1) for other in chosen)
        if len(chosen) < settings.finalists and candidate.cost < ranked[0].cost + CLOSE_COST and apart:
            chosen.append(candidate)
    finals = [refine(last, prior, chart, r.parameters, settings.last_iterations) for r in chosen]
    moved = []
    for candidate in candidates.refined:  # an end that coincides with a finalist's moves along with it
        twins = [n for n, other in enumerate(chosen) if _agree(candidate.parameters, other.parameters, 0.1)]
        moved.append(finals[twins[0]].parameters if twins else candidate.parameters)
    evaluations = candidates.evaluations + sum(final.evaluations for final in finals)
    return _Candidates(candidates.refined, evaluations, moved, min(finals, key=lambda r: r.cost))


def _agree(first: Float, second: Float, share: float = 1.0) -> bool:
    """Whether two poses (6,) lie within ``share`` of 2 degrees an axis and 1 mm in the plane."""
    offset = np.abs(first - second)
    return bool((offset[:3] < share * np.deg2rad(2)).all() and (offset[3:5] < share * 1.0).all())


def _record(
    candidates: _Candidates,
    full: Objective,
    prior: PosePrior,
    chart: PoseChart,
    settings: PoseSettings,
) -> PoseResult:
    best = candidates.best
    pose = chart.poses(best.parameters[None])
    per_view = full.similarity(pose, full.kind)[:, 0]
    ends = np.array(candidates.moved)
    costs = np.array([r.cost for r in candidates.refined])
    agreeing = sum(_agree(end, best.parameters) for end in ends)
    tried = len(ends)
    if settings.start_confirms:
        agreeing, tried = agreeing + _agree(np.zeros(6), best.parameters), tried + 1
    spread = ends[costs < costs.min() + 0.02].std(axis=0)
    # The prior's own curvature stands in where the image says nothing, so that the inverse exists.
    square_slack = 0.01 * np.linalg.inv(best.curvature + prior.jacobian.T @ prior.jacobian)
    slack = np.sqrt(np.diag(square_slack))
    # Rotation vectors add up to a good tenth for the turns of under 30 degrees that lie between start and end.
    own_axis = chart.world_from_view[:3, :3].T @ pose[0, :3, :3] @ long_axis(full.bone)
    turn_slack = float(np.sqrt(own_axis @ square_slack[:3, :3] @ own_axis))
    sigmas = best.parameters / prior.sigma
    seen = _seen(full, pose[0])
    similarity = float(per_view.mean())
    moved = best.at_rest or best.evaluations > 2
    reason = doubt(Ending(similarity, agreeing, tried, slack, sigmas, seen, moved), settings.minimum_similarity)
    return PoseResult(
        pose[0], similarity, tuple(map(float, per_view)), agreeing, tried, tuple(map(float, spread)),
        tuple(map(float, slack)), turn_slack, tuple(map(float, sigmas)), seen, candidates.evaluations,
        not reason, reason,
    )  # fmt: skip


def long_axis(bone: MovingBone) -> Float:
    """(3,) unit vector in the bone's frame along which its occupied voxels spread most."""
    points = np.argwhere(bone.volume.values[0] > 0)[::7] @ bone.bone_from_voxel[:3, :3].T
    return np.linalg.eigh(np.cov(points.T))[1][:, -1]


def _seen(fine: Objective, world_from_bone: Float) -> float:
    """Least fraction over the views of the bone's projection inside image and mask, by its occupied voxels."""
    values = fine.bone.volume.values[0]
    indices = np.argwhere(values > 0)[::7]
    mass = values[tuple(indices.T)]
    points = indices @ fine.bone.bone_from_voxel[:3, :3].T + fine.bone.bone_from_voxel[:3, 3]
    points_world = points @ world_from_bone[:3, :3].T + world_from_bone[:3, 3]
    fractions = []
    for view in fine.views:
        uv = np.nan_to_num(np.rint(view.camera.project(points_world)), nan=-1).astype(int)
        rows, columns = view.image.shape
        inside = (uv[:, 0] >= 0) & (uv[:, 0] < columns) & (uv[:, 1] >= 0) & (uv[:, 1] < rows)
        weight = np.zeros(len(uv))
        mask = np.ones(view.image.shape) if view.weights is None else view.weights
        weight[inside] = mask[uv[inside, 1], uv[inside, 0]] > 0
        fractions.append(float((weight * mass).sum() / mass.sum()))
    return min(fractions)
