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
RIM_REACH_MM = 5.0
"""How far from the projected rim of the lunate facet the outline's corner is sought on a lateral film."""
STYLOID_SHARE = 0.25
"""Part of the width, from the styloid's tip to the volar edge of the notch, that counts as styloid and holds no rim."""
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

    palmar_tilt_deg: the line from the dorsal to the palmar rim of the joint surface against the perpendicular of the
        radial axis; positive where the joint faces palmar. A rim is the corner of the outline that the film shows
        within RIM_REACH_MM of the lunate facet's rim, the radial styloid left out. Another part of the rim makes the
        corner when the forearm turns: hence the tilt that a film shows turns with it.
    radius_depth_mm: dorsal to palmar rim, across the axis.
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
    tip = _outermost(shown[near], (-0.15, 1.0), "radial styloid")
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
    tip, notch = landmarks["radial_styloid_tip"][0], landmarks["sigmoid_notch_volar"][0]
    joint = film.radius_mm(radius.vertices[radius.vertices[:, 0] > tip + STYLOID_SHARE * (notch - tip)])
    rims = []
    for name, direction in (("volar_rim", (0.9, 0.45)), ("dorsal_rim", (-0.45, 0.85))):
        near = np.linalg.norm(joint - film.radius_mm(landmarks[name]), axis=1) < RIM_REACH_MM
        rims.append(_outermost(joint[near], direction, name.replace("_", " ")))
    palmar, dorsal = rims
    return LateralFilmMeasurements(
        palmar_tilt_deg=_angle_deg(dorsal[1] - palmar[1], palmar[0] - dorsal[0]),
        radius_depth_mm=float(palmar[0] - dorsal[0]),
    )


def _outermost(points: Float, direction: tuple[float, float], what: str) -> Float:
    """(2,) the farthest of ``points`` (N, 2) along ``direction`` (across, along). InputError where there are none."""
    if len(points) == 0:
        raise InputError(f"radius: no surface near the {what} that the film could show")
    return cap_mean(points, direction)


def _angle_deg(rise: float, run: float) -> float:
    return float(np.rad2deg(np.arctan2(rise, run)))
