"""From a sighting to the standard film: cut out, upright and right-handed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bonelift.film.standard import Film, film_from_landmarks
from bonelift.images import Radiograph
from bonelift.networks.inference import LocatedWrist
from bonelift.reconstruction.locate import Sighting


@dataclass(frozen=True, eq=False)
class PreparedFilm:
    """A sighting and its film: the middle of the image where no wrist was seen."""

    sighting: Sighting
    film: Film

    @property
    def radiograph(self) -> Radiograph:
        return self.sighting.radiograph

    @property
    def located(self) -> LocatedWrist:
        return self.sighting.located

    @property
    def presence(self) -> float:
        return self.sighting.presence


def cut(sighting: Sighting) -> PreparedFilm:
    """The film along the landmarks of a sighting."""
    radiograph, located = sighting.radiograph, sighting.located
    origin, shaft = located.origin_px, located.shaft_px
    if sighting.presence == 0:
        rows, columns = radiograph.pixels.shape
        origin = np.array([columns / 2, rows / 2])
        shaft = origin + np.array([0.0, 40.0 / radiograph.spacing_at_wrist_mm])
    film = film_from_landmarks(radiograph, origin, shaft, located.from_ulnar)
    return PreparedFilm(sighting, film)
