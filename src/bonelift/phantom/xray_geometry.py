"""Where the wrist lies in front of the X-ray camera, and where its landmarks fall on the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bonelift.errors import InputError
from bonelift.film.standard import FILM_ORIGIN_PX, FILM_SHAPE, FILM_SPACING_MM, nominal_camera_from_radius
from bonelift.geometry import XrayCamera, apply_transform, default_film_camera, rotation_about_axis
from bonelift.images.radiograph import View

Float = NDArray[np.float64]

PROXIMAL_POINT_MM = (0.0, 0.0, -40.0)
"""A point on the radial shaft axis, radius frame."""
ULNAR_HEAD_MM = (19.0, 2.0, -3.0)
"""Where the ulnar head's centre lies on average, radius frame; pass the patient's own where it is known."""


@dataclass(frozen=True)
class PoseSpread:
    """How far a wrist lies from its nominal pose. Angles in degrees, lengths in mm at the wrist.

    Each angle is normal with the stated standard deviation, sometimes (0.15) twice as wide, redrawn beyond
    three times the stated deviation. shaft_deg: rotation about the radial shaft. tilt_deg: out of the
    detector plane (fingers towards or away from the source). in_plane_deg: in the image. shift_mm: uniform, +- this
    along each image direction. beam_offset_mm: the central ray passes up to this far from the wrist, uniform in a
    disc. sdd_mm: SDD is 1000 in half of the draws, otherwise uniform here. object_to_detector_mm: uniform here.
    """

    shaft_deg: float = 7.5
    tilt_deg: float = 5.0
    in_plane_deg: float = 4.0
    shift_mm: float = 4.0
    beam_offset_mm: float = 60.0
    sdd_mm: tuple[float, float] = (900.0, 1200.0)
    object_to_detector_mm: tuple[float, float] = (10.0, 60.0)

    def __post_init__(self) -> None:
        lengths = (self.shaft_deg, self.tilt_deg, self.in_plane_deg, self.shift_mm, self.beam_offset_mm)
        if min(lengths) < 0:
            raise InputError(f"pose spread: got negative spreads in {lengths}; expected zero or more")
        for name, (low, high) in (("sdd_mm", self.sdd_mm), ("object_to_detector_mm", self.object_to_detector_mm)):
            if not 0 <= low <= high:
                raise InputError(f"pose spread: {name} is {(low, high)}; expected 0 <= low <= high")
        if self.object_to_detector_mm[1] >= self.sdd_mm[0]:
            raise InputError("pose spread: the wrist would stand at or behind the source; lower object_to_detector_mm")


FILM_SPREAD = PoseSpread()
"""Film cut along given landmarks, what positioning leaves: +-15 deg about the shaft, +-10 tilt, +-8 in plane : 2 SD."""
LOCATOR_SPREAD = PoseSpread(shaft_deg=12.0, tilt_deg=7.0, in_plane_deg=15.0, shift_mm=60.0)
"""A whole radiograph, in which the wrist has to be found first."""


@dataclass(frozen=True)
class WristGeometry:
    """One exposure's geometry and the true landmarks, as (column, row) px: origin of the radius frame, a point of the
    shaft axis 40 mm proximal of it, and the ulnar head."""

    camera: XrayCamera
    camera_from_radius: Float
    view: View
    source_to_object_mm: float
    origin_px: Float
    proximal_px: Float
    ulnar_head_px: Float

    @property
    def origin_fraction(self) -> tuple[float, float]:
        """The origin in fractions of the half image: (0, 0) is the image's centre, 1 its right or lower border."""
        half = np.array([self.camera.width_px, self.camera.height_px]) / 2
        x, y = (self.origin_px + 0.5) / half - 1
        return float(x), float(y)


