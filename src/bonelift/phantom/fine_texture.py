"""Trabecular texture finer than the voxels of a virtual body, added to its projected mineral."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonelift.errors import InputError

Image = NDArray[np.floating]


@dataclass(frozen=True)
class FineTexture:
    """Relative ripple of the mineral along neighbouring rays, which cross different struts.

    amplitude: standard deviation as a share of the mineral, 0 to 0.3. length_mm: Gaussian width across the struts, at
    the detector, 0.05 to 2. elongation: the width along the image's columns over that across, 1 to 5.
    """

    amplitude: float
    length_mm: float
    elongation: float

    def __post_init__(self) -> None:
        limits = {"amplitude": (0.0, 0.3), "length_mm": (0.05, 2.0), "elongation": (1.0, 5.0)}
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not (np.isfinite(value) and low <= value <= high):
                raise InputError(f"fine texture: {name} is {value}; expected {low} to {high}")


def with_fine_texture(mineral_g_cm2: Image, texture: FineTexture, spacing_mm: float, rng: np.random.Generator) -> Image:
    """Mineral (H, W) with the texture on it; where there is none, none appears. Pixels wider than the texture average
    over it, so its amplitude falls with length / spacing."""
    if texture.amplitude == 0:
        return mineral_g_cm2
    across = texture.length_mm / spacing_mm
    ripple = ndimage.gaussian_filter(
        rng.standard_normal(mineral_g_cm2.shape, dtype=np.float32), (across * texture.elongation, across), truncate=3.0
    )
    amplitude = texture.amplitude * min(1.0, 2 * across) / max(float(ripple.std()), 1e-6)
    return mineral_g_cm2 * np.clip(1 + np.float32(amplitude) * ripple, 0.2, 1.8)
