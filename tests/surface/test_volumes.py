"""Mesh <-> field: closed forms of balls and boxes, open and unwelded meshes, cuts."""

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from bonelift.geometry import apply_transform, rigid_from_vector
from bonelift.surface.clip import clip_below, clip_by_plane
from bonelift.surface.isosurface import extract_surface, largest_piece
from bonelift.surface.mesh import TriangleMesh
from bonelift.surface.overlap import dice
from bonelift.surface.voxelize import occupancy, signed_distance_grid

small = st.floats(-1.0, 1.0, allow_nan=False)
poses = st.tuples(small, small, small, small, small, small).map(np.array)


def ball(radius_mm: float, subdivisions: int = 4, centre=(0.0, 0.0, 0.0)) -> TriangleMesh:
    sphere = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius_mm)
    return TriangleMesh(np.asarray(sphere.vertices) + centre, np.asarray(sphere.faces))


def facet_sag_mm(mesh: TriangleMesh, radius_mm: float) -> float:
    """How far the flat facets of a ball lie inside it at most: R - sqrt(R^2 - circumradius^2)."""
    sides = np.linalg.norm(mesh.triangles - np.roll(mesh.triangles, 1, axis=1), axis=2)
    circumradius = (sides.prod(axis=1) / (4 * mesh.face_areas_mm2)).max()
    return radius_mm - np.sqrt(radius_mm**2 - circumradius**2)


def centred_grid(shape, spacing_mm):
    matrix = np.diag([spacing_mm] * 3 + [1.0])
    matrix[:3, 3] = -spacing_mm * (np.array(shape) - 1) / 2
    return matrix


def centres(shape, world_from_voxel):
    return apply_transform(world_from_voxel, np.stack(np.indices(shape), axis=-1))


def test_area_volume_and_normals_of_a_ball():
    mesh = ball(10.0, 5)
    # An inscribed polyhedron is smaller by about sag / R (area) and 1.5 times that twice over (volume).
    sag = facet_sag_mm(mesh, 10.0)
    assert mesh.area_mm2 == pytest.approx(4 * np.pi * 100, rel=4 * sag / 10)
    assert mesh.volume_mm3 == pytest.approx(4 / 3 * np.pi * 1000, rel=4 * sag / 10)
    assert np.allclose(mesh.vertex_normals, mesh.vertices / 10, atol=0.01)
    assert not mesh.border_vertices().any()


@given(poses)
@settings(max_examples=15, deadline=None)
def test_moving_a_mesh_keeps_its_volume_and_a_mirror_keeps_normals_outward(pose):
    mesh = ball(5.0, 1)
    rigid = rigid_from_vector(pose)
    mirror = rigid @ np.diag([-1.0, 1, 1, 1])
    assert mesh.transformed(rigid).volume_mm3 == pytest.approx(mesh.volume_mm3, rel=1e-12)
    assert mesh.transformed(mirror).volume_mm3 == pytest.approx(mesh.volume_mm3, rel=1e-12)


def test_mesh_rejects_bad_arrays():
    with pytest.raises(ValueError, match="NaN"):
        TriangleMesh(np.full((3, 3), np.nan), np.array([[0, 1, 2]]))
    with pytest.raises(ValueError, match="vertices"):
        TriangleMesh(np.zeros((3, 3)), np.array([[0, 1, 3]]))


@given(poses, st.floats(0.4, 1.3))
@settings(max_examples=12, deadline=None)
def test_signed_distance_of_a_ball_on_any_rotated_grid(pose, spacing_mm):
    mesh, shape = ball(9.0), (24, 30, 26)
    world_from_voxel = rigid_from_vector(pose) @ centred_grid(shape, spacing_mm)
    found = signed_distance_grid(mesh, shape, world_from_voxel, band_mm=3.0)
    expected = np.clip(np.linalg.norm(centres(shape, world_from_voxel), axis=-1) - 9.0, -3, 3)
    # The mesh lies inside the ball by its sag; float32 adds 1e-6.
    assert np.abs(found - expected).max() < facet_sag_mm(mesh, 9.0) + 1e-5
    assert found.dtype == np.float32


def test_signed_distance_is_exact_for_a_box_even_through_its_edges_and_vertices():
    box = trimesh.creation.box(extents=(8, 8, 8))
    mesh = TriangleMesh(np.asarray(box.vertices), np.asarray(box.faces))
    shape = (17, 17, 17)
    # Voxel centres fall exactly on faces, edges and vertices of the box: every scan line is a special case.
    world_from_voxel = centred_grid(shape, 1.0)
    found = signed_distance_grid(mesh, shape, world_from_voxel, band_mm=3.0)
    outside = np.abs(centres(shape, world_from_voxel)) - 4.0
    expected = np.linalg.norm(outside.clip(0), axis=-1) + outside.max(axis=-1).clip(max=0)
    assert np.allclose(found, np.clip(expected, -3, 3), atol=1e-6)


