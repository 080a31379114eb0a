"""From primary transmission to detector signal: scatter, focal spot, detector blur, quantum and electronic noise.

Signal is linear: 1 is the open field at the centre. Images are (H, W); lengths mm at the detector.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonelift.errors import InputError
from bonelift.phantom.smoothing import blurred, widely_blurred

Image = NDArray[np.floating]

_REFERENCE_THICKNESS_G_CM2 = 5.0
_THICKEST_G_CM2 = 30.0


@dataclass(frozen=True)
class Detector:
    """scatter_to_primary: scatter over primary behind 5 g/cm2 of wide soft tissue, 0 to 2.
    scatter_width_mm: standard deviation of the scatter kernel. focal_spot_mm: side of the square focal spot.
    blur_mm: Gaussian standard deviation of the detector's point spread; its MTF is 0.5 at 0.187 / blur_mm lp/mm.
    quanta_per_mm2: absorbed photons in the open field. electronic_noise: standard deviation per pixel, in units of the
    quantum noise of a pixel that receives 1/100 of the open field.
    """

    scatter_to_primary: float
    scatter_width_mm: float
    focal_spot_mm: float
    blur_mm: float
    quanta_per_mm2: float
    electronic_noise: float

    def __post_init__(self) -> None:
        limits = {
            "scatter_to_primary": (0.0, 2.0),
            "scatter_width_mm": (1.0, 200.0),
            "focal_spot_mm": (0.0, 3.0),
            "blur_mm": (0.0, 2.0),
            "quanta_per_mm2": (1e2, 1e9),
            "electronic_noise": (0.0, 10.0),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not (np.isfinite(value) and low <= value <= high):
                raise InputError(f"X-ray detector: {name} is {value}; expected {low} to {high}")


def scatter(primary: Image, soft_g_cm2: NDArray[np.floating], detector: Detector, spacing_mm: float) -> Image:
    """Scattered signal (H, W): singly scattered photons, source primary x thickness, spread by a wide Gaussian.

    soft_g_cm2: (H, W) everything in the beam. spacing_mm: pixel side at the detector.
    """
    if detector.scatter_to_primary == 0:
        return np.zeros_like(primary)
    source = primary * np.minimum(soft_g_cm2, _THICKEST_G_CM2).astype(np.float32)
    gain = np.float32(detector.scatter_to_primary / _REFERENCE_THICKNESS_G_CM2)
    return gain * widely_blurred(source, detector.scatter_width_mm / spacing_mm)


def geometric_blur_mm(focal_spot_mm: float, magnification: float) -> float:
    """Standard deviation at the detector of the shadow of a square focal spot: side x (M - 1) / sqrt(12)."""
    return focal_spot_mm * max(magnification - 1, 0) / np.sqrt(12)


def read_out(
    incident: Image, detector: Detector, spacing_mm: float, quanta_per_signal: float, rng: np.random.Generator
) -> Image:
    """Detector signal of the incident one: Poisson quanta, blurred by the detector (so the noise is correlated).

    Variance before the blur: incident / (quanta_per_mm2 * spacing_mm^2 * quanta_per_signal); then electronic noise.
    """
    quanta = detector.quanta_per_mm2 * spacing_mm**2 * quanta_per_signal
    counts = rng.poisson(np.maximum(incident, 0) * quanta).astype(np.float32) / np.float32(quanta)
    signal = blurred(counts, detector.blur_mm / spacing_mm)
    electronic = detector.electronic_noise * 0.1 / np.sqrt(quanta)
    return signal + np.float32(electronic) * rng.standard_normal(incident.shape, dtype=np.float32)
