"""Whether a film shows metal or a cast: things that no film of the training shows on purpose, and that hide bone.

Plates, wires, the rods of an external fixator and the walls of a cast have one thing in common that no bone has where
it is looked for: they are straight bars, brighter than what lies on both of their sides over their whole length. Within
a radius nothing is so bright beside its walls; beside both bones there is soft tissue alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonelift.film.sampling import sample, smoothed_for
from bonelift.film.standard import FILM_ORIGIN_PX, FILM_SPACING_MM, Film
from bonelift.film.unseen import unseen
from bonelift.geometry import apply_transform
from bonelift.images.exposure import burnt_in_surround
from bonelift.images.radiograph import Radiograph
from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]

_STEP_DEG = 6.0
_ALONG_THE_ARM_DEG = 30.0
"""Rods and casts run along the arm, give or take."""
_AROUND_MM, _AROUND_SPACING_MM = 130.0, 1.0
_AROUND_ORIGIN_MM = (65.0, 50.0)
"""Where the square around the wrist has the origin of the radius frame: from its left, from its top."""
_MARGIN_MM = 3.0
"""Left out at the border of the exposed field, and around the bones."""
_LONG_SIDE_PX, _RECTANGLE = 300, 0.9
_BELOW_JOINT_MM = 8.0
"""In the end of the radius rims and scars are bright lines; metal is looked for in its shaft, casts beside it."""
_ACROSS_A_WALL_MM, _ARM_WITHIN = 9.0, 0.1
"""From the middle of a cast's wall to the arm and to the air, and how much brighter the arm is at least."""
_ROOM_MM = 11.0
"""Around the middle of the radius, as much as half a bar and what lies beside it."""
_MIDDLE = 0.4
"""Of half of the width of the radius: what lies beyond may be its wall."""


@dataclass(frozen=True)
class DeviceSigns:
    """Greatest contrasts of straight bars with what lies beside them, in grey values of the film (0 air, 1 bone).

    metal: within the shaft of the radius. rod: of 50 mm and more, anywhere around the wrist, along the arm.
    shell: of 40 mm and more beside both bones, along the arm. Each is -1 where the film shows too little to tell.
    """

    metal: float
    rod: float
    shell: float


def device_signs(
    film: Film, radiograph: Radiograph, canonical_from_bone: Mapping[str, Float], bones: Mapping[str, TriangleMesh]
) -> DeviceSigns:
    """Look for metal and for a cast.

    Parameters
    ----------
    film : Film
        The standard film.
    radiograph : Radiograph
        What it was cut out of, which shows more of the arm.
    canonical_from_bone : mapping of str to (4, 4) array
        Where radius and ulna stand in the canonical world of the film.
    bones : mapping of str to TriangleMesh
        Their surfaces, radius frame, mm.

    Returns
    -------
    DeviceSigns
    """
    edges = {name: _row_edges(film, pose, bones[name]) for name, pose in canonical_from_bone.items()}
    pixels = np.asarray(film.pixels, dtype=np.float64)
    seen = ~unseen(film.pixels, film.recorded)
    below = round(FILM_ORIGIN_PX[film.view][1] + _BELOW_JOINT_MM / FILM_SPACING_MM)
    middle = _between(edges["radius"], pixels.shape, _MIDDLE)
    middle[:below] = False
    shaft = _box_around(middle, round(_ROOM_MM / FILM_SPACING_MM))
    # A shaft that is seen from its narrow side is a bright bar itself: the sides have to lie within a bone.
    in_bone = seen & np.any([_between(each, pixels.shape, 1.0) for each in edges.values()], axis=0)
    metal = bar_contrast(pixels[shaft], in_bone[shaft], 20.0, (4.0, 7.0, 10.0), FILM_SPACING_MM, gap_mm=0.75)
    around, shown, around_from_film = _around(film, radiograph)
    angles = np.arange(-_ALONG_THE_ARM_DEG, _ALONG_THE_ARM_DEG + 1, _STEP_DEG)
    rod = bar_contrast(around, shown, 50.0, (7.0, 10.0), _AROUND_SPACING_MM, 2.0, angles)
    shell = bar_contrast(around, shown, 40.0, (4.0, 7.0, 10.0), _AROUND_SPACING_MM, 2.0, angles)
    beside = _beside(edges.values(), around, around_from_film)
    beside[: round(_AROUND_ORIGIN_MM[1] + _BELOW_JOINT_MM)] = False
    return DeviceSigns(
        _greatest(metal, (middle & seen)[shaft]), _greatest(rod, shown), _greatest(shell, beside & shown)
    )


