"""A volume laid out for ray marching: cropped to its occupied box, zero-padded, one copy per marching axis."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from bonelift.errors import InputError

Box = tuple[tuple[int, int, int], tuple[int, int, int]]
"""First and one-past-last voxel index along i, j, k."""

PADDING = 2
"""Zero voxels around the crop: one that linear interpolation fades into, one against rounding."""

CROSS_AXES = ((1, 2), (0, 2), (0, 1))
"""The two axes that span a slice, for marching axis 0, 1, 2."""


@dataclass(frozen=True)
class RayVolume:
    """Volumes on one grid, made ready once for any number of projections.

    values: (C, I, J, K) float32, finite; read, never written.
    box: voxels outside it are taken as zero; a ray is marched through it only.
    """

    values: NDArray[np.float32]
    box: Box
    _columns: dict[int, NDArray[np.float32]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def is_empty(self) -> bool:
        return any(first >= last for first, last in zip(*self.box, strict=True))

    def columns(self, axis: int) -> NDArray[np.float32]:
        """(P + 4, Q + 4, N, C): the box with ``axis`` as the marching axis, padded across it; made on first use."""
        if axis not in self._columns:
            across = CROSS_AXES[axis]
            crop = self.values[:, *(slice(first, last) for first, last in zip(*self.box, strict=True))]
            crop = crop.transpose(across[0] + 1, across[1] + 1, axis + 1, 0)
            rows, columns, depth, channels = crop.shape
            padded = np.zeros((rows + 2 * PADDING, columns + 2 * PADDING, depth, channels), dtype=np.float32)
            padded[PADDING:-PADDING, PADDING:-PADDING] = crop
            self._columns[axis] = padded
        return self._columns[axis]


def prepare(values: ArrayLike, box: Box | None = None) -> RayVolume:
    """Check volumes and find what is occupied.

    values: (C, I, J, K), one or more volumes on one grid; float32 is used without a copy.
    box: ((i0, j0, k0), (i1, j1, k1)), half open; None finds the box of the voxels that are not zero.
    Errors: InputError for another number of axes, NaN or infinity, or a box outside the grid.
    """
    array = np.ascontiguousarray(values, dtype=np.float32)
    if array.ndim != 4 or 0 in array.shape:
        raise InputError(f"drr: values have shape {array.shape}; expected non-empty (channels, I, J, K)")
    first, last, finite = occupied_box(array)
    if not finite:
        raise InputError("drr: the volume holds NaN or infinite voxels; replace them (air is 0) before projecting")
    if box is None:
        return RayVolume(array, (_triple(first), _triple(last)))
    corners = np.asarray(box)
    if corners.shape != (2, 3) or (corners[0] < 0).any() or (corners[1] > array.shape[1:]).any():
        raise InputError(f"drr: box {box} is not ((i0, j0, k0), (i1, j1, k1)) inside the grid {array.shape[1:]}")
    return RayVolume(array, (_triple(corners[0]), _triple(corners[1])))


def _triple(indices: NDArray[np.integer]) -> tuple[int, int, int]:
    return int(indices[0]), int(indices[1]), int(indices[2])


@njit("Tuple((i8[::1], i8[::1], b1))(f4[:,:,:,::1])", cache=True, nogil=True)
def _scan(values):
    channels, size_i, size_j, size_k = values.shape
    first = np.array([size_i, size_j, size_k])
    last = np.zeros(3, dtype=np.int64)
    finite = True
    for c in range(channels):
        for i in range(size_i):
            for j in range(size_j):
                row = values[c, i, j]
                # Branch-free pass first: a sum of |v| is 0 in an empty row and not finite where a voxel is not.
                total = np.float32(0)
                for k in range(size_k):
                    total += abs(row[k])
                if total == 0:
                    continue
                if not np.isfinite(total):
                    finite = finite and np.isfinite(row).all()
                low, high = 0, size_k
                while row[low] == 0:
                    low += 1
                while row[high - 1] == 0:
                    high -= 1
                first[0], last[0] = min(first[0], i), max(last[0], i + 1)
                first[1], last[1] = min(first[1], j), max(last[1], j + 1)
                first[2], last[2] = min(first[2], low), max(last[2], high)
    return first, last, finite


def occupied_box(values: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64], bool]:
    """(3,) first and (3,) one-past-last index of the voxels that are not zero, and whether all are finite."""
    return _scan(values)
