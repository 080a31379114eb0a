"""Mesh files: what is written is read back; broken files give one line."""

import json
import struct

import numpy as np
import pytest
import trimesh

from bonelift.errors import InputError
from bonelift.surface.files import read_mesh, write_stl
from bonelift.surface.glb import write_glb
from bonelift.surface.mesh import TriangleMesh


@pytest.fixture
def block() -> TriangleMesh:
    box = trimesh.creation.box(extents=(10, 20, 30))
    return TriangleMesh(np.asarray(box.vertices) + np.array([1.0, 2.0, -60.0]), np.asarray(box.faces))


@pytest.mark.parametrize("suffix", [".stl", ".ply", ".glb", ".obj"])
def test_round_trip_in_mm(tmp_path, block, suffix):
    path = tmp_path / f"bone{suffix}"
    if suffix == ".stl":
        write_stl(path, block)
    elif suffix == ".ply":
        trimesh.Trimesh(block.vertices, block.faces, process=False).export(path)
    elif suffix == ".glb":
        write_glb(path, {"radius": block})
    else:
        lines = [f"v {x} {y} {z}" for x, y, z in block.vertices]
        path.write_text("\n".join(lines + [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in block.faces]) + "\n")
    found = read_mesh(path)
    # float32 at 60 mm holds 4e-6 mm.
    assert np.allclose(found.vertices.min(axis=0), block.vertices.min(axis=0), atol=1e-4)
    assert np.allclose(found.vertices.max(axis=0), block.vertices.max(axis=0), atol=1e-4)
    assert found.volume_mm3 == pytest.approx(6000, rel=1e-5)  # outward still
    assert len(found.vertices) == 8  # welded
    assert not found.border_vertices().any()


def test_a_closed_surface_wound_inward_is_turned_and_an_open_one_is_not(tmp_path, block):
    # The knee implants of JTML wind inward: voxelised as they are, 2.7 of 31.5 cm3 came out as metal.
    write_stl(tmp_path / "inward.stl", TriangleMesh(block.vertices, block.faces[:, ::-1]))
    write_stl(tmp_path / "open.stl", TriangleMesh(block.vertices, block.faces[2:, ::-1]))
    assert read_mesh(tmp_path / "inward.stl").volume_mm3 == pytest.approx(6000, rel=1e-5)
    assert read_mesh(tmp_path / "open.stl").volume_mm3 < 0


def test_stl_header_states_unit_and_space_and_is_not_mistaken_for_text(tmp_path, block):
    write_stl(tmp_path / "bone.stl", block)
    data = (tmp_path / "bone.stl").read_bytes()
    assert b"units mm" in data[:80]
    assert b"SPACE=LPS" in data[:80]
    assert not data.startswith(b"solid")
    assert len(data) == 84 + 50 * len(block.faces)


def glb_document(path) -> dict:
    data = path.read_bytes()
    magic, version, length = struct.unpack_from("<4sII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data))
    size = struct.unpack_from("<I", data, 12)[0]
    return json.loads(data[20 : 20 + size])


def with_document(path, document: dict) -> bytes:
    """The GLB with another JSON chunk."""
    data = path.read_bytes()
    size = struct.unpack_from("<I", data, 12)[0]
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    rest = data[20 + size :]
    return struct.pack("<4sIIII", b"glTF", 2, 20 + len(text) + len(rest), len(text), 0x4E4F534A) + text + rest


def test_glb_holds_named_coloured_upright_bones_in_metres(tmp_path, block):
    path = tmp_path / "bones.glb"
    empty = TriangleMesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int32))
    colours = {"left ulna": (255, 0, 0)}
    write_glb(path, {"left radius": block, "left ulna": block, "nothing": empty}, colours)
    document = glb_document(path)
    assert [node["name"] for node in document["nodes"]] == ["left radius", "left ulna"]
    assert document["materials"][1]["pbrMetallicRoughness"]["baseColorFactor"] == [1, 0, 0, 1]
    assert "distal (up)" in document["asset"]["extras"]["axes"]
    scene = trimesh.load_scene(path)
    assert set(scene.geometry) == {"left radius", "left ulna"}
    # x stays; up is what was inferior (-z); to the viewer is what was posterior (+y). Block: z -75..-45, y -8..12 mm.
    np.testing.assert_allclose(scene.bounds, [[-0.004, 0.045, -0.008], [0.006, 0.075, 0.012]], atol=1e-6)
    for bone in scene.geometry.values():
        assert bone.volume == pytest.approx(6e-6, rel=1e-5)  # m^3, outward
    with pytest.raises(ValueError, match="empty"):
        write_glb(path, {"nothing": empty})


