"""Mesh files that say more than they hold, in another space, or in another unit."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
import trimesh

from bonelift.errors import InputError
from bonelift.surface.files import read_mesh, write_stl
from bonelift.surface.glb import write_glb
from bonelift.surface.mesh import TriangleMesh
from bonelift.surface.mesh_claims import check_claims


@pytest.fixture
def bone() -> TriangleMesh:
    ball = trimesh.creation.icosphere(subdivisions=2, radius=10)
    return TriangleMesh(ball.vertices * [1, 1.2, 2] + [30, -80, 600], ball.faces.astype(np.int32))


def space(path, text: str) -> None:
    """Put ``text`` where 3D Slicer writes it."""
    content = path.read_bytes()
    if path.suffix == ".stl":
        content = text.encode().ljust(80) + content[80:]
    elif path.suffix == ".ply":
        content = content.replace(b"comment ", b"comment " + text.encode() + b" ", 1)
    else:
        content = b"# " + text.encode() + b"\n" + content
    path.write_bytes(content)


def write_ply(path, mesh: TriangleMesh, encoding: str = "binary") -> None:
    content = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).export(file_type="ply", encoding=encoding)
    content = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(content.replace(b"\nelement", b"\ncomment made for a test\nelement", 1))


def write(path, mesh: TriangleMesh) -> None:
    if path.suffix == ".obj":
        points = "".join(f"v {x!r} {y!r} {z!r}\n" for x, y, z in mesh.vertices.tolist())
        path.write_text(points + "".join(f"f {i} {j} {k}\n" for i, j, k in (mesh.faces + 1).tolist()))
    else:
        write_stl(path, mesh) if path.suffix == ".stl" else write_ply(path, mesh)


@pytest.mark.parametrize("suffix", [".stl", ".ply", ".obj"])
def test_the_space_that_slicer_writes_is_read(tmp_path, bone, suffix):
    ras = TriangleMesh(bone.vertices * [-1, -1, 1], bone.faces)
    found = {}
    for name, mesh, text in (("lps", bone, "SPACE=LPS"), ("ras", ras, "SPACE=RAS"), ("silent", bone, "no word")):
        path = tmp_path / f"{name}{suffix}"
        write(path, mesh)
        space(path, f"3D Slicer output. {text}")
        found[name] = read_mesh(path)
    for name in ("ras", "silent"):
        assert np.allclose(np.sort(found[name].vertices, 0), np.sort(found["lps"].vertices, 0), atol=1e-4)
        assert found[name].volume_mm3 == pytest.approx(found["lps"].volume_mm3, rel=1e-5)  # outward, not mirrored
    space(tmp_path / f"lps{suffix}", "SPACE=XYZ")
    with pytest.raises(InputError, match="SPACE=XYZ; expected LPS or RAS"):
        read_mesh(tmp_path / f"lps{suffix}")


@pytest.mark.parametrize(("factor", "words"), [(1000, "micrometres it would be 4"), (0.001, "metres it would be 4")])
def test_a_bone_of_another_unit_is_refused_with_the_unit(tmp_path, bone, factor, words):
    write_stl(tmp_path / "a.stl", TriangleMesh((bone.vertices - [30, -80, 600]) * factor, bone.faces))
    with pytest.raises(InputError, match=words):
        read_mesh(tmp_path / "a.stl")


def test_a_glb_of_millimetres_is_told_that_gltf_means_metres(tmp_path, bone):
    trimesh.Trimesh(bone.vertices, bone.faces).export(tmp_path / "mm.glb")
    with pytest.raises(InputError, match="glTF's unit is the metre"):
        read_mesh(tmp_path / "mm.glb")


def spoilt_glb(path, bone: TriangleMesh, change) -> None:
    write_glb(path, {"radius": bone})
    content = path.read_bytes()
    size = struct.unpack_from("<I", content, 12)[0]
    document = json.loads(content[20 : 20 + size])
    change(document)
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    rest = content[20 + size :]
    head = struct.pack("<4sIIII", b"glTF", 2, 20 + len(text) + len(rest), len(text), 0x4E4F534A)
    path.write_bytes(head + text + rest)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d["accessors"][2].pop("bufferView"), "damaged GLB"),
        (lambda d: d["accessors"][2].update(count=200_000_000), "announces more numbers than it holds"),
        (lambda d: d["bufferViews"][0].update(byteLength=10**12), "announces more numbers than it holds"),
        (lambda d: d["bufferViews"][0].update(byteOffset=-8), "announces more numbers than it holds"),
        (lambda d: d["nodes"][0].update(scale=[1e305] * 3), "infinite|from the origin|longest side"),
        (lambda d: d["nodes"].extend([{"mesh": 0}] * 20_000), "damaged GLB"),
        (lambda d: d["buffers"][0].update(uri="/etc/passwd"), "in other files"),
        (lambda d: d.update(extensionsRequired=["KHR_draco_mesh_compression"]), "KHR_draco"),
        (lambda d: d.update(meshes=5), "damaged GLB"),
    ],
)
def test_a_glb_that_claims_too_much_is_refused_before_it_is_built(tmp_path, bone, change, words):
    spoilt_glb(tmp_path / "a.glb", bone, change)
    with pytest.raises(InputError, match=words):
        read_mesh(tmp_path / "a.glb")


@pytest.mark.parametrize("binary", [True, False])
def test_half_a_ply_is_no_whole_one(tmp_path, bone, binary):
    path = tmp_path / "a.ply"
    write_ply(path, bone, "binary" if binary else "ascii")
    content = path.read_bytes()
    assert len(read_mesh(path).faces) == len(bone.faces)
    path.write_bytes(content[: int(0.95 * len(content))])
    with pytest.raises(InputError, match="announces more than it holds"):
        read_mesh(path)
    path.write_bytes(content.replace(f"element face {len(bone.faces)}".encode(), b"element face 20000000"))
    with pytest.raises(InputError, match="announces more than it holds"):
        read_mesh(path)


def test_text_of_more_triangles_than_the_memory_limit_takes_is_refused(monkeypatch):
    """At 30 bytes of text and 900 of memory a triangle, 0.1 GiB are 119304 triangles, or 3.579 MB of text."""
    monkeypatch.setenv("BONELIFT_MEMORY_GIB", "0.1")
    check_claims(b" " * 3_579_000, ".obj", "bone.obj")
    with pytest.raises(InputError, match=r"bone.obj: its triangles would take 0.1 GiB of memory; the limit is 0.1 GiB"):
        check_claims(b" " * 3_580_000, ".obj", "bone.obj")