def bar_contrast(
    pixels: Float,
    seen: Mask,
    length_mm: float,
    widths_mm: Sequence[float],
    spacing_mm: float,
    gap_mm: float,
    angles_deg: Iterable[float] = tuple(np.arange(0, 180, _STEP_DEG)),
) -> Float:
    """By how much the straight bar around each pixel is brighter than both of its sides, in each third of its length.

    pixels, seen: (H, W); the best of all angles (0 is along the columns) and widths. gap_mm: from the bar's edge to
    where its sides are looked at. -1 where no bar lies in what is seen.
    """
    height, width = pixels.shape
    side = int(np.ceil(np.hypot(height, width)))
    middle, turned_middle = (np.array([height, width]) - 1) / 2, (np.array([side, side]) - 1) / 2
    length = round(length_mm / spacing_mm) | 1
    third = length // 3
    shown = np.where(seen, pixels, 0.0).astype(np.float32)
    best = np.full(pixels.shape, -1.0, dtype=np.float32)
    for angle in np.deg2rad(list(angles_deg)):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        from_turned = middle - turn @ turned_middle
        turned = _moved(shown, turn, from_turned, (side, side), order=1)
        whole = _moved(seen.astype(np.float32), turn, from_turned, (side, side), order=1) > 0.99
        whole = np.asarray(ndimage.minimum_filter1d(whole, length, axis=0), dtype=np.bool_)
        mean = ndimage.uniform_filter1d(turned, third, axis=0)
        of_bar = np.full((side, side), -1.0, dtype=np.float32)
        for bar_mm in widths_mm:
            apart = round((bar_mm / 2 + gap_mm) / spacing_mm)
            left, right = np.roll(mean, apart, axis=1), np.roll(mean, -apart, axis=1)
            contrast = mean - np.maximum(left, right)
            contrast = np.minimum(contrast, np.minimum(np.roll(contrast, third, 0), np.roll(contrast, -third, 0)))
            inside = whole & np.roll(whole, apart, axis=1) & np.roll(whole, -apart, axis=1)
            np.maximum(of_bar, np.where(inside, contrast, -1.0), out=of_bar)
        back = _moved(of_bar, turn.T, turned_middle - turn.T @ middle, (height, width), order=0, outside=-1.0)
        np.maximum(best, back, out=best)
    return best.astype(np.float64)


def _moved(
    picture: NDArray[np.float32],
    old_from_new: Float,
    offset: Float,
    shape: tuple[int, int],
    order: int,
    outside: float = 0.0,
) -> NDArray[np.float32]:
    """``shape``: the picture at old_from_new (2, 2) @ (row, column) + offset."""
    whole = np.eye(3)
    whole[:2, :2], whole[:2, 2] = old_from_new, offset
    moved = ndimage.affine_transform(picture, whole, output_shape=shape, order=order, cval=outside)
    return np.asarray(moved, dtype=np.float32)


def _box_around(mask: Mask, room_px: int) -> tuple[slice, slice]:
    """Rows and columns of what is True, and so many more on each side."""
    ends = []
    for axis in (1, 0):
        there = np.flatnonzero(mask.any(axis=axis))
        ends.append(slice(max(there[0] - room_px, 0), there[-1] + room_px + 1) if len(there) else slice(0, 1))
    return ends[0], ends[1]


def _greatest(contrast: Float, where: Mask) -> float:
    return float(contrast[where].max()) if where.any() else -1.0


def _row_edges(film: Film, canonical_from_bone: Float, bone: TriangleMesh) -> Float:
    """(N, 3) row, least and greatest column of the projected bone on the film, a row of it each; px."""
    points = film.camera.project(apply_transform(canonical_from_bone, bone.vertices))
    rows = np.arange(int(np.ceil(points[:, 1].min())), int(points[:, 1].max()) + 1)
    edges = []
    for row in rows:
        columns = points[np.abs(points[:, 1] - row) < 1.5, 0]
        if len(columns) > 1:
            edges.append((row, columns.min(), columns.max()))
    return np.array(edges, dtype=np.float64).reshape(-1, 3)


def _between(edges: Float, shape: tuple[int, ...], share: float) -> Mask:
    """``shape``: the middle ``share`` of the bone in each of its rows."""
    mask = np.zeros(shape, dtype=np.bool_)
    for row, least, most in edges:
        if 0 <= row < shape[0]:
            middle, half = (least + most) / 2, share * (most - least) / 2
            mask[int(row), max(int(np.ceil(middle - half)), 0) : max(int(middle + half) + 1, 0)] = True
    return mask


