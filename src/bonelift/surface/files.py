"""Mesh files: STL, PLY, OBJ and GLB in; STL and GLB out. Lengths are mm on our side of each.

STL, PLY and OBJ carry no unit: their numbers are taken and written as mm. glTF's unit is the metre: a GLB keeps mm in
its buffers under a node that scales by 0.001, and is scaled back when read, so a viewer shows the true size.
"""

from __future__ import annotations

import io
import json
import logging
import struct
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray

from bonelift import RESEARCH_NOTICE, __version__
from bonelift.errors import InputError
from bonelift.geometry.plausible import MESH, check_length
from bonelift.storage.input_files import read_bytes
from bonelift.surface.mesh import TriangleMesh
from bonelift.surface.mesh_claims import check_claims, declared_space, is_binary_stl

Float = NDArray[np.float64]

MESH_SUFFIXES = (".stl", ".ply", ".obj", ".glb")
LARGEST_FILE_BYTES = 512 * 2**20
_MM_FROM_GLTF = 1000.0
_STL_RECORD = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])

BONE_COLOURS: dict[str, tuple[int, int, int]] = {"radius": (230, 159, 0), "ulna": (0, 114, 178)}
"""sRGB 0..255; orange and blue of Okabe and Ito, which people with any colour vision tell apart."""