def draw_geometry(
    rng: np.random.Generator,
    view: View,
    shape_px: tuple[int, int] = (320, 256),
    spacing_mm: float = 0.25,
    spread: PoseSpread = FILM_SPREAD,
    ulnar_head_mm: ArrayLike = ULNAR_HEAD_MM,
    turn_deg: float = 0.0,
    from_palm: bool = False,
) -> WristGeometry:
    """An X-ray camera and a wrist before it.

    shape_px: (rows, columns); spacing_mm: pixel side at the wrist. With no spread the image is the standard film's
    field: its centre is the film's centre, so that (320, 256) px of 0.25 mm is the film itself. turn_deg: further turn
    in the image, clockwise, about the origin of the radius frame. from_palm: an AP film, taken with the palm up and
    hung like a PA film: the picture is mirrored, so that the ulna lies where a PA film shows it.
    """
    if from_palm and view != "pa":
        raise InputError(f"X-ray geometry: from_palm belongs to the PA view, and this is a {view} one")
    sdd_mm = 1000.0 if rng.random() < 0.5 else float(rng.uniform(*spread.sdd_mm))
    source_to_object_mm = sdd_mm - float(rng.uniform(*spread.object_to_detector_mm))
    camera = _film_camera(sdd_mm, source_to_object_mm)
    pose = nominal_camera_from_radius(camera, view, source_to_object_mm)
    turn = np.deg2rad(-turn_deg if from_palm else turn_deg)  # the picture is mirrored, and with it the turn
    rotation = rotation_about_axis([0, 0, 1], turn)[:3, :3] @ _perturbation(rng, spread)
    if from_palm:
        pose[:3, :3] = pose[:3, :3] @ np.diag([-1.0, -1.0, 1.0])
    pose[:3, :3] = rotation @ pose[:3, :3] @ rotation_about_axis([0, 0, 1], _angle(rng, spread.shaft_deg))[:3, :3]
    pose[:2, 3] += rng.uniform(-1, 1, 2) * spread.shift_mm

    # The beam may be centred away from the wrist: slide wrist and principal point together, so the picture stays put
    # but the rays through it are oblique.
    offset_mm = spread.beam_offset_mm * np.sqrt(rng.random()) * _unit(rng.uniform(-np.pi, np.pi))
    pose[:2, 3] += offset_mm
    film_from_shifted = np.eye(3)
    film_from_shifted[:2, 2] = -offset_mm / FILM_SPACING_MM
    image_from_film = _image_from_film(shape_px, spacing_mm)
    if from_palm:  # mirrored about the origin's column, so that the film shows what a PA film shows
        image_from_film = image_from_film @ np.array([[-1.0, 0, 2 * FILM_ORIGIN_PX[view][0]], [0, 1, 0], [0, 0, 1]])
    image_from_film = image_from_film @ film_from_shifted
    camera = camera.viewed_through(image_from_film, shape_px[1], shape_px[0])
    origin, proximal, ulnar_head = camera.project(
        apply_transform(pose, np.array([[0.0, 0, 0], PROXIMAL_POINT_MM, np.asarray(ulnar_head_mm, dtype=np.float64)]))
    )
    return WristGeometry(camera, pose, view, source_to_object_mm, origin, proximal, ulnar_head)


def _film_camera(sdd_mm: float, source_to_object_mm: float) -> XrayCamera:
    height, width = FILM_SHAPE
    return default_film_camera(width, height, FILM_SPACING_MM * sdd_mm / source_to_object_mm, sdd_mm)


def _image_from_film(shape_px: tuple[int, int], spacing_mm: float) -> Float:
    """(3, 3) that puts the film's centre at the image's centre, with pixels of ``spacing_mm`` at the wrist."""
    scale = FILM_SPACING_MM / spacing_mm
    image_from_film = np.diag([scale, scale, 1.0])
    film_centre = (np.array(FILM_SHAPE[::-1]) - 1) / 2
    image_from_film[:2, 2] = (np.array(shape_px[::-1]) - 1) / 2 - scale * film_centre
    return image_from_film


def _perturbation(rng: np.random.Generator, spread: PoseSpread) -> Float:
    """(3, 3) rotation in the camera frame: tilt about the image's horizontal, then in-plane rotation."""
    tilt = rotation_about_axis([1, 0, 0], _angle(rng, spread.tilt_deg))[:3, :3]
    return rotation_about_axis([0, 0, 1], _angle(rng, spread.in_plane_deg))[:3, :3] @ tilt


def _angle(rng: np.random.Generator, deviation_deg: float) -> float:
    """Radians: normal with heavier tails, never beyond three standard deviations."""
    deviation = 2.0 if rng.random() < 0.15 else 1.0
    value = rng.normal(0, deviation)
    while abs(value) > 3:
        value = rng.normal(0, deviation)
    return float(np.deg2rad(value * deviation_deg))


def _unit(angle_rad: float) -> Float:
    return np.array([np.cos(angle_rad), np.sin(angle_rad)])
