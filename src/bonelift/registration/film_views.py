"""What a registration to a radiograph looks at: the part of it where the bone lies, at several resolutions.

A radiograph shows skin, carpals and side markers beside the bone. A drawn mask of the bone, or the bone's own shadow at
the current pose where none was drawn, says where to look; the ends at which the CT cuts the bone off are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonelift.errors import InputError
from bonelift.geometry import XrayCamera, apply_transform
from bonelift.registration.ct_bone import CutEnd
from bonelift.registration.similarity import smooth
from bonelift.registration.views import FixedView, MovingBone, project_bone

Float = NDArray[np.float64]
Mask = NDArray[np.bool_]

SHADOW = 0.02
"""A line integral above this (dimensionless) is the bone's shadow: a ray through 1 to 2 mm of spongiosa."""
MIN_MASK_PX = 50
_EDGE_PX = 3
"""Pixels of the shrunk image kept around what is compared, for the smoothing."""


@dataclass(frozen=True)
class FilmView:
    """A radiograph to register to.

    image: (rows, columns), finite, dense bone bright, any scale. camera: its world is the one that poses are sought in.
    mask: (rows, columns), where the bone was drawn, or None. pixel_mm: side of a pixel at the bone.
    """

    image: Float
    camera: XrayCamera
    mask: Mask | None
    pixel_mm: float

    def __post_init__(self) -> None:
        if self.image.shape != self.camera.shape_px:
            raise InputError(f"the image has {self.image.shape} (rows, columns), its camera {self.camera.shape_px}")
        if not np.isfinite(self.image).all():
            raise InputError("the image holds NaN or infinite pixels")
        if self.mask is None:
            return
        if self.mask.shape != self.image.shape:
            raise InputError(f"the mask has {self.mask.shape} (rows, columns), the image {self.image.shape}")
        if self.mask.sum() < MIN_MASK_PX:
            raise InputError(f"the mask is empty ({int(self.mask.sum())} px); draw the bone or leave the mask away")


def bone_shadow(bone: MovingBone, camera: XrayCamera, world_from_bone: Float) -> Mask:
    """(rows, columns): where the bone at a pose (4, 4) darkens the image."""
    return project_bone(bone, camera, world_from_bone[None])[0] > SHADOW


def away_from_cuts(
    cuts: Sequence[CutEnd], camera: XrayCamera, world_from_bone: Float, margin_mm: float, ramp_mm: float = 3.0
) -> Float:
    """(rows, columns) weights: 0 up to ``margin_mm`` beyond each cut end of the bone, then rising to 1.

    The cut is a plane across the bone; its image is taken to be straight, which holds for a bone seen from the side.
    """
    rows, columns = np.mgrid[: camera.height_px, : camera.width_px].astype(np.float64)
    weights = np.ones(camera.shape_px)
    for cut in cuts:
        ends = apply_transform(world_from_bone, np.stack([cut.centre_mm, cut.centre_mm + cut.inward]))
        start, step = camera.project(ends)[0], np.diff(camera.project(ends), axis=0)[0]
        px_per_mm = float(np.linalg.norm(step))
        if not np.isfinite(px_per_mm) or px_per_mm < 1e-6:
            continue
        along_mm = ((columns - start[0]) * step[0] + (rows - start[1]) * step[1]) / px_per_mm**2
        weights *= np.clip((along_mm - margin_mm) / ramp_mm, 0, 1)
    return weights


def dilated(mask: Mask, margin_px: float) -> Mask:
    """The mask grown (or, below 0, shrunk) by a distance."""
    if margin_px >= 0:
        return np.asarray(ndimage.distance_transform_edt(~mask)) <= margin_px
    return np.asarray(ndimage.distance_transform_edt(mask)) > -margin_px


def bone_alone(image: Float, mask: Mask, pixel_mm: float, ring_mm: float = 5.0) -> Float:
    """The image with its surroundings taken off: what the drawn bone adds to the soft tissue around it.

    The soft tissue behind the bone is filled in from a ring around the mask; outside the mask the result is 0.
    """
    ring = dilated(mask, ring_mm / pixel_mm) & ~dilated(mask, 0.6 / pixel_mm)
    sigma = ring_mm / pixel_mm
    total, count = smooth(image * ring, sigma), smooth(ring.astype(np.float64), sigma)
    level = np.median(image[ring]) if ring.any() else float(image.min())
    background = (total + 1e-3 * level) / (count + 1e-3)
    return (image - background) * smooth(mask.astype(np.float64), 0.5 / pixel_mm)


def cropped(view: FixedView, window: tuple[slice, slice]) -> FixedView:
    """The view cut to rows and columns."""
    rows, columns = window
    shift = np.array([[1.0, 0, -columns.start], [0, 1, -rows.start], [0, 0, 1]])
    camera = view.camera.viewed_through(shift, columns.stop - columns.start, rows.stop - rows.start)
    weights = None if view.weights is None else view.weights[window]
    return replace(view, image=np.ascontiguousarray(view.image[window]), camera=camera, weights=weights)


def window_of(mask: Mask, margin_px: int, multiple: int) -> tuple[slice, slice]:
    """Rows and columns around what is set in ``mask``, cut to whole blocks of ``multiple`` px."""
    window = []
    for axis, size in ((1, mask.shape[0]), (0, mask.shape[1])):
        hit = np.flatnonzero(mask.any(axis=axis))
        low = max(int(hit[0]) - margin_px, 0) // multiple * multiple
        high = min(int(hit[-1]) + 1 + margin_px, size)
        window.append(slice(low, max(high, low + 2 * multiple)))
    return window[0], window[1]


def cut_to(view: FixedView, near: Mask, factor: int) -> FixedView:
    """The view cut to what is set in ``near``, ready to be shrunk by ``factor``."""
    return cropped(view, window_of(near, _EDGE_PX * factor, factor))
