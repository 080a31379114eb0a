"""What corrects a trained S by outlines (:mod:`bonelift.networks.outlines`), from the pictures that S learned from.

Of each kind of picture, a view of a CT's DRR or of a film, two things are needed: how large the errors of S's readings
are and which go together, and a small network that sees an outline's offset in the picture around it. Both are made
after S is trained, in minutes. What does not read the validation patients better is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from math import cos, pi
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bonelift import progress
from bonelift.images import View
from bonelift.learning.descent import best_poses
from bonelift.learning.shape_regression import Bases, Coded, ShapeTraining, changed, rows_of
from bonelift.networks.occluding_contour import OutlinedBones, outlined
from bonelift.networks.outlines import (
    ALONG_PX,
    FEATURES,
    OutlineNetwork,
    OutlineReader,
    SeenWrist,
    Source,
    corrected,
    features,
)
from bonelift.networks.shape_regressor import ShapeRegressor, metric_matrices, surface_errors
from bonelift.networks.views import VIEW_CODES

Float = NDArray[np.float64]

_BATCH = 64
_GREATEST_LOG_SD = 3.0


@dataclass(frozen=True)
class OutlineTraining:
    """pictures: of each kind that the network learns from, at most, and starts from them. points: of each bone's
    outline in each. fewest: pictures of known pose below which a kind is left out. updates: of ``batch`` points; 0
    learns no outlines. spread: of the size of the errors that the network is shown, about those that S makes (SD of
    the logarithm).
    ulna_apart_mm: SD, along each axis, by which the ulna of every second start is moved besides: a clinic's lateral
    shows it where few that S learned from do. ulna_doubt_mm: SD that is added, for that, to what is expected of the
    place of the ulna as S reads it; the outlines see it better."""

    pictures: int = 3000
    points: int = 60
    fewest: int = 40
    updates: int = 4000
    batch: int = 1024
    rate: float = 3e-3
    hidden: int = 96
    spread: float = 0.5
    ulna_apart_mm: float = 2.5
    ulna_doubt_mm: float = 1.5


@dataclass(frozen=True, eq=False)
class _Read:
    """N pictures whose pose is known, as they were shown to S; what it reads of them, and what would be right, both
    (N, numbers)."""

    pictures: Coded
    reading: Float
    true: Float


def fit_outlines(
    network: ShapeRegressor,
    bases: Bases,
    training: Mapping[Source, Coded],
    validation: Mapping[Source, Coded],
    shape: ShapeTraining,
    how: OutlineTraining,
    seed: int = 0,
) -> dict[tuple[View, Source], OutlineReader]:
    """A reader for each kind of picture that there are enough of, and that is read better by it.

    training: what S was trained on, by kind; validation: other patients, with the same kinds or fewer. shape: how
    pictures are changed in training.
    """
    found: dict[tuple[View, Source], OutlineReader] = {}
    if how.updates == 0 or not len(network.descent):
        return found
    bones, metrics = OutlinedBones(bases), metric_matrices(*bases)
    doubt = np.diag((how.ulna_doubt_mm * _ulna_moved(bones)) ** 2)
    kinds: list[tuple[View, Source]] = [(view, source) for source in training for view in get_args(View)]
    with progress.bar(len(kinds), "outlines") as bar:
        for view, source in kinds:
            bar.done()
            rng = np.random.default_rng([seed, VIEW_CODES[view], list(FEATURES).index(source)])
            seen = _read(network, training[source], view, how.pictures, shape, seed)
            if len(seen.true) < how.fewest:
                continue
            covariance = _covariance(seen.reading - seen.true, _patients(seen))
            told = _fit_network(bones, seen, view, covariance, how, rng)
            reader = OutlineReader(told, covariance + doubt)
            watched = _read(network, validation[source], view, how.pictures) if source in validation else None
            if watched is not None and len(watched.true):
                covariance = _factor(watched.reading - watched.true, covariance) * covariance
                reader = OutlineReader(told, covariance + doubt)
                before = _distance(watched.reading, watched, metrics)
                after = _distance(_corrected(bones, watched, view, source, reader), watched, metrics)
                if after >= before:
                    continue
            found[view, source] = reader
    return found


def _ulna_moved(bones: OutlinedBones) -> Float:
    """(numbers,): by how much the place of the ulna along its axes changes with 1 mm; 0 for all other numbers."""
    moved = np.zeros(bones.numbers)
    moved[bones.ulna_place] = 1 / bones.ulna_place_sd_mm
    return moved


def _patients(seen: _Read) -> int:
    return len(np.unique(seen.true[:, 0]))


def _covariance(errors: Float, patients: int) -> Float:
    """(numbers, numbers) of errors (N, numbers): about zero, and the nearer to uncorrelated the fewer the patients."""
    raw = errors.T @ errors / len(errors)
    share = errors.shape[1] / (errors.shape[1] + patients)
    return (1 - share) * raw + share * np.diag(raw.diagonal()) + 1e-6 * np.eye(len(raw))


def _factor(errors: Float, covariance: Float) -> float:
    """By how much larger the squares of errors (N, numbers) are than ``covariance`` tells."""
    return float((errors * np.linalg.solve(covariance, errors.T).T).mean())


def _distance(readings: Float, watched: _Read, metrics: Tensor) -> float:
    """Mean surface distance of both bones after rigid alignment, mm."""
    outputs = metrics.shape[-1]
    codes = torch.from_numpy(readings[:, :outputs]), torch.from_numpy(watched.true[:, :outputs])
    return float(surface_errors(*codes, metrics)[:, :, 1].mean())


@torch.no_grad()
def _read(
    network: ShapeRegressor,
    source: Coded,
    view: View,
    most: int,
    shape: ShapeTraining | None = None,
    seed: int = 0,
) -> _Read:
    """Readings of up to ``most`` pictures of a view, changed as in training where ``shape`` is given."""
    posed = np.isfinite(source.px_from_radius).all(axis=(1, 2)) & (source.view == VIEW_CODES[view])
    rows = np.flatnonzero(posed)
    rows = rows[np.linspace(0, len(rows), min(most, len(rows)), endpoint=False).astype(np.int64)]
    readings, truths = [np.zeros((0, 0))], [np.zeros((0, 0))]
    drr, film, projections = [], [], []
    network.to("cpu").eval()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for start in range(0, len(rows), _BATCH):
            part = rows_of(source, rows[start : start + _BATCH])
            picture, code_of_view, codes, pose = part if shape is None else changed(part, replace(shape, film_hidden=0))
            reading = network.readings(network.shown(picture), code_of_view)[0][-1]
            right = torch.cat([codes, best_poses(network, reading, code_of_view, codes, pose)], dim=1)
            readings.append(reading.double().numpy())
            truths.append(right.double().numpy())
            drr.append(picture[:, 0].half().numpy())
            film.append(picture[:, 1].half().numpy())
            projections.append(pose.numpy())
    if not len(rows):
        return _Read(source, readings[0], truths[0])
    true = np.concatenate(truths[1:])
    pictures = Coded(
        np.concatenate(drr),
        source.view[rows],
        torch.from_numpy(true[:, : network.outputs]),
        np.concatenate(projections),
        None if source.film is None else np.concatenate(film),
    )
    return _Read(pictures, np.concatenate(readings[1:]), true)


def _fit_network(
    bones: OutlinedBones,
    seen: _Read,
    view: View,
    covariance: Float,
    how: OutlineTraining,
    rng: np.random.Generator,
) -> OutlineNetwork:
    """Learned at readings that are off the truth as S's are: their outlines, and where the true ones lie."""
    root, apart = np.linalg.cholesky(covariance), how.ulna_apart_mm * _ulna_moved(bones)
    inputs, offsets = [], []
    # Few pictures are begun from several times.
    for number in range(max(how.pictures, len(seen.true))):
        row = number % len(seen.true)
        size = np.exp(np.clip(how.spread * rng.normal(), -1.0, 1.0))
        start = seen.true[row] + size * root @ rng.normal(size=bones.numbers)
        if number % 2:
            start += apart * rng.normal(size=bones.numbers)
        found = outlined(bones, start, view, how.points, rng)
        inputs.append(features(found, *_picture(seen.pictures, row)))
        codes = seen.true[row, : bones.code_length]
        offsets.append(found.offsets(codes, seen.pictures.px_from_radius[row].astype(np.float64)))
    # What lies outside of what is looked at is told to be at its end.
    seen_px = float(ALONG_PX.max())
    wanted = torch.from_numpy(np.concatenate(offsets).clip(-seen_px, seen_px).astype(np.float32))
    values = torch.from_numpy(np.concatenate(inputs))
    mean, sd = values.mean(dim=0), values.std(dim=0) + 1e-3
    with torch.random.fork_rng():
        torch.manual_seed(int(rng.integers(2**31)))
        layers = _train((values - mean) / sd, wanted, how)
    weights = tuple(layer.weight.detach().T.contiguous().numpy() for layer in layers)
    biases = tuple(layer.bias.detach().numpy() for layer in layers)
    return OutlineNetwork(mean.numpy(), sd.numpy(), weights, biases)


