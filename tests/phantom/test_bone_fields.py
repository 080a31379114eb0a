"""Distances to radius and ulna on a grid: exact at the surface, close inside, and going on up the forearm."""

from __future__ import annotations

import numpy as np
import pytest

from bonelift.phantom.bone_fields import bone_field, continued_fields, field_axes, grid_from_first_voxel
from bonelift.phantom.interior import Bone
from bonelift.phantom.long_forearm import continuation_slopes
from bonelift.surface.voxelize import signed_distance_grid
from builders.wrist_of_tubes import tube


def cone() -> object:
    """A tube along z from -60 to 0 whose axis leans by 0.1 mm per mm towards +x as it goes up (to -z)."""
    z = np.arange(-60.0, 0.5, 2.0)
    return tube(z, -0.1 * z, np.full_like(z, 7.0), np.full_like(z, 6.0))


@pytest.mark.parametrize("spacing_mm", [0.6, 0.7, 1.1])
def test_distances_are_exact_at_the_surface_and_close_inside(spacing_mm):
    mesh = cone()
    grid = grid_from_first_voxel(np.array([-12.0, -11.0, -70.0]), spacing_mm)
    shape = tuple(int(n / spacing_mm) for n in (34, 22, 80))
    field = bone_field(mesh, grid, (shape[0], shape[1], shape[2]))
    box = grid_from_first_voxel(grid[:3, 3] + spacing_mm * np.array(field.first_index), spacing_mm)
    exact = signed_distance_grid(mesh, field.distance_mm.shape, box, band_mm=4.0)
    near = np.abs(exact) < 1.25
    np.testing.assert_allclose(field.distance_mm[near], exact[near], atol=1e-5)
    np.testing.assert_array_equal(field.distance_mm < 0, exact < 0)
    # Deeper, linear interpolation over h = 2 spacings misses the curvature by h^2 / (8 R): 0.04 to 0.3 mm for R = 2 to
    # 4 mm near the axis, where distance has a ridge; most of the inside is better.
    inside = (exact < 0) & ~near
    error = np.abs(field.distance_mm[inside] - exact[inside])
    assert error.max() < 2 * spacing_mm
    assert error.mean() < 0.1 * spacing_mm


def test_a_continued_bone_keeps_its_section_and_its_direction():
    mesh = cone()
    spacing_mm = 1.0
    grid = grid_from_first_voxel(np.array([-15.0, -12.0, -110.0]), spacing_mm)
    shape = (60, 24, 115)
    straight = tube(np.arange(-60.0, 0.5, 2.0), np.full(31, 30.0), np.full(31, 5.0), np.full(31, 5.0))
    fields: dict[Bone, object] = {"radius": bone_field(mesh, grid, shape), "ulna": bone_field(straight, grid, shape)}
    longer = continued_fields(fields, grid, shape, cut_mm=-50.0)
    for bone, lean in (("radius", 0.05), ("ulna", 0.05)):
        field = longer[bone]
        x, _, z = field_axes(field, grid)
        assert z[0] == pytest.approx(-110.0)
        inside = field.distance_mm < 0
        area, centre = {}, {}
        for height in (-100, -52, -45):
            k = int(np.argmin(np.abs(z - height)))
            area[height] = inside[:, :, k].sum()
            centre[height] = (inside[:, :, k].sum(axis=1) @ x) / area[height]
        # Sections are moved by parts of a voxel, which changes their count by some voxels of the rim (44 mm round).
        assert area[-100] == pytest.approx(area[-52], rel=0.08)
        # The bones come together (the radius leans to the ulna), so both go on with their mean lean.
        assert centre[-100] - centre[-52] == pytest.approx(48 * lean, abs=0.5)


def test_bones_that_part_go_on_parting():
    along = np.arange(20.0)
    left = np.column_stack([0.05 * along, 0 * along])
    right = np.column_stack([20 - 0.02 * along, 0 * along])
    slopes = continuation_slopes([left, right], 1.0)
    np.testing.assert_allclose(slopes, [[-0.05, 0], [0.02, 0]], atol=1e-9)
