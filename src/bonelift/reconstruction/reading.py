"""Sightings of a wrist carried through to bones that stand in its films: scale, cut, translate, predict, stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonelift.networks.inference import translate
from bonelift.networks.model import WristModel
from bonelift.reconstruction.agreement import film_agreement
from bonelift.reconstruction.beyond_the_film import predict_from_what_is_seen
from bonelift.reconstruction.bones import Bones
from bonelift.reconstruction.cut import PreparedFilm, cut
from bonelift.reconstruction.locate import Sighting
from bonelift.reconstruction.place import Stance, film_weights, projection, stand
from bonelift.reconstruction.scale import scale
from bonelift.reconstruction.settings import JobSettings
from bonelift.reconstruction.stopwatch import Stopwatch


@dataclass(frozen=True, eq=False)
class Reading:
    """What was read from sightings of one wrist.

    sightings: one an image, as they were given. films, drrs: of those in which a wrist was found, in parallel; without
    any there are no bones. stances: where the wrist stands; none where a bone came out empty.
    cameras_apart: whether calibrated cameras disagree on where the wrist is. hidden: of each film, name -> the part of
    a bone's distal end that it does not show (:mod:`bonelift.reconstruction.beyond_the_film`).
    """

    sightings: tuple[Sighting, ...]
    films: tuple[PreparedFilm, ...]
    drrs: tuple[NDArray[np.float32], ...]
    bones: Bones | None
    stances: tuple[Stance, ...]
    cameras_apart: bool
    hidden: tuple[Mapping[str, float], ...] = ()

    @property
    def missed(self) -> tuple[Sighting, ...]:
        return tuple(sighting for sighting in self.sightings if not sighting.found)

    @property
    def pose_was_read(self) -> bool:
        """Whether the network that read the bones read a pose as well."""
        return self.bones is not None and len(self.bones.motions) > 0

    def agreements(self) -> tuple[float, ...]:
        """:func:`film_agreement` of each image with the wrist as it stands; 0 where none does."""
        if self.bones is None or not self.stances:
            return (0.0,) * len(self.sightings)
        of_films = iter(
            _agreement(self.bones, film, view.camera.camera_from_world @ stance.pose.world_from_bone)
            for stance in self.stances
            for film, view in zip(stance.films, stance.views, strict=True)
        )
        return tuple(next(of_films) if sighting.found else 0.0 for sighting in self.sightings)


def read_wrist(sightings: Sequence[Sighting], model: WristModel, how: JobSettings, clock: Stopwatch) -> Reading:
    """Carry one sighting of each image through, all together."""
    with clock.step("scale"):
        scaled = scale([sighting for sighting in sightings if sighting.found], how.scale)
    with clock.step("cut"):
        films = tuple(cut(sighting) for sighting in scaled.sightings)
    with clock.step("translate"):
        drrs = tuple(translate(film.film.pixels, film.radiograph.view, model) for film in films)
    with clock.step("predict"):
        seen = predict_from_what_is_seen(films, drrs, model, how.method, how.beyond) if films else None
    if seen is None:
        return Reading(tuple(sightings), films, drrs, None, (), scaled.cameras_apart)
    with clock.step("stand"):
        stances = stand(seen.bones, seen.films, drrs, scaled.together, how.place, how.seed)
    return Reading(tuple(sightings), seen.films, drrs, seen.bones, stances, scaled.cameras_apart, seen.hidden)


def _agreement(bones: Bones, film: PreparedFilm, canonical_from_radius: NDArray[np.float64]) -> float:
    projected = projection(bones.solids, film.film, dict.fromkeys(bones.solids, canonical_from_radius))
    return film_agreement(np.asarray(film.film.pixels, dtype=np.float64), projected, film_weights(film.film))
