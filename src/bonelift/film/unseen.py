"""What a standard film does not show: beyond the recorded image, and behind the blades of a collimator."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]

_DARK = 0.02
"""Of a film's grey values: as dark as the blade that leaves its 1st percentile black."""
_LEAST_SHARE = 0.01
"""Of the film that a blade hides, or it is none."""
_BAND_PX = 3.0
_STRAIGHT = 0.8
"""The part of the first pixels before a blade that is exposed, as in :mod:`bonelift.images.exposure`."""
_ANGLES = np.deg2rad(np.arange(0, 360, 1.0))


def falls_in(mask: Mask, points_px: NDArray[np.float64]) -> Mask:
    """(N,) whether points (N, 2), (column, row) px, fall where ``mask`` (rows, columns) is True, or beyond it."""
    rows, columns = mask.shape
    at = np.round(points_px).astype(np.int64)
    outside = (at < 0).any(axis=1) | (at[:, 0] >= columns) | (at[:, 1] >= rows)
    return outside | mask[at[:, 1].clip(0, rows - 1), at[:, 0].clip(0, columns - 1)]


def unseen(pixels: NDArray[np.floating], recorded: Mask) -> Mask:
    """FILM_SHAPE: where a film shows nothing.

    pixels, recorded: of a :class:`bonelift.film.standard.Film`. A blade is a side of a straight line on which all is
    black, and before which nearly all is not: the air beside an arm ends at a curve, and burnt-out skin at the curves
    of the bones. Where air is taken for a blade nothing is lost, for no bone is there. A blade across the arm, with air
    beside the arm, is not told.
    """
    hidden = ~recorded
    # A lone bright pixel on a blade is noise.
    lit = np.asarray(ndimage.binary_opening((pixels > _DARK) & recorded), dtype=np.bool_)
    if not lit.any() or (~lit).mean() < _LEAST_SHARE:
        return hidden
    rows, columns = np.indices(pixels.shape)
    for angle in _ANGLES:
        along = np.cos(angle) * columns + np.sin(angle) * rows
        edge = along[lit].max()
        beyond = along > edge + 1
        if beyond.mean() < _LEAST_SHARE:
            continue
        before = (along <= edge) & (along > edge - _BAND_PX) & recorded
        if before.any() and lit[before].mean() >= _STRAIGHT:
            hidden = hidden | beyond
    return hidden
