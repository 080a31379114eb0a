"""Masks as a careful person draws them on a radiograph: the true outline, off by a smooth random distance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

OUTLINE_ERROR_PX = 2.0
"""Standard deviation of the distance between a drawn and the true outline."""
OUTLINE_LENGTH_PX = 20.0
"""Along the outline the error keeps its sign over about this length (Gaussian sigma of the smoothing)."""


def drawn_mask(
    true_mask: NDArray[np.bool_],
    rng: np.random.Generator,
    error_px: float = OUTLINE_ERROR_PX,
    length_px: float = OUTLINE_LENGTH_PX,
) -> NDArray[np.bool_]:
    """The mask (rows, columns) with its outline moved by a smooth random field, normal with SD ``error_px``."""
    inside = np.asarray(ndimage.distance_transform_edt(true_mask))
    outside = np.asarray(ndimage.distance_transform_edt(~true_mask))
    distance_px = np.where(true_mask, 0.5 - inside, outside - 0.5)
    noise = ndimage.gaussian_filter(rng.standard_normal(true_mask.shape), length_px, mode="reflect")
    # White noise of variance 1 under a Gaussian of sigma s has variance 1 / (4 pi s^2).
    field = noise * (2 * np.sqrt(np.pi) * length_px * error_px)
    return distance_px < field
