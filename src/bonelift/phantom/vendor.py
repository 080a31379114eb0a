"""From detector signal to displayed pixels: what a vendor's processing does to a radiograph.

Steps: log (or the linear signal of fluoroscopy), compression of the slow contrast, multi-frequency enhancement, local
contrast equalisation, window, sigmoid look-up table, quantisation, shutter, photometric interpretation.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Literal

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from bonelift.errors import InputError
from bonelift.phantom.smoothing import blurred, widely_blurred

Image = NDArray[np.floating]

BAND_SIGMAS_MM = (0.25, 0.7, 2.0)
"""Gaussians that separate the enhanced bands: finest detail, trabeculae, cortex and bone edges."""
_EQUALISE_SIGMA_MM = 4.0
_FLATTEN_SIGMA_MM = 12.0


@dataclass(frozen=True)
class Processing:
    """scale: "log" shows attenuation, "linear" the signal itself (inverted, so bone is bright either way).
    signal_range: detector signal (fractions of the open field) that is clipped below and above before the scale.
    band_gains: extra gain of the three detail bands, -1 to 5. flatten: share of slow contrast removed, 0 to 0.9.
    equalise: strength of local contrast equalisation, 0 to 1.
    window_percentiles: pixel percentiles of the irradiated field put at the ends of the window.
    window_margin: the window is widened by these fractions of its width below and above.
    gamma: exponent of the look-up table, 0.3 to 3. sigmoid: its steepness, 0 (straight) to 8.
    bits: stored depth, 8 to 16. photometric: MONOCHROME2 shows bone bright, MONOCHROME1 stores it dark.
    blank: displayed fraction in shuttered areas (as seen with bone bright), 0 to 1.
    band_power: exponent of the detail, 0.4 to 1: below 1, faint detail is raised more than strong, as multi-scale
        processing does. jpeg_quality: 1 to 100 for 8 bit pixels that went through a JPEG file, None for those that did
        not.
    """

    scale: Literal["log", "linear"]
    signal_range: tuple[float, float]
    band_gains: tuple[float, float, float]
    flatten: float
    equalise: float
    window_percentiles: tuple[float, float]
    window_margin: tuple[float, float]
    gamma: float
    sigmoid: float
    bits: int
    photometric: Literal["MONOCHROME1", "MONOCHROME2"]
    blank: float
    band_power: float = 1.0
    jpeg_quality: int | None = None

    def __post_init__(self) -> None:
        _require(self.scale in ("log", "linear"), "scale", self.scale, "log or linear")
        _require(
            self.photometric in ("MONOCHROME1", "MONOCHROME2"), "photometric", self.photometric, "MONOCHROME1 or 2"
        )
        low, high = self.signal_range
        _require(0 < low < high, "signal_range", self.signal_range, "0 < low < high")
        low, high = self.window_percentiles
        _require(0 <= low < high <= 100, "window_percentiles", self.window_percentiles, "0 <= low < high <= 100")
        _require(all(-1 <= gain <= 5 for gain in self.band_gains), "band_gains", self.band_gains, "-1 to 5")
        _require(0 <= self.flatten <= 0.9, "flatten", self.flatten, "0 to 0.9")
        _require(0 <= self.equalise <= 1, "equalise", self.equalise, "0 to 1")
        _require(0.3 <= self.gamma <= 3, "gamma", self.gamma, "0.3 to 3")
        _require(0 <= self.sigmoid <= 8, "sigmoid", self.sigmoid, "0 to 8")
        _require(self.bits in range(8, 17), "bits", self.bits, "8 to 16")
        _require(0 <= self.blank <= 1, "blank", self.blank, "0 to 1")
        _require(0.4 <= self.band_power <= 1, "band_power", self.band_power, "0.4 to 1")
        if self.jpeg_quality is not None:
            holds = self.bits == 8 and 1 <= self.jpeg_quality <= 100
            _require(holds, "jpeg_quality", self.jpeg_quality, "1 to 100 with 8 bits, or None")


def _require(holds: bool, name: str, got: object, expected: str) -> None:
    if not holds:
        raise InputError(f"X-ray processing: {name} is {got}; expected {expected}")


def scaled_signal(signal: Image, processing: Processing) -> Image:
    """Detector signal (H, W) -> contrast in which more attenuation is larger: -ln(signal), or minus the signal."""
    low, high = processing.signal_range
    clipped = np.clip(signal, low, high)
    return -np.log(clipped) if processing.scale == "log" else -clipped


def enhanced(contrast: Image, processing: Processing, spacing_mm: float) -> Image:
    """Flatten slow contrast, add gain to the detail bands, equalise local contrast. All-zero settings: unchanged."""
    result = contrast
    if processing.flatten:
        slow = widely_blurred(contrast, _FLATTEN_SIGMA_MM / spacing_mm)
        result = result - np.float32(processing.flatten) * (slow - slow.mean())
    finer = contrast
    for sigma_mm, gain in zip(BAND_SIGMAS_MM, processing.band_gains, strict=True):
        coarser = blurred(contrast, sigma_mm / spacing_mm)
        if gain or processing.band_power < 1:
            detail = finer - coarser
            result = result + np.float32(1 + gain) * _compressed(detail, processing.band_power) - detail
        finer = coarser
    if processing.equalise:
        slow = widely_blurred(result, _EQUALISE_SIGMA_MM / spacing_mm)
        detail = result - slow
        amplitude = np.sqrt(np.maximum(widely_blurred(detail**2, _EQUALISE_SIGMA_MM / spacing_mm), 0))
        reference = max(float(np.median(amplitude)), 1e-6)
        result = slow + detail * (2 * reference / (amplitude + reference)) ** np.float32(processing.equalise)
    return result


def _compressed(detail: Image, power: float) -> Image:
    """Detail d -> a (|d| / a)^power with its sign, where a is twice the root mean square: faint detail grows, detail of
    a stays, strong detail shrinks. Below a / 50 it grows in proportion, so that nothing becomes of nothing."""
    if power == 1:
        return detail
    strong = max(2 * float(np.sqrt(np.mean(detail**2))), 1e-9)
    share = np.maximum(np.abs(detail) / np.float32(strong), np.float32(0.02))
    return detail * share ** np.float32(power - 1)


def look_up(contrast: Image, valid: NDArray[np.bool_], processing: Processing) -> Image:
    """Window by the percentiles of the ``valid`` pixels, then gamma and sigmoid: display fraction in [0, 1]."""
    inside = contrast[valid] if valid.any() else contrast.ravel()
    low, high = np.percentile(inside[:: max(1, inside.size // 20_000)], processing.window_percentiles)
    width = max(float(high - low), 1e-6)
    below, above = processing.window_margin
    fraction = np.clip((contrast - (low - below * width)) / (width * (1 + below + above)), 0, 1)
    fraction = fraction ** np.float32(processing.gamma)
    if processing.sigmoid:
        steep = np.float32(processing.sigmoid)
        ends = np.tanh(steep / 4)
        fraction = (np.tanh(steep * (fraction - np.float32(0.5)) / 2) / ends + 1) / 2
        # tanh(s (x - 1/2) / 2) reaches +-tanh(s / 4) at x = 0 and 1, so the ends stay 0 and 1.
    return fraction


def displayed(signal: Image, blanked: NDArray[np.bool_], processing: Processing, spacing_mm: float) -> Image:
    """Detector signal (H, W), 1 = open field -> stored pixel values, whole numbers 0 .. 2^bits - 1 as float32.

    blanked: (H, W) True where the shutter covers the image. spacing_mm: pixel side at the detector.
    """
    contrast = enhanced(scaled_signal(signal, processing), processing, spacing_mm)
    fraction = np.where(blanked, np.float32(processing.blank), look_up(contrast, ~blanked, processing))
    pixels = np.rint(fraction * (2**processing.bits - 1)).astype(np.float32)
    if processing.jpeg_quality is not None:
        pixels = through_jpeg(pixels, processing.jpeg_quality)
    return 2**processing.bits - 1 - pixels if processing.photometric == "MONOCHROME1" else pixels


def through_jpeg(pixels: Image, quality: int) -> Image:
    """Whole numbers 0 to 255 (H, W), written as a JPEG file of that quality and read again, as float32."""
    file = BytesIO()
    PIL.Image.fromarray(pixels.astype(np.uint8)).save(file, "jpeg", quality=quality)
    return np.asarray(PIL.Image.open(file), dtype=np.float32)
