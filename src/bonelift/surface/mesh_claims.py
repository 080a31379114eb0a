"""What a mesh file says of itself before it is read: how much there is of it, and in which space it lies.

Counts are held against the bytes that are there, so that a file of kilobytes costs no gigabytes and half a file is no
whole one.
"""

from __future__ import annotations

import re
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonelift.errors import InputError
from bonelift.geometry.patient_frame import GLTF_FROM_PATIENT, PATIENT_FROM_OWN_SIDE
from bonelift.storage.input_files import check_memory, parse_json, understood

Float = NDArray[np.float64]

GLTF_AXES = "glTF: +X to the patient's left, +Y distal (up), +Z dorsal (to the viewer); metres"
"""What a GLB of ours says of its axes."""
_BYTES_PER_TRIANGLE = 900
"""What a triangle costs at most on its way from a file to a welded mesh (measured: 880, STL)."""
_SPACE = re.compile(rb"SPACE\s*=\s*([A-Za-z]{1,20})")
_CAP = re.compile(rb"CAP=(\d{1,9}) last faces")
_PLY_BYTES = {
    **dict.fromkeys(("char", "uchar", "int8", "uint8"), 1), **dict.fromkeys(("short", "ushort", "int16", "uint16"), 2),
    **dict.fromkeys(("int", "uint", "int32", "uint32", "float", "float32"), 4),
    **dict.fromkeys(("double", "float64"), 8),
}  # fmt: skip
_GLTF_BYTES = {5120: 1, 5121: 1, 5122: 2, 5123: 2, 5125: 4, 5126: 4}
_GLTF_PARTS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
_MOST_PARTS = 10_000


def declared_space(content: bytes, suffix: str) -> str | None:
    """The space that 3D Slicer writes into a header ("SPACE=RAS"), in capitals; None where the file says none."""
    if suffix == ".stl":
        header = content[:80] if is_binary_stl(content) else content[:200].split(b"\n", 1)[0]
    elif suffix == ".ply":
        header = content[:100_000].split(b"end_header", 1)[0]
    elif suffix == ".obj":
        header = b"\n".join(line for line in content[:10_000].splitlines() if line.startswith(b"#"))
    else:
        return None
    found = _SPACE.search(header)
    return None if found is None else found[1].decode().upper()


def cap_faces(content: bytes, suffix: str) -> int:
    """How many of its last triangles close a cut, by the header of an STL of ours; 0 of any other file."""
    if suffix != ".stl" or not is_binary_stl(content) or not content.startswith(b"bonelift "):
        return 0
    found = _CAP.search(content[:80])
    claimed = 0 if found is None else int(found[1])
    return claimed if claimed < struct.unpack_from("<I", content, 80)[0] else 0


def lps_from_file(content: bytes, suffix: str) -> Float:
    """(3, 3) rotation from the axes of a file whose claims were checked to LPS, by what it says of its axes.

    Ours are told by their writer: a GLB says that it has glTF's axes; what says nothing of its axes was written in the
    radius frame of the patient's own side, by an older version.
    """
    if declared_space(content, suffix) == "RAS":
        return np.diag([-1.0, -1.0, 1.0])
    if suffix == ".stl" and is_binary_stl(content):
        ours, stated = content.startswith(b"bonelift "), declared_space(content, suffix) is not None
    elif suffix == ".glb":
        size = struct.unpack_from("<I", content, 12)[0]
        asset = parse_json(content[20 : 20 + size].decode("utf-8"), "", "a GLB mesh").get("asset")
        asset = asset if isinstance(asset, dict) else {}
        extras = asset.get("extras")
        ours = str(asset.get("generator", "")).startswith("bonelift ")
        stated = isinstance(extras, dict) and extras.get("axes") == GLTF_AXES
        if ours and stated:
            return np.round(np.linalg.inv(GLTF_FROM_PATIENT)[:3, :3] / 1000)
    else:
        return np.eye(3)
    return PATIENT_FROM_OWN_SIDE[:3, :3] if ours and not stated else np.eye(3)


def is_binary_stl(content: bytes) -> bool:
    """Whether the count of triangles and the size agree, whatever the header begins with."""
    return len(content) >= 84 and len(content) == 84 + 50 * struct.unpack_from("<I", content, 80)[0]


