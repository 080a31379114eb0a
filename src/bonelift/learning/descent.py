"""The descent steps of S, each in closed form: ridge regression from what the picture shows around the bones as read to
what is left to correct.

All rows of the training samples go into the sums of one regression, changed as in the training of S. The ridge of each
bone and of the pose is the one that reads the validation patients best; where no map reads them better, the step is 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

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
from bonelift.networks.shape_regressor import ShapeRegressor, metric_matrices, surface_errors
from bonelift.networks.supervised_descent import POSE, DescentStep, projected
from bonelift.networks.views import VIEW_CODES

_BATCH = 256
_POSE_STEPS = 5
_POSE_PRIOR_PX2 = 0.5
"""Square px that a pose one unit of POSE_SD away is charged, where the film does not tell."""


@dataclass(frozen=True)
class DescentTraining:
    """ridges: strengths to choose from, in rows: features are standardised. film_weight: of a row that comes from a
    film beside one of bare bones. most_rows: of each kind that enter a step, evenly taken."""

    ridges: tuple[float, ...] = (1.0, 10.0, 100.0, 300.0, 1000.0, 3000.0, 10_000.0, 30_000.0, 100_000.0)
    film_weight: float = 2.0
    most_rows: int = 50_000


@dataclass(frozen=True, eq=False)
class _Sums:
    """Of one view: moments of the features and of their products with what is to be corrected."""

    mean: Tensor
    sd: Tensor
    gram: Tensor
    product: Tensor

    def map_of(self, ridge: float) -> tuple[Tensor, Tensor]:
        """(weight (F, numbers), bias (numbers,)) from features as they are."""
        penalty = ridge * torch.eye(len(self.gram), dtype=self.gram.dtype)
        penalty[-1, -1] = 0.0  # The constant is not held back.
        solved = torch.linalg.solve(self.gram + penalty, self.product)
        weight = (solved[:-1] / self.sd[:, None]).float()
        return weight, solved[-1].float() - self.mean.float() @ weight


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
    :func:`bonelift.learning.shape_regression.train_shape_regressor`. Pictures of unknown pose are left out."""
    how = descent or DescentTraining()
    metrics = metric_matrices(*bases)
    film_sources = load_films(films, bases) if films else None
    sources = validation_sources(validation, bases, network.reads_film)
    network.to("cpu").eval()
    first_readings: dict[tuple[int, int], Tensor] = {}

    def step(held: HeldBones, generator: np.random.Generator, progress: float) -> dict[str, float]:
        number = next((n for n, each in enumerate(network.descent) if not each.is_fitted), len(network.descent) - 1)
        parts = [(held.coded, 1.0), *[(source, how.film_weight) for source in film_sources or ()]]
        rows = partial(_rows, network, number, parts, config, how.most_rows, first_readings)
        return _fit_step(network, number, rows, sources, metrics, how.ridges)

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


Batch = tuple[Tensor, Tensor, Tensor, float]
"""Features, what is left to correct, views, weight of a row."""


@torch.no_grad()
def _fit_step(
    network: ShapeRegressor,
    number: int,
    rows: Callable[[], Iterator[Batch]],
    sources: dict[str, Coded],
    metrics: Tensor,
    ridges: tuple[float, ...],
) -> dict[str, float]:
    """Fit one step to all rows; the scalars of the learning curve."""
    network.eval()
    step = network.descent[number]
    assert isinstance(step, DescentStep)
    sums = _sums_of_views(rows())
    watched = [_watched(network, source, number) for source in sources.values()]
    scalars = {}
    for view, code in VIEW_CODES.items():
        if code not in sums:
            continue
        step.weight[code], step.bias[code], chosen = _best_map(
            sums[code], [part.of_view(code) for part in watched], network, metrics, ridges
        )
        scalars |= {f"ridge_{view}_{part}": ridge for part, ridge in chosen.items() if np.isfinite(ridge)}
    step.fitted.fill_(1.0)
    return scalars


@torch.no_grad()
def _rows(
    network: ShapeRegressor,
    steps: int,
    parts: list[tuple[Coded, float]],
    config: ShapeTraining,
    most: int,
    first_readings: dict[tuple[int, int], Tensor],
) -> Iterator[Batch]:
    """All rows of ``parts`` (with their weights) after so many steps, changed in the same way each time.

    first_readings: kept from one step to the next, for the convolutions cost most.
    """
    with torch.random.fork_rng():
        torch.manual_seed(config.loop.seed)
        for part, (source, weight) in enumerate(parts):
            known = np.flatnonzero(np.isfinite(source.px_from_radius).all(axis=(1, 2)))
            chosen = known[np.linspace(0, len(known), min(most, len(known)), endpoint=False).astype(np.int64)]
            for start in range(0, len(chosen), _BATCH):
                picture, view, codes, pose = changed(rows_of(source, chosen[start : start + _BATCH]), config)
                if (part, start) not in first_readings:
                    first_readings[part, start] = _reading(network, picture, view, 0)
                reading = _corrected(network, first_readings[part, start], picture, view, steps)
                target = torch.cat([codes, best_poses(network, reading, view, codes, pose)], dim=1) - reading
                yield network.features(picture, reading, view), target, view, weight


