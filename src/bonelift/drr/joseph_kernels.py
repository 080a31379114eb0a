"""Compiled inner loops of :mod:`bonelift.drr.joseph`. Compiled on first use, then read from numba's cache.

Rays are set up in float64 and sampled in float32. Positions are in the padded columns of ``RayVolume``: two axes
across the march, then the marching axis itself.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

FAST = {"contract", "reassoc", "nsz", "arcp"}
"""Fast arithmetic that keeps NaN and infinity meaningful."""

STRIPE = 4
"""Rows of an image that one thread takes at a time."""


@njit(cache=True, nogil=True)
def dominant_axes(direction_from_pixel, window):
    """(3,) bool: the axes along which some ray of the window runs most."""
    found = np.zeros(3, dtype=np.bool_)
    m = direction_from_pixel
    for row in range(window[0], window[1]):
        for column in range(window[2], window[3]):
            d0 = abs(m[0, 0] * column + m[0, 1] * row + m[0, 2])
            d1 = abs(m[1, 0] * column + m[1, 1] * row + m[1, 2])
            d2 = abs(m[2, 0] * column + m[2, 1] * row + m[2, 2])
            if d0 >= d1 and d0 >= d2:
                found[0] = True
            elif d1 >= d2:
                found[1] = True
            else:
                found[2] = True
    return found


@njit(cache=True, nogil=True, inline="always")
def _is_dominant(axis, d0, d1, along):
    """Whether a ray belongs to the fan of ``axis``; ties go to the lower axis, as in :func:`dominant_axes`."""
    if axis == 0:
        return along >= d0 and along >= d1
    if axis == 1:
        return along > d0 and along >= d1
    return along > d0 and along > d1


@njit(cache=True, nogil=True, inline="always")
def _clip(low, high, position, slope, first, last):
    """Narrow the slice range [low, high] to where ``position + slope * n`` lies within [first, last]."""
    if abs(slope) < 1e-9:
        if position < first or position > last:
            return 1.0, 0.0
        return low, high
    entry, leave = (first - position) / slope, (last - position) / slope
    if entry > leave:
        entry, leave = leave, entry
    return max(low, entry), min(high, leave)


@njit(cache=True, nogil=True, inline="always")
def _ray(shape, axis, source, directions, camera, row, column):
    """First and last slice of a ray, its position in slice 0, its slopes and its length (mm) from slice to slice."""
    d0 = directions[0, 0] * column + directions[0, 1] * row + directions[0, 2]
    d1 = directions[1, 0] * column + directions[1, 1] * row + directions[1, 2]
    d2 = directions[2, 0] * column + directions[2, 1] * row + directions[2, 2]
    if not _is_dominant(axis, abs(d0), abs(d1), abs(d2)):
        return 0, -1, 0.0, 0.0, 0.0, 0.0, 0.0
    x = camera[0, 0] * column + camera[0, 1] * row + camera[0, 2]
    y = camera[1, 0] * column + camera[1, 1] * row + camera[1, 2]
    z = camera[2, 0] * column + camera[2, 1] * row + camera[2, 2]
    step_mm = math.sqrt(x * x + y * y + z * z) / abs(d2)
    slope0, slope1 = d0 / d2, d1 / d2
    start0, start1 = source[0] - slope0 * source[2], source[1] - slope1 * source[2]
    low, high = 0.0, shape[2] - 1.0
    if (d2 > 0) == (z > 0):
        low = max(low, source[2])
    else:
        high = min(high, source[2])
    low, high = _clip(low, high, start0, slope0, 1.0, shape[0] - 2.0)
    low, high = _clip(low, high, start1, slope1, 1.0, shape[1] - 2.0)
    if low > high:
        return 0, -1, 0.0, 0.0, 0.0, 0.0, 0.0
    return math.ceil(low), math.floor(high), start0, start1, slope0, slope1, step_mm


@njit(cache=True, nogil=True, fastmath=FAST, boundscheck=False)
def march_forward(voxels, axis, source, directions, camera, window, part, parts, image):
    """Add the line integrals of the rays of one fan to ``image`` (C, rows, columns)."""
    shape = voxels.shape
    depth, channels = shape[2], shape[3]
    next0, next1 = shape[1] * depth * channels, depth * channels
    flat = voxels.ravel()
    for row in range(window[0], window[1]):
        if (row // STRIPE) % parts != part:
            continue
        for column in range(window[2], window[3]):
            first, last, start0, start1, slope0, slope1, step_mm = _ray(
                shape, axis, source, directions, camera, row, column
            )
            position0, position1 = np.float32(start0), np.float32(start1)
            along0, along1 = np.float32(slope0), np.float32(slope1)
            for c in range(channels):
                total = np.float32(0)
                for n in range(first, last + 1):
                    y = position0 + along0 * np.float32(n)
                    z = position1 + along1 * np.float32(n)
                    iy, iz = np.int64(y), np.int64(z)
                    fy, fz = y - np.float32(iy), z - np.float32(iz)
                    at = iy * next0 + iz * next1 + n * channels + c
                    near = flat[at] + fz * (flat[at + next1] - flat[at])
                    far = flat[at + next0] + fz * (flat[at + next0 + next1] - flat[at + next0])
                    total += near + fy * (far - near)
                if last >= first:
                    image[c, row, column] += total * np.float32(step_mm)
