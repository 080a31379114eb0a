"""Virtual CT of a body: HU at EFFECTIVE_ENERGY_KEV, blur, noise, and labels on the scanner's grid."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numba
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonelift.drr.attenuation import MU_WATER_PER_MM
from bonelift.errors import InputError
from bonelift.geometry import rigid_from_vector
from bonelift.images import RADIUS, ULNA, LabelMap, Volume
from bonelift.phantom.body import Body
from bonelift.phantom.texture import periodic_noise

Float = NDArray[np.float64]

MINERAL_MU_PER_MM = 0.031312
"""Attenuation of hydroxyapatite Ca10(PO4)6(OH)2 of 1 g/cm3 at EFFECTIVE_ENERGY_KEV (xraydb, Elam tables), 1/mm."""
AIR_HU = -1000.0
LOWEST_HU = -1024.0
SHARPENED_SIGMA_MM = 0.7
"""Gaussian of an enhancing kernel: what is finer than it is raised."""
_FWHM_PER_SIGMA = 2.3548


@dataclass(frozen=True)
class ScanSettings:
    """One CT protocol.

    spacing_mm: voxel edges in plane, in plane, between slices. resolution_mm: full width at half maximum of the
    point spread, in plane and along the slices. noise_hu: SD; noise_length_mm: its correlation length (Gaussian
    sigma). tilt_rad: rotation vector (3,) of the scanner's grid against the radius frame.
    scale: HU over those at EFFECTIVE_ENERGY_KEV, 0.5 to 2: tube voltage and calibration; air stays -1000 and water 0.
    sharpness: gain of an edge-enhancing kernel, 0 to 2. largest_hu: where the stored range ends.
    hardening: relative loss of line integrals per unit of them, -0.2 to 0.2; see :func:`hardened`.
    """

    spacing_mm: tuple[float, float, float] = (0.5, 0.5, 0.8)
    resolution_mm: tuple[float, float] = (0.8, 0.9)
    noise_hu: float = 20.0
    noise_length_mm: float = 0.5
    tilt_rad: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: float = 1.0
    sharpness: float = 0.0
    largest_hu: float = 3071.0
    hardening: float = 0.0

    def __post_init__(self) -> None:
        if min(self.spacing_mm) <= 0 or min(self.resolution_mm) < 0 or self.noise_hu < 0 or self.noise_length_mm < 0:
            raise InputError(f"CT scan settings {self}: expected positive spacing, and no negative blur or noise")
        if not (0.5 <= self.scale <= 2 and 0 <= self.sharpness <= 2 and abs(self.hardening) <= 0.2):
            raise InputError(
                f"CT scan settings: scale {self.scale}, sharpness {self.sharpness}, hardening {self.hardening}; "
                "expected 0.5 to 2, 0 to 2 and -0.2 to 0.2"
            )


def draw_scan_settings(rng: np.random.Generator, tilt_deg: float = 0.0) -> ScanSettings:
    """A protocol between a sharp thin-slice wrist scan and a routine one, on the scale of EFFECTIVE_ENERGY_KEV.

    tilt_deg: SD of the scan's tilt per axis.
    """
    in_plane = float(rng.uniform(0.4, 0.625))
    between = float(rng.uniform(0.6, 1.25))
    tilt = np.deg2rad(tilt_deg) * rng.standard_normal(3)
    return ScanSettings(
        (in_plane, in_plane, between),
        (float(rng.uniform(0.6, 1.0)), float(between * rng.uniform(0.8, 1.1))),
        float(rng.uniform(8.0, 40.0)),
        float(rng.uniform(0.35, 0.7)),
        (float(tilt[0]), float(tilt[1]), float(tilt[2])),
    )


def draw_unknown_scanner(rng: np.random.Generator) -> ScanSettings:
    """Any scanner at all: what a network must bear that reads a DRR without knowing the CT behind it.

    scale: 0.7 to 1.4 (log-uniform). Kernel: 0.5 to 1.3 mm in plane, and in one of three enhancing by up to 0.8. One in
    five stores no more than 1500 to 3071 HU. hardening: normal, SD 0.04, at most 0.1.
    """
    usual = draw_scan_settings(rng)
    return replace(
        usual,
        resolution_mm=(float(rng.uniform(0.5, 1.3)), usual.resolution_mm[1]),
        scale=float(np.exp(rng.uniform(np.log(0.7), np.log(1.4)))),
        sharpness=float(rng.uniform(0.0, 0.8)) if rng.random() < 1 / 3 else 0.0,
        largest_hu=float(rng.uniform(1500.0, 3071.0)) if rng.random() < 0.2 else 3071.0,
        hardening=float(np.clip(rng.normal(0.0, 0.04), -0.1, 0.1)),
    )


def hardened(line_integrals: NDArray[np.float32], hardening: float) -> NDArray[np.float32]:
    """Line integrals p as a beam shows them that hardens on its way: p / (1 + hardening p).

    That is p (1 - hardening p) for small ones, and rises with p wherever 0 <= p < 1 / |hardening|."""
    if hardening == 0:
        return line_integrals
    return np.asarray(line_integrals / (1 + np.float32(hardening) * line_integrals), dtype=np.float32)


def hounsfield(mineral_g_cm3: NDArray[np.float32], soft_g_cm3: NDArray[np.float32]) -> NDArray[np.float32]:
    """HU of densities (g/cm3) at EFFECTIVE_ENERGY_KEV; no blur, no noise. Air is -1000."""
    scale = np.float32(1000.0 * MINERAL_MU_PER_MM / MU_WATER_PER_MM)
    return (scale * mineral_g_cm3 + np.float32(1000.0) * (soft_g_cm3 - np.float32(1.0))).astype(np.float32)


def scan(body: Body, rng: np.random.Generator, settings: ScanSettings | None = None) -> tuple[Volume, LabelMap]:
    """CT of the whole body: (volume of float32 HU, labels 1 radius and 2 ulna), both in the radius frame.

    The point spread is applied along the axes of the body's grid, which is right for tilts of a few degrees.
    """
    settings = ScanSettings() if settings is None else settings
    sigma = np.array([settings.resolution_mm[0], settings.resolution_mm[0], settings.resolution_mm[1]])
    # The body's own voxel already blurs with a variance of spacing^2 / 12.
    sigma_mm = np.sqrt(np.maximum((sigma / _FWHM_PER_SIGMA) ** 2 - body.spacing_mm**2 / 12, 0.0))
    hu = hounsfield(body.mineral_g_cm3, body.soft_g_cm3)
    bone = hu > 0
    hu[bone] *= np.float32(settings.scale)
    blurred = ndimage.gaussian_filter(hu, sigma_mm / body.spacing_mm, mode="nearest", truncate=3.0)
    if settings.sharpness:
        softer = ndimage.gaussian_filter(blurred, SHARPENED_SIGMA_MM / body.spacing_mm, mode="nearest", truncate=2.5)
        blurred += np.float32(settings.sharpness) * (blurred - softer)
    world_from_voxel, shape = _scanner_grid(body, settings)
    body_from_scan = np.linalg.inv(body.radius_from_voxel) @ world_from_voxel
    values = np.empty(shape, dtype=np.float32)
    _resample(blurred, body_from_scan, np.float32(AIR_HU), values)
    _add_noise(values, rng, settings)
    np.clip(values, LOWEST_HU, settings.largest_hu, out=values)
    return Volume(values, world_from_voxel), LabelMap(_scanned_labels(body, body_from_scan, shape), world_from_voxel)


def _scanner_grid(body: Body, settings: ScanSettings) -> tuple[Float, tuple[int, int, int]]:
    """A tilted grid around the body's centre, large enough for the untilted body."""
    spacing = np.asarray(settings.spacing_mm)
    extent = body.spacing_mm * (np.array(body.labels.shape) - 1)
    shape = np.floor(extent / spacing).astype(int) + 1
    rotation = rigid_from_vector([*settings.tilt_rad, 0, 0, 0])[:3, :3]
    centre = body.radius_from_voxel[:3, 3] + extent / 2
    world_from_voxel = np.eye(4)
    world_from_voxel[:3, :3] = rotation * spacing
    world_from_voxel[:3, 3] = centre - world_from_voxel[:3, :3] @ ((shape - 1) / 2)
    return world_from_voxel, (int(shape[0]), int(shape[1]), int(shape[2]))


