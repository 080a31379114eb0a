"""Caps: a cut bone becomes a body that can be printed, and its scores do not see them."""

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from bonelift.surface.clip import clip_by_plane
from bonelift.surface.closing import closed_ends
from bonelift.surface.distance import surface_distances
from bonelift.surface.files import read_mesh, write_stl
from bonelift.surface.mesh import TriangleMesh


def ball(radius_mm: float = 12.0) -> TriangleMesh:
    sphere = trimesh.creation.icosphere(subdivisions=3, radius=radius_mm)
    return TriangleMesh(np.asarray(sphere.vertices), np.asarray(sphere.faces))


def is_body(mesh: TriangleMesh) -> bool:
    return trimesh.Trimesh(mesh.vertices, mesh.faces, process=False).is_volume  # watertight, consistent, outward


@settings(max_examples=20, deadline=None)
@given(st.floats(-10.0, 10.0), st.integers(0, 2**31 - 1))
def test_two_halves_of_a_ball_closed_have_its_volume(height_mm: float, seed: int) -> None:
    normal = np.random.default_rng(seed).normal(size=3)
    normal /= np.linalg.norm(normal)
    halves = [closed_ends(clip_by_plane(ball(), height_mm * normal, way * normal)) for way in (1, -1)]
    assert all(is_body(half) and caps > 0 for half, caps in halves)
    # The cut is flat, and both caps are of the same outline.
    assert sum(half.volume_mm3 for half, _ in halves) == pytest.approx(ball().volume_mm3, rel=1e-9)


def test_a_bent_outline_and_two_ends_are_closed() -> None:
    corners = np.array([[0, 0], [10, 0], [10, 10], [7, 10], [7, 3], [3, 3], [3, 10], [0, 10.0]])  # a U: no star
    ring = np.arange(8)
    low, high = (np.column_stack([corners, np.full(8, z)]) for z in (0.0, 5.0))
    ahead = np.roll(ring, -1)
    sides = np.concatenate([np.column_stack([ring, ahead, ahead + 8]), np.column_stack([ring, ahead + 8, ring + 8])])
    tube = TriangleMesh(np.concatenate([low, high]), sides)
    closed, caps = closed_ends(tube)
    assert caps == 16
    assert closed.volume_mm3 == pytest.approx(5 * (100 - 28))  # folds cancel
    assert trimesh.Trimesh(closed.vertices, closed.faces, process=False).is_watertight
    assert closed_ends(closed) == (closed, 0)


def test_caps_of_our_stl_enter_no_score(tmp_path) -> None:
    opened = clip_by_plane(ball(), (0, 0, 4.0), (0, 0, -1.0))
    closed, caps = closed_ends(opened)
    write_stl(tmp_path / "bone.stl", closed, caps)
    assert trimesh.load_mesh(tmp_path / "bone.stl").is_volume  # to other programs it is closed
    read = read_mesh(tmp_path / "bone.stl")
    assert len(read.faces) == len(opened.faces)
    distances = surface_distances(read, opened)
    assert distances.maximum_mm < 1e-4  # float32; the cap's middle would lie 11 mm away
    header = (tmp_path / "bone.stl").read_bytes()
    (tmp_path / "other.stl").write_bytes(header[:80].replace(b"bonelift", b"exported") + header[80:])
    assert len(read_mesh(tmp_path / "other.stl").faces) == len(closed.faces)
    (tmp_path / "absurd.stl").write_bytes(b"bonelift 1; SPACE=LPS; CAP=99999999 last faces".ljust(80) + header[80:])
    assert len(read_mesh(tmp_path / "absurd.stl").faces) == len(closed.faces)
