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
    # Of one image whose pose was read, a hypothesis that is searched for in full is read as a result is.
    known = reading if len(hypotheses) == 1 and reading.pose_was_read else None
    carried_through = [
        _tried(sightings, model, how, known) if _doubtful(sightings, agreement, how) else []
        for sightings, agreement in zip(hypotheses, reading.agreements(), strict=True)
    ]
    tried = tuple(tuple(hypothesis for hypothesis, _ in pairs) for pairs in carried_through)
    chosen = [best[0].sighting if best else first for best, first in zip(tried, reading.sightings, strict=True)]
    if any(new is not old for new, old in zip(chosen, reading.sightings, strict=True)):
        reading = carried_through[0][0][1] if known else read_wrist(chosen, model, how, Stopwatch())
    return reading, tried


def _doubtful(sightings: Sequence[Sighting], agreement: float, how: JobSettings) -> bool:
    return sightings[0].found and (len(sightings) > 1 or agreement < how.reconsider.agreed_above)


def _tried(
    sightings: Sequence[Sighting], model: WristModel, how: JobSettings, known: Reading | None
) -> list[tuple[Hypothesis, Reading]]:
    """Of one image, best first: what was searched for in full before what was only glanced at. known: the reading of
    one of the sightings, where a search in full would give it again."""
    found = [
        carried(_moved(sighting, moved_mm), moved_mm, model, how)
        for sighting in sightings
        for moved_mm in (how.reconsider.along_shaft_mm if sighting.radiograph.landmarks is None else (0.0,))
        if sighting.found
    ]
    found.sort(key=_falling_score)
    glanced: list[tuple[Hypothesis, Reading]] = []
    if any(reading.pose_was_read for _, reading in found):
        best, glanced = found[: how.reconsider.finalists], found[how.reconsider.finalists :]
        found = [
            (_hypothesis(one.sighting, one.moved_mm, known, how), known)
            if known and one.sighting is known.sightings[0]
            else carried(one.sighting, one.moved_mm, model, how, glance=False)
            for one, _ in best
        ]
    first, reading = min(found, key=_falling_score)
    if reading.stances and first.sighting.radiograph.landmarks is None:
        found.append(carried(_where_it_stands(first.sighting, reading), math.nan, model, how, glance=False))
    return [*sorted(found, key=_falling_score), *glanced]


def _falling_score(pair: tuple[Hypothesis, Reading]) -> float:
    return -pair[0].score


def carried(
    sighting: Sighting, moved_mm: float, model: WristModel, how: JobSettings, glance: bool = True
) -> tuple[Hypothesis, Reading]:
    """One sighting carried through.

    moved_mm: by how much its landmarks were moved, for the record. glance: where S reads a pose, the wrist is not
    searched for beyond it.
    """
    settings = how.reconsider
    read = settings.glance if glance else how.place.read
    quick = replace(how, place=replace(how.place, wrist=settings.search, read=read))
    reading = read_wrist([sighting], model, quick, Stopwatch())
    return _hypothesis(sighting, moved_mm, reading, how), reading


def _hypothesis(sighting: Sighting, moved_mm: float, reading: Reading, how: JobSettings) -> Hypothesis:
    """What was tried with a sighting, by what was read from it."""
    agreement = reading.agreements()[0]
    cost = how.reconsider.cost_of_moving if moved_mm else 0.0  # NaN has moved, too
    score = sighting.evidence + how.reconsider.agreement_weight * agreement - cost
    return Hypothesis(sighting, moved_mm, agreement, score)


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
