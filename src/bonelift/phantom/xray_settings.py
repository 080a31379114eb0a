"""The settings of one virtual radiograph, and the ranges from which they are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from bonelift.errors import InputError
from bonelift.phantom.accessories import draw_strokes
from bonelift.phantom.detector import Detector
from bonelift.phantom.field import Aperture, Field, Marker
from bonelift.phantom.fine_texture import FineTexture
from bonelift.phantom.spectrum import Beam
from bonelift.phantom.vendor import Processing

Modality = Literal["film", "fluoroscopy"]
Pair = tuple[float, float]

FLUOROSCOPY_SHARE = 0.15
"""Share of fluoroscopic images where :func:`draw_settings` is free to choose."""


@dataclass(frozen=True)
class XraySettings:
    """Everything about one exposure but the geometry and the body's voxels: tube, field, detector, processing, and the
    bone texture that the voxels are too coarse for."""

    modality: Modality
    beam: Beam
    field: Field
    detector: Detector
    processing: Processing
    fine_texture: FineTexture

    def __post_init__(self) -> None:
        if self.modality not in ("film", "fluoroscopy"):
            raise InputError(f"X-ray settings: modality is {self.modality!r}; expected film or fluoroscopy")


def draw_settings(
    rng: np.random.Generator,
    modality: Modality | None = None,
    photometric: Literal["MONOCHROME1", "MONOCHROME2"] | None = "MONOCHROME2",
    field_half_size: tuple[float, float] = (0.8, 1.5),
    field_centre: tuple[float, float] = (0.0, 0.0),
) -> XraySettings:
    """Settings of one exposure, each parameter from the range written beside it.

    modality: None draws one (FLUOROSCOPY_SHARE). photometric: MONOCHROME2 (default) stores bone bright, as a reader
    returns it; MONOCHROME1 stores it dark; None draws either. field_half_size: range of the collimated field's half
    width and half height, as fractions of the half image. field_centre: where it is aimed at, in the same fractions:
    for a small field within a large image pass ``WristGeometry.origin_fraction``.
    """
    if modality is None:
        modality = "fluoroscopy" if rng.random() < FLUOROSCOPY_SHARE else "film"
    if photometric is None:
        photometric = "MONOCHROME1" if rng.random() < 0.3 else "MONOCHROME2"
    if modality == "film":
        return XraySettings(
            modality,
            _film_beam(rng),
            _film_field(rng, field_half_size, field_centre),
            _film_detector(rng),
            _film_processing(rng, photometric),
            _fine_texture(rng),
        )
    return XraySettings(
        modality,
        _fluoroscopy_beam(rng),
        _fluoroscopy_field(rng, field_half_size, field_centre),
        _fluoroscopy_detector(rng),
        _fluoroscopy_processing(rng, photometric),
        _fine_texture(rng),
    )


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _sometimes(rng: np.random.Generator, chance: float, low: float, high: float) -> float:
    """0, or with probability ``chance`` uniform in [low, high]."""
    return float(rng.uniform(low, high)) if rng.random() < chance else 0.0


def _fine_texture(rng: np.random.Generator) -> FineTexture:
    return FineTexture(
        amplitude=_sometimes(rng, 0.75, 0.0, 0.06),
        length_mm=_log_uniform(rng, 0.15, 0.6),
        elongation=rng.uniform(1.0, 3.0),
    )


def _film_beam(rng: np.random.Generator) -> Beam:
    return Beam(
        kilovoltage=float(rng.integers(45, 61)),
        aluminium_mm=rng.uniform(2.0, 4.0),
        copper_mm=float(rng.choice([0.0, 0.0, 0.1, 0.2])),
        scintillator_mg_cm2=rng.uniform(100, 270),
        adipose_fraction=rng.uniform(0.1, 0.6),
    )


def _fluoroscopy_beam(rng: np.random.Generator) -> Beam:
    return Beam(
        kilovoltage=rng.uniform(50, 75),
        aluminium_mm=rng.uniform(2.5, 5.0),
        copper_mm=float(rng.choice([0.0, 0.1, 0.2])),
        scintillator_mg_cm2=rng.uniform(120, 220),
        adipose_fraction=rng.uniform(0.1, 0.6),
    )


def _marker(rng: np.random.Generator, centre: Pair, half_size: Pair) -> Marker:
    # Near the border: one coordinate far out, the other anywhere.
    far, anywhere = float(rng.choice([-1, 1]) * rng.uniform(0.6, 1.05)), float(rng.uniform(-1, 1))
    x, y = (far, anywhere) if rng.random() < 0.7 else (anywhere, far)
    half_width, half_height = (min(size, 1.0) for size in half_size)
    return Marker(
        letter="R" if rng.random() < 0.5 else "L",
        centre=(centre[0] + half_width * x, centre[1] + half_height * y),
        height_mm=rng.uniform(7, 18),
        angle_rad=rng.normal(0, 0.25) + float(rng.choice([0, 0, 0, np.pi / 2, np.pi])),
        lead_g_cm2=rng.uniform(0.3, 2.0),
        strip_g_cm2=_sometimes(rng, 0.6, 0.1, 0.4),
        mirrored=bool(rng.random() < 0.15),
    )


def _collimation(rng: np.random.Generator, half_sizes: Pair, aim: Pair) -> tuple[Pair, Pair]:
    """Centre, within a tenth (SD) of the field's half size of the aim, and half size, of the collimated field."""
    half_size = (float(rng.uniform(*half_sizes)), float(rng.uniform(*half_sizes)))
    return (aim[0] + rng.normal(0, 0.1) * half_size[0], aim[1] + rng.normal(0, 0.1) * half_size[1]), half_size


