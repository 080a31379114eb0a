"""What of an image is compared: gradients, at one or several scales, raw or evened out in strength; and intensities.

A similarity is the mean correlation of such channels. Written as residuals (difference of two standardised channels) it
can be minimised by Gauss-Newton, for which the derivative of each channel by the pose is carried along.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bonelift.registration.similarity import gradients, smooth

Float = NDArray[np.float64]
ResidualSimilarity = Literal[
    "gradient_correlation", "local_gradient_correlation", "multiscale_gradient_correlation", "intensity_correlation"
]

SCALES_PX = (0.0, 1.5, 3.0)
"""Gaussians of the multi-scale variant, on top of the smoothing that all images get."""
NEIGHBOURHOOD_PX = 4.0
"""Gaussian over which the local variant evens out the strength of edges."""
FLOOR = 0.25
"""Edges weaker than this part of the image's overall strength are not raised to full strength: noise stays noise."""


def channels(kind: ResidualSimilarity, images: Float, weights: Float) -> Float:
    """(..., F, rows, columns) of images (..., rows, columns).

    weights: (rows, columns), where they are compared; steers the local variant.
    """
    if kind == "intensity_correlation":
        return images[..., None, :, :]
    if kind == "multiscale_gradient_correlation":
        return np.concatenate([gradients(smooth(images, sigma)) for sigma in SCALES_PX], axis=-3)
    gradient = gradients(images)
    if kind == "local_gradient_correlation":
        return gradient / _strength(gradient, weights)[..., None, :, :]
    return gradient


def channels_with_derivative(
    kind: ResidualSimilarity, image: Float, change: Float, weights: Float
) -> tuple[Float, Float]:
    """(F, rows, columns), and its derivatives (P, F, rows, columns) from those of the image (P, rows, columns)."""
    if kind != "local_gradient_correlation":
        return channels(kind, image, weights), channels(kind, change, weights)  # linear in the image
    gradient, slope = gradients(image), gradients(change)
    strength = _strength(gradient, weights)
    evened = gradient / strength
    # The floor is taken as a constant: it is one factor for all pixels, nearly, and drops out of a correlation.
    energy_change = smooth(2 * (gradient * slope).sum(axis=1), NEIGHBOURHOOD_PX)  # (P, H, W)
    return evened, slope / strength - evened * (energy_change / (2 * strength**2))[:, None]


def _strength(gradient: Float, weights: Float) -> Float:
    """(..., rows, columns): local strength of edges (..., 2, rows, columns), never below FLOOR of the overall."""
    energy = (gradient**2).sum(axis=-3)
    overall = (energy * weights).sum(axis=(-2, -1), keepdims=True) / weights.sum()
    return np.sqrt(smooth(energy, NEIGHBOURHOOD_PX) + FLOOR**2 * overall + 1e-30)
