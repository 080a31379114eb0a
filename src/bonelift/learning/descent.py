"""The descent steps of S, each in closed form: ridge regression from what the picture shows around the bones as read to
what is left to correct.

All rows of the training samples go into the sums of one regression, changed as in the training of S. A map reads the
rows that it was fitted to better than others, and a next step that learned from these readings would learn too little.
So each step is fitted twice more, to half of the patients each, and the next one learns from what each half's pictures
give by the other half's map. The ridge, and what a film counts beside bare bones, are chosen for each part of a
reading: the shape of each bone by its error after rigid alignment, its place by its error as predicted, and the pose.
They are those that read the validation patients best; where no map reads them better, that part of the step is 0.
Steps that see the film learn from films alone.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bonelift.anatomy.shape_basis import PLACEMENT
from bonelift.learning.loop import LoopConfig, Stage, train
from bonelift.learning.shape_regression import (
    Bases,
    Coded,
    FilmDrrs,
    HeldBones,
    ShapeTraining,
    changed,
    load_bones,
    load_films,
    rows_of,
    validate_shape,
    validation_sources,
)
from bonelift.networks.occluding_contour import POSE
from bonelift.networks.shape_regressor import ShapeRegressor, metric_matrices, surface_errors
from bonelift.networks.supervised_descent import DescentStep, projected
from bonelift.networks.views import VIEW_CODES

_BATCH = 256
_POSE_STEPS = 5
_POSE_PRIOR_PX2 = 0.5
"""Square px that a pose one unit of POSE_SD away is charged, where the film does not tell."""


@dataclass(frozen=True)
class DescentTraining:
    """ridges: strengths to choose from, in rows: features are standardised. film_weights: to choose from, of a row that
    comes from a film beside one of bare bones. most_rows: of each kind that enter a step, evenly taken."""

    ridges: tuple[float, ...] = (1.0, 10.0, 100.0, 300.0, 1000.0, 3000.0, 10_000.0, 30_000.0, 100_000.0)
    film_weights: tuple[float, ...] = (1.0, 4.0, 16.0)
    most_rows: int = 100_000


@dataclass(frozen=True, eq=False)
class _Moments:
    """Of one view: sums over the rows of each kind, of products of features less ``origin`` (F,), a constant last, and
    of these with what is to be corrected."""

    origin: Tensor
    of_kind: dict[str, tuple[Tensor, Tensor]]

    def maps(self, film_weight: float, ridges: tuple[float, ...]) -> dict[float, tuple[Tensor, Tensor]]:
        """ridge -> (weight (F, numbers), bias (numbers,)) from features as they are, by ridge regression on
        standardised ones."""
        weights = {"films": film_weight}
        gram = sum(weights.get(kind, 1.0) * part[0] for kind, part in self.of_kind.items())
        product = sum(weights.get(kind, 1.0) * part[1] for kind, part in self.of_kind.items())
        assert isinstance(gram, Tensor)
        assert isinstance(product, Tensor)
        mean = gram[-1, :-1] / gram[-1, -1]
        sd = (gram.diagonal()[:-1] / gram[-1, -1] - mean.square()).clamp_min(0).sqrt() + 1e-3
        # Standardised: (x - mean) / sd, beside the constant.
        gram, product = gram.clone(), product.clone()
        product[:-1] = (product[:-1] - mean[:, None] * product[-1]) / sd[:, None]
        gram[:-1, :-1] = (gram[:-1, :-1] - gram[-1, -1] * torch.outer(mean, mean)) / torch.outer(sd, sd)
        gram[-1, :-1] = gram[:-1, -1] = 0.0
        held_back = torch.ones(len(gram), dtype=gram.dtype)
        held_back[-1] = 0.0
        found = {}
        for ridge in ridges:
            solved = torch.cholesky_solve(product, torch.linalg.cholesky(gram + torch.diag(ridge * held_back)))
            weight = (solved[:-1] / sd[:, None]).float()
            found[ridge] = weight, solved[-1].float() - (self.origin + mean).float() @ weight
        return found

    def __add__(self, other: _Moments) -> _Moments:
        """Of the rows of both, which have one origin."""
        kinds = {**self.of_kind, **other.of_kind}
        for kind in self.of_kind.keys() & other.of_kind.keys():
            (gram, product), (more_gram, more_product) = self.of_kind[kind], other.of_kind[kind]
            kinds[kind] = gram + more_gram, product + more_product
        return _Moments(self.origin, kinds)


@dataclass(frozen=True)
class _Choice:
    ridge: float
    film_weight: float


def train_descent(
    bones: Path,
    validation: FilmDrrs,
    network: ShapeRegressor,
    bases: Bases,
    config: ShapeTraining,
    run: Path,
    films: FilmDrrs | None = None,
    descent: DescentTraining | None = None,
) -> dict[str, float]:
    """Fit the steps of a trained S one after the other; resumes where ``run`` stands. Arguments and result: see
    :func:`bonelift.learning.shape_regression.train_shape_regressor`. Pictures of unknown pose are left out. Steps that
    are fitted already stay as they are."""
    how = descent or DescentTraining()
    metrics = metric_matrices(*bases)
    film_sources = load_films(films, bases) if films else None
    sources = validation_sources(validation, bases, network.reads_film)
    network.to("cpu").eval()
    first_readings: FirstReadings = {}
    by_halves: HalfSteps = {}
    kept = [step.is_fitted for step in network.descent if isinstance(step, DescentStep)]

    def step(held: HeldBones, generator: np.random.Generator, progress: float) -> dict[str, float]:
        number = round(progress * len(network.descent))
        if kept[number]:
            return {}
        # Taken up again, what the halves of the patients gave is not there any more.
        for earlier in range(number):
            if not kept[earlier] and earlier not in by_halves:
                fit(held, earlier)
        return fit(held, number)

    def fit(held: HeldBones, number: int) -> dict[str, float]:
        own_config, watching = config, sources
        parts: dict[str, tuple[Coded, ...]] = {"bones": (held.coded,), "films": film_sources or ()}
        if network.sees_film(number):
            parts = {"films": film_sources[1:] if film_sources else ()}
            own_config = replace(config, film_hidden=0.0)
            watching = {name: source for name, source in sources.items() if source.film is not None}
        sums = _sums_of_views(_rows(network, number, parts, own_config, how.most_rows, first_readings, by_halves))
        scalars, chosen = _fit_step(network, number, sums, watching, metrics, how)
        if number + 1 < len(network.descent):
            by_halves[number] = _half_steps(network, number, sums, chosen)
        return scalars

    loop = LoopConfig(
        len(network.descent), 1.0, log_every=1, validate_every=1, checkpoint_minutes=0.0, seed=config.loop.seed
    )
    stage = Stage(
        "descent",
        {"shape_regressor": network},
        {},
        lambda held: load_bones(bones, bases, held),
        step,
        lambda: validate_shape(network, sources, metrics, "cpu"),
        {"batch": _BATCH, **asdict(how)},
    )
    result = train(stage, loop, run)
    network.eval()
    return result


FirstReadings = dict[tuple[str, int, int, float], Tensor]
"""What the convolutions read of the rows of a part from some row on, with so much of the films hidden."""
HalfSteps = dict[int, tuple[DescentStep, DescentStep]]
"""Of each step, the one for patients of half 0 and of half 1: each fitted to the other half."""
Batch = tuple[str, Tensor, Tensor, Tensor, Tensor]
"""Kind of the rows (bones, films), features, what is left to correct, views, halves of their patients."""
Sums = dict[tuple[int, int], _Moments]
"""By view and half of the patients."""
Chosen = dict[int, dict[str, _Choice]]
"""Of each view, for each part of a reading."""


@torch.no_grad()
def _fit_step(
    network: ShapeRegressor,
    number: int,
    sums: Sums,
    sources: dict[str, Coded],
    metrics: Tensor,
    how: DescentTraining,
) -> tuple[dict[str, float], Chosen]:
    """Fit one step; the scalars of the learning curve, and what was chosen."""
    network.eval()
    step = network.descent[number]
    assert isinstance(step, DescentStep)
    watched = [_watched(network, source, number) for source in sources.values()]
    scalars: dict[str, float] = {}
    found: Chosen = {}
    for view, code in VIEW_CODES.items():
        halves = [sums[key] for key in sums if key[0] == code]
        if not halves:
            continue
        step.weight[code], step.bias[code], found[code] = _best_map(
            sum(halves[1:], halves[0]), [part.of_view(code) for part in watched], network, metrics, how
        )
        for part, choice in found[code].items():
            scalars |= {f"{view}_{part}_ridge": choice.ridge, f"{view}_{part}_film_weight": choice.film_weight}
    return scalars, found


@torch.no_grad()
def _half_steps(network: ShapeRegressor, number: int, sums: Sums, chosen: Chosen) -> tuple[DescentStep, DescentStep]:
    """For the patients of each half, the step of what was chosen, fitted to the other half: half the rows, half the
    ridge. A view whose patients are all of one half has the step fitted to all."""
    whole = network.descent[number]
    assert isinstance(whole, DescentStep)
    steps = []
    for half in (0, 1):
        step = copy.deepcopy(whole)
        for code, choices in chosen.items():
            others = sums.get((code, 1 - half))
            if others is None:
                continue
            step.weight[code], step.bias[code] = 0.0, 0.0
            for choice in set(choices.values()):
                weight, bias = others.maps(choice.film_weight, (choice.ridge / 2,))[choice.ridge / 2]
                for name, part in _parts(network).items():
                    if choices.get(name) == choice:
                        step.weight[code][:, part], step.bias[code][part] = weight[:, part], bias[part]
        steps.append(step)
    return steps[0], steps[1]


def _parts(network: ShapeRegressor) -> dict[str, slice]:
    """Shape and place of each bone, and the pose, in a reading; in the order of :func:`_errors`."""
    outputs, radius = network.outputs, network.projected_points.lengths[0]
    return {
        "radius_shape": slice(0, radius - PLACEMENT),
        "radius_place": slice(radius - PLACEMENT, radius),
        "ulna_shape": slice(radius, outputs - PLACEMENT),
        "ulna_place": slice(outputs - PLACEMENT, outputs),
        "pose": slice(outputs, outputs + POSE),
    }


@torch.no_grad()
def _rows(
    network: ShapeRegressor,
    steps: int,
    parts: dict[str, tuple[Coded, ...]],
    config: ShapeTraining,
    most: int,
    first_readings: FirstReadings,
    by_halves: HalfSteps,
) -> Iterator[Batch]:
    """All rows of ``parts``, by their kind, after so many steps, changed in the same way each time.

    first_readings: kept from one step to the next, for the convolutions cost most.
    """
    with torch.random.fork_rng():
        torch.manual_seed(config.loop.seed)
        of_kinds = [(kind, source) for kind, sources in parts.items() for source in sources]
        for part, (kind, source) in enumerate(of_kinds):
            known = np.flatnonzero(np.isfinite(source.px_from_radius).all(axis=(1, 2)))
            chosen = known[np.linspace(0, len(known), min(most, len(known)), endpoint=False).astype(np.int64)]
            for start in range(0, len(chosen), _BATCH):
                picture, view, codes, pose = changed(rows_of(source, chosen[start : start + _BATCH]), config)
                key = (kind, part, start, config.film_hidden)
                if key not in first_readings:
                    first_readings[key] = _reading(network, picture, view, 0)
                half = _halves(codes)
                reading = first_readings[key]
                for number in range(steps):
                    reading = _after_step(network, number, picture, reading, view, half, by_halves.get(number))
                target = torch.cat([codes, best_poses(network, reading, view, codes, pose)], dim=1) - reading
                yield kind, network.features(picture, reading, view, steps), target, view, half


def _halves(codes: Tensor) -> Tensor:
    """(N,) 0 or 1, the same for all pictures of a patient: told from the code, which is as good as a number."""
    return (codes[:, 0] * 1e3).round().long() % 2


def _after_step(
    network: ShapeRegressor,
    number: int,
    picture: Tensor,
    reading: Tensor,
    view: Tensor,
    half: Tensor,
    by_half: tuple[DescentStep, DescentStep] | None,
) -> Tensor:
    """Readings after step ``number``, by the step of each patient's half where there is one."""
    if by_half is None:
        return network.corrected_once(picture, reading, view, number)
    seen = network.features(picture, reading, view, number)
    changes = [step(seen, view) for step in by_half]
    return reading + torch.where((half == 0)[:, None], *changes)


