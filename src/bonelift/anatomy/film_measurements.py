"""Clinical measurements as a reader takes them off a film: 2D, of the bones as they lay before the X-ray.

The bones are projected onto the detector, and everything is read in its plane: the long axis of the radius as the film
shows it, and the outermost points of the projected bone. So they hold the wrist's turn and tilt, and the film's
magnification, as a reader's own numbers do. Source of the definitions: as for the 3D ones (:mod:`measurements`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonelift.anatomy.landmarks import FAR_POINTS, cap_mean
from bonelift.anatomy.measurements import top_height, ulnar_dome, ulnar_head_centre
from bonelift.errors import InputError
from bonelift.geometry import apply_transform
from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]

_AXIS_MM = np.array([[0.0, 0, -40], [0, 0, -10]])
"""Two points of the radial shaft axis (radius frame), from proximal to distal; they project onto the film's axis."""
_ACROSS = {"pa": np.array([1.0, 0, 0]), "lateral": np.array([0.0, 1, 0])}
"""What counts as positive across the axis: ulnar on a PA film, palmar on a lateral."""
STYLOID_SHARE = 0.35
"""Part of the width, from the styloid's tip to the volar edge of the notch, whose rim belongs to the styloid."""
_RIM_STEP_MM, _RIM_HALF_MM, _RIM_ABOVE_MM = 1.0, 1.0, -9.0
"""A rim is found in sagittal slices so far apart, of this half thickness, above this height of the radius frame."""
_RIM_DIRECTIONS = {"volar": (0.0, 0.9, 0.45), "dorsal": (0.0, -0.45, 0.85)}
"""Sagittal directions in which the rims lie outermost: those of the 3D landmarks without their part along x."""
WIDTH_WITHIN_MM = 15.0
"""The width is read off the radius within this distance of the tip of its styloid, along the axis."""


@dataclass(frozen=True)
class PaFilmMeasurements:
    """Degrees and mm on the detector.

    radial_inclination_deg: the line from the tip of the radial styloid to the central reference point (midway between
        the projected volar and dorsal edges of the sigmoid notch) against the perpendicular of the radial axis.
    radial_height_mm: styloid tip above the central reference point, along the axis.
    ulnar_variance_mm: most distal edge of the projected ulnar head (without styloid) above the central reference point.
    radius_width_mm: extent of the projected radius across the axis, within WIDTH_WITHIN_MM of the styloid's tip.
    """

    radial_inclination_deg: float
    radial_height_mm: float
    ulnar_variance_mm: float
    radius_width_mm: float


@dataclass(frozen=True)
class LateralFilmMeasurements:
    """Degrees and mm on the detector.

    palmar_tilt_deg: the line from the dorsal to the palmar corner of the joint against the perpendicular of the radial
        axis; positive where the joint faces palmar. The corners are the outermost points that the film shows of the
        dorsal and the palmar rim, from STYLOID_SHARE of the width to the sigmoid notch. Another part of the rim makes
        the corner when the forearm turns, and the rim falls towards the ulna: hence the tilt turns with the wrist.
    radius_depth_mm: dorsal to palmar corner, across the axis.
    """

    palmar_tilt_deg: float
    radius_depth_mm: float


@dataclass(frozen=True, eq=False)
class FilmProjection:
    """A film's own directions: maps points of the two bones to (across, along) in mm on the detector.

    camera_from_radius, camera_from_ulna: (4, 4) from each bone's radius frame (right wrist) to the camera frame, or its
        mirror image. sdd_mm: source to detector.
    """

    camera_from_radius: Float
    camera_from_ulna: Float
    sdd_mm: float
    view: str

    def __post_init__(self) -> None:
        if self.view not in _ACROSS:
            raise InputError(f"film measurements: got view {self.view!r}; expected one of {', '.join(_ACROSS)}")

    def radius_mm(self, points: Float) -> Float:
        """Points (..., 3) of the radius -> (..., 2): across the axis (ulnar or palmar positive), along it (distal)."""
        return self._on_film(self.camera_from_radius, points)

    def ulna_mm(self, points: Float) -> Float:
        """The same for points of the ulna."""
        return self._on_film(self.camera_from_ulna, points)

    def _on_film(self, camera_from_bone: Float, points: Float) -> Float:
        proximal, distal, sideways = self._detector(
            self.camera_from_radius, np.vstack([_AXIS_MM, _AXIS_MM[1] + _ACROSS[self.view]])
        )
        along = (distal - proximal) / np.linalg.norm(distal - proximal)
        across = np.array([-along[1], along[0]])
        across = across * np.sign(across @ (sideways - distal))
        return (self._detector(camera_from_bone, points) - distal) @ np.stack([across, along], axis=1)

    def _detector(self, camera_from_bone: Float, points: Float) -> Float:
        camera = apply_transform(camera_from_bone, points)
        return self.sdd_mm * camera[..., :2] / camera[..., 2:]


