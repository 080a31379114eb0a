"""A volume made ready for ray marching: checked, with a map of where it is not zero. The voxels are not copied."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from bonelift.drr.joseph_kernels import BLOCK, MAX_VOXELS
from bonelift.errors import InputError
from bonelift.images.volume import occupied_box

Box = tuple[tuple[int, int, int], tuple[int, int, int]]
"""First and one-past-last voxel index along i, j, k."""

MARCH_ORDER = ((1, 2, 0), (0, 2, 1), (0, 1, 2))
"""Axes as (across, across, along) for marching axis 0, 1, 2."""


@dataclass(frozen=True)
class RayVolume:
    """Volumes on one grid, made ready once for any number of projections.

    values: (C, I, J, K) float32, C-contiguous, finite inside ``box``; read, never written.
    box: voxels outside it count as zero.
    occupied: (I', J', K') uint8 over blocks of 4^3 voxels from the first voxel of ``box`` on: 1 where any channel of
        any voxel is not zero.
    """

    values: NDArray[np.float32]
    box: Box
    occupied: NDArray[np.uint8]
    _summed: dict[int, NDArray[np.int32]] = field(default_factory=dict, repr=False, compare=False)
    _halfway: dict[int, HalfwayVolume] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def is_empty(self) -> bool:
        return not self.occupied.any()

    @cached_property
    def occupied_box(self) -> Box:
        """The box of blocks that are not zero, in voxels (a few too many at its faces)."""
        first, past = occupied_box(self.occupied > 0)
        start, end = np.array(self.box)
        return _triple(start + BLOCK * first), _triple(np.minimum(start + BLOCK * past, end))

    def summed_occupancy(self, axis: int) -> NDArray[np.int32]:
        """(N', P' + 1, Q' + 1) summed-area tables of ``occupied``, one for each chunk along marching ``axis``."""
        if axis not in self._summed:
            across0, across1, along = MARCH_ORDER[axis]
            blocks = self.occupied.transpose(along, across0, across1)
            table = np.zeros((blocks.shape[0], blocks.shape[1] + 1, blocks.shape[2] + 1), dtype=np.int32)
            np.cumsum(np.cumsum(blocks, axis=1, dtype=np.int32), axis=2, out=table[:, 1:, 1:])
            self._summed[axis] = table
        return self._summed[axis]

    def halfway(self, axis: int) -> HalfwayVolume:
        """The trilinear interpolant on the planes half-way between the slices of ``axis``: means of neighbours.

        Made once for each axis that is marched along; holds a copy of the occupied box.
        """
        if axis not in self._halfway:
            first, last = self.occupied_box
            crop = self.values[:, *(slice(low, high) for low, high in zip(first, last, strict=True))]
            values = half_slices(crop, axis)
            offset = np.array(first, dtype=np.float64)
            offset[axis] -= 0.5
            self._halfway[axis] = HalfwayVolume(prepare(values), offset)
        return self._halfway[axis]


@dataclass(frozen=True)
class HalfwayVolume:
    """volume: on the planes between slices. voxel_from_index: (3,) position of its first voxel in the whole grid."""

    volume: RayVolume
    voxel_from_index: NDArray[np.float64]


def half_slices(values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """(C, I, J, K) -> the same with one more slice along ``axis``: means of neighbouring slices, zero beyond."""
    shape = list(values.shape)
    shape[axis + 1] += 1
    means = np.zeros(shape, dtype=np.float32)
    along = np.moveaxis(means, axis + 1, 0)
    half = np.float32(0.5) * np.moveaxis(values, axis + 1, 0)
    along[:-1] += half
    along[1:] += half
    return means


def from_half_slices(values: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """The transpose of :func:`half_slices`: one slice less along ``axis``."""
    along = np.moveaxis(values, axis + 1, 0)
    return np.moveaxis(np.float32(0.5) * (along[:-1] + along[1:]), 0, axis + 1)


def prepare(values: ArrayLike, box: Box | None = None, threads: int = 1) -> RayVolume:
    """Check volumes and find where they are not zero.

    values: (C, I, J, K), one or more volumes on one grid; C-contiguous float32 is used without a copy.
    box: ((i0, j0, k0), (i1, j1, k1)), half open: voxels outside count as zero. None: the whole grid.
    Errors: InputError for another number of axes, NaN or infinity, or a box outside the grid.
    """
    array = np.ascontiguousarray(values, dtype=np.float32)
    if array.ndim != 4 or 0 in array.shape:
        raise InputError(f"drr: values have shape {array.shape}; expected non-empty (channels, I, J, K)")
    if max(array.shape[1:]) > MAX_VOXELS or array[0].size >= 2**31:
        raise InputError(f"drr: grid {array.shape[1:]} is too large; expected at most {MAX_VOXELS} voxels an axis")
    corners = np.array([(0, 0, 0), array.shape[1:]] if box is None else box)
    if corners.shape != (2, 3) or (corners[0] < 0).any() or (corners[1] > array.shape[1:]).any():
        raise InputError(f"drr: box {box} is not ((i0, j0, k0), (i1, j1, k1)) inside the grid {array.shape[1:]}")
    first, last = _triple(corners[0]), _triple(corners[1])
    size = np.maximum(corners[1] - corners[0], 0)
    occupied = np.zeros(tuple(-(-size // BLOCK)), dtype=np.uint8)
    crop = array[:, *(slice(low, high) for low, high in zip(first, last, strict=True))]
    finite = np.ones(max(threads, 1), dtype=np.bool_)
    run_parts(lambda part: _scan(crop, occupied, part, threads, finite), threads)
    if not finite.all() and not np.isfinite(crop).all():
        raise InputError("drr: the volume holds NaN or infinite voxels; replace them (air is 0) before projecting")
    return RayVolume(array, (first, last), occupied)


def _triple(indices: NDArray[np.integer]) -> tuple[int, int, int]:
    return int(indices[0]), int(indices[1]), int(indices[2])


def run_parts(run: Callable[[int], None], parts: int) -> None:
    """Call ``run(part)`` for every part, each in its own thread (the kernels release the interpreter lock)."""
    if parts <= 1:
        run(0)
        return
    with ThreadPoolExecutor(parts) as pool:
        list(pool.map(run, range(parts)))


@njit(cache=True, nogil=True, fastmath={"reassoc"})
def _scan(values, occupied, part, parts, finite):
    """Mark occupied blocks; clear ``finite[part]`` where a row of voxels does not have a finite sum.

    Each part takes its own blocks along i.
    """
    channels, size_i, size_j, size_k = values.shape
    for block_i in range(part, occupied.shape[0], parts):
        for i in range(block_i * BLOCK, min(block_i * BLOCK + BLOCK, size_i)):
            for j in range(size_j):
                for c in range(channels):
                    row = values[c, i, j]
                    total = np.float32(0)
                    for k in range(size_k):
                        total += abs(row[k])
                    if total == 0:
                        continue
                    if not np.isfinite(total):
                        finite[part] = False
                    marks = occupied[block_i, j // BLOCK]
                    for k in range(size_k):
                        if row[k] != 0:
                            marks[k // BLOCK] = 1
