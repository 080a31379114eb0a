"""Compiled loop of :mod:`bonelift.drr.joseph`: line integrals, on request with their pose derivatives.

Compiled on first use, then read from numba's cache. Values alone and values with derivatives are one function: a
second one that shares all but its inner loop would cost its users seconds of compilation.

An image is cut into tiles of 8 x 8 rays, the volume into chunks of 4 slices across the marching axis. For each tile
and chunk the corner rays bound what the tile can touch: nothing occupied is skipped; what lies wholly inside the grid
runs in a loop without branches, in fixed point, that the compiler turns into vector instructions; the rest is checked
voxel by voxel. Positions are voxel indices, ordered (across, across, along the march).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

FAST = {"contract", "reassoc", "nsz", "arcp"}
"""Fast arithmetic that keeps NaN and infinity meaningful."""

PART: dict[str, Any] = {"nogil": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
"""For a function that only compiled ones call: neither kept in the cache by itself nor given a way in from Python,
which a third of the compilation would go into."""

TILE = 8
"""Side of a tile, pixels."""
RAYS = TILE * TILE
BLOCK = 4
"""Side of an occupancy block, voxels, and slices in a chunk."""
BLOCK_BITS = 2

FRACTION_BITS = 20
"""Of a 32 bit fixed-point position: 2**-20 voxel fine, up to MAX_VOXELS."""
MAX_VOXELS = 2**11 - 2
ONE = 2.0**FRACTION_BITS
UNIT = np.float32(1 / ONE)
FRACTION_MASK = np.int32(2**FRACTION_BITS - 1)
SHIFT = np.int32(FRACTION_BITS)

SKIP, CHECKED, CLEAR = 0, 1, 2

# Columns of the ray table of a tile.
START0, SLOPE0, START1, SLOPE1, STEP_MM, SIGN, ALONG = range(7)

# Rows of the sums of a tile: values, their slopes across the march, and these times the slice number.
VALUE, ACROSS0, ACROSS1, MOMENT0, MOMENT1 = range(5)


@njit(**PART)
def _trace_tile(axis, source, directions, camera, window, share, row0, column0, rays, slopes):
    """Fill the ray table (7, RAYS) and fixed-point slopes (2, RAYS) of one tile.

    STEP_MM is the weight of a sample, ``share`` of the way from slice to slice; 0 for rays of another fan and beyond
    the window. Returns the common sign of the march (+1 or -1), or 0
    where the corners do not bound the tile (rays almost across the marching axis).
    """
    low, high = math.inf, -math.inf
    for index in range(RAYS):
        row, column = row0 + index // TILE, column0 + index % TILE
        outside = row >= window[1] or column >= window[3]
        row, column = min(row, window[1] - 1), min(column, window[3] - 1)
        d0 = directions[0, 0] * column + directions[0, 1] * row + directions[0, 2]
        d1 = directions[1, 0] * column + directions[1, 1] * row + directions[1, 2]
        d2 = directions[2, 0] * column + directions[2, 1] * row + directions[2, 2]
        x = camera[0, 0] * column + camera[0, 1] * row + camera[0, 2]
        y = camera[1, 0] * column + camera[1, 1] * row + camera[1, 2]
        z = camera[2, 0] * column + camera[2, 1] * row + camera[2, 2]
        a0, a1, a2 = abs(d0), abs(d1), abs(d2)
        if axis == 0:
            ours = a2 >= a0 and a2 >= a1
        elif axis == 1:
            ours = a2 > a0 and a2 >= a1
        else:
            ours = a2 > a0 and a2 > a1
        if 2 * a2 <= max(a0, a1):
            low, high = -1.0, 1.0
            rays[STEP_MM, index] = 0.0
            continue
        sign = 1.0 if (d2 > 0) == (z > 0) else -1.0
        low, high = min(low, sign), max(high, sign)
        slope0, slope1 = d0 / d2, d1 / d2
        rays[START0, index] = source[0] - slope0 * source[2]
        rays[START1, index] = source[1] - slope1 * source[2]
        rays[SLOPE0, index] = slope0
        rays[SLOPE1, index] = slope1
        rays[STEP_MM, index] = share * math.sqrt(x * x + y * y + z * z) / a2 if ours and not outside else 0.0
        rays[SIGN, index] = sign
        rays[ALONG, index] = d2 if z > 0 else -d2
        slopes[0, index] = np.int32(math.floor(slope0 * ONE + 0.5))
        slopes[1, index] = np.int32(math.floor(slope1 * ONE + 0.5))
    return low if low == high else 0.0


@njit(**PART)
def _classify(rays, first, last, sizes, summed, chunk):
    """SKIP, CHECKED or CLEAR for slices ``first`` to ``last`` of a tile whose corners bound it."""
    low0 = low1 = math.inf
    high0 = high1 = -math.inf
    for corner in (0, TILE - 1, RAYS - TILE, RAYS - 1):
        for n in (first, last):
            at0 = rays[START0, corner] + rays[SLOPE0, corner] * n
            at1 = rays[START1, corner] + rays[SLOPE1, corner] * n
            low0, high0 = min(low0, at0), max(high0, at0)
            low1, high1 = min(low1, at1), max(high1, at1)
    margin = 1e-4
    if high0 <= -1 or low0 >= sizes[0] or high1 <= -1 or low1 >= sizes[1]:
        return SKIP
    first0 = max(math.floor(low0 - margin), 0) >> BLOCK_BITS
    first1 = max(math.floor(low1 - margin), 0) >> BLOCK_BITS
    last0 = (min(math.floor(high0 + margin) + 1, sizes[0] - 1) >> BLOCK_BITS) + 1
    last1 = (min(math.floor(high1 + margin) + 1, sizes[1] - 1) >> BLOCK_BITS) + 1
    occupied = (
        summed[chunk, last0, last1]
        - summed[chunk, first0, last1]
        - summed[chunk, last0, first1]
        + summed[chunk, first0, first1]
    )
    if occupied == 0:
        return SKIP
    inside0 = low0 >= margin and high0 <= sizes[0] - 1 - margin
    inside1 = low1 >= margin and high1 <= sizes[1] - 1 - margin
    return CLEAR if inside0 and inside1 else CHECKED


@njit(**PART)
def _slices(sign, source_along, chunk, depth):
    """First and one-past-last slice of a chunk that lie in front of the source."""
    first, last = chunk * BLOCK, min(chunk * BLOCK + BLOCK, depth)
    if sign > 0:
        first = max(first, math.floor(min(max(source_along, -1.0), depth * 1.0)) + 1)
    elif sign < 0:
        last = min(last, math.ceil(min(max(source_along, -1.0), depth * 1.0)))
    return first, last


@njit(**PART)
def _chunk(rays, sign, source_along, chunk, sizes, summed):
    """First and one-past-last slice of a chunk that a tile has to march through, and how: SKIP, CHECKED or CLEAR."""
    first, last = _slices(sign, source_along, chunk, sizes[2])
    if first >= last:
        return first, last, SKIP
    return first, last, CHECKED if sign == 0 else _classify(rays, first, last - 1, sizes, summed, chunk)


@njit(**PART, inline="always")
def _locate(start, slope, slope_fixed, chunk_first, n, size):
    """Lower voxel (-2 where the ray is outside) and fraction of one ray in slice n; the same as in the fast loop."""
    at_chunk = start + slope * chunk_first
    if not -BLOCK * 4.0 < at_chunk < size + BLOCK * 4.0:
        return -2, np.float32(0)
    fixed = np.int64(at_chunk * ONE) + np.int64(slope_fixed) * (n - chunk_first)
    return fixed >> FRACTION_BITS, np.float32(fixed & ((1 << FRACTION_BITS) - 1)) * UNIT


@njit(**PART)
def _corner(flat, base, strides, sizes, lower0, lower1):
    """Voxel (lower0, lower1) of a slice, 0 outside the grid."""
    if lower0 < 0 or lower1 < 0 or lower0 >= sizes[0] or lower1 >= sizes[1]:
        return np.float32(0)
    return flat[base + lower0 * strides[0] + lower1 * strides[1]]


@njit(cache=True, nogil=True, fastmath=FAST)
def march(
    flat, offset, channel_stride, strides, sizes, summed, axis, source, directions, camera, window, share,
    part, parts, voxel_from_camera, image, gradient, weights, total,
):  # fmt: skip
    """Line integrals of one fan, and their derivatives with respect to a twist of the volume in the camera frame.

    image: (C, rows, columns), added to. gradient: (C, rows, columns, 6), added to, or of length 0 to skip.
    weights: (C, rows, columns), or of length 0 to skip; total: (6,), the sum of weights * derivative is added to it.
    Other arguments: see ``RayFan``.
    """
    channels = image.shape[0]
    sum_rows = 5 if gradient.shape[0] > 0 or weights.shape[0] > 0 else 1
    rays, sums = np.empty((7, RAYS)), np.empty((channels, sum_rows, RAYS))
    slopes, fixed = np.empty((2, RAYS), dtype=np.int32), np.empty((2, RAYS), dtype=np.int32)
    partial = np.empty((5, RAYS), dtype=np.float32)
    slope0, slope1, fixed0, fixed1 = slopes[0], slopes[1], fixed[0], fixed[1]
    values, across0, across1 = partial[VALUE], partial[ACROSS0], partial[ACROSS1]
    moment0, moment1 = partial[MOMENT0], partial[MOMENT1]
    stride0, stride1 = np.int32(strides[0]), np.int32(strides[1])
    both = np.int32(strides[0] + strides[1])
    for row0 in range(window[0] + part * TILE, window[1], parts * TILE):
        for column0 in range(window[2], window[3], TILE):
            sign = _trace_tile(axis, source, directions, camera, window, share, row0, column0, rays, slopes)
            sums[:] = 0
            for chunk in range(summed.shape[0]):
                first, last, state = _chunk(rays, sign, source[2], chunk, sizes, summed)
                if state == SKIP:
                    continue
                begin = chunk * BLOCK
                if state == CLEAR:
                    for p in range(RAYS):
                        fixed0[p] = np.int32((rays[START0, p] + rays[SLOPE0, p] * begin) * ONE)
                        fixed1[p] = np.int32((rays[START1, p] + rays[SLOPE1, p] * begin) * ONE)
                for c in range(channels):
                    base = offset + c * channel_stride
                    if state == CHECKED:
                        _add_checked(flat, base, strides, sizes, rays, slopes, source[2], begin, first, last, sums[c])
                        continue
                    partial[:sum_rows] = 0
                    for n in range(first, last):
                        slab = flat[base + n * strides[2] :]
                        steps = np.int32(n - begin)
                        height = np.float32(n - begin)
                        if sum_rows == 1:
                            for p in range(RAYS):
                                y = np.int32(fixed0[p] + slope0[p] * steps)
                                z = np.int32(fixed1[p] + slope1[p] * steps)
                                fy = np.float32(np.int32(y & FRACTION_MASK)) * UNIT
                                fz = np.float32(np.int32(z & FRACTION_MASK)) * UNIT
                                at = np.int32(np.int32(y >> SHIFT) * stride0 + np.int32(z >> SHIFT) * stride1)
                                v00, v01 = slab[np.uint32(at)], slab[np.uint32(np.int32(at + stride1))]
                                v10 = slab[np.uint32(np.int32(at + stride0))]
                                v11 = slab[np.uint32(np.int32(at + both))]
                                near, far = v00 + fz * (v01 - v00), v10 + fz * (v11 - v10)
                                values[p] += near + fy * (far - near)
                            continue
                        for p in range(RAYS):
                            y = np.int32(fixed0[p] + slope0[p] * steps)
                            z = np.int32(fixed1[p] + slope1[p] * steps)
                            fy = np.float32(np.int32(y & FRACTION_MASK)) * UNIT
                            fz = np.float32(np.int32(z & FRACTION_MASK)) * UNIT
                            at = np.int32(np.int32(y >> SHIFT) * stride0 + np.int32(z >> SHIFT) * stride1)
                            v00, v01 = slab[np.uint32(at)], slab[np.uint32(np.int32(at + stride1))]
                            v10 = slab[np.uint32(np.int32(at + stride0))]
                            v11 = slab[np.uint32(np.int32(at + both))]
                            rise_near, rise_far = v01 - v00, v11 - v10
                            near = v00 + fz * rise_near
                            rise0 = v10 + fz * rise_far - near
                            rise1 = rise_near + fy * (rise_far - rise_near)
                            values[p] += near + fy * rise0
                            across0[p] += rise0
                            across1[p] += rise1
                            moment0[p] += height * rise0
                            moment1[p] += height * rise1
                    for p in range(RAYS):
                        sums[c, VALUE, p] += values[p]
                        if sum_rows > 1:
                            sums[c, ACROSS0, p] += across0[p]
                            sums[c, ACROSS1, p] += across1[p]
                            sums[c, MOMENT0, p] += moment0[p] + begin * across0[p]
                            sums[c, MOMENT1, p] += moment1[p] + begin * across1[p]
            for p in range(RAYS):
                if rays[STEP_MM, p] > 0:
                    for c in range(channels):
                        image[c, row0 + p // TILE, column0 + p % TILE] += sums[c, VALUE, p] * rays[STEP_MM, p]
            if sum_rows > 1:
                _add_derivatives(rays, sums, source, camera, voxel_from_camera, row0, column0, gradient, weights, total)


@njit(**PART)
def _add_checked(flat, base, strides, sizes, rays, slopes, source_along, begin, first, last, sums):
    """Slices ``first`` to ``last`` of a tile, every voxel checked against the grid."""
    for p in range(RAYS):
        if rays[STEP_MM, p] == 0:
            continue
        for n in range(first, last):
            y, fy = _locate(rays[START0, p], rays[SLOPE0, p], slopes[0, p], begin, n, sizes[0])
            z, fz = _locate(rays[START1, p], rays[SLOPE1, p], slopes[1, p], begin, n, sizes[1])
            if y < -1 or z < -1 or y >= sizes[0] or z >= sizes[1] or (n - source_along) * rays[SIGN, p] <= 0:
                continue
            at = base + n * strides[2]
            v00, v01 = _corner(flat, at, strides, sizes, y, z), _corner(flat, at, strides, sizes, y, z + 1)
            v10, v11 = _corner(flat, at, strides, sizes, y + 1, z), _corner(flat, at, strides, sizes, y + 1, z + 1)
            near = v00 + fz * (v01 - v00)
            rise0 = v10 + fz * (v11 - v10) - near
            rise1 = v01 - v00 + fy * (v11 - v10 - v01 + v00)
            sums[VALUE, p] += near + fy * rise0
            if sums.shape[0] == 1:
                continue
            sums[ACROSS0, p] += rise0
            sums[ACROSS1, p] += rise1
            sums[MOMENT0, p] += n * rise0
            sums[MOMENT1, p] += n * rise1


@njit(**PART)
def _add_derivatives(rays, sums, source, camera, voxel_from_camera, row0, column0, gradient, weights, total):
    """Chain the sums of a tile to the twist: source and direction of a ray move against the volume.

    With V the linear part of voxel_from_camera and r the ray in the camera frame, a twist (w, t) of the volume moves
    the source by -V t and the direction by -V (w x r).
    """
    v = voxel_from_camera
    for p in range(RAYS):
        step_mm = rays[STEP_MM, p]
        if step_mm == 0:
            continue
        row, column = row0 + p // TILE, column0 + p % TILE
        x = camera[0, 0] * column + camera[0, 1] * row + camera[0, 2]
        y = camera[1, 0] * column + camera[1, 1] * row + camera[1, 2]
        z = camera[2, 0] * column + camera[2, 1] * row + camera[2, 2]
        if z < 0:
            x, y, z = -x, -y, -z
        slope0, slope1, along = rays[SLOPE0, p], rays[SLOPE1, p], rays[ALONG, p]
        for c in range(sums.shape[0]):
            s0, s1 = step_mm * sums[c, ACROSS0, p], step_mm * sums[c, ACROSS1, p]
            s2 = -slope0 * s0 - slope1 * s1
            d0 = (step_mm * sums[c, MOMENT0, p] - source[2] * s0) / along
            d1 = (step_mm * sums[c, MOMENT1, p] - source[2] * s1) / along
            d2 = -slope0 * d0 - slope1 * d1 - step_mm * sums[c, VALUE, p] / along
            q0 = v[0, 0] * d0 + v[1, 0] * d1 + v[2, 0] * d2
            q1 = v[0, 1] * d0 + v[1, 1] * d1 + v[2, 1] * d2
            q2 = v[0, 2] * d0 + v[1, 2] * d1 + v[2, 2] * d2
            twist = (
                q1 * z - q2 * y,
                q2 * x - q0 * z,
                q0 * y - q1 * x,
                -(v[0, 0] * s0 + v[1, 0] * s1 + v[2, 0] * s2),
                -(v[0, 1] * s0 + v[1, 1] * s1 + v[2, 1] * s2),
                -(v[0, 2] * s0 + v[1, 2] * s1 + v[2, 2] * s2),
            )
            for a in range(6):
                if gradient.shape[0] > 0:
                    gradient[c, row, column, a] += twist[a]
                if weights.shape[0] > 0:
                    total[a] += weights[c, row, column] * twist[a]