def check_claims(content: bytes, suffix: str, name: str) -> None:
    """Raise InputError where the file announces more than it holds, or more than fits the memory limit."""
    if suffix == ".glb":
        _check_glb(content, name)
    elif suffix == ".ply":
        _check_ply(content, name)
    else:
        # Text spends 30 bytes and more on a triangle; a binary STL 50.
        check_memory(len(content) / 30 * _BYTES_PER_TRIANGLE, name, "its triangles")


def _check_ply(content: bytes, name: str) -> None:
    head, separator, _ = content[:1_000_000].partition(b"end_header")
    if not separator or not content.startswith(b"ply"):
        raise InputError(f"{name}: has no PLY header; export it again from the program that made it")
    text = b"ascii" in head.split(b"element", 1)[0]
    least = lines = triangles = 0
    count = size = 0
    with understood(name, "its PLY header is damaged; export it again"):
        for words in (line.split() for line in head.decode("ascii", "replace").splitlines()):
            if words[:1] == ["element"]:
                least += count * size
                count, size = int(words[2]) if len(words[2]) < 12 else 10**12, 0
                if count < 0:
                    raise ValueError("a count below zero")
                lines += count
                triangles += count if words[1] == "face" else count / 4
            elif words[:1] == ["property"]:
                if words[1] == "list":  # corners of a face: three at least
                    size += _PLY_BYTES[words[2]] + (3 * _PLY_BYTES[words[3]] if "vertex" in words[-1] else 0)
                else:
                    size += _PLY_BYTES[words[1]]
        least += count * size
    start = len(head) + len(separator)
    there = len(content) - start
    short = content.count(b"\n", start) + 1 < lines if text else there < least
    if short or (text and there < 2 * lines):
        raise InputError(f"{name}: is truncated: its header announces more than it holds; export it again")
    check_memory(max(there / 30, triangles) * _BYTES_PER_TRIANGLE, name, "its triangles")


def _check_glb(content: bytes, name: str) -> None:
    with understood(name, "is a damaged GLB; export it again from the program that made it"):
        magic, version, _, size, kind = struct.unpack_from("<4sIIII", content)
        if magic != b"glTF" or version != 2 or kind != 0x4E4F534A or size > len(content) - 20:
            raise ValueError("no GLB of version 2")
        text = content[20 : 20 + size].decode("utf-8")
        document = parse_json(text, name, "a GLB mesh")
        binary = len(content) - 20 - size
        if document.get("extensionsRequired"):
            raise InputError(
                f"{name}: needs the glTF extension {document['extensionsRequired'][0]!a:.40}, which is not read; "
                "export it without compression"
            )
        if any("uri" in one for part in ("buffers", "images") for one in document.get(part, [])):
            raise InputError(f"{name}: keeps its numbers in other files; export it as one GLB file")
        counts = [_accessor_count(accessor, document, binary, name) for accessor in document.get("accessors", [])]
        corners = _corners(document, counts)
    check_memory(max(corners / 3, binary / 30) * _BYTES_PER_TRIANGLE, name, "its triangles")


def _accessor_count(accessor: dict[str, Any], document: dict[str, Any], binary: int, name: str) -> int:
    """How many items it has; they lie in the file. Raises InputError, and what ``understood`` catches."""
    count = int(accessor["count"])
    each = _GLTF_BYTES[accessor["componentType"]] * _GLTF_PARTS[accessor["type"]]
    view = document["bufferViews"][accessor["bufferView"]]
    length = int(view["byteLength"])
    start = int(view.get("byteOffset", 0))
    if count < 0 or start < 0 or length < 0 or each * count > length or start + length > binary + 8:
        raise InputError(f"{name}: announces more numbers than it holds; export it again")
    return count


def _corners(document: dict[str, Any], counts: list[int]) -> int:
    """Corners of all triangles as often as they are shown."""
    of_mesh = [
        sum(counts[p.get("indices", p["attributes"]["POSITION"])] for p in mesh["primitives"])
        for mesh in document.get("meshes", [])
    ]
    nodes = document.get("nodes", [])
    if len(nodes) > _MOST_PARTS or sum(len(mesh["primitives"]) for mesh in document.get("meshes", [])) > _MOST_PARTS:
        raise ValueError("too many nodes or primitives")
    return max(sum(of_mesh), sum(of_mesh[node["mesh"]] for node in nodes if "mesh" in node))