def _reading(network: ShapeRegressor, picture: Tensor, view: Tensor, steps: int) -> Tensor:
    reading, _ = network.first_reading(picture[:, : 2 if network.reads_film else 1], view)
    return _corrected(network, reading, picture, view, steps)


def _corrected(network: ShapeRegressor, reading: Tensor, picture: Tensor, view: Tensor, steps: int) -> Tensor:
    for step in network.descent[:steps]:
        reading = reading + step(network.features(picture, reading, view), view)
    return reading


def _sums_of_views(rows: Iterator[Batch]) -> dict[int, _Sums]:
    """By view. Features are counted from those of the first batch: what is added up stays small."""
    origins: dict[int, Tensor] = {}
    sums: dict[int, list[Tensor]] = {}
    for features, target, view, weight in rows:
        for code in view.unique().tolist():
            own, wanted = features[view == code], target[view == code]
            origin = origins.setdefault(code, own.mean(dim=0))
            seen = torch.cat([own - origin, torch.ones(len(own), 1)], dim=1)
            new = [(weight * seen.T @ seen).double(), (weight * seen.T @ wanted).double()]
            sums[code] = [a + b for a, b in zip(sums[code], new, strict=True)] if code in sums else new
    return {code: _standardised(origins[code].double(), *sums[code]) for code in sums}


def _standardised(origin: Tensor, gram: Tensor, product: Tensor) -> _Sums:
    """From sums over features less ``origin`` (F,), the constant last, to those over standardised features."""
    count = gram[-1, -1]
    mean = gram[-1, :-1] / count
    sd = (gram.diagonal()[:-1] / count - mean.square()).clamp_min(0).sqrt() + 1e-3
    to_standard = torch.eye(len(gram), dtype=gram.dtype)
    to_standard[:-1, :-1] = torch.diag(1 / sd)
    to_standard[:-1, -1] = -mean / sd
    return _Sums(origin + mean, sd, to_standard @ gram @ to_standard.T, to_standard @ product)


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
        parts.append([network.features(picture, reading, view), reading, view, codes, pose])
    return _Watched(*(torch.cat(part) for part in zip(*parts, strict=True)))


def _best_map(
    sums: _Sums, watched: list[_Watched], network: ShapeRegressor, metrics: Tensor, ridges: tuple[float, ...]
) -> tuple[Tensor, Tensor, dict[str, float]]:
    """(weight, bias, ridge of each part). The parts of a reading, each bone's code and the pose, have each the ridge
    that reads it best on the validation pictures of all sources; infinity, and zeros, where none is better than no
    step. Without a validation picture of the view the strongest ridge is taken."""
    outputs, radius = network.outputs, network.projected_points.lengths[0]
    parts = {"radius": slice(0, radius), "ulna": slice(radius, outputs), "pose": slice(outputs, outputs + POSE)}
    watched = [part for part in watched if len(part.view)]
    numbers = sums.product.shape[1]
    maps = {ridge: sums.map_of(ridge) for ridge in ridges}
    if not watched:
        return *maps[max(ridges)], dict.fromkeys(parts, max(ridges))
    errors = {ridge: _errors(watched, *found, outputs, metrics) for ridge, found in maps.items()}
    maps[float("inf")] = torch.zeros(len(sums.mean), numbers), torch.zeros(numbers)
    errors[float("inf")] = _errors(watched, *maps[float("inf")], outputs, metrics)
    weight, bias, chosen = torch.zeros(len(sums.mean), numbers), torch.zeros(numbers), {}
    for number, (name, part) in enumerate(parts.items()):
        chosen[name] = min(errors, key=lambda ridge: errors[ridge][number])
        weight[:, part], bias[part] = maps[chosen[name]][0][:, part], maps[chosen[name]][1][part]
    return weight, bias, chosen


def _errors(
    watched: list[_Watched], weight: Tensor, bias: Tensor, outputs: int, metrics: Tensor
) -> tuple[float, float, float]:
    """Mean over the sources: surface errors of radius and ulna (mm, mean of both alignments), and mean square error of
    the pose, 0 where no pose is known."""
    found = []
    for part in watched:
        read = part.reading + part.features @ weight + bias
        bones = surface_errors(read[:, :outputs], part.codes, metrics).mean(dim=(0, 2))
        pose = (read[:, outputs:] - part.pose).square().nanmean().nan_to_num(0.0)
        found.append(torch.cat([bones, pose[None]]))
    radius, ulna, pose = torch.stack(found).mean(dim=0).tolist()
    return radius, ulna, pose


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
