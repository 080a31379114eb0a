"""Other hypotheses of where the wrist is, and how the picture hangs, carried through where there is doubt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bonelift.geometry import apply_transform
from bonelift.networks.model import WristModel
from bonelift.reconstruction.locate import Sighting
from bonelift.reconstruction.reading import Reading, read_wrist
from bonelift.reconstruction.settings import JobSettings
from bonelift.reconstruction.stopwatch import Stopwatch

Float = NDArray[np.float64]
SHAFT_POINT_MM = (0.0, 0.0, -40.0)
"""The locator's point of the shaft axis, in the radius frame."""


@dataclass(frozen=True, eq=False)
class Hypothesis:
    """One that was tried on one image by itself.

    moved_mm: along the shaft, proximally, from where the locator saw the wrist; NaN where it was cut again at the place
    that another hypothesis led to. agreement: of the film with the bones read from it, -1 to 1. score: evidence and
    agreement, log odds.
    """

    sighting: Sighting
    moved_mm: float
    agreement: float
    score: float


def reconsider(
    reading: Reading, hypotheses: Sequence[Sequence[Sighting]], model: WristModel, how: JobSettings
) -> tuple[Reading, tuple[tuple[Hypothesis, ...], ...]]:
    """The reading that the films agree with best, and what was tried for each image, best first.

    reading: of the first of the ``hypotheses`` of each image. Nothing else is tried where the locator had no doubt and
    the film agrees with the bones. A wrist that bends or hangs otherwise than those that the locator knows shows its
    joint line some way along the shaft from where it is seen: so each hypothesis is moved along, too, and the best of
    all is cut once more where the wrist then stands. Landmarks that a person gave stay where they are.
    """
    tried = tuple(
        _tried(sightings, model, how) if _doubtful(sightings, agreement, how) else ()
        for sightings, agreement in zip(hypotheses, reading.agreements(), strict=True)
    )
    chosen = [best[0].sighting if best else first for best, first in zip(tried, reading.sightings, strict=True)]
    if any(new is not old for new, old in zip(chosen, reading.sightings, strict=True)):
        reading = read_wrist(chosen, model, how, Stopwatch())
    return reading, tried


def _doubtful(sightings: Sequence[Sighting], agreement: float, how: JobSettings) -> bool:
    return sightings[0].found and (len(sightings) > 1 or agreement < how.reconsider.agreed_above)


def _tried(sightings: Sequence[Sighting], model: WristModel, how: JobSettings) -> tuple[Hypothesis, ...]:
    """Of one image."""
    found = [
        carried(_moved(sighting, moved_mm), moved_mm, model, how)
        for sighting in sightings
        for moved_mm in (how.reconsider.along_shaft_mm if sighting.radiograph.landmarks is None else (0.0,))
        if sighting.found
    ]
    best, reading = max(found, key=lambda pair: pair[0].score)
    if reading.stances and best.sighting.radiograph.landmarks is None:
        found.append(carried(_where_it_stands(best.sighting, reading), math.nan, model, how))
    return tuple(sorted((hypothesis for hypothesis, _ in found), key=lambda hypothesis: -hypothesis.score))


def carried(sighting: Sighting, moved_mm: float, model: WristModel, how: JobSettings) -> tuple[Hypothesis, Reading]:
    """One sighting carried through quickly. moved_mm: by how much its landmarks were moved, for the record."""
    settings = how.reconsider
    quick = replace(how, place=replace(how.place, wrist=settings.search))
    reading = read_wrist([sighting], model, quick, Stopwatch())
    agreement = reading.agreements()[0]
    cost = settings.cost_of_moving if moved_mm else 0.0  # NaN has moved, too
    score = sighting.evidence + settings.agreement_weight * agreement - cost
    return Hypothesis(sighting, moved_mm, agreement, score), reading


def _moved(sighting: Sighting, moved_mm: float) -> Sighting:
    """The landmarks moved along the shaft, proximally."""
    if moved_mm == 0:
        return sighting
    located = sighting.located
    along = located.shaft_px - located.origin_px
    step = along / np.linalg.norm(along) * moved_mm / sighting.radiograph.spacing_at_wrist_mm
    return _seen_at(sighting, located.origin_px + step, located.shaft_px + step)


def _where_it_stands(sighting: Sighting, reading: Reading) -> Sighting:
    """The landmarks on the wrist as it stands in the one film of a reading."""
    film = reading.films[0].film
    world_from_radius = film.world_from_canonical @ reading.stances[0].pose.world_from_bone
    landmarks = apply_transform(world_from_radius, np.array([[0.0, 0.0, 0.0], SHAFT_POINT_MM]))
    return _seen_at(sighting, *sighting.radiograph.camera.project(landmarks))


def _seen_at(sighting: Sighting, origin_px: Float, shaft_px: Float) -> Sighting:
    return replace(sighting, located=replace(sighting.located, origin_px=origin_px, shaft_px=shaft_px))
