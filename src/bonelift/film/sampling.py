"""Pictures sampled through a homography: the one way from a radiograph to a film, or to what the locator sees."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Pixels = NDArray[np.floating]


def smoothed_for(pixels: Pixels, image_from_target: Pixels) -> Pixels:
    """(rows, columns) without what a coarser target cannot carry: a Gaussian; the pixels themselves for a finer one.

    image_from_target: (3, 3) affine homography of (column, row) px; only its scale counts.
    """
    shrink = float(np.sqrt(abs(np.linalg.det(image_from_target[:2, :2]))))
    return ndimage.gaussian_filter(pixels, 0.4 * np.sqrt(shrink**2 - 1), mode="nearest") if shrink > 1 else pixels


def sample(pixels: Pixels, image_from_target: Pixels, shape: tuple[int, int]) -> tuple[Pixels, NDArray[np.bool_]]:
    """Bilinear sampling of :func:`smoothed_for` pixels.

    shape: rows, columns of the target.
    Returns the target in the type of ``pixels``, its edge repeated outside of the image, and where it lies inside.
    """
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    u = image_from_target[0, 0] * columns + image_from_target[0, 1] * rows + image_from_target[0, 2]
    v = image_from_target[1, 0] * columns + image_from_target[1, 1] * rows + image_from_target[1, 2]
    height, width = pixels.shape
    inside = (u >= -0.5) & (u <= width - 0.5) & (v >= -0.5) & (v <= height - 0.5)
    return ndimage.map_coordinates(pixels, [v, u], order=1, mode="nearest"), inside