def test_files_of_versions_that_wrote_the_radius_frame_are_turned_to_the_patient_frame(tmp_path, block):
    """Their STL named no space, their GLB kept mm of the radius frame under a node that scaled."""
    write_stl(tmp_path / "new.stl", block)
    stated = (tmp_path / "new.stl").read_bytes()
    old = b"bonelift 0.1.0; units mm; research use only".ljust(80)
    (tmp_path / "old.stl").write_bytes(old + stated[80:])
    (tmp_path / "other.stl").write_bytes(b"made by another program".ljust(80) + stated[80:])
    low, high = np.array([-4.0, -8, -75]), np.array([6.0, 12, -45])
    for name, expected in {"new": (low, high), "other": (low, high), "old": ([-4, -12, 45], [6, 8, 75])}.items():
        found = read_mesh(tmp_path / f"{name}.stl")
        np.testing.assert_allclose([found.vertices.min(axis=0), found.vertices.max(axis=0)], expected, atol=1e-4)
        assert found.volume_mm3 == pytest.approx(6000, rel=1e-5)
    scaled = trimesh.Scene()
    scaled.add_geometry(trimesh.Trimesh(block.vertices / 1000, block.faces, process=False), node_name="radius")
    scaled.export(tmp_path / "plain.glb")
    document = glb_document(tmp_path / "plain.glb")
    (tmp_path / "foreign.glb").write_bytes(with_document(tmp_path / "plain.glb", document))
    document["asset"] = {"version": "2.0", "generator": "bonelift 0.1.0", "extras": {"notice": "research"}}
    (tmp_path / "old.glb").write_bytes(with_document(tmp_path / "plain.glb", document))
    np.testing.assert_allclose(read_mesh(tmp_path / "foreign.glb").vertices.min(axis=0), low, atol=1e-4)
    np.testing.assert_allclose(read_mesh(tmp_path / "old.glb").vertices.min(axis=0), [-4, -12, 45], atol=1e-4)


def test_bad_files_give_one_line(tmp_path, block):
    good = tmp_path / "good.stl"
    write_stl(good, block)
    trimesh.Trimesh(block.vertices, block.faces, process=False).export(tmp_path / "good.ply")
    write_glb(tmp_path / "good.glb", {"radius": block})
    cases = {
        "missing.stl": None,
        "empty.stl": b"",
        "noise.stl": np.random.default_rng(0).bytes(500),
        "truncated.stl": good.read_bytes()[:300],
        "noise.ply": b"ply\nformat binary_little_endian 1.0\nelement vertex 99999999999\n",
        "truncated.ply": (tmp_path / "good.ply").read_bytes()[:400],
        "truncated.glb": (tmp_path / "good.glb").read_bytes()[:700],
        "noise.glb": np.random.default_rng(1).bytes(300),
        "noise.obj": np.random.default_rng(2).bytes(300),
        "points.obj": b"v 0 0 0\nv 1 0 0\nv 0 1 0\n",
        "flat.obj": b"v 0 0 0\nv 0 0 0\nv 0 0 0\nf 1 2 3\n",
        "nan.obj": b"v nan 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n",
        "image.png": b"\x89PNG",
    }
    for name, content in cases.items():
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError) as caught:
            read_mesh(tmp_path / name)
        assert str(caught.value).startswith(name), name
        assert "\n" not in str(caught.value), name
        assert str(tmp_path) not in str(caught.value), name
    (tmp_path / "folder.stl").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        read_mesh(tmp_path / "folder.stl")


def test_too_large_a_file_is_refused_before_it_is_read(tmp_path, monkeypatch, block):
    write_stl(tmp_path / "bone.stl", block)
    monkeypatch.setattr("bonelift.surface.files.LARGEST_FILE_BYTES", 100)
    with pytest.raises(InputError, match="larger than"):
        read_mesh(tmp_path / "bone.stl")


def test_a_vertex_that_is_no_number_is_refused_and_not_dropped(tmp_path, block):
    lines = [f"v {x} {y} {z}" for x, y, z in block.vertices]
    faces = [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in block.faces]
    for broken in ("nan", "inf"):
        path = tmp_path / f"{broken}.obj"
        path.write_text("\n".join([f"v {broken} 0 0", *lines[1:], *faces]) + "\n")
        with pytest.raises(InputError):
            read_mesh(path)


def test_colours_of_a_glb_are_linear(tmp_path, block):
    """IEC 61966-2-1: 128 of 255 is 0.21586 of full light, 10 of 255 is 10 / 255 / 12.92."""
    write_glb(tmp_path / "bones.glb", {"ulna": block}, {"ulna": (128, 10, 255)})
    (material,) = glb_document(tmp_path / "bones.glb")["materials"]
    found = material["pbrMetallicRoughness"]["baseColorFactor"]
    # trimesh keeps eight bits of a factor: half of one of 255 either way.
    assert found == pytest.approx([0.21586, 10 / 255 / 12.92, 1.0, 1.0], abs=0.5 / 255 + 1e-5)
