"""From a radiograph to the standard film: the wrist found, cut out, upright and right-handed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonelift.images import Radiograph
from bonelift.images.film import FILM_SHAPE, Film, film_from_landmarks
from bonelift.networks.inference import LocatedWrist, locate
from bonelift.networks.model import WristModel

SHAFT_POINT_MM = (12.0, 80.0)
"""Plausible distances, in the image, of the two landmarks on the radius: 40 mm in adults, less in a child."""


@dataclass(frozen=True, eq=False)
class PreparedFilm:
    """A radiograph, where the wrist was seen in it, and its film.

    presence: 0 to 1, confidence that a wrist was found; 0 where the landmarks cannot be those of a wrist: the film is
        then the middle of the image.
    recorded: FILM_SHAPE, where the film lies inside the recorded image.
    """

    radiograph: Radiograph
    located: LocatedWrist
    presence: float
    film: Film
    recorded: NDArray[np.bool_]


def prepare(radiograph: Radiograph, model: WristModel) -> PreparedFilm:
    """Locate the wrist, in whichever of four quarter turns it lies and to whichever side the palm of a lateral points,
    and cut the film along its landmarks."""
    located = locate(radiograph, model)
    spacing_mm = radiograph.spacing_at_wrist_mm
    length_mm = float(np.linalg.norm(located.shaft_px - located.origin_px)) * spacing_mm
    origin, shaft, presence = located.origin_px, located.shaft_px, located.confidence
    if not SHAFT_POINT_MM[0] <= length_mm <= SHAFT_POINT_MM[1]:
        rows, columns = radiograph.pixels.shape
        origin, presence = np.array([columns / 2, rows / 2]), 0.0
        shaft = origin + np.array([0.0, 40.0 / spacing_mm])
    film = film_from_landmarks(radiograph, origin, shaft, located.from_ulnar)
    return PreparedFilm(radiograph, located, presence, film, recorded_part(film, radiograph.pixels.shape))


def recorded_part(film: Film, shape_px: tuple[int, ...]) -> NDArray[np.bool_]:
    """FILM_SHAPE: True where a film pixel's centre lies within an image of ``shape_px`` (rows, columns)."""
    image_from_film = np.linalg.inv(film.film_from_image)
    rows, columns = np.mgrid[: FILM_SHAPE[0], : FILM_SHAPE[1]].astype(np.float64)
    u = image_from_film[0, 0] * columns + image_from_film[0, 1] * rows + image_from_film[0, 2]
    v = image_from_film[1, 0] * columns + image_from_film[1, 1] * rows + image_from_film[1, 2]
    return (u >= -0.5) & (u <= shape_px[1] - 0.5) & (v >= -0.5) & (v <= shape_px[0] - 0.5)
