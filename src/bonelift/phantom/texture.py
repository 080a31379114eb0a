"""Smooth random fields on periodic tiles: made once per patient, looked up anywhere."""

from __future__ import annotations

import numba
import numpy as np
import scipy.fft
from numpy.typing import NDArray

Field = NDArray[np.float32]


def periodic_noise(rng: np.random.Generator, shape: tuple[int, ...], sigma_px: tuple[float, ...]) -> Field:
    """Gaussian noise of mean 0 and SD 1 that repeats without a seam.

    shape: of the tile, one entry per axis; sigma_px: Gaussian smoothing along each axis, in samples of the tile.
    """
    spectrum = np.asarray(scipy.fft.rfftn(rng.standard_normal(shape, dtype=np.float32)))
    for axis, (size, sigma) in enumerate(zip(shape, sigma_px, strict=True)):
        last = axis == len(shape) - 1
        frequency = scipy.fft.rfftfreq(size) if last else scipy.fft.fftfreq(size)
        gain = np.exp(-2.0 * (np.pi * sigma * frequency) ** 2).astype(np.float32)
        spectrum *= gain.reshape([-1 if a == axis else 1 for a in range(len(shape))])
    spectrum.flat[0] = 0.0
    noise = np.asarray(scipy.fft.irfftn(spectrum, s=shape))
    return np.ascontiguousarray(noise / noise.std(), dtype=np.float32)


@numba.njit(cache=True, inline="always")
def lookup(tile, x, y, z):  # pragma: no cover - compiled
    """Trilinear value of a periodic (I, J, K) tile at the tile coordinates (x, y, z)."""
    x0, y0, z0 = int(np.floor(x)), int(np.floor(y)), int(np.floor(z))
    fx, fy, fz = x - x0, y - y0, z - z0
    i0, j0, k0 = x0 % tile.shape[0], y0 % tile.shape[1], z0 % tile.shape[2]
    i1, j1, k1 = (x0 + 1) % tile.shape[0], (y0 + 1) % tile.shape[1], (z0 + 1) % tile.shape[2]
    low = (tile[i0, j0, k0] * (1 - fy) + tile[i0, j1, k0] * fy) * (1 - fx) + (
        tile[i1, j0, k0] * (1 - fy) + tile[i1, j1, k0] * fy
    ) * fx
    high = (tile[i0, j0, k1] * (1 - fy) + tile[i0, j1, k1] * fy) * (1 - fx) + (
        tile[i1, j0, k1] * (1 - fy) + tile[i1, j1, k1] * fy
    ) * fx
    return low * (1 - fz) + high * fz
