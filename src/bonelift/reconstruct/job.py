"""The main job: wrist radiographs in, radius and ulna out. Each step is a function of frozen data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonelift.images.radiograph import Radiograph, Side, View
from bonelift.networks.inference import WRIST_FOUND, translate
from bonelift.networks.model import WristModel
from bonelift.reconstruct.bones import Bones, MeasuredValue, Method, measure_bones, predict
from bonelift.reconstruct.fit import fit_to_films
from bonelift.reconstruct.judge import (
    Quality,
    film_evidence,
    judge,
    latent_distance,
    nothing_found,
    with_cameras_apart,
    with_left_out,
)
from bonelift.reconstruct.place import PlacedFilm, filled, place_on_films, share_a_world
from bonelift.reconstruct.prepare import PreparedFilm, calibrated, prepare_all
from bonelift.reconstruct.stopwatch import Stopwatch

STEPS = ("find the wrist", "translate", "predict", "fill", "place", "fit", "measure", "judge")


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """Everything the job found.

    films, drrs and placed run in parallel; of two images, one in which no wrist was seen is left out of all three, and
    flagged. Where no wrist was seen at all there are no drrs, no bones and nothing placed;
    where a bone came out empty nothing is placed.
    """

    films: tuple[PreparedFilm, ...]
    drrs: tuple[NDArray[np.float32], ...]
    bones: Bones | None
    placed: tuple[PlacedFilm, ...]
    measurements: tuple[MeasuredValue, ...]
    quality: Quality
    model_name: str
    model_sha256: str
    timings_s: Mapping[str, float]

    @property
    def side(self) -> Side:
        return self.films[0].radiograph.side


def reconstruct(
    radiographs: Sequence[Radiograph], model: WristModel, clock: Stopwatch | None = None, method: Method | None = None
) -> Reconstruction:
    """The bones of one wrist from one or two of its radiographs (:func:`bonelift.reconstruct.inputs.read_radiographs`).

    method: what turns bone-only images into bones; None takes the default
    (:func:`bonelift.reconstruct.bones.predict`). Two films whose calibrated cameras share a world tell more than both
    predictions: there the bones are then fitted to them (:func:`bonelift.reconstruct.fit.fit_to_films`).
    clock: told of each of STEPS as it begins, and returned as timings with what it timed before.
    Whatever could be read comes to an answer; how far to trust it is in ``quality``.
    """
    clock = clock or Stopwatch()
    with clock.step("find the wrist"):
        prepared = prepare_all(radiographs, model)
    films = tuple(film for film in prepared if film.presence >= WRIST_FOUND)
    if not films:
        presence = min(film.presence for film in prepared)
        return _finished(prepared, (), None, (), (), nothing_found(presence), model, clock)
    views: list[View] = [film.radiograph.view for film in films]
    with clock.step("translate"):
        drrs = tuple(translate(film.film.pixels, view, model) for film, view in zip(films, views, strict=True))
    with clock.step("predict"):
        bones = predict(drrs, views, model, method, [film.film.pixels for film in films])
    with clock.step("fill"):
        solids = filled(bones) if bones.complete else {}
    with clock.step("place"):
        placed = place_on_films(bones, solids, films, drrs) if solids else ()
    with clock.step("fit"):
        together = share_a_world(films)
        if placed and bones.method == "shape" and together:
            bones, placed = fit_to_films(bones, solids, placed, films, model)
    with clock.step("measure"):
        measurements = measure_bones(bones.surfaces) if bones.complete else ()
    with clock.step("judge"):
        evidence = tuple(film_evidence(*parts) for parts in zip(films, drrs, placed, strict=bool(placed)))
        distance = latent_distance(bones.code, model.metadata, "shape_code" if bones.method == "shape" else "latent")
        quality = judge(evidence, bones.surfaces, _facts([film.radiograph for film in films]), distance)
        quality = with_left_out(quality, [film for film in prepared if film.presence < WRIST_FOUND])
        if calibrated(films) and not together:
            quality = with_cameras_apart(quality)
    return _finished(films, drrs, bones, placed, measurements, quality, model, clock)


def _facts(radiographs: Sequence[Radiograph]) -> dict[str, str]:
    """Provenance of all images; where they differ, an assumption is kept."""
    facts: dict[str, str] = {}
    for radiograph in radiographs:
        for name, origin in radiograph.provenance.items():
            if name not in facts or origin.startswith("assumed"):
                facts[name] = origin
    return facts


def _finished(
    films: tuple[PreparedFilm, ...],
    drrs: tuple[NDArray[np.float32], ...],
    bones: Bones | None,
    placed: tuple[PlacedFilm, ...],
    measurements: tuple[MeasuredValue, ...],
    quality: Quality,
    model: WristModel,
    clock: Stopwatch,
) -> Reconstruction:
    return Reconstruction(
        films, drrs, bones, placed, measurements, quality, model.name, model.weights_sha256, dict(clock.seconds)
    )