def _picture(source: Coded, row: int) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    film = None if source.film is None else source.film[row].astype(np.float32)
    return source.drr[row].astype(np.float32), film


def _train(values: Tensor, wanted: Tensor, how: OutlineTraining) -> list[nn.Linear]:
    """Layers that tell an offset and the logarithm of its SD, by their Gaussian likelihood."""
    widths = (values.shape[1], how.hidden, how.hidden, 2)
    layers = [nn.Linear(a, b) for a, b in pairwise(widths)]
    nn.init.zeros_(layers[-1].weight)
    nn.init.zeros_(layers[-1].bias)
    parameters = [parameter for layer in layers for parameter in layer.parameters()]
    optimiser = torch.optim.AdamW(parameters, how.rate, weight_decay=1e-2)
    for update in range(how.updates):
        for group in optimiser.param_groups:
            group["lr"] = how.rate * (0.02 + 0.98 * 0.5 * (1 + cos(pi * update / how.updates)))
        chosen = torch.randint(0, len(values), (how.batch,))
        hidden = values[chosen]
        for layer in layers[:-1]:
            hidden = functional.gelu(layer(hidden))
        offset, log_sd = layers[-1](hidden).unbind(dim=1)
        log_sd = log_sd.clamp(-_GREATEST_LOG_SD, _GREATEST_LOG_SD)
        loss = (log_sd + 0.5 * ((wanted[chosen] - offset) * torch.exp(-log_sd)) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return layers


def _corrected(bones: OutlinedBones, watched: _Read, view: View, source: Source, reader: OutlineReader) -> Float:
    """(N, numbers) readings corrected, each picture by itself."""
    found = []
    for row, reading in enumerate(watched.reading):
        wrist = SeenWrist(view, reading, *_picture(watched.pictures, row))
        code, poses = corrected([wrist], bones, {(view, source): reader})
        found.append(np.concatenate([code, *poses]))
    return np.array(found)