def measure_pa_film(
    radius: TriangleMesh, ulna: TriangleMesh, landmarks: Mapping[str, Float], film: FilmProjection
) -> PaFilmMeasurements:
    """Right bones in the radius frame, landmarks as :func:`find_landmarks` returns them."""
    shown = film.radius_mm(radius.vertices)
    styloid, head = landmarks["radial_styloid_tip"], landmarks["ulnar_styloid_tip"]
    near = np.linalg.norm(radius.vertices - styloid, axis=1) < FAR_POINTS["radial_styloid_tip"].reach_mm
    if not near.any():
        raise InputError("radius: no surface near the tip of its styloid")
    tip = cap_mean(shown[near], (-0.15, 1.0))
    corners = np.stack([landmarks["sigmoid_notch_volar"], landmarks["sigmoid_notch_dorsal"]])
    reference = film.radius_mm(corners).mean(axis=0)
    dome = film.ulna_mm(ulnar_dome(ulna, head, ulnar_head_centre(ulna, head)))
    near_tip = shown[shown[:, 1] > tip[1] - WIDTH_WITHIN_MM]
    return PaFilmMeasurements(
        radial_inclination_deg=_angle_deg(tip[1] - reference[1], reference[0] - tip[0]),
        radial_height_mm=float(tip[1] - reference[1]),
        ulnar_variance_mm=top_height(dome[:, 1]) - float(reference[1]),
        radius_width_mm=float(np.ptp(near_tip[:, 0])),
    )


def measure_lateral_film(
    radius: TriangleMesh, landmarks: Mapping[str, Float], film: FilmProjection
) -> LateralFilmMeasurements:
    """A right radius in the radius frame, landmarks as :func:`find_landmarks` returns them."""
    palmar = cap_mean(film.radius_mm(rim(radius, landmarks, "volar")), (1.0, 0.0))
    dorsal = cap_mean(film.radius_mm(rim(radius, landmarks, "dorsal")), (-1.0, 0.0))
    return LateralFilmMeasurements(
        palmar_tilt_deg=_angle_deg(dorsal[1] - palmar[1], palmar[0] - dorsal[0]),
        radius_depth_mm=float(palmar[0] - dorsal[0]),
    )


def rim(radius: TriangleMesh, landmarks: Mapping[str, Float], which: str) -> Float:
    """(N, 3) the joint's volar or dorsal rim, a point a sagittal slice, from the styloid to the notch."""
    tip, notch = landmarks["radial_styloid_tip"][0], landmarks["sigmoid_notch_volar"][0]
    vertices = radius.vertices[radius.vertices[:, 2] > _RIM_ABOVE_MM]
    points = []
    for x in np.arange(tip + STYLOID_SHARE * (notch - tip), notch + 1e-9, _RIM_STEP_MM):
        piece = vertices[np.abs(vertices[:, 0] - x) < _RIM_HALF_MM]
        if len(piece) > 0:
            points.append(cap_mean(piece, _RIM_DIRECTIONS[which]))
    if not points:
        raise InputError(
            f"radius: no surface between its styloid and the sigmoid notch; expected its {which} rim there"
        )
    return np.array(points)


def _angle_deg(rise: float, run: float) -> float:
    return float(np.rad2deg(np.arctan2(rise, run)))
