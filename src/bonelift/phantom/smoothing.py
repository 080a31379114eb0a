"""Gaussian blurs for radiographs: exact where narrow, on a coarser grid where wide."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Image = NDArray[np.floating]


def blurred(image: Image, sigma_px: float) -> Image:
    """Gaussian blur, borders continued; below a tenth of a pixel the image is returned as it is."""
    if sigma_px < 0.1:
        return image
    return np.asarray(ndimage.gaussian_filter(image, sigma_px, mode="nearest", truncate=3.5))


def widely_blurred(image: Image, sigma_px: float) -> Image:
    """Gaussian blur computed on blocks of about sigma / 3 pixels and interpolated back: a smooth image costs little.

    The block mean and the interpolation add about (step^2 - 1) / 4 px^2 of variance, which is taken off the Gaussian's.
    """
    step = int(sigma_px / 3)
    if step < 2:
        return blurred(image, sigma_px)
    sigma_blocks = np.sqrt(sigma_px**2 - (step**2 - 1) / 4) / step
    coarse = blurred(_block_mean(image, step), sigma_blocks)
    rows, columns = ((np.arange(n) - (step - 1) / 2) / step for n in image.shape)
    return _hat_matrix(rows, coarse.shape[0]) @ coarse @ _hat_matrix(columns, coarse.shape[1]).T


def _block_mean(image: Image, step: int) -> Image:
    rows, columns = (-(-n // step) for n in image.shape)
    padded = np.pad(image, ((0, rows * step - image.shape[0]), (0, columns * step - image.shape[1])), mode="edge")
    return padded.reshape(rows, step, columns, step).mean(axis=(1, 3), dtype=np.float32)


def _hat_matrix(positions: NDArray[np.floating], count: int) -> Image:
    """(positions, count) weights of linear interpolation, clamped at both ends."""
    distance = np.abs(np.clip(positions, 0, count - 1)[:, None] - np.arange(count)[None])
    return np.maximum(1 - distance, 0).astype(np.float32)
