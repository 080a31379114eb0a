"""Two surfaces beside each other, the samples of a triangle, and bones as labels: closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from bonelift.errors import InputError
from bonelift.surface.comparison import compare_surfaces
from bonelift.surface.distance import sample_by_area
from bonelift.surface.isosurface import extract_surface
from bonelift.surface.mesh import TriangleMesh
from bonelift.surface.voxelize import label_surfaces


def ball(radius_mm: float) -> TriangleMesh:
    sphere = trimesh.creation.icosphere(subdivisions=2, radius=radius_mm)
    return TriangleMesh(np.asarray(sphere.vertices), np.asarray(sphere.faces))


def block(low: tuple[float, float, float], high: tuple[float, float, float]) -> TriangleMesh:
    box = trimesh.creation.box(bounds=[low, high])
    return TriangleMesh(np.asarray(box.vertices), np.asarray(box.faces))


def test_balls_are_compared_as_they_lie_and_other_units_are_refused():
    compared = compare_surfaces(ball(12.0), ball(10.0))
    # Both are cut in the same directions: each face is 2 mm from its fellow, less 1 part in 30 where facets are flat.
    assert compared.distances.asd_surface_mm == pytest.approx(2.0, rel=0.04)
    assert compared.distances.compared_fraction == pytest.approx(1.0)
    np.testing.assert_array_equal(compared.first.vertices, ball(12.0).vertices)
    assert compare_surfaces(ball(50.0), ball(10.0)).distances.maximum_mm == pytest.approx(40.0, rel=0.01)
    with pytest.raises(InputError, match=r"radius is 20 mm long, other 200 mm: not one bone, or not one unit"):
        compare_surfaces(ball(10.0), ball(100.0), names=("radius", "other"))


@pytest.mark.parametrize("sample_mm", [20.0, 6.0, 4.0, 1.7])
def test_samples_of_a_triangle_hold_its_area_and_its_first_two_moments(sample_mm):
    corners = np.array([[0.0, 0, 0], [9, 0, 0], [3, 8, 2]])
    points, areas = sample_by_area(TriangleMesh(corners, np.array([[0, 1, 2]])), sample_mm)
    area = np.linalg.norm(np.cross(corners[1], corners[2])) / 2
    assert areas.sum() == pytest.approx(area)
    np.testing.assert_allclose((points * areas[:, None]).sum(axis=0) / area, corners.mean(axis=0), atol=1e-12)
    # Second moments of a triangle about its centroid: sum of the corners' over 12. n^2 equal parts, each taken at its
    # own centroid, miss those within the parts, which are 1 / n^2 of it.
    n = round(np.sqrt(len(points)))
    own = np.einsum("pi,pj->ij", *[points - corners.mean(axis=0)] * 2) / len(points)
    whole = np.einsum("pi,pj->ij", *[corners - corners.mean(axis=0)] * 2) / 12
    np.testing.assert_allclose(own, whole * (1 - 1 / n**2), atol=1e-12)


def test_labels_of_two_blocks_are_the_voxels_whose_centres_lie_in_them():
    """They overlap by 2 mm; there a voxel belongs to the block in which it lies deeper."""
    bones = {"radius": block((0, 0, -8), (10, 6, 0)), "ulna": block((8, 0, -8), (15, 6, 0))}
    labels = label_surfaces(bones, 0.5)
    indices = np.moveaxis(np.indices(labels.labels.shape), 0, -1)
    centres = indices * 0.5 + labels.world_from_voxel[:3, 3]
    depths = [
        np.minimum(centres - low, np.array(high) - centres).min(axis=-1)
        for low, high in (((0, 0, -8), (10, 6, 0)), ((8, 0, -8), (15, 6, 0)))
    ]
    expected = np.where(depths[0] > depths[1], 1, 2) * (np.maximum(*depths) > 0)
    settled = np.abs(depths[0] - depths[1]) > 1e-6  # equally deep in both near a common face
    np.testing.assert_array_equal(labels.labels[settled], expected[settled])
    np.testing.assert_array_equal(labels.labels > 0, expected > 0)
    # Half a voxel beside multiples of the spacing, and two voxels of nothing on every side.
    np.testing.assert_allclose(labels.world_from_voxel[:3, 3] / 0.5 % 1, 0.5)
    inside = np.argwhere(labels.labels > 0)
    assert (inside.min(axis=0) >= 2).all()
    assert (np.array(labels.labels.shape) - 1 - inside.max(axis=0) >= 2).all()
    with pytest.raises(ValueError, match="all are empty"):
        label_surfaces({"radius": TriangleMesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int32))}, 0.5)


@pytest.mark.parametrize("inside", ["above", "below"])
def test_a_field_that_only_touches_the_level_has_no_surface(inside):
    field = np.full((4, 4, 4), 1.0)
    field[1:3, 1:3, 1:3] = 2.0
    for level in (1.0, 2.0, 0.5, 3.0):
        assert extract_surface(field, np.eye(4), level, inside=inside).is_empty
    assert not extract_surface(field, np.eye(4), 1.5, inside=inside).is_empty


def test_two_voxels_along_an_axis_are_enough_and_one_is_not():
    ramp = np.broadcast_to(np.array([0.0, 1.0])[:, None, None], (2, 4, 5))
    plane = extract_surface(ramp, np.eye(4), 0.25, inside="above")
    np.testing.assert_allclose(plane.vertices[:, 0], 0.25, atol=1e-6)
    assert plane.area_mm2 == pytest.approx(3 * 4, rel=1e-6)
    assert extract_surface(ramp[:1], np.eye(4), 0.25, inside="above").is_empty