def _beside(edges: Iterable[Float], around: Float, around_from_film: Float) -> Mask:
    """Outward of both bones by _MARGIN_MM, in the rows where both are known: bones go on below a mesh. Only where it is
    brighter towards the bones than away from them: a cast has an arm within; a letter, the line of a collimator, air.
    """
    shape, apart = around.shape, round(_ACROSS_A_WALL_MM / _AROUND_SPACING_MM)
    level = np.asarray(ndimage.uniform_filter(around, 5), dtype=np.float64)
    rises = np.roll(level, -apart, axis=1) - np.roll(level, apart, axis=1)
    mask = np.zeros(shape, dtype=np.bool_)
    scale, margin = around_from_film[0, 0], _MARGIN_MM / _AROUND_SPACING_MM
    of_bones = [each * scale + around_from_film[[1, 0, 0], 2] for each in edges]
    for row in range(shape[0]):
        here = [each[np.abs(each[:, 0] - row) < 1] for each in of_bones]
        if all(len(each) for each in here):
            every = np.concatenate(here)
            left = slice(0, max(int(every[:, 1].min() - margin), 0))
            right = slice(max(int(np.ceil(every[:, 2].max() + margin)), 0), None)
            mask[row, left] = rises[row, left] > _ARM_WITHIN
            mask[row, right] = -rises[row, right] > _ARM_WITHIN
    return mask


def _around(film: Film, radiograph: Radiograph) -> tuple[Float, Mask, Float]:
    """A square around the wrist: its grey values on the scale of the film, where it is exposed, and the (3, 3) affine
    map to it from the film's px."""
    scale = FILM_SPACING_MM / _AROUND_SPACING_MM
    around_from_film = np.diag([scale, scale, 1.0])
    around_from_film[:2, 2] = np.array(_AROUND_ORIGIN_MM) / _AROUND_SPACING_MM
    around_from_film[:2, 2] -= scale * np.array(FILM_ORIGIN_PX[film.view])
    side = int(_AROUND_MM / _AROUND_SPACING_MM)
    whole = np.asarray(radiograph.pixels, dtype=np.float64)

    def cut(image_from_cut: Float, shape: tuple[int, int]) -> tuple[Float, Mask]:
        pixels, recorded = sample(smoothed_for(whole, image_from_cut), image_from_cut, shape)
        return np.asarray(pixels, dtype=np.float64), recorded

    rows, columns = film.pixels.shape
    image_from_around = np.asarray(np.linalg.inv(around_from_film @ film.film_from_image), dtype=np.float64)
    of_film, in_film = cut(np.asarray(np.linalg.inv(film.film_from_image), dtype=np.float64), (rows, columns))
    pixels, recorded = cut(image_from_around, (side, side))
    if not in_film.any():
        return np.zeros((side, side)), np.zeros((side, side), dtype=np.bool_), around_from_film
    low, high = np.percentile(of_film[in_film], [1.0, 99.5])
    scaled = np.clip((pixels - low) / max(high - low, 1e-6), -0.5, 1.5)
    step = max(max(whole.shape) // _LONG_SIDE_PX, 1)
    behind, _ = sample(_blades(whole[::step, ::step]).astype(np.float64), image_from_around / step, (side, side))
    margin = round(_MARGIN_MM / _AROUND_SPACING_MM)
    hidden = np.asarray(ndimage.binary_dilation((behind > 0.3) | ~recorded, iterations=margin), dtype=np.bool_)
    return scaled, ~hidden, around_from_film


def _blades(pixels: Float) -> Mask:
    """(H, W) True where a surround hides the picture. Black air around an arm is as dark as a blade; but the field
    that blades leave open is a rectangle, and an arm is none."""
    values = np.asarray(pixels, dtype=np.float32)
    bright = burnt_in_surround(values, dark_fraction=-1.0)
    dark = burnt_in_surround(values, bright_fraction=-1.0)
    lit = np.asarray(ndimage.binary_opening(~dark, iterations=2), dtype=np.bool_)
    return bright | dark if dark.any() and _fill_of_rectangle(lit) >= _RECTANGLE else bright


def _fill_of_rectangle(mask: Mask) -> float:
    """The part of the smallest rectangle around a mask, at any angle, that the mask fills once its holes are filled."""
    rows, columns = np.nonzero(mask)
    if len(rows) == 0:
        return 1.0
    angles = np.deg2rad(np.arange(0, 90, 2.0))[:, None]
    along, across = np.cos(angles) * columns + np.sin(angles) * rows, np.cos(angles) * rows - np.sin(angles) * columns
    areas = (np.ptp(along, axis=1) + 1) * (np.ptp(across, axis=1) + 1)
    return float(np.asarray(ndimage.binary_fill_holes(mask)).sum() / areas.min())
