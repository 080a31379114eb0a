"""The interior of a bone against closed forms: a wall thinner than the voxel keeps its mass and its place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bonelift.phantom.interior import (
    TABLE_ANGLES,
    WATER_PER_MINERAL,
    BoneInterior,
    BoneQuality,
    TrabecularTexture,
    draw_bone_quality,
    draw_interior,
    draw_texture,
    fill_bone,
    wall_share,
)
from bonelift.phantom.texture import periodic_noise

CORTICAL, SPONGY, MARROW = 1.1, 0.15, 0.92
SMOOTH = TrabecularTexture(np.zeros((2, 2, 2), np.float32), np.zeros((2, 2, 2), np.float32))


def plain_interior(
    wall_mm: float, spongy: float = 0.0, blend_mm: float = 0.3, slope: tuple[float, float] = (0.0, 0.0)
) -> BoneInterior:
    """No side, no joint, no texture: the same wall everywhere."""
    quality = BoneQuality(
        wall_scale=1.0,
        cortical_g_cm3=CORTICAL,
        trabecular_g_cm3=spongy,
        endosteal_blend_mm=blend_mm,
        marrow_g_cm3=MARROW,
        texture=0.0,
        subchondral_extra_mm=0.0,
        scar_g_cm3=0.0,
        scar_mm=10.0,
        level_shift_mm=0.0,
        near_wall=0.9,
        near_wall_mm=1.5,
        sclerosis=0.5,
    )
    walls, spongiosa = np.full((61, TABLE_ANGLES), wall_mm), np.full(61, spongy)
    return BoneInterior(quality, -30.0, 1000.0, np.zeros((61, 2)), walls, spongiosa, np.asarray(slope))


def filled_ball(radius_mm: float, spacing_mm: float, interior: BoneInterior):
    """Ball around the origin on a grid that does not know about it: (mineral, soft, labels, depth)."""
    axis = np.arange(-radius_mm - 2, radius_mm + 2, spacing_mm) + 0.137
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    distance = (np.sqrt(x**2 + y**2 + z**2) - radius_mm).astype(np.float32)
    matrix = np.diag([spacing_mm] * 3 + [1.0])
    matrix[:3, 3] = axis[0]
    mineral, soft = np.zeros_like(distance), np.ones_like(distance)
    labels = np.zeros(distance.shape, np.uint8)
    fill_bone(mineral, soft, labels, 1, distance, (0, 0, 0), matrix, interior, SMOOTH)
    return mineral, soft, labels, -distance


@settings(deadline=None)  # the first call compiles
@given(wall=st.floats(0.3, 3.0), voxel=st.floats(0.2, 1.25), blend=st.floats(0.05, 1.0), phase=st.floats(0.0, 1.0))
def test_a_flat_wall_keeps_its_mass_on_any_grid(wall, voxel, blend, phase):
    # Voxels tile the depth axis, so their shares add up to the profile's integral whatever the phase: exact but
    # for rounding.
    depths = voxel * (np.arange(-2, 20) + phase)
    total = voxel * sum(wall_share(depth, voxel, wall, blend) for depth in depths)
    assert total == pytest.approx(wall, abs=1e-9)


@settings(deadline=None)
@given(depth=st.floats(-2.0, 5.0), voxel=st.floats(0.2, 1.25), wall=st.floats(0.3, 3.0), blend=st.floats(0.05, 1.0))
def test_wall_share_is_a_share(depth, voxel, wall, blend):
    assert -1e-12 <= wall_share(depth, voxel, wall, blend) <= 1 + 1e-12


@pytest.mark.parametrize("spacing_mm", [0.4, 0.6, 0.9])
@pytest.mark.parametrize("wall_mm", [0.4, 1.0])
def test_the_wall_of_a_ball_keeps_its_mass(spacing_mm, wall_mm):
    radius_mm = 8.0
    mineral, _, _, _ = filled_ball(radius_mm, spacing_mm, plain_interior(wall_mm))
    # The blended edge of width w adds its second moment: the shell's volume grows by 4 pi w^2 / 12 (w = 0.3: 0.1 mm^3);
    # the voxel's box adds about 4 pi spacing^2 / 12 * wall / R, under 0.1 %. A shell
    # of 0.4 mm meets few voxels of 0.9 mm: sampling leaves up to 2 % there, 0.2 % on voxels of 0.4 mm.
    shell = 4 / 3 * np.pi * (radius_mm**3 - (radius_mm - wall_mm) ** 3)
    assert mineral.sum() * spacing_mm**3 == pytest.approx(CORTICAL * shell, rel=0.003 if spacing_mm < 0.5 else 0.02)


def test_depth_profile_of_a_ball():
    # 0.2 mm voxels, wall 1.5 mm, blend 0.3 mm: from half a voxel under the surface to wall - blend/2 - half a voxel it
    # is compact bone; deeper than wall + blend/2 + half a voxel, spongiosa alone, denser near the wall by
    # 0.9 exp(-depth/1.5).
    mineral, _, _, depth = filled_ball(6.0, 0.2, plain_interior(1.5, SPONGY))
    compact = (depth > 0.11) & (depth < 1.2)
    np.testing.assert_allclose(mineral[compact], CORTICAL, atol=1e-4)
    deep = depth > 1.8
    np.testing.assert_allclose(mineral[deep], SPONGY * (1 + 0.9 * np.exp(-depth[deep] / 1.5)), rtol=1e-3)
    assert not mineral[depth < -0.11].any()


def test_spongiosa_slopes_across_the_bone():
    # 0.3 at 10 mm along x: 0.03 per mm, on top of the density that rises to the wall.
    mineral, _, _, depth = filled_ball(6.0, 0.2, plain_interior(0.3, SPONGY, slope=(0.3, 0.0)))
    x = np.arange(-8, 8, 0.2)[:, None, None] + 0.137
    deep = depth > 0.8
    expected = SPONGY * (1 + 0.9 * np.exp(-depth / 1.5)) * (1 + 0.03 * x)
    np.testing.assert_allclose(mineral[deep], expected[deep], rtol=1e-3)


def test_labels_and_soft_density_follow_the_bone():
    mineral, soft, labels, depth = filled_ball(6.0, 0.5, plain_interior(1.0, SPONGY))
    np.testing.assert_array_equal(labels == 1, depth > 0)
    inside = depth > 0.3
    np.testing.assert_allclose(soft[inside], MARROW + WATER_PER_MINERAL * mineral[inside], atol=1e-5)
    np.testing.assert_array_equal(soft[depth < -0.3], 1.0)


def test_walls_thicken_towards_the_shaft_and_thin_with_age():
    axis = np.zeros((111, 2))

    def mean_wall(age: float) -> np.ndarray:
        walls = []
        for seed in range(150):
            rng = np.random.default_rng(seed)
            interior = draw_interior(rng, "radius", draw_bone_quality(rng, "female", age), -100.0, axis, 0.0)
            walls.append(interior.wall_mm.mean(axis=1))
        return np.mean(walls, axis=0)

    young, old = mean_wall(30.0), mean_wall(80.0)
    at = {depth: 100 - depth for depth in (8, 30, 60)}
    # The population's curve has 0.72, 2.06 and 2.66 mm; averaged over its shift along the bone (SD 4.3 mm) and the
    # thickness's log-normal spread (SD 0.22: 2.5 % more on average), 0.82, 2.12 and 2.77. The mean of 150 patients of
    # SD 30 % (shift and spread) has a standard error of 2.5 %: 10 % is four of them.
    assert young[at[8]] == pytest.approx(0.82, rel=0.1)
    assert young[at[30]] == pytest.approx(2.12, rel=0.1)
    assert young[at[60]] == pytest.approx(2.77, rel=0.1)
    # 30 years past 50 at 0.6 % a year; the same seeds give the same bone but for the age.
    assert old[at[60]] / young[at[60]] == pytest.approx(1 - 0.18, abs=0.04)


def test_texture_repeats_without_a_seam_and_has_unit_spread():
    tile = periodic_noise(np.random.default_rng(0), (32, 32, 32), (2.0, 2.0, 2.0))
    assert tile.std() == pytest.approx(1.0, abs=1e-3)
    seam = np.abs(tile[0] - tile[-1]).mean()
    inside = np.abs(np.diff(tile, axis=0)).mean()
    # The step over the seam is one of 32 such steps, each a mean over 1024 correlated values: within 40 %.
    assert seam == pytest.approx(inside, rel=0.4)


def test_struts_run_along_the_shaft():
    fine = draw_texture(np.random.default_rng(0)).fine
    step = [np.abs(fine - np.roll(fine, 2, axis)).mean() for axis in range(3)]
    assert step[2] < 0.8 * min(step[0], step[1])
