"""The virtual CT against what it scans."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bonelift.drr.subject import bone_attenuation
from bonelift.errors import InputError
from bonelift.images import LabelMap, Volume
from bonelift.phantom.body import Body
from bonelift.phantom.ct import (
    MINERAL_MU_PER_MM,
    MU_WATER_PER_MM,
    ScanSettings,
    draw_scan_settings,
    draw_unknown_scanner,
    hardened,
    hounsfield,
    scan,
)

QUIET = ScanSettings((0.5, 0.5, 1.0), (0.8, 1.0), noise_hu=0.0)


def block(mineral: float, soft: float, shape=(40, 40, 40)) -> Body:
    """Homogeneous, of 0.6 mm voxels; the middle third is labelled radius."""
    labels = np.zeros(shape, np.uint8)
    labels[13:27, 13:27, 13:27] = 1
    matrix = np.diag([0.6, 0.6, 0.6, 1.0])
    matrix[:3, 3] = [-11.7, -11.7, -11.7]
    return Body(np.full(shape, mineral, np.float32), np.full(shape, soft, np.float32), labels, matrix)


@pytest.mark.parametrize(("mineral", "soft"), [(0.0, 1.0), (0.0, 0.92), (1.1, 0.71), (0.15, 0.9), (0.0, 0.0)])
def test_a_homogeneous_body_has_the_hu_of_its_attenuation(mineral, soft):
    ct, _ = scan(block(mineral, soft), np.random.default_rng(0), QUIET)
    mu = mineral * MINERAL_MU_PER_MM + soft * MU_WATER_PER_MM
    # float32 of numbers near 2000: 1e-3 HU a step, a few steps.
    np.testing.assert_allclose(ct.values, 1000 * (mu / MU_WATER_PER_MM - 1), atol=0.05)


def test_constants_are_those_of_the_tables():
    xraydb = pytest.importorskip("xraydb", reason="attenuation tables come with the train extra")
    water = xraydb.material_mu("H2O", 70e3, density=1.0)
    mineral = xraydb.material_mu("Ca10P6O26H2", 70e3, density=1.0)
    assert pytest.approx(water / 10, rel=1e-3) == MU_WATER_PER_MM
    assert pytest.approx(mineral / 10, rel=1e-3) == MINERAL_MU_PER_MM


def test_tissues_fall_in_their_clinical_ranges():
    marrow, fat, muscle = hounsfield(np.zeros(3, np.float32), np.array([0.92, 0.93, 1.05], np.float32))
    assert -100 <= marrow <= -50
    assert -100 <= fat <= -50
    assert 30 <= muscle <= 70
    cortex = hounsfield(np.float32([1.12]), np.float32([0.92 - 0.19 * 1.12]))[0]
    assert 1300 <= cortex <= 1900


def test_noise_has_its_spread_and_is_correlated_in_plane():
    settings = ScanSettings((0.5, 0.5, 1.0), (0.8, 1.0), noise_hu=25.0, noise_length_mm=0.5)
    values = scan(block(0.0, 1.0, (80, 80, 80)), np.random.default_rng(1), settings)[0].values
    # The tile has SD 25 exactly; a window of it with some 10,000 independent cells is within 3 %.
    assert values.std() == pytest.approx(25.0, rel=0.05)
    assert values.mean() == pytest.approx(0.0, abs=1.0)
    neighbours = np.corrcoef(values[:-1].ravel(), values[1:].ravel())[0, 1]
    # Gaussian smoothing of sigma s voxels correlates neighbours by exp(-1 / (4 s^2)): s = 1 gives 0.78.
    assert neighbours == pytest.approx(0.78, abs=0.05)


def test_a_tilted_scan_sees_the_same_bone_in_the_same_place():
    body = block(1.0, 0.7)
    tilted = ScanSettings((0.5, 0.5, 0.7), (0.8, 1.0), noise_hu=0.0, tilt_rad=(0.1, -0.05, 0.15))
    for settings in (QUIET, tilted):
        _, labels = scan(body, np.random.default_rng(0), settings)
        volume = (labels.labels == 1).sum() * abs(np.linalg.det(labels.world_from_voxel[:3, :3]))
        # A cube of 14 voxels of 0.6 mm; rounding of 12 edges by interpolation and voxels of the scan: 4 %.
        assert volume == pytest.approx((14 * 0.6) ** 3, rel=0.04)
        centre = np.argwhere(labels.labels == 1).mean(axis=0)
        world = labels.world_from_voxel[:3, :3] @ centre + labels.world_from_voxel[:3, 3]
        np.testing.assert_allclose(world, 0.0, atol=0.1)


def test_bone_attenuation_is_that_of_bone_and_zero_elsewhere():
    body = block(1.0, 0.7)
    ct, labels = scan(body, np.random.default_rng(0), QUIET)
    attenuation = bone_attenuation(ct, labels)
    bone = labels.labels == 1
    np.testing.assert_allclose(attenuation.values[bone], MINERAL_MU_PER_MM + 0.7 * MU_WATER_PER_MM, rtol=1e-5)
    assert not attenuation.values[~bone].any()
    other = LabelMap(np.where(bone, np.uint8(3), np.uint8(0)), labels.world_from_voxel)
    assert not bone_attenuation(ct, other).values.any()


def test_air_inside_a_label_does_not_attenuate_negatively():
    ct = Volume(np.full((3, 3, 3), -1024.0, np.float32), np.eye(4))
    labels = LabelMap(np.ones((3, 3, 3), np.uint8), np.eye(4))
    np.testing.assert_array_equal(bone_attenuation(ct, labels).values, 0.0)


def test_labels_on_another_grid_are_refused():
    ct = Volume(np.zeros((3, 3, 3), np.float32), np.eye(4))
    with pytest.raises(InputError, match="resample the labels"):
        bone_attenuation(ct, LabelMap(np.ones((3, 3, 3), np.uint8), np.diag([2.0, 1, 1, 1])))


def test_settings_are_checked_and_drawn_within_their_ranges():
    with pytest.raises(InputError, match="positive spacing"):
        ScanSettings(spacing_mm=(0.5, 0.0, 1.0))
    rng = np.random.default_rng(0)
    for settings in (draw_scan_settings(rng, tilt_deg=5.0) for _ in range(50)):
        assert 0.4 <= settings.spacing_mm[0] == settings.spacing_mm[1] <= 0.625
        assert 0.6 <= settings.spacing_mm[2] <= 1.25
        assert settings.scale == 1.0
        assert settings.hardening == settings.sharpness == 0.0


def test_an_unknown_scanner_spans_its_ranges():
    rng = np.random.default_rng(0)
    drawn = [draw_unknown_scanner(rng) for _ in range(300)]
    scales = np.array([settings.scale for settings in drawn])
    # Log-uniform over a factor of 2: all of 300 draws miss the last 1.5 % at an end with a chance of 0.985^300 = 1 %.
    assert 0.7 <= scales.min() < 0.71
    assert 1.38 < scales.max() <= 1.4
    assert all(0.5 <= settings.resolution_mm[0] <= 1.3 for settings in drawn)
    assert all(0 <= settings.sharpness <= 0.8 and abs(settings.hardening) <= 0.1 for settings in drawn)
    assert all(1500 <= settings.largest_hu <= 3071 for settings in drawn)
    with pytest.raises(InputError, match="scale 3"):
        ScanSettings(scale=3.0)


def test_the_scale_stretches_bone_and_leaves_water_and_air():
    for scale in (0.7, 1.4):
        settings = replace(QUIET, scale=scale)
        for mineral, soft in ((1.1, 0.71), (0.0, 1.0), (0.0, 0.0)):
            expected = float(hounsfield(np.float32([mineral]), np.float32([soft]))[0])
            expected *= scale if expected > 0 else 1.0
            values = scan(block(mineral, soft), np.random.default_rng(0), settings)[0].values
            np.testing.assert_allclose(values, expected, atol=0.1)
    stored = scan(block(1.1, 0.71), np.random.default_rng(0), replace(QUIET, largest_hu=1400.0))[0].values
    np.testing.assert_array_equal(stored, 1400.0)


def test_an_enhancing_kernel_overshoots_at_an_edge_by_its_gain():
    body = block(0.0, 1.0)
    body.soft_g_cm3[:, :20] = 1.1
    plain, sharp = (
        scan(body, np.random.default_rng(0), replace(QUIET, sharpness=gain))[0].values[20, :, 20] for gain in (0.0, 1.0)
    )
    # Doubling what a Gaussian of 0.7 mm takes off an edge of 100 HU that is already 0.8 mm wide: far from the edge
    # nothing changes; beside it the step passes its ends.
    np.testing.assert_allclose(sharp[[2, -3]], plain[[2, -3]], atol=0.5)
    assert sharp.max() > 105
    assert sharp.min() < -5
    assert plain.max() < 100.5


def test_hardening_bends_line_integrals_mildly():
    p = np.linspace(0, 2, 41, dtype=np.float32)
    np.testing.assert_array_equal(hardened(p, 0.0), p)
    # p / (1 + b p): within b^2 p^3 of p (1 - b p); at 0.05 and p = 2 that is 0.02.
    np.testing.assert_allclose(hardened(p, 0.05), p * (1 - 0.05 * p), atol=0.02)
    for bend in (-0.1, 0.1):
        assert (np.diff(hardened(p, bend)) > 0).all()
