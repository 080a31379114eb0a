"""Compiled loops of :func:`bonelift.drr.gradients.back_project`: the transpose of the sums of ``joseph_kernels``.

Same tiles, chunks and fixed-point positions as the forward march, so that it is the transpose of the very sum that is
computed there.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from bonelift.drr.joseph_kernels import (
    BLOCK,
    CHECKED,
    FAST,
    FRACTION_MASK,
    ONE,
    PART,
    RAYS,
    SHIFT,
    SKIP,
    TILE,
    UNIT,
    _chunk,
    _locate,
    _trace_tile,
)

from bonelift.drr.joseph_kernels import SLOPE0, SLOPE1, START0, START1, STEP_MM, SIGN  # isort: skip


@njit(cache=True, nogil=True, fastmath=FAST)
def scatter(
    flat, offset, channel_stride, strides, sizes, summed, axis, source, directions, camera, window, share,
    part, parts, weights,
):  # fmt: skip
    """The transpose of ``march``: add ``weights`` (C, rows, columns) back along the rays of one fan.

    Each part takes its own chunks of slices, so that no two threads write the same voxel and every voxel adds up in
    the same order, however many there are.
    """
    rays, slopes = np.empty((7, RAYS)), np.zeros((2, RAYS), dtype=np.int32)
    steps_mm, cast = rays[STEP_MM], np.empty((weights.shape[0], RAYS), np.float32)
    stride0, stride1 = np.int32(strides[0]), np.int32(strides[1])
    both = np.int32(strides[0] + strides[1])
    for row0 in range(window[0], window[1], TILE):
        for column0 in range(window[2], window[3], TILE):
            sign = _trace_tile(axis, source, directions, camera, window, share, row0, column0, rays, slopes)
            if not _load_tile(weights, steps_mm, row0, column0, cast):
                continue
            for chunk in range(part, summed.shape[0], parts):
                first, last, state = _chunk(rays, sign, source[2], chunk, sizes, summed)
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


@njit(**PART)
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


@njit(**PART)
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