def _film_field(rng: np.random.Generator, half_sizes: Pair, aim: Pair) -> Field:
    centre, half_size = _collimation(rng, half_sizes, aim)
    aperture: Aperture = "rectangle" if rng.random() < 0.7 else "open"
    return Field(
        heel=rng.uniform(0, 0.12),
        heel_angle_rad=rng.uniform(-np.pi, np.pi),
        vignetting=rng.uniform(0, 0.08),
        aperture=aperture,
        aperture_centre=centre,
        aperture_half_size=half_size,
        aperture_angle_rad=rng.normal(0, np.deg2rad(4)) if rng.random() < 0.75 else rng.uniform(-0.8, 0.8),
        penumbra_mm=_log_uniform(rng, 0.4, 4.0),
        leaf_transmission=_log_uniform(rng, 0.002, 0.05),
        shutter_mm=rng.uniform(-5, 3) if rng.random() < 0.92 else None,
        marker=_marker(rng, centre, half_size) if rng.random() < 0.5 else None,
        beads=0,
        pads=0,
        slab_g_cm2=_sometimes(rng, 0.1, 0.1, 0.6),
        strokes=draw_strokes(rng),
    )


def _fluoroscopy_field(rng: np.random.Generator, half_sizes: Pair, aim: Pair) -> Field:
    centre, half_size = _collimation(rng, half_sizes, aim)
    aperture: Aperture = "circle" if rng.random() < 0.4 else "open"
    return Field(
        heel=rng.uniform(0, 0.15),
        heel_angle_rad=rng.uniform(-np.pi, np.pi),
        vignetting=rng.uniform(0, 0.3),
        aperture=aperture,
        aperture_centre=centre,
        aperture_half_size=(1.5 * half_size[0], half_size[1]),
        aperture_angle_rad=0.0,
        penumbra_mm=_log_uniform(rng, 0.5, 4.0),
        leaf_transmission=_log_uniform(rng, 0.001, 0.02),
        shutter_mm=rng.uniform(-4, 1) if rng.random() < 0.8 else None,
        marker=None,
        beads=int(rng.integers(0, 16)) if rng.random() < 0.5 else 0,
        pads=int(rng.integers(0, 9)) if rng.random() < 0.5 else 0,
        slab_g_cm2=_sometimes(rng, 0.3, 0.2, 2.0),
    )