def _add_noise(values_hu: NDArray[np.float32], rng: np.random.Generator, settings: ScanSettings) -> None:
    """Correlated noise, in place: a periodic tile of 96 x 96 x 64 voxels, laid at a random offset."""
    if settings.noise_hu > 0:
        in_plane = settings.noise_length_mm / settings.spacing_mm[0]
        tile = periodic_noise(rng, (96, 96, 64), (in_plane, in_plane, 0.3)) * np.float32(settings.noise_hu)
        start = rng.integers(0, 64, 3)
        rows = [(start[a] + np.arange(values_hu.shape[a])) % tile.shape[a] for a in range(3)]
        plane = tile[:, :, rows[2]][:, rows[1]]
        for i, row in enumerate(rows[0]):
            values_hu[i] += plane[row]


def _scanned_labels(body: Body, body_from_scan: Float, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Radius and ulna where their interpolated share of the body's voxels passes one half."""
    labels = np.zeros(shape, dtype=np.uint8)
    share = np.empty(shape, dtype=np.float32)
    for label in (RADIUS, ULNA):
        _resample((body.labels == label).astype(np.float32), body_from_scan, np.float32(0.0), share)
        labels[share > 0.5] = label
    return labels


@numba.njit(cache=True, fastmath=True)
def _resample(source, source_from_target, outside, target):  # pragma: no cover - compiled
    """Trilinear: target (I, J, K) from source; ``outside`` where a target voxel lies beyond the source's centres."""
    m = source_from_target
    ni, nj, nk = source.shape
    for i in range(target.shape[0]):
        for j in range(target.shape[1]):
            bx = m[0, 0] * i + m[0, 1] * j + m[0, 3]
            by = m[1, 0] * i + m[1, 1] * j + m[1, 3]
            bz = m[2, 0] * i + m[2, 1] * j + m[2, 3]
            for k in range(target.shape[2]):
                x, y, z = bx + m[0, 2] * k, by + m[1, 2] * k, bz + m[2, 2] * k
                if x < 0.0 or y < 0.0 or z < 0.0 or x > ni - 1 or y > nj - 1 or z > nk - 1:
                    target[i, j, k] = outside
                    continue
                i0, j0, k0 = min(int(x), ni - 2), min(int(y), nj - 2), min(int(z), nk - 2)
                fx, fy, fz = x - i0, y - j0, z - k0
                low = (source[i0, j0, k0] * (1 - fz) + source[i0, j0, k0 + 1] * fz) * (1 - fy) + (
                    source[i0, j0 + 1, k0] * (1 - fz) + source[i0, j0 + 1, k0 + 1] * fz
                ) * fy
                high = (source[i0 + 1, j0, k0] * (1 - fz) + source[i0 + 1, j0, k0 + 1] * fz) * (1 - fy) + (
                    source[i0 + 1, j0 + 1, k0] * (1 - fz) + source[i0 + 1, j0 + 1, k0 + 1] * fz
                ) * fy
                target[i, j, k] = low * (1 - fx) + high * fx
