"""Mesh files: STL, PLY, OBJ and GLB in; STL out (:mod:`bonelift.surface.glb` writes GLB). Lengths are mm on our side.

STL, PLY and OBJ carry no unit: their numbers are taken and written as mm. glTF's unit is the metre: a GLB is scaled to
mm when it is read, and one of ours is turned back from glTF's axes to the patient frame.
"""

from __future__ import annotations

import io
import logging
import struct
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray

from bonelift import __version__
from bonelift.errors import InputError
from bonelift.geometry.plausible import MESH, check_length
from bonelift.storage.input_files import read_bytes
from bonelift.surface.mesh import TriangleMesh
from bonelift.surface.mesh_claims import cap_faces as caps_claimed
from bonelift.surface.mesh_claims import check_claims, declared_space, is_binary_stl, lps_from_file

Float = NDArray[np.float64]

MESH_SUFFIXES = (".stl", ".ply", ".obj", ".glb")
LARGEST_FILE_BYTES = 512 * 2**20
_MM_FROM_GLTF = 1000.0
_STL_RECORD = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])


def read_mesh(path: str | Path) -> TriangleMesh:
    """Every triangle of the file as one mesh, mm, with coinciding vertices welded.

    A closed surface that the file winds inward is turned outward: inside and outside would be exchanged otherwise.
    Where 3D Slicer's header says SPACE=RAS, the mesh is turned to LPS, which is what every other file is taken for.
    Files of versions of bonelift that wrote the radius frame are turned to the patient frame, which is written now.
    The caps that close the cut of our own STL are left out: the surface is the open one, as it was reconstructed.
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
    turn = lps_from_file(content, suffix)
    vertices, faces = _triangles(content, suffix, path.name)
    faces = faces[: len(faces) - caps_claimed(content, suffix)]
    if len(faces) == 0:
        raise InputError(f"{path.name}: holds no triangles; expected a surface mesh of one bone")
    with np.errstate(over="ignore"):
        vertices = vertices * (_MM_FROM_GLTF if suffix == ".glb" else 1.0)
    if not np.isfinite(vertices).all():
        raise InputError(f"{path.name}: holds NaN or infinite coordinates; export it again")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise InputError(f"{path.name}: a triangle names a vertex that is not in the file; export it again")
    _check_length(vertices[np.unique(faces)], suffix, path.name)
    mesh = TriangleMesh(vertices @ turn.T, faces.astype(np.int32)).welded().turned_outward()
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


def write_stl(path: str | Path, mesh: TriangleMesh, cap_faces: int = 0) -> None:
    """Binary STL of a mesh in LPS, mm, as a rule in the patient frame; the header says so as 3D Slicer's does.

    cap_faces: how many of the last faces close a cut (:mod:`bonelift.surface.closing`). The header says that, too, and
        :func:`read_mesh` leaves them out, so that no score is taken on a cut.
    """
    Path(path).write_bytes(stl_bytes(mesh, cap_faces))


def stl_bytes(mesh: TriangleMesh, cap_faces: int = 0) -> bytes:
    """What :func:`write_stl` writes."""
    cap = f"CAP={cap_faces} last faces; " if cap_faces else ""
    header = f"bonelift {__version__}; SPACE=LPS; {cap}units mm; research use only".encode("ascii")[:80].ljust(80)
    record = np.zeros(len(mesh.faces), dtype=_STL_RECORD)
    normals = mesh.area_normals_mm2
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    record["normal"] = np.divide(normals, length, out=np.zeros_like(normals), where=length > 0)
    record["corners"] = mesh.triangles
    return header + struct.pack("<I", len(record)) + record.tobytes()