def _film_detector(rng: np.random.Generator) -> Detector:
    return Detector(
        scatter_to_primary=rng.uniform(0.05, 0.6),
        scatter_width_mm=rng.uniform(12, 45),
        focal_spot_mm=float(rng.choice([0.6, 1.0, 1.2])),
        blur_mm=_log_uniform(rng, 0.05, 0.3),
        quanta_per_mm2=_log_uniform(rng, 1.2e4, 1e6),
        electronic_noise=rng.uniform(0.0, 1.0),
    )


def _fluoroscopy_detector(rng: np.random.Generator) -> Detector:
    return Detector(
        scatter_to_primary=rng.uniform(0.05, 1.0),
        scatter_width_mm=rng.uniform(15, 60),
        focal_spot_mm=rng.uniform(0.3, 1.2),
        blur_mm=_log_uniform(rng, 0.12, 0.8),
        quanta_per_mm2=_log_uniform(rng, 2e4, 1e6),
        electronic_noise=rng.uniform(0.0, 1.5),
    )


def _film_processing(rng: np.random.Generator, photometric: Literal["MONOCHROME1", "MONOCHROME2"]) -> Processing:
    # Half as a clinic stores it for reading: a black surround, slow contrast taken out, detail raised, edges hard.
    hard = rng.random() < 0.5
    bits = int(rng.choice([8, 8, 8, 10, 12, 16]))
    return Processing(
        scale="log",
        signal_range=(_log_uniform(rng, 0.002, 0.02), rng.uniform(0.45, 1.2)),
        band_gains=(
            _sometimes(rng, 0.75, -0.3, 2.5),
            _sometimes(rng, 0.85, -0.2, 2.5),
            _sometimes(rng, 0.85, 0.0, 2.2 if hard else 1.5),
        ),
        band_power=rng.uniform(0.6, 1.0) if rng.random() < (0.6 if hard else 0.2) else 1.0,
        flatten=_sometimes(rng, 0.8, 0.0, 0.75),
        equalise=_sometimes(rng, 0.5, 0.0, 0.8),
        window_percentiles=(rng.uniform(0, 8), rng.uniform(97, 99.95)),
        window_margin=(rng.uniform(-0.08, 0.05) if hard else rng.uniform(-0.03, 0.4), rng.uniform(-0.05, 0.4)),
        gamma=_log_uniform(rng, 0.6, 1.6),
        sigmoid=_sometimes(rng, 0.6, 0.5, 4.0),
        bits=bits,
        photometric=photometric,
        blank=0.0 if rng.random() < 0.93 else 1.0,
        jpeg_quality=int(rng.integers(60, 96)) if bits == 8 and rng.random() < 0.6 else None,
    )


def _fluoroscopy_processing(rng: np.random.Generator, photometric: Literal["MONOCHROME1", "MONOCHROME2"]) -> Processing:
    return Processing(
        scale="linear" if rng.random() < 0.8 else "log",
        signal_range=(_log_uniform(rng, 0.001, 0.02), rng.uniform(0.5, 1.2)),
        band_gains=(_sometimes(rng, 0.4, -0.4, 1.0), _sometimes(rng, 0.5, 0.0, 1.5), _sometimes(rng, 0.4, 0.0, 1.0)),
        flatten=_sometimes(rng, 0.2, 0.0, 0.4),
        equalise=_sometimes(rng, 0.2, 0.0, 0.5),
        window_percentiles=(rng.uniform(0, 5), rng.uniform(98, 100)),
        window_margin=(rng.uniform(-0.05, 0.1), rng.uniform(-0.02, 0.3)),
        gamma=_log_uniform(rng, 0.5, 1.6),
        sigmoid=_sometimes(rng, 0.4, 0.5, 3.0),
        bits=8 if rng.random() < 0.8 else 12,
        photometric=photometric,
        blank=1.0,
    )
