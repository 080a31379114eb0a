"""Sightings of a wrist carried through to bones that stand in its films: scale, cut, translate, predict, stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonelift.images.radiograph import View
from bonelift.networks.inference import translate
from bonelift.networks.model import WristModel
from bonelift.reconstruction.agreement import film_agreement
from bonelift.reconstruction.bones import Bones, predict
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
    cameras_apart: whether calibrated cameras disagree on where the wrist is.
    """

    sightings: tuple[Sighting, ...]
    films: tuple[PreparedFilm, ...]
    drrs: tuple[NDArray[np.float32], ...]
    bones: Bones | None
    stances: tuple[Stance, ...]
    cameras_apart: bool

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
        pixels = [film.film.pixels for film in films]
        views: list[View] = [film.radiograph.view for film in films]
    with clock.step("translate"):
        drrs = tuple(translate(film, view, model) for film, view in zip(pixels, views, strict=True))
    with clock.step("predict"):
        bones = predict(drrs, views, model, how.method, pixels) if films else None
    with clock.step("stand"):
        stances = stand(bones, films, drrs, scaled.together, how.place, how.seed) if bones else ()
    return Reading(tuple(sightings), films, drrs, bones, stances, scaled.cameras_apart)


def _agreement(bones: Bones, film: PreparedFilm, canonical_from_radius: NDArray[np.float64]) -> float:
    projected = projection(bones.solids, film.film, dict.fromkeys(bones.solids, canonical_from_radius))
    return film_agreement(np.asarray(film.film.pixels, dtype=np.float64), projected, film_weights(film.film))