def read_mesh(path: str | Path) -> TriangleMesh:
    """Every triangle of the file as one mesh, mm, with coinciding vertices welded.

    A closed surface that the file winds inward is turned outward: inside and outside would be exchanged otherwise.
    Where 3D Slicer's header says SPACE=RAS, the mesh is turned to LPS, which is what every other file is taken for.
    Raises InputError, in one line, for a missing, oversized, broken, cut or empty file, for non-finite coordinates, and
    for a bone that is longer or shorter than any.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in MESH_SUFFIXES:
        raise InputError(f"{path.name}: mesh type '{path.suffix}' is not read; expected {', '.join(MESH_SUFFIXES)}")
    content = read_bytes(path, "a mesh file", LARGEST_FILE_BYTES)
    space = declared_space(content, suffix)
    if space not in (None, "LPS", "RAS"):
        raise InputError(f"{path.name}: its header says SPACE={space:.20}; expected LPS or RAS")
    check_claims(content, suffix, path.name)
    vertices, faces = _triangles(content, suffix, path.name)
    if len(faces) == 0:
        raise InputError(f"{path.name}: holds no triangles; expected a surface mesh of one bone")
    with np.errstate(over="ignore"):
        vertices = vertices * (_MM_FROM_GLTF if suffix == ".glb" else 1.0)
    if not np.isfinite(vertices).all():
        raise InputError(f"{path.name}: holds NaN or infinite coordinates; export it again")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise InputError(f"{path.name}: a triangle names a vertex that is not in the file; export it again")
    _check_length(vertices[np.unique(faces)], suffix, path.name)
    turn = np.array([-1.0, -1.0, 1.0]) if space == "RAS" else np.ones(3)
    mesh = TriangleMesh(vertices * turn, faces.astype(np.int32)).welded().turned_outward()
    if mesh.is_empty or mesh.area_mm2 <= 0:
        raise InputError(f"{path.name}: all triangles have no area; expected a surface mesh of one bone")
    return mesh


def _triangles(content: bytes, suffix: str, name: str) -> tuple[Float, NDArray[np.int64]]:
    """(V, 3) vertices in the file's unit and (F, 3) indices. Raises InputError for what cannot be parsed."""
    if suffix == ".stl" and is_binary_stl(content):
        records = np.frombuffer(content, dtype=_STL_RECORD, offset=84)
        return records["corners"].reshape(-1, 3).astype(np.float64), np.arange(3 * len(records)).reshape(-1, 3)
    logger = logging.getLogger("trimesh")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        # process=False: no merging, no silent repair. Materials would make the loader open other files.
        options: dict[str, Any] = {"skip_materials": True} if suffix == ".obj" else {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scene = trimesh.load_scene(io.BytesIO(content), file_type=suffix[1:], process=False, **options)
            loaded = scene.to_mesh()
        vertices = np.array(loaded.vertices, dtype=np.float64).reshape(-1, 3)
        return vertices, np.array(loaded.faces, dtype=np.int64).reshape(-1, 3)
    except Exception as error:  # the parser raises whatever the broken bytes lead it into
        raise InputError(
            f"{name}: not a readable {suffix[1:].upper()} mesh ({type(error).__name__}); "
            "export it again from the program that made it"
        ) from error
    finally:
        logger.setLevel(level)


def _check_length(vertices: Float, suffix: str, name: str) -> None:
    """The longest side of the box around the mesh is one that a bone can have."""
    if np.abs(vertices).max() > 1e6:
        raise InputError(
            f"{name}: lies {np.abs(vertices).max():.3g} mm from the origin; check its unit, or export again"
        )
    longest = float(np.ptp(vertices, axis=0).max())
    if longest > 0 and not MESH.holds(longest):
        unit = "; glTF's unit is the metre" if suffix == ".glb" else ""
        try:
            check_length(longest, MESH, f"{name}: its longest side")
        except InputError as error:
            raise InputError(f"{error}{unit}; expected a bone") from error


def write_stl(path: str | Path, mesh: TriangleMesh) -> None:
    """Binary STL, mm; the header says so."""
    header = f"bonelift {__version__}; units mm; research use only".encode("ascii").ljust(80)
    record = np.zeros(len(mesh.faces), dtype=_STL_RECORD)
    normals = mesh.area_normals_mm2
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    record["normal"] = np.divide(normals, length, out=np.zeros_like(normals), where=length > 0)
    record["corners"] = mesh.triangles
    Path(path).write_bytes(header + struct.pack("<I", len(record)) + record.tobytes())


def write_glb(
    path: str | Path,
    meshes: Mapping[str, TriangleMesh],
    colours: Mapping[str, Sequence[int]] | None = None,
) -> None:
    """Binary glTF 2.0 with one named node and material per mesh.

    meshes: name -> mesh, mm, in one frame; empty meshes are left out. The axes stay as they are (no turn to y-up), so
        that points in the file are points in that frame.
    colours: name -> sRGB 0..255; BONE_COLOURS where not given, grey for other names.
    """
    shown = {name: mesh for name, mesh in meshes.items() if not mesh.is_empty}
    if not shown:
        raise ValueError("no mesh to write: all are empty")
    palette = {**BONE_COLOURS, **{name: tuple(colour) for name, colour in (colours or {}).items()}}
    chunks: list[bytes] = []
    views: list[dict[str, Any]] = []
    accessors: list[dict[str, Any]] = []
    for mesh in shown.values():
        vertices = mesh.vertices.astype("<f4")
        bounds = {"min": vertices.min(axis=0).tolist(), "max": vertices.max(axis=0).tolist()}
        for values, target, accessor in (
            (vertices, 34962, {"componentType": 5126, "type": "VEC3", **bounds}),
            (mesh.vertex_normals.astype("<f4"), 34962, {"componentType": 5126, "type": "VEC3"}),
            (mesh.faces.astype("<u4").reshape(-1), 34963, {"componentType": 5125, "type": "SCALAR"}),
        ):
            offset = sum(map(len, chunks))
            accessors.append({"bufferView": len(views), "count": len(values), **accessor})
            views.append({"buffer": 0, "byteOffset": offset, "byteLength": values.nbytes, "target": target})
            chunks.append(values.tobytes())
    names = list(shown)
    document = {
        "asset": {"version": "2.0", "generator": f"bonelift {__version__}", "extras": {"notice": RESEARCH_NOTICE}},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [
            {"name": "wrist_mm", "scale": [1 / _MM_FROM_GLTF] * 3, "children": list(range(1, len(names) + 1))},
            *({"name": name, "mesh": n} for n, name in enumerate(names)),
        ],
        "meshes": [
            {
                "name": name,
                "primitives": [
                    {"attributes": {"POSITION": 3 * n, "NORMAL": 3 * n + 1}, "indices": 3 * n + 2, "material": n}
                ],
            }
            for n, name in enumerate(names)
        ],
        "materials": [_material(name, palette.get(name, (190, 190, 190))) for name in names],
        "buffers": [{"byteLength": sum(map(len, chunks))}],
        "bufferViews": views,
        "accessors": accessors,
    }
    Path(path).write_bytes(_glb_bytes(document, b"".join(chunks)))


def _material(name: str, colour: Sequence[int]) -> dict[str, Any]:
    srgb = np.asarray(colour[:3], dtype=np.float64) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return {
        "name": name,
        "doubleSided": True,  # clipped bones are open: the inside shows
        "pbrMetallicRoughness": {
            "baseColorFactor": [*np.round(linear, 5).tolist(), 1.0],
            "metallicFactor": 0.0,
            "roughnessFactor": 0.6,
        },
    }


def _glb_bytes(document: dict[str, Any], binary: bytes) -> bytes:
    """The container of glTF 2.0, section 4: a JSON and a binary chunk, each padded to four bytes."""
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    binary += b"\0" * (-len(binary) % 4)
    total = 12 + 8 + len(text) + 8 + len(binary)
    return b"".join(
        [
            struct.pack("<4sII", b"glTF", 2, total),
            struct.pack("<I4s", len(text), b"JSON"),
            text,
            struct.pack("<I4s", len(binary), b"BIN\0"),
            binary,
        ]
    )