def _reading(network: ShapeRegressor, picture: Tensor, view: Tensor, steps: int) -> Tensor:
    reading, _ = network.first_reading(network.shown(picture), view)
    return network.corrected(picture, reading, view, steps)


def _sums_of_views(rows: Iterator[Batch]) -> Sums:
    """Features are counted from those of the first batch of a view: what is added up stays small."""
    origins: dict[int, Tensor] = {}
    sums: dict[tuple[int, int], dict[str, tuple[Tensor, Tensor]]] = {}
    for kind, features, target, view, half in rows:
        for code, number in torch.stack([view.long(), half], dim=1).unique(dim=0).tolist():
            chosen = (view == code) & (half == number)
            own, wanted = features[chosen], target[chosen]
            origin = origins.setdefault(code, own.mean(dim=0))
            seen = torch.cat([own - origin, torch.ones(len(own), 1)], dim=1)
            gram, product = (seen.T @ seen).double(), (seen.T @ wanted).double()
            known = sums.setdefault((code, number), {}).get(kind)
            sums[code, number][kind] = (gram, product) if known is None else (known[0] + gram, known[1] + product)
    return {key: _Moments(origins[key[0]].double(), of_kind) for key, of_kind in sums.items()}


@dataclass(frozen=True, eq=False)
class _Watched:
    """Validation pictures, unchanged: what a step sees of them, what was read so far, and what would be right; poses
    are NaN where they are not known."""

    features: Tensor
    reading: Tensor
    view: Tensor
    codes: Tensor
    pose: Tensor

    def of_view(self, code: int) -> _Watched:
        return _Watched(*(getattr(self, field.name)[self.view == code] for field in fields(self)))


