"""What the volume formats share: size limits, bounded decompression, anatomical axes."""

from __future__ import annotations

import math
import zlib
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from bonelift.errors import InputError

Float = NDArray[np.float64]

MAX_VOXELS = 1 << 29
"""A CT of 2,000 slices of 512 x 512; keeps a decompression bomb out of memory."""
_LPS_SIGN = {"L": (0, 1.0), "R": (0, -1.0), "P": (1, 1.0), "A": (1, -1.0), "S": (2, 1.0), "I": (2, -1.0)}


def read_file_bytes(path: Path, what: str) -> bytes:
    """The whole file; InputError, naming ``what`` was expected, where it cannot be read."""
    if path.is_dir():
        raise InputError(f"{path.name}: is a folder; expected {what}")
    try:
        if path.stat().st_size > 4 * MAX_VOXELS:
            raise InputError(f"{path.name}: larger than {4 * MAX_VOXELS >> 20} MiB; expected {what}")
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path.name}: no such file; expected {what}") from error
    except OSError as error:
        raise InputError(f"{path.name}: cannot be read ({error.strerror}); expected {what}") from error
    if not content:
        raise InputError(f"{path.name}: is empty; expected {what}")
    return content


def checked_shape(sizes: list[int], name: str) -> tuple[int, ...]:
    """``sizes`` where a volume can have them, else InputError."""
    if not sizes or any(n < 1 for n in sizes) or math.prod(sizes) > MAX_VOXELS:
        text = " x ".join(str(n) for n in sizes[:5])
        raise InputError(f"{name}: has {text} voxels; expected three axes and at most {MAX_VOXELS >> 20} Mi voxels")
    return tuple(sizes)


def inflate(content: bytes, size: int, window_bits: int, name: str) -> bytes:
    """Decompress exactly ``size`` bytes; InputError for damaged, shorter or longer data.

    window_bits: as of zlib; 31 for gzip, 15 for zlib.
    """
    try:
        inflated = zlib.decompressobj(window_bits).decompress(content, size + 1)
    except zlib.error as error:
        raise InputError(f"{name}: its compressed voxels are damaged") from error
    return checked_length(inflated, size, name)


def checked_length(content: bytes, size: int, name: str) -> bytes:
    """``content`` where it is ``size`` bytes long, else InputError."""
    if len(content) != size:
        amount = "truncated: fewer" if len(content) < size else "damaged: more"
        raise InputError(f"{name}: is {amount} voxel bytes than the {size} its header announces")
    return content


def sibling(path: Path, data_file: str) -> Path:
    """The data file that a header names; only a plain file name beside the header is followed."""
    if not data_file or Path(data_file).name != data_file or data_file in {".", ".."} or "\0" in data_file:
        raise InputError(f"{path.name}: names {data_file!r:.80} as its data file; expected a file in the same folder")
    return path.parent / data_file


def lps_from_named_axes(letters: str) -> Float:
    """(4, 4) transform to LPS from axes such as "RAS" or "LAS", one letter each for x, y, z."""
    matrix = np.zeros((4, 4))
    matrix[3, 3] = 1
    for axis, letter in enumerate(letters):
        row, sign = _LPS_SIGN[letter]
        matrix[row, axis] = sign
    return matrix


def world_from_voxel_matrix(directions: Float, origin_mm: Float, name: str) -> Float:
    """(4, 4) from columns of index steps (3, 3) mm and the first voxel's centre (3,) mm. Raises InputError."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = directions, origin_mm
    steps = np.linalg.norm(matrix[:3, :3], axis=0)
    if not np.isfinite(matrix).all() or not (steps > 1e-4).all() or abs(np.linalg.det(matrix[:3, :3] / steps)) < 1e-3:
        raise InputError(f"{name}: its voxel axes do not span space; expected three finite, independent directions")
    return matrix


def compact(values: NDArray[np.generic]) -> NDArray[np.number]:
    """Native byte order, 64-bit floats as float32, booleans as uint8."""
    native = values.dtype.newbyteorder("=")
    if native == np.float64:
        return values.astype(np.float32)
    return values.astype(np.uint8) if native == np.bool_ else cast(NDArray[np.number], np.asarray(values, native))