def test_open_or_unwelded_mesh_does_not_leak():
    mesh = ball(10.0)
    shape = (30, 30, 30)
    world_from_voxel = centred_grid(shape, 0.9)
    low = mesh.triangles[:, :, 2].max(axis=1) > -8
    soup = TriangleMesh(mesh.triangles[low].reshape(-1, 3), np.arange(3 * low.sum()))  # unwelded, and open below -8
    holes = np.random.default_rng(5).random(len(mesh.faces)) > 0.01
    # Above the opening, and away from what is nearest to it, the field is that of the whole ball.
    whole = signed_distance_grid(mesh, shape, world_from_voxel, band_mm=2.0)
    far_above = centres(shape, world_from_voxel)[..., 2] > -5.5
    assert np.allclose(signed_distance_grid(soup, shape, world_from_voxel, band_mm=2.0)[far_above], whole[far_above])
    # One in a hundred triangles missing: no voxel away from the surface changes sides.
    holed = signed_distance_grid(TriangleMesh(mesh.vertices, mesh.faces[holes]), shape, world_from_voxel, band_mm=2.0)
    clear = np.abs(whole) > 1.0
    assert (np.sign(holed) == np.sign(whole))[clear].mean() > 0.9995


def test_empty_mesh_is_far_outside():
    empty = TriangleMesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int32))
    assert (signed_distance_grid(empty, (2, 3, 4), np.eye(4), band_mm=2.5) == 2.5).all()


def test_occupancy_adds_up_to_the_volume():
    shape, spacing_mm = (26, 26, 26), 1.0
    world_from_voxel = centred_grid(shape, spacing_mm)
    mesh = ball(9.0, 5)
    soft = occupancy(signed_distance_grid(mesh, shape, world_from_voxel, 2.0), spacing_mm)
    assert soft.min() == 0
    assert soft.max() == 1
    # The ramp averages the volume over shells R + u, |u| < spacing / 2: V + V'' spacing^2 / 24, V'' = 8 pi R.
    # What is left is the lattice's own error on a smooth integrand, far under 0.1 %.
    assert soft.sum() * spacing_mm**3 == pytest.approx(mesh.volume_mm3 + np.pi * 9.0 / 3, rel=1e-3)


@pytest.mark.parametrize("mirror", [1.0, -1.0])
@pytest.mark.parametrize("inside", ["above", "below"])
def test_marching_cubes_gives_the_radius_and_points_outward(inside, mirror):
    shape = (34, 34, 34)
    world_from_voxel = centred_grid(shape, 0.8) @ np.diag([mirror, 1, 1, 1])
    world_from_voxel[0, 3] *= mirror
    field = np.linalg.norm(centres(shape, world_from_voxel), axis=-1) - 10.0
    mesh = extract_surface(-field if inside == "above" else field, world_from_voxel, 0.0, inside=inside)
    radii = np.linalg.norm(mesh.vertices, axis=1)
    # Linear interpolation of a distance with curvature 1/R: error at most spacing^2 / (8 R) = 0.008 mm.
    assert np.abs(radii - 10.0).max() < 0.8**2 / (8 * 10) + 1e-4
    assert mesh.volume_mm3 == pytest.approx(4 / 3 * np.pi * 1000, rel=0.01)
    assert np.einsum("vi,vi->v", mesh.vertex_normals, mesh.vertices).min() > 0


def test_no_crossing_gives_an_empty_mesh_and_nan_raises():
    assert extract_surface(np.zeros((4, 4, 4)), np.eye(4), 0.5, inside="above").is_empty
    with pytest.raises(ValueError, match="finite"):
        extract_surface(np.full((4, 4, 4), np.nan), np.eye(4), 0.5, inside="above")


def test_largest_piece_drops_specks():
    big, speck = ball(10.0, 2), ball(1.0, 1, centre=(20, 0, 0))
    both = TriangleMesh(
        np.concatenate([speck.vertices, big.vertices]), np.concatenate([speck.faces, big.faces + len(speck.vertices)])
    )
    assert largest_piece(both).volume_mm3 == pytest.approx(big.volume_mm3)


@given(st.floats(-9.5, 9.5))
@settings(max_examples=20, deadline=None)
def test_clip_is_exact(z_mm):
    whole = ball(10.0)
    upper = clip_below(whole, z_mm)
    assert upper.vertices[:, 2].min() >= z_mm - 1e-9
    assert np.abs(upper.vertices[upper.border_vertices(), 2] - z_mm).max() < 1e-9
    lower = clip_by_plane(whole, (0, 0, z_mm), (0, 0, -1))
    assert upper.area_mm2 + lower.area_mm2 == pytest.approx(whole.area_mm2, rel=1e-9)
    # Archimedes: a zone of height h has area 2 pi R h; the facets lose at most about 4 sag / R, plus their tilt.
    assert upper.area_mm2 == pytest.approx(2 * np.pi * 10 * (10 - z_mm), rel=0.01, abs=1.0)


def test_clip_beyond_the_ends():
    whole = ball(10.0, 2)
    assert clip_below(whole, 10.5).is_empty
    assert clip_below(whole, -10.5).area_mm2 == pytest.approx(whole.area_mm2)
    # A plane through vertices, exactly.
    assert clip_below(whole, 0.0).area_mm2 == pytest.approx(whole.area_mm2 / 2, rel=1e-9)


def test_dice():
    first = np.zeros((4, 4, 4), dtype=np.uint8)
    second = first.copy()
    first[:2] = 1
    second[1:3] = 1
    assert dice(first == 1, second == 1) == 0.5
    assert np.isnan(dice(first == 2, second == 2))