def _watched(network: ShapeRegressor, source: Coded, steps: int) -> _Watched:
    parts: list[list[Tensor]] = []
    for start in range(0, len(source.drr), _BATCH):
        picture, view, codes, px_from_radius = rows_of(source, np.arange(start, min(start + _BATCH, len(source.drr))))
        reading = _reading(network, picture, view, steps)
        known = torch.isfinite(px_from_radius).flatten(1).all(dim=1)
        pose = torch.full((len(view), POSE), torch.nan)
        if known.any():
            pose[known] = best_poses(network, reading[known], view[known], codes[known], px_from_radius[known])
        parts.append([network.features(picture, reading, view, steps), reading, view, codes, pose])
    return _Watched(*(torch.cat(part) for part in zip(*parts, strict=True)))


def _best_map(
    moments: _Moments, watched: list[_Watched], network: ShapeRegressor, metrics: Tensor, how: DescentTraining
) -> tuple[Tensor, Tensor, dict[str, _Choice]]:
    """(weight, bias, choice of each part). Each part of a reading has the ridge and the weight of films that read it
    best on the validation pictures of all sources, one after the other: a place goes with the shape chosen before it.
    Where none is better than no step, that part is 0 and has no choice. Without a validation picture of the view the
    strongest ridge is taken."""
    outputs, parts = network.outputs, _parts(network)
    watched = [part for part in watched if len(part.view)]
    if not watched:
        strongest = _Choice(max(how.ridges), how.film_weights[0])
        weight, bias = moments.maps(strongest.film_weight, (strongest.ridge,))[strongest.ridge]
        return weight, bias, dict.fromkeys(parts, strongest)
    maps = {
        _Choice(ridge, film_weight): found
        for film_weight in (how.film_weights if len(moments.of_kind) > 1 else how.film_weights[:1])
        for ridge, found in moments.maps(film_weight, how.ridges).items()
    }
    # What each map changes in the readings of each source; the one that is taken is put together part by part.
    changes = {choice: [part.features @ w + b for part in watched] for choice, (w, b) in maps.items()}
    taken = [torch.zeros_like(part.reading) for part in watched]
    weight, bias = torch.zeros(len(moments.origin), outputs + POSE), torch.zeros(outputs + POSE)
    chosen: dict[str, _Choice] = {}
    for number, (name, part) in enumerate(parts.items()):
        least = _errors(watched, taken, outputs, metrics)[number]
        for choice, change in changes.items():
            tried = [_with_part(own, other, part) for own, other in zip(taken, change, strict=True)]
            error = _errors(watched, tried, outputs, metrics)[number]
            if error < least:
                least, chosen[name] = error, choice
        if name in chosen:
            of_weight, of_bias = maps[chosen[name]]
            weight[:, part], bias[part] = of_weight[:, part], of_bias[part]
            taken = [_with_part(own, other, part) for own, other in zip(taken, changes[chosen[name]], strict=True)]
    return weight, bias, chosen


