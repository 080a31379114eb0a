"""Where to start a registration, without hand work: two points on the radial shaft, or the outline that was drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft

from bonelift.errors import InputError
from bonelift.film.standard import film_from_landmarks
from bonelift.geometry import XrayCamera, apply_transform, nearest_to_rays, translation
from bonelift.images import Radiograph
from bonelift.registration.chart import pose_chart
from bonelift.registration.ct_bone import CtBone
from bonelift.registration.film_views import FilmView, bone_shadow
from bonelift.registration.views import FixedView, coarser

Float = NDArray[np.float64]

SHAFT_LENGTH_MM = 40.0
MATCH_MM = 3.0
"""Pixel side at the bone at which outlines are laid on each other."""
ALL_TURNS_DEG = tuple(range(0, 360, 10))
NEAR_TURNS_DEG = tuple(range(-20, 21, 5))
_COVERED = 0.3
"""What a covered part of the drawn outline counts beside the part of the shadow that lies on it."""


@dataclass(frozen=True)
class ShaftPoints:
    """(column, row) of the origin of the radius frame, and of a point further up the radial shaft. from_ulnar: of a
    lateral with the source on the ulnar side."""

    origin_px: ArrayLike
    shaft_px: ArrayLike
    from_ulnar: bool = False


def start_from_points(radiograph: Radiograph, points: ShaftPoints, right_from_ct: Float) -> Float:
    """(4, 4) camera_from_ct of a wrist that lies straight in the beam, with its radius where two points say.

    right_from_ct: (4, 4) the CT's world in the radius frame of a right wrist (a mirror for a left one).
    """
    film = film_from_landmarks(radiograph, points.origin_px, points.shaft_px, points.from_ulnar)
    camera_from_canonical = radiograph.camera.camera_from_world @ film.world_from_canonical
    return camera_from_canonical @ film.nominal_camera_from_radius() @ right_from_ct


def start_from_outline(
    radiograph: Radiograph,
    mask: NDArray[np.bool_],
    bone: CtBone,
    right_from_ct: Float,
    pixel_mm: float,
    from_ulnar: bool = False,
) -> Float:
    """(4, 4) camera_from_ct of a wrist straight in the beam whose shadow lies best on the drawn outline, however turned
    in the image.

    from_ulnar: of a lateral with the source on the ulnar side; an outline alone does not say so.
    Errors: InputError for an empty mask.
    """
    camera = replace(radiograph.camera, camera_from_world=np.eye(4))
    film = FilmView(np.asarray(radiograph.pixels, dtype=np.float64), camera, mask, pixel_mm)
    middle = np.argwhere(mask).mean(axis=0)[::-1]
    upright = replace(radiograph, camera=camera)
    below = middle + np.array([0.0, SHAFT_LENGTH_MM / pixel_mm])
    straight = start_from_points(upright, ShaftPoints(middle, below, from_ulnar), right_from_ct)
    return laid_on_outline(bone, film, straight, ALL_TURNS_DEG)


def laid_on_outlines(bone: CtBone, films: Sequence[FilmView], world_from_start: Float) -> Float:
    """The start (4, 4) laid on the drawn outline of each film in turn, and its centre, where there are several, then
    put where the rays meet that go through it so laid: in depth too, and with one say for each film along the bone.

    The cameras share a world. The second round sees the bone at its depth, and so at its size.
    """
    drawn = [film for film in films if film.mask is not None]
    for _ in range(min(len(drawn), 2)):
        directions = []
        for film in drawn:
            world_from_start = laid_on_outline(bone, film, world_from_start)
            centre = apply_transform(world_from_start, bone.coarse.centre_mm)
            directions.append(centre - film.camera.source_world)
        centre = apply_transform(world_from_start, bone.coarse.centre_mm)
        if len(drawn) > 1:
            met = nearest_to_rays([film.camera.source_world for film in drawn], directions, centre)
            world_from_start = translation(met - centre) @ world_from_start
    return world_from_start


def laid_on_outline(
    bone: CtBone, film: FilmView, world_from_start: Float, turns_deg: Sequence[float] = NEAR_TURNS_DEG
) -> Float:
    """The start (4, 4) moved, and turned by one of ``turns_deg``, in the plane of a film so that its shadow lies best
    on the drawn outline.

    The drawn bone may go on beyond the CT's: the shadow is to lie on the outline, not the outline on the shadow. A film
    without a mask leaves the start as it is.
    """
    if film.mask is None:
        return world_from_start
    factor = max(1, round(MATCH_MM / film.pixel_mm))
    small = coarser(FixedView(film.mask.astype(np.float64), film.camera), factor, 0.0)
    chart = pose_chart(film.camera, world_from_start, bone.coarse.centre_mm)
    middle_px = np.argwhere(film.mask).mean(axis=0)[::-1]
    to_middle_mm = (middle_px - film.camera.project(chart.world_from_view[:3, 3])) * film.pixel_mm
    if not np.isfinite(to_middle_mm).all():
        return world_from_start
    best_score, best_pose = -np.inf, world_from_start
    for turn in np.deg2rad(np.asarray(turns_deg, dtype=np.float64)):
        parameters = np.array([0, 0, turn, *to_middle_mm, 0])
        pose = chart.poses(parameters[None])[0]
        score, shift_px = _best_shift(bone_shadow(bone.coarse, small.camera, pose), small.image)
        if score > best_score:
            parameters[3:5] += shift_px * factor * film.pixel_mm
            best_score, best_pose = score, chart.poses(parameters[None])[0]
    return best_pose


def _best_shift(shadow: NDArray[np.bool_], mask: Float) -> tuple[float, Float]:
    """(score, (columns, rows) px) of the shift that lays the shadow best on the mask (soft, 0 to 1)."""
    area = float(shadow.sum())
    if area == 0:
        return -np.inf, np.zeros(2)
    shape = [fft.next_fast_len(2 * n, real=True) for n in mask.shape]
    spectrum = np.asarray(fft.rfft2(mask, shape)) * np.conj(np.asarray(fft.rfft2(shadow.astype(np.float64), shape)))
    overlap = np.asarray(fft.irfft2(spectrum, shape))
    score = overlap * (1 / area + _COVERED / float(mask.sum()))
    row, column = np.unravel_index(int(score.argmax()), score.shape)
    shift = np.array([column, row], dtype=np.float64)
    size = np.array(shape[::-1], dtype=np.float64)
    return float(score.max()), np.where(shift > size / 2, shift - size, shift)


def pixel_mm_at(camera: XrayCamera, camera_from_ct: Float, points_mm: Float) -> float:
    """Side of a pixel (mm) at the depth of a bone's points (N, 3), seen by ``camera`` at a pose (4, 4)."""
    depth_mm = float((points_mm.mean(axis=0) @ camera_from_ct[:3, :3].T + camera_from_ct[:3, 3])[2])
    if depth_mm <= 0:
        raise InputError("the start lies behind the X-ray source; check the camera and the start")
    return camera.detector_spacing_mm * depth_mm / camera.sdd_mm
