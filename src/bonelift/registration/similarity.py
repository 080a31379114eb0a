"""How well a projection matches an image: correlation of intensities, of gradients, and of gradients patch by patch.

All three lie in [-1, 1], ignore gain and offset of either image, and take a weight for each pixel (a mask, a region
of interest). Images are (..., rows, columns); several moving images are scored at once.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonelift.errors import InputError

Float = NDArray[np.float64]
Similarity = Literal[
    "gradient_correlation",
    "local_gradient_correlation",
    "multiscale_gradient_correlation",
    "patch_gradient_correlation",
    "intensity_correlation",
]

_FLAT = 1e-12


def smooth(images: Float, sigma_px: float) -> Float:
    """Gaussian over rows and columns; 0 leaves the images as they are."""
    if sigma_px <= 0:
        return images
    sigmas = [0.0] * (images.ndim - 2) + [sigma_px, sigma_px]
    return ndimage.gaussian_filter(images, sigmas, mode="nearest", truncate=3.0)


def gradients(images: Float) -> Float:
    """(..., 2, rows, columns): central differences along columns (x) and rows (y), per px; 0 on the image border."""
    result = np.zeros((*images.shape[:-2], 2, *images.shape[-2:]), dtype=images.dtype)
    result[..., 0, :, 1:-1] = (images[..., :, 2:] - images[..., :, :-2]) / 2
    result[..., 1, 1:-1, :] = (images[..., 2:, :] - images[..., :-2, :]) / 2
    return result


def standardise(images: Float, weights: Float) -> Float:
    """Weighted mean removed, then unit length under the weights; a flat image becomes 0.

    The products of two such images sum to their weighted correlation coefficient. The result already carries the
    square root of the weights.
    """
    total = weights.sum()
    mean = (images * weights).sum(axis=(-2, -1), keepdims=True) / total
    centred = (images - mean) * np.sqrt(weights)
    length = np.sqrt((centred**2).sum(axis=(-2, -1), keepdims=True))
    return np.where(length > _FLAT, centred / np.maximum(length, _FLAT), 0.0)


def intensity_correlation(fixed: Float, moving: Float, weights: Float | None = None) -> Float:
    """(...,): normalised cross correlation of the pixels of ``fixed`` (H, W) and each of ``moving`` (..., H, W)."""
    weights = _checked_weights(fixed, moving, weights)
    return (standardise(fixed, weights) * standardise(moving, weights)).sum(axis=(-2, -1))


def gradient_correlation(fixed: Float, moving: Float, weights: Float | None = None) -> Float:
    """(...,): mean of the correlations of the two gradient components.

    Soft tissue that varies slowly hardly changes it. Source: Penney et al. 1998, IEEE Trans Med Imaging 17(4):586-595,
    doi:10.1109/42.730403; as used for bones in radiographs by Otake et al. 2012, doi:10.1109/TMI.2011.2176555.
    """
    weights = _checked_weights(fixed, moving, weights)
    products = standardise(gradients(fixed), weights) * standardise(gradients(moving), weights)
    return products.sum(axis=(-3, -2, -1)) / 2


def patch_gradient_correlation(
    fixed: Float, moving: Float, weights: Float | None = None, patch_px: float = 6.0
) -> Float:
    """(...,): gradient correlation inside a sliding Gaussian patch, averaged over the image.

    patch_px: standard deviation of the patch. A patch counts by the gradient energy of ``fixed`` and ``moving`` in it,
    so that each edge counts for its place and not for its contrast: strong edges that only one image has (soft
    tissue, carpals, a ring) cost their own patches and no others.
    """
    weights = _checked_weights(fixed, moving, weights)

    def local(images: Float) -> Float:
        return smooth(images * weights, patch_px)

    gradient_fixed, gradient_moving = gradients(fixed), gradients(moving)
    shared = local((gradient_fixed * gradient_moving).sum(axis=-3))
    energy_fixed = local((gradient_fixed**2).sum(axis=-3))
    energy_moving = local((gradient_moving**2).sum(axis=-3))
    norm = np.sqrt(np.maximum(energy_fixed * energy_moving, 0))
    correlation = np.where(norm > _FLAT, shared / np.maximum(norm, _FLAT), 0.0)
    importance = np.sqrt(energy_fixed / max(float(energy_fixed.max()), _FLAT)) + np.sqrt(
        energy_moving / np.maximum(energy_moving.max(axis=(-2, -1), keepdims=True), _FLAT)
    )
    importance = importance * (weights > 0)
    return (correlation * importance).sum(axis=(-2, -1)) / np.maximum(importance.sum(axis=(-2, -1)), _FLAT)


def _checked_weights(fixed: Float, moving: Float, weights: Float | None) -> Float:
    if fixed.ndim != 2 or moving.shape[-2:] != fixed.shape:
        raise InputError(f"similarity: images of {fixed.shape} and {moving.shape} px; expected the same rows, columns")
    if weights is None:
        return np.ones(fixed.shape)
    if weights.shape != fixed.shape or not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        raise InputError(f"similarity: mask of {weights.shape} px is empty or no match for an image of {fixed.shape}")
    return weights
