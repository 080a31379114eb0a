"""From a radiograph to the standard film: the wrist found, cut out, upright and right-handed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bonelift.geometry import apply_transform, nearest_to_rays
from bonelift.images import Radiograph
from bonelift.images.film import FILM_SHAPE, Film, film_from_landmarks
from bonelift.networks.inference import LocatedWrist, locate
from bonelift.networks.model import WristModel

LARGEST_GAP_MM = 20.0
"""The locator finds the wrist to some millimetres: where rays through it pass farther apart, no world is shared."""
LEAST_CROSSING_DEG = 10.0
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


def prepare_all(radiographs: Sequence[Radiograph], model: WristModel) -> tuple[PreparedFilm, ...]:
    """Every radiograph of a wrist. Where calibrated cameras see it and its distance from a source was only assumed,
    that distance, and with it the scale, is taken from where the rays meet, and the films are cut again."""
    films = tuple(prepare(radiograph, model) for radiograph in radiographs)
    meeting = where_rays_meet(films)
    if meeting is None:
        return films
    return tuple(
        prepare(at_distance(film.radiograph, meeting), model)
        if film.radiograph.provenance.get("source_to_object", "").startswith("assumed")
        else film
        for film in films
    )


def calibrated(films: Sequence[PreparedFilm]) -> bool:
    """Whether there are several films, each with a calibrated camera."""
    return len(films) > 1 and all(film.radiograph.provenance.get("camera", "") for film in films)


def where_rays_meet(films: Sequence[PreparedFilm]) -> NDArray[np.float64] | None:
    """(3,) where the rays through the wrist, as found in the images of calibrated cameras, meet; mm, in their world.

    None where there is but one image, a camera is not calibrated, or the rays say that the cameras share no world: they
    hardly cross, or pass far from each other.
    """
    if not calibrated(films):
        return None
    cameras = [film.radiograph.camera for film in films]
    sources = np.stack([camera.source_world for camera in cameras])
    ends = [
        camera.back_project(film.located.origin_px, film.radiograph.source_to_object_mm)
        for camera, film in zip(cameras, films, strict=True)
    ]
    rays = np.stack(ends) - sources
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    crossing_deg = np.rad2deg(np.arccos(np.clip(np.abs(rays @ rays.T), 0, 1))).max()
    point = nearest_to_rays(sources, rays, np.mean(ends, axis=0))
    along = ((point - sources) * rays).sum(axis=1)
    gap_mm = np.linalg.norm(point - sources - along[:, None] * rays, axis=1).max() * 2
    before_detector = [0 < depth <= camera.sdd_mm for depth, camera in zip(along, cameras, strict=True)]
    return point if crossing_deg >= LEAST_CROSSING_DEG and gap_mm <= LARGEST_GAP_MM and all(before_detector) else None


def at_distance(radiograph: Radiograph, point_world: NDArray[np.float64]) -> Radiograph:
    """The radiograph with its wrist at the distance of a point (3,) of its camera's world."""
    depth_mm = float(apply_transform(radiograph.camera.camera_from_world, point_world)[2])
    origin = f"where the rays through the wrist meet: {depth_mm:.0f} mm"
    return replace(
        radiograph, source_to_object_mm=depth_mm, provenance=radiograph.provenance | {"source_to_object": origin}
    )


def recorded_part(film: Film, shape_px: tuple[int, ...]) -> NDArray[np.bool_]:
    """FILM_SHAPE: True where a film pixel's centre lies within an image of ``shape_px`` (rows, columns)."""
    image_from_film = np.linalg.inv(film.film_from_image)
    rows, columns = np.mgrid[: FILM_SHAPE[0], : FILM_SHAPE[1]].astype(np.float64)
    u = image_from_film[0, 0] * columns + image_from_film[0, 1] * rows + image_from_film[0, 2]
    v = image_from_film[1, 0] * columns + image_from_film[1, 1] * rows + image_from_film[1, 2]
    return (u >= -0.5) & (u <= shape_px[1] - 0.5) & (v >= -0.5) & (v <= shape_px[0] - 0.5)
