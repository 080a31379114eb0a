"""Compiled loops of :mod:`bonelift.drr.gradients`: derivatives of the sums of :mod:`bonelift.drr.joseph_kernels`.

Same tiles, chunks and fixed-point positions as the forward march, so that the derivative and the transpose are those
of the very sum that is computed there.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from bonelift.drr.joseph_kernels import (
    BLOCK,
    CHECKED,
    CLEAR,
    FAST,
    FRACTION_MASK,
    ONE,
    RAYS,
    SHIFT,
    SKIP,
    TILE,
    UNIT,
    _classify,
    _corner,
    _locate,
    _slices,
    _trace_tile,
)

from bonelift.drr.joseph_kernels import ALONG, SIGN, SLOPE0, SLOPE1, START0, START1, STEP_MM  # isort: skip

# Rows of the sums of a tile: values, their slopes across the march, and these times the slice number.
VALUE, ACROSS0, ACROSS1, MOMENT0, MOMENT1 = range(5)


@njit(cache=True, nogil=True, fastmath=FAST)
def march_gradient(
    flat, offset, channel_stride, strides, sizes, summed, axis, source, directions, camera, window, share,
    part, parts, voxel_from_camera, image, gradient, weights, total,
):  # fmt: skip
    """Line integrals of one fan and their derivatives with respect to a twist of the volume in the camera frame.

    image: (C, rows, columns), added to. gradient: (C, rows, columns, 6), added to, or of length 0 to skip.
    weights: (C, rows, columns), or of length 0 to skip; total: (6,), the sum of weights * derivative is added to it.
    """
    rays, slopes = np.empty((7, RAYS)), np.zeros((2, RAYS), dtype=np.int32)
    fixed0, fixed1 = np.empty(RAYS, dtype=np.int32), np.empty(RAYS, dtype=np.int32)
    slope0, slope1 = np.empty(RAYS, dtype=np.int32), np.empty(RAYS, dtype=np.int32)
    values, across0, across1 = np.empty(RAYS, np.float32), np.empty(RAYS, np.float32), np.empty(RAYS, np.float32)
    moment0, moment1 = np.empty(RAYS, np.float32), np.empty(RAYS, np.float32)
    sums = np.empty((image.shape[0], 5, RAYS))
    stride0, stride1 = np.int32(strides[0]), np.int32(strides[1])
    both = np.int32(strides[0] + strides[1])
    for row0 in range(window[0] + part * TILE, window[1], parts * TILE):
        for column0 in range(window[2], window[3], TILE):
            sign = _trace_tile(axis, source, directions, camera, window, share, row0, column0, rays, slopes)
            slope0[:], slope1[:], sums[:] = slopes[0], slopes[1], 0
            for chunk in range(summed.shape[0]):
                first, last = _slices(sign, source[2], chunk, sizes[2])
                if first >= last:
                    continue
                state = CHECKED if sign == 0 else _classify(rays, first, last - 1, sizes, summed, chunk)
                if state == SKIP:
                    continue
                begin = chunk * BLOCK
                if state == CLEAR:
                    for p in range(RAYS):
                        fixed0[p] = np.int32((rays[START0, p] + rays[SLOPE0, p] * begin) * ONE)
                        fixed1[p] = np.int32((rays[START1, p] + rays[SLOPE1, p] * begin) * ONE)
                for c in range(image.shape[0]):
                    base = offset + c * channel_stride
                    if state == CHECKED:
                        _add_checked(flat, base, strides, sizes, rays, slopes, source[2], begin, first, last, sums[c])
                        continue
                    values[:], across0[:], across1[:], moment0[:], moment1[:] = 0, 0, 0, 0, 0
                    for n in range(first, last):
                        slab = flat[base + n * strides[2] :]
                        steps = np.int32(n - begin)
                        height = np.float32(n - begin)
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
                        sums[c, ACROSS0, p] += across0[p]
                        sums[c, ACROSS1, p] += across1[p]
                        sums[c, MOMENT0, p] += moment0[p] + begin * across0[p]
                        sums[c, MOMENT1, p] += moment1[p] + begin * across1[p]
            _finish_tile(rays, sums, source, camera, voxel_from_camera, row0, column0, image, gradient, weights, total)


@njit(cache=True, nogil=True)
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
            sums[ACROSS0, p] += rise0
            sums[ACROSS1, p] += rise1
            sums[MOMENT0, p] += n * rise0
            sums[MOMENT1, p] += n * rise1


@njit(cache=True, nogil=True)
def _finish_tile(rays, sums, source, camera, voxel_from_camera, row0, column0, image, gradient, weights, total):
    """Chain the sums of a tile to the twist: source and direction of a ray move against the volume.

    With V the linear part of voxel_from_camera and r the ray in the camera frame, a twist (w, t) of the volume moves
    the source by -V t and the direction by -V (w x r).
    """
    v = voxel_from_camera
    twist = np.empty(6)
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
        for c in range(image.shape[0]):
            image[c, row, column] += sums[c, VALUE, p] * step_mm
            s0, s1 = step_mm * sums[c, ACROSS0, p], step_mm * sums[c, ACROSS1, p]
            s2 = -slope0 * s0 - slope1 * s1
            d0 = (step_mm * sums[c, MOMENT0, p] - source[2] * s0) / along
            d1 = (step_mm * sums[c, MOMENT1, p] - source[2] * s1) / along
            d2 = -slope0 * d0 - slope1 * d1 - step_mm * sums[c, VALUE, p] / along
            q0 = v[0, 0] * d0 + v[1, 0] * d1 + v[2, 0] * d2
            q1 = v[0, 1] * d0 + v[1, 1] * d1 + v[2, 1] * d2
            q2 = v[0, 2] * d0 + v[1, 2] * d1 + v[2, 2] * d2
            twist[0] = q1 * z - q2 * y
            twist[1] = q2 * x - q0 * z
            twist[2] = q0 * y - q1 * x
            for a in range(3):
                twist[3 + a] = -(v[0, a] * s0 + v[1, a] * s1 + v[2, a] * s2)
            for a in range(6):
                if gradient.shape[0] > 0:
                    gradient[c, row, column, a] += twist[a]
                if weights.shape[0] > 0:
                    total[a] += weights[c, row, column] * twist[a]


@njit(cache=True, nogil=True, fastmath=FAST)
def scatter(
    flat, offset, channel_stride, strides, sizes, summed, axis, source, directions, camera, window, share,
    part, parts, weights,
):  # fmt: skip
    """The transpose of ``march_forward``: add ``weights`` (C, rows, columns) back along the rays of one fan.

    Each part takes its own chunks of slices, so that no two threads write the same voxel and every voxel adds up in
    the same order, however many there are.
    """
    rays, slopes = np.empty((7, RAYS)), np.zeros((2, RAYS), dtype=np.int32)
    steps_mm, cast = np.empty(RAYS, np.float32), np.empty((weights.shape[0], RAYS), np.float32)
    stride0, stride1 = np.int32(strides[0]), np.int32(strides[1])
    both = np.int32(strides[0] + strides[1])
    for row0 in range(window[0], window[1], TILE):
        for column0 in range(window[2], window[3], TILE):
            sign = _trace_tile(axis, source, directions, camera, window, share, row0, column0, rays, slopes)
            steps_mm[:] = rays[STEP_MM]
            if not _load_tile(weights, steps_mm, row0, column0, cast):
                continue
            for chunk in range(part, summed.shape[0], parts):
                first, last = _slices(sign, source[2], chunk, sizes[2])
                if first >= last:
                    continue
                state = CHECKED if sign == 0 else _classify(rays, first, last - 1, sizes, summed, chunk)
                if state == SKIP:
                    continue
                begin = chunk * BLOCK
                for c in range(weights.shape[0]):
                    base = offset + c * channel_stride
                    if state == CHECKED:
                        _scatter_checked(
                            flat, base, strides, sizes, rays, slopes, source[2], begin, first, last, cast[c]
                        )
                        continue
                    for p in range(RAYS):
                        weight = cast[c, p]
                        if weight == 0:
                            continue
                        fixed0 = np.int32((rays[START0, p] + rays[SLOPE0, p] * begin) * ONE)
                        fixed1 = np.int32((rays[START1, p] + rays[SLOPE1, p] * begin) * ONE)
                        for n in range(first, last):
                            steps = np.int32(n - begin)
                            y, z = np.int32(fixed0 + slopes[0, p] * steps), np.int32(fixed1 + slopes[1, p] * steps)
                            fy = np.float32(np.int32(y & FRACTION_MASK)) * UNIT
                            fz = np.float32(np.int32(z & FRACTION_MASK)) * UNIT
                            at = base + n * strides[2] + (y >> SHIFT) * stride0 + (z >> SHIFT) * stride1
                            far = weight * fy
                            near = weight - far
                            flat[at] += near - near * fz
                            flat[at + stride1] += near * fz
                            flat[at + stride0] += far - far * fz
                            flat[at + both] += far * fz


@njit(cache=True, nogil=True)
def _load_tile(weights, steps_mm, row0, column0, cast):
    """Fill ``cast`` (C, RAYS) with what each ray of a tile casts back; False where that is nothing."""
    found = False
    for p in range(RAYS):
        for c in range(weights.shape[0]):
            cast[c, p] = 0
            if steps_mm[p] > 0:
                cast[c, p] = weights[c, row0 + p // TILE, column0 + p % TILE] * steps_mm[p]
                found = found or cast[c, p] != 0
    return found


@njit(cache=True, nogil=True)
def _scatter_checked(flat, base, strides, sizes, rays, slopes, source_along, begin, first, last, cast):
    """Slices ``first`` to ``last`` of a tile, every voxel checked against the grid."""
    for p in range(RAYS):
        weight = cast[p]
        if weight == 0:
            continue
        for n in range(first, last):
            y, fy = _locate(rays[START0, p], rays[SLOPE0, p], slopes[0, p], begin, n, sizes[0])
            z, fz = _locate(rays[START1, p], rays[SLOPE1, p], slopes[1, p], begin, n, sizes[1])
            if y < -1 or z < -1 or y >= sizes[0] or z >= sizes[1] or (n - source_along) * rays[SIGN, p] <= 0:
                continue
            at = base + n * strides[2] + y * strides[0] + z * strides[1]
            if y >= 0 and z >= 0:
                flat[at] += weight * (1 - fy) * (1 - fz)
            if y >= 0 and z + 1 < sizes[1]:
                flat[at + strides[1]] += weight * (1 - fy) * fz
            if y + 1 < sizes[0] and z >= 0:
                flat[at + strides[0]] += weight * fy * (1 - fz)
            if y + 1 < sizes[0] and z + 1 < sizes[1]:
                flat[at + strides[0] + strides[1]] += weight * fy * fz
