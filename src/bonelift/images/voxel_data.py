"""What the volume formats share: size limits, bounded decompression, anatomical axes."""

from __future__ import annotations

import bz2
import math
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from bonelift.errors import InputError
from bonelift.geometry.plausible import FARTHEST_MM, VOXEL, check_length
from bonelift.storage.input_files import check_memory, memory_limit_bytes, read_bytes

Float = NDArray[np.float64]
Encoding = Literal["raw", "gzip", "zlib", "bzip2", "text"]

MAX_VOXELS = 1 << 29
"""A CT of 2,000 slices of 512 x 512; what a file may cost in memory is limited beside (storage.input_files)."""
_LPS_SIGN = {"L": (0, 1.0), "R": (0, -1.0), "P": (1, 1.0), "A": (1, -1.0), "S": (2, 1.0), "I": (2, -1.0)}


def read_file_bytes(path: Path, what: str) -> bytes:
    """The whole file; InputError, naming ``what`` was expected, where it cannot be read."""
    return read_bytes(path, what, memory_limit_bytes())


def checked_shape(sizes: list[int], name: str) -> tuple[int, ...]:
    """``sizes`` where a volume can have them, else InputError."""
    if not sizes or any(n < 1 for n in sizes) or math.prod(sizes) > MAX_VOXELS:
        text = " x ".join(str(n) for n in sizes[:5])
        raise InputError(f"{name}: has {text:.80} voxels; expected three axes and at most {MAX_VOXELS >> 20} Mi voxels")
    return tuple(sizes)


def whole_sizes(values: Float, name: str) -> list[int]:
    """Counts of voxels that a header gives as numbers. Raises InputError where one is no whole number."""
    if not (np.abs(values) < 2**40).all() or (values != np.rint(values)).any():
        raise InputError(f"{name}: has {values.tolist()!s:.60} voxels; expected whole numbers")
    return [int(n) for n in values]


def check_voxel_memory(shape: tuple[int, ...], dtype: np.dtype, packed_bytes: int, name: str, scaled: bool) -> None:
    """Raise InputError, before anything is allocated, where reading the voxels would take more than the limit.

    packed_bytes: of the file. scaled: whether they are multiplied as 64-bit floats on the way.
    """
    each = dtype.itemsize + (12 if scaled else 4 if dtype.itemsize == 8 else 0)
    check_memory(packed_bytes + each * math.prod(shape), name, f"{' x '.join(map(str, shape))} voxels of {dtype.name}")


def numbers_of(
    content: bytes, encoding: Encoding, shape: tuple[int, ...], dtype: np.dtype, name: str, skip: int = 0
) -> NDArray[np.number]:
    """Voxels [i, j, k] from what follows a header, the fastest axis first. skip: bytes to leave out in front, after
    decompression; -1: all but the last that are needed. Raises InputError: damaged, fewer or more than announced."""
    check_voxel_memory(shape, dtype, len(content), name, scaled=False)
    if encoding == "text":
        return compact(_numbers_in_text(content, math.prod(shape), dtype, name).reshape(shape, order="F"))
    size = math.prod(shape) * dtype.itemsize
    if encoding != "raw":
        content = _INFLATED[encoding](content, size + max(skip, 0), name)
    if skip < 0:
        if len(content) < size:
            checked_length(content, size, name)
        content = content[len(content) - size :]
    return compact(np.frombuffer(checked_length(content[max(skip, 0) :], size, name), dtype).reshape(shape, order="F"))


def _numbers_in_text(content: bytes, count: int, dtype: np.dtype, name: str) -> NDArray[np.generic]:
    check_memory(20 * len(content), name, "its text")
    try:
        values = np.array(content.split(), dtype=np.float64)
    except ValueError as error:
        raise InputError(f"{name}: holds voxels that are no numbers") from error
    if len(values) != count:
        raise InputError(f"{name}: holds {len(values)} voxels; its header announces {count}")
    bounds = np.iinfo(dtype) if dtype.kind in "iu" else np.finfo(dtype)
    if not np.isfinite(values).all() or values.min() < bounds.min or values.max() > bounds.max:
        raise InputError(f"{name}: holds voxels that its type {dtype.name} cannot hold")
    return values.astype(dtype)


def _inflate(window_bits: int) -> Callable[[bytes, int, str], bytes]:
    """A function that decompresses exactly as many bytes as asked for, from one or several members one after another.

    window_bits: as of zlib; 31 for gzip, 15 for zlib.
    """

    def inflate(content: bytes, size: int, name: str) -> bytes:
        parts, count = [], 0
        try:
            while content and count <= size:
                member = zlib.decompressobj(window_bits)
                parts.append(member.decompress(content, size + 1 - count))
                count += len(parts[-1])
                if not member.eof:
                    break
                content = member.unused_data.lstrip(b"\0")  # gzip files may be padded
        except zlib.error as error:
            raise InputError(f"{name}: its compressed voxels are damaged") from error
        return checked_length(parts[0] if len(parts) == 1 else b"".join(parts), size, name)

    return inflate


def _bunzip(content: bytes, size: int, name: str) -> bytes:
    try:
        return checked_length(bz2.BZ2Decompressor().decompress(content, size + 1), size, name)
    except (OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{name}: its compressed voxels are damaged") from error


_INFLATED = {"gzip": _inflate(zlib.MAX_WBITS | 16), "zlib": _inflate(zlib.MAX_WBITS), "bzip2": _bunzip}


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
    if not np.isfinite(matrix).all() or not (steps > 0).all() or abs(np.linalg.det(matrix[:3, :3] / steps)) < 1e-3:
        raise InputError(f"{name}: its voxel axes do not span space; expected three finite, independent directions")
    for step in steps:
        check_length(float(step), VOXEL, f"{name}: the edge of a voxel")
    if np.abs(origin_mm).max() > FARTHEST_MM:
        raise InputError(
            f"{name}: its first voxel lies {np.abs(origin_mm).max():.3g} mm from the origin; expected a scanner's world"
        )
    return matrix


def compact(values: NDArray[np.generic]) -> NDArray[np.number]:
    """Native byte order, 64-bit floats as float32, wide whole numbers in 32 bits, booleans as uint8."""
    native = values.dtype.newbyteorder("=")
    if native.kind in "iu" and native.itemsize == 8 and values.size:
        fits = values.min() >= np.iinfo(np.int32).min and values.max() <= np.iinfo(np.int32).max
        return values.astype(np.int32 if fits else np.float32)
    if native == np.float64:
        with np.errstate(over="ignore"):  # to infinity, which is refused where numbers are used
            return values.astype(np.float32)
    return values.astype(np.uint8) if native == np.bool_ else cast(NDArray[np.number], np.asarray(values, native))
