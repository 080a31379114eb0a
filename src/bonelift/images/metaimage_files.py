"""MetaImage volumes (.mha, .mhd), raw, zlib or text, as ITK writes them: the world is LPS."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonelift.errors import InputError
from bonelift.images.voxel_data import (
    Encoding,
    check_voxel_memory,
    checked_shape,
    numbers_of,
    read_file_bytes,
    sibling,
    whole_sizes,
    world_from_voxel_matrix,
)

Float = NDArray[np.float64]

_TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_EXPECTED = "a MetaImage volume (.mha, .mhd)"
_DATA_KEY = "elementdatafile"
_MAX_HEADER_BYTES = 1_000_000


def is_metaimage(head: bytes) -> bool:
    """Whether a file that starts with ``head`` claims to be MetaImage."""
    first = head.lstrip().split(b"=", 1)[0].strip().lower()
    return first in {b"objecttype", b"ndims", b"comment"} and b"=" in head


def read_metaimage(path: Path) -> tuple[NDArray[np.number], Float]:
    """(I, J, K) values and world_from_voxel (4, 4) in LPS. Raises InputError."""
    name = path.name
    fields, voxels = _split(read_file_bytes(path, _EXPECTED), name)
    if fields.get("ndims") != "3" or fields.get("elementnumberofchannels", "1") != "1":
        raise InputError(f"{name}: is not a volume of three axes and one channel; expected {_EXPECTED}")
    kind = _TYPES.get(fields.get("elementtype", ""))
    if kind is None:
        raise InputError(
            f"{name}: ElementType is {fields.get('elementtype', 'absent')!r:.40}; expected MET_SHORT or so"
        )
    big = _is_true(_first(fields, ("binarydatabyteordermsb", "elementbyteordermsb"), "False"))
    dtype = np.dtype(kind).newbyteorder(">" if big else "<")
    sizes = _numbers(fields.get("dimsize", ""), 3, "DimSize", name)
    shape = checked_shape(whole_sizes(sizes, name), name)
    world_from_voxel = _geometry(fields, name)
    check_voxel_memory(shape, dtype, len(voxels), name, scaled=False)
    if fields[_DATA_KEY].upper() != "LOCAL":
        voxels = read_file_bytes(sibling(path, fields[_DATA_KEY]), "the voxels of a MetaImage volume")
    text = fields.get("headersize", "0")
    if not (text.removeprefix("-").isdecimal() and len(text) < 12 and int(text) >= -1):
        raise InputError(f"{name}: HeaderSize is {text!r:.20}; expected a count of bytes, or -1")
    encoding: Encoding = "raw"
    if _is_true(fields.get("compresseddata", "False")):
        encoding = "zlib"
    elif not _is_true(fields.get("binarydata", "True")):
        encoding = "text"
    return numbers_of(voxels, encoding, shape, dtype, name, int(text)), world_from_voxel


def _is_true(text: str) -> bool:
    return text[:1].lower() in {"t", "y", "1"}


def _split(content: bytes, name: str) -> tuple[dict[str, str], bytes]:
    """Header fields (names in lower case) and the bytes after ElementDataFile, which ends the header."""
    fields: dict[str, str] = {}
    start = 0
    while _DATA_KEY not in fields:
        end = content.find(b"\n", start, _MAX_HEADER_BYTES)
        line = content[start : end if end >= 0 else min(len(content), _MAX_HEADER_BYTES)]
        key, separator, value = line.decode("utf-8", errors="replace").partition("=")
        if not separator and key.strip():
            raise InputError(f"{name}: its header is damaged; expected {_EXPECTED}")
        fields[key.strip().lower()] = value.strip()
        start = end + 1
        if end < 0:
            break
    if _DATA_KEY not in fields:
        raise InputError(f"{name}: no ElementDataFile; expected {_EXPECTED}")
    return fields, content[start:] if start else b""


def _geometry(fields: dict[str, str], name: str) -> Float:
    spacing_mm = _numbers(_first(fields, ("elementspacing", "elementsize"), ""), 3, "ElementSpacing", name)
    offset_mm = _numbers(_first(fields, ("offset", "position", "origin"), "0 0 0"), 3, "Offset", name)
    directions = _numbers(
        _first(fields, ("transformmatrix", "rotation", "orientation"), "1 0 0 0 1 0 0 0 1"), 9, "TransformMatrix", name
    )
    # Row n of TransformMatrix is the direction of axis n.
    return world_from_voxel_matrix(directions.reshape(3, 3).T * spacing_mm, offset_mm, name)


def _first(fields: dict[str, str], keys: tuple[str, ...], default: str) -> str:
    return next((fields[key] for key in keys if key in fields), default)


def _numbers(text: str, count: int, key: str, name: str) -> Float:
    try:
        values = np.array([float(word) for word in text.split()])
    except ValueError as error:
        raise InputError(f"{name}: {key} holds something that is no number") from error
    if values.shape != (count,) or not np.isfinite(values).all():
        raise InputError(f"{name}: {key} is {text!r:.60}; expected {count} finite numbers")
    return values