def _with_part(own: Tensor, other: Tensor, part: slice) -> Tensor:
    """``own`` (N, numbers) with the columns ``part`` of ``other``."""
    changed_part = own.clone()
    changed_part[:, part] = other[:, part]
    return changed_part


def _errors(watched: list[_Watched], changes: list[Tensor], outputs: int, metrics: Tensor) -> list[float]:
    """Mean over the sources, in the order of :func:`_parts`: of radius and ulna the surface error (mm) after rigid
    alignment and as predicted, and the mean square error of the pose, 0 where no pose is known."""
    found = []
    for part, change in zip(watched, changes, strict=True):
        read = part.reading + change
        bones = surface_errors(read[:, :outputs], part.codes, metrics).mean(dim=0).flip(1).flatten()
        pose = (read[:, outputs:] - part.pose).square().nanmean().nan_to_num(0.0)
        found.append(torch.cat([bones, pose[None]]))
    return [float(value) for value in torch.stack(found).mean(dim=0)]


def best_poses(network: ShapeRegressor, reading: Tensor, view: Tensor, codes: Tensor, px_from_radius: Tensor) -> Tensor:
    """(N, POSE) poses that lay the true bones where the films show them: Gauss-Newton from those of the reading."""
    made = network.projected_points
    points = made.points(codes)
    wanted = projected(points, px_from_radius)
    pose, small = reading[:, network.outputs :].clone(), 1e-2
    for _ in range(_POSE_STEPS):
        at = made.on_film(points, pose, view)
        slopes = []
        for axis in range(POSE):
            moved = pose.clone()
            moved[:, axis] += small
            slopes.append(((made.on_film(points, moved, view) - at) / small).flatten(1))
        slope = torch.stack(slopes, dim=-1)
        normal = slope.transpose(1, 2) @ slope + _POSE_PRIOR_PX2 * torch.eye(POSE)
        pose = pose + torch.linalg.solve(normal, slope.transpose(1, 2) @ (wanted - at).flatten(1)[..., None])[..., 0]
    return pose
