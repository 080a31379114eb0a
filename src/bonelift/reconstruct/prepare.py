"""From a radiograph to the standard film: the wrist found, cut out, upright and right-handed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonelift.images import Radiograph
from bonelift.images.film import FILM_SHAPE, Film, film_from_landmarks
from bonelift.networks.bundle import ModelBundle
from bonelift.networks.inference import LocatedWrist, locate


@dataclass(frozen=True, eq=False)
class PreparedFilm:
    """recorded: FILM_SHAPE, where the film lies inside the recorded image."""

    radiograph: Radiograph
    located: LocatedWrist
    film: Film
    recorded: NDArray[np.bool_]


def prepare(radiograph: Radiograph, bundle: ModelBundle) -> PreparedFilm:
    """Locate the wrist, in whichever of four quarter turns it lies, and cut the film along its landmarks."""
    located = locate(radiograph, bundle)
    film = film_from_landmarks(radiograph, located.origin_px, located.shaft_px)
    return PreparedFilm(radiograph, located, film, recorded_part(film, radiograph.pixels.shape))


def recorded_part(film: Film, shape_px: tuple[int, ...]) -> NDArray[np.bool_]:
    """FILM_SHAPE: True where a film pixel's centre lies within an image of ``shape_px`` (rows, columns)."""
    image_from_film = np.linalg.inv(film.film_from_image)
    rows, columns = np.mgrid[: FILM_SHAPE[0], : FILM_SHAPE[1]].astype(np.float64)
    u = image_from_film[0, 0] * columns + image_from_film[0, 1] * rows + image_from_film[0, 2]
    v = image_from_film[1, 0] * columns + image_from_film[1, 1] * rows + image_from_film[1, 2]
    return (u >= -0.5) & (u <= shape_px[1] - 0.5) & (v >= -0.5) & (v <= shape_px[0] - 0.5)
