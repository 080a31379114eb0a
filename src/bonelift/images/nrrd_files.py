"""NRRD volumes and Slicer's ``.seg.nrrd`` segmentations.

Source: teem.sourceforge.net/nrrd/format.html; Slicer's segmentation storage (Segment*_ keys).
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonelift.errors import InputError
from bonelift.images.radiograph import Side
from bonelift.images.volume import BONE_COLOURS, LabelMap, Volume
from bonelift.images.voxel_data import (
    Encoding,
    check_voxel_memory,
    checked_shape,
    compact,
    lps_from_named_axes,
    numbers_of,
    read_file_bytes,
    sibling,
    whole_sizes,
    world_from_voxel_matrix,
)

Float = NDArray[np.float64]

_TYPES = {
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), "i2"),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    **dict.fromkeys(("longlong", "long long", "long long int", "signed long long", "int64", "int64_t"), "i8"),
    **dict.fromkeys(("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"), "u8"),
    "float": "f4",
    "double": "f8",
}
_ENCODINGS: dict[str, Encoding] = {
    "raw": "raw", "gzip": "gzip", "gz": "gzip", "bzip2": "bzip2", "bz2": "bzip2", "ascii": "text", "text": "text",
    "txt": "text",
}  # fmt: skip
_TYPE_NAMES = {"i1": "int8", "u1": "uint8", "i2": "int16", "u2": "uint16", "i4": "int32", "u4": "uint32", "f4": "float"}
_SPACES = {
    **dict.fromkeys(("left-posterior-superior", "lps"), "LPS"),
    **dict.fromkeys(("right-anterior-superior", "ras"), "RAS"),
    **dict.fromkeys(("left-anterior-superior", "las"), "LAS"),
}
_OTHER_COLOUR = (178, 178, 178)
_TERMS = {"radius": "SCT^62413002^Radius", "ulna": "SCT^23416004^Ulna"}
_SIDES = {None: "^^", "left": "SCT^7771000^Left", "right": "SCT^24028007^Right"}
_EXPECTED = "an NRRD volume"


@dataclass(frozen=True)
class NrrdImage:
    """values: (I, J, K), or (L, I, J, K) where a list axis (Slicer's layers) stands first; keys: ``key:=value``."""

    values: NDArray[np.number]
    world_from_voxel: Float
    keys: dict[str, str]


def read_nrrd(path: Path) -> NrrdImage:
    """Read NRRD, raw, gzip, bzip2 or ascii, attached or in a file beside the header, into LPS. Raises InputError."""
    content = read_file_bytes(path, _EXPECTED)
    name = path.name
    fields, keys, voxels = _split(content, name)
    for field in ("type", "dimension", "sizes", "encoding", "space directions"):
        if field not in fields:
            raise InputError(f"{name}: no NRRD field {field!r}; expected {_EXPECTED} with its orientation")
    kind = _TYPES.get(fields["type"].lower())
    if kind is None:
        raise InputError(f"{name}: NRRD type {fields['type']!r:.40} is not supported; expected a number type")
    encoding = _ENCODINGS.get(fields["encoding"].lower())
    if encoding is None:
        raise InputError(
            f"{name}: NRRD encoding {fields['encoding']!r:.20} is not supported; expected raw, gzip, bzip2 or ascii"
        )
    endian = fields.get("endian", "").lower()
    if endian not in ("little", "big") and np.dtype(kind).itemsize > 1 and encoding != "text":
        raise InputError(
            f"{name}: NRRD endian is {endian!r:.20}; expected little or big, so that its numbers are known"
        )
    dtype = np.dtype(kind).newbyteorder(">" if endian == "big" else "<")
    shape = checked_shape(whole_sizes(_floats(fields["sizes"].split(), "sizes", name), name), name)
    world_from_voxel = _geometry(fields, len(shape), name)
    check_voxel_memory(shape, dtype, len(voxels), name, scaled=False)
    data_file = fields.get("data file", fields.get("datafile"))
    if data_file is not None:
        voxels = read_file_bytes(sibling(path, data_file.removeprefix("./")), "the voxels of an NRRD volume")
    lines, skip = (_skip(fields, f"{what} skip", name) for what in ("line", "byte"))
    for _ in range(lines):
        voxels = voxels.partition(b"\n")[2]
    if lines < 0 or skip < -1 or (skip == -1 and encoding != "raw"):
        raise InputError(f"{name}: NRRD line skip {lines}, byte skip {skip}; expected 0 or more, or -1 of raw bytes")
    return NrrdImage(numbers_of(voxels, encoding, shape, dtype, name, skip), world_from_voxel, keys)


def _skip(fields: dict[str, str], field: str, name: str) -> int:
    text = fields.get(field, fields.get(field.replace(" ", ""), "0"))
    try:
        return int(text) if len(text) < 12 else -2
    except ValueError as error:
        raise InputError(f"{name}: NRRD {field} is {text!r:.20}; expected a whole number") from error


def _split(content: bytes, name: str) -> tuple[dict[str, str], dict[str, str], bytes]:
    """Header fields (names in lower case), key-value pairs, and what follows the header."""
    end = content.find(b"\n\n")
    windows_end = content.find(b"\r\n\r\n")
    if windows_end >= 0 and (end < 0 or windows_end < end):
        header, rest = content[:windows_end], content[windows_end + 4 :]
    elif end >= 0:
        header, rest = content[:end], content[end + 2 :]
    else:
        header, rest = content, b""
    if not header.startswith(b"NRRD") or len(header) > 1_000_000:
        raise InputError(f"{name}: is not NRRD; expected {_EXPECTED}")
    fields: dict[str, str] = {}
    keys: dict[str, str] = {}
    for line in header.decode("utf-8", errors="replace").splitlines()[1:]:
        if line.startswith("#"):
            continue
        if ":=" in line:
            key, value = line.split(":=", 1)
            keys[key] = value
        elif ": " in line:
            field, value = line.split(": ", 1)
            fields[field.strip().lower()] = value.strip()
    return fields, keys, rest


def _geometry(fields: dict[str, str], axes: int, name: str) -> Float:
    """world_from_voxel in LPS; a list axis (Slicer's layers) may stand first."""
    letters = _SPACES.get(fields.get("space", "").lower())
    if letters is None:
        raise InputError(f"{name}: NRRD space is {fields.get('space', 'absent')!r:.40}; expected LPS, RAS or LAS")
    words = fields["space directions"].replace("none", " none ").replace("(", " (").replace(")", ") ").split(" ")
    vectors: list[str] = []
    for word in (w for w in words if w):
        if vectors and vectors[-1].startswith("(") and not vectors[-1].endswith(")"):
            vectors[-1] += word
        else:
            vectors.append(word)
    layered = len(vectors) == 4 and vectors[0] == "none"
    vectors = vectors[1:] if layered else vectors
    if len(vectors) != 3 or axes != 3 + layered or fields["dimension"] != str(axes):
        raise InputError(f"{name}: has {axes} axes; expected three in space (and Slicer's layers first, if any)")
    directions = np.stack([_vector(v, name) for v in vectors], axis=1)
    origin = _vector(fields.get("space origin", "(0,0,0)"), name)
    matrix = world_from_voxel_matrix(directions, origin, name)
    return lps_from_named_axes(letters) @ matrix


def _vector(text: str, name: str) -> Float:
    vector = _floats(text.strip("() ").split(","), "space directions or origin", name)
    if vector.shape != (3,):
        raise InputError(f"{name}: NRRD vector {text!r:.60} has {len(vector)} numbers; expected 3")
    return vector


def _floats(words: list[str], field: str, name: str) -> Float:
    try:
        values = np.array([float(word) for word in words])
    except ValueError as error:
        raise InputError(f"{name}: NRRD {field} holds something that is no number") from error
    if not np.isfinite(values).all():
        raise InputError(f"{name}: NRRD {field} holds NaN or infinity")
    return values


def write_volume_nrrd(path: str | os.PathLike[str], volume: Volume) -> None:
    """Write ``volume`` as gzip NRRD in LPS."""
    _write(Path(path), compact(np.asarray(volume.values)), volume.world_from_voxel, {})


def write_labels_seg_nrrd(path: str | os.PathLike[str], label_map: LabelMap, side: Side | None = None) -> None:
    """Write a ``.seg.nrrd`` that 3D Slicer opens as a segmentation: one segment for each of ``label_map.names``.

    side: of the patient; where it is given segments are called "left radius", and their terminology says so.
    """
    extent = " ".join(f"0 {n - 1}" for n in label_map.labels.shape)
    keys = {}
    for number, (value, name) in enumerate(sorted(label_map.names.items())):
        segment = {
            "Color": " ".join(f"{channel / 255:.4f}" for channel in BONE_COLOURS.get(name, _OTHER_COLOUR)),
            "ColorAutoGenerated": "0",
            "Extent": extent,
            "ID": f"Segment_{value}",
            "LabelValue": str(value),
            "Layer": "0",
            "Name": " ".join(f"{side or ''} {name}".split()),
            "NameAutoGenerated": "0",
            "Tags": _terminology(name, side),
        }
        keys |= {f"Segment{number}_{key}": text for key, text in segment.items()}
    keys |= {
        "Segmentation_ContainedRepresentationNames": "Binary labelmap|",
        "Segmentation_MasterRepresentation": "Binary labelmap",
        "Segmentation_ReferenceImageExtentOffset": "0 0 0",
        "Segmentation_SourceRepresentation": "Binary labelmap",
    }
    _write(Path(path), label_map.labels.astype(np.uint8), label_map.world_from_voxel, keys)


def _terminology(name: str, side: Side | None) -> str:
    """Slicer's tag for what a segment shows: category, type and its side, by SNOMED CT; none for other names."""
    if name not in _TERMS:
        return ""
    category = "SCT^123037004^Anatomical Structure"
    lists = "Segmentation category and type - DICOM master list", "Anatomic codes - DICOM master list"
    return f"TerminologyEntry:{lists[0]}~{category}~{_TERMS[name]}~{_SIDES[side]}~{lists[1]}~^^~^^|"


def _write(path: Path, values: NDArray[np.number], world_from_voxel: Float, keys: dict[str, str]) -> None:
    kind = values.dtype.str[1:]
    if kind not in _TYPE_NAMES:
        raise ValueError(f"NRRD: values are {values.dtype}; expected a number type up to 32 bit")

    def vector(numbers: Float) -> str:
        return "(" + ",".join(repr(float(number)) for number in numbers) + ")"

    lines = [
        "NRRD0005",
        f"type: {_TYPE_NAMES[kind]}",
        "dimension: 3",
        "space: left-posterior-superior",
        "sizes: " + " ".join(str(n) for n in values.shape),
        "space directions: " + " ".join(vector(column) for column in world_from_voxel[:3, :3].T),
        "kinds: domain domain domain",
        "endian: little",
        "encoding: gzip",
        f"space origin: {vector(world_from_voxel[:3, 3])}",
        *(f"{key}:={text}" for key, text in keys.items()),
    ]
    voxels = values.astype(values.dtype.newbyteorder("<")).tobytes(order="F")
    packer = zlib.compressobj(6, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    path.write_bytes("\n".join([*lines, "", ""]).encode() + packer.compress(voxels) + packer.flush())
