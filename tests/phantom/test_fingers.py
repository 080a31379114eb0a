"""Fingers: as long as published, bent to the palm, wrapped in skin; and the whole hand in a body's overview."""

from __future__ import annotations

import numpy as np
import pytest

from bonelift.geometry import apply_transform
from bonelift.phantom.body import WHOLE_HAND, assemble_body, draw_anatomy
from bonelift.phantom.carpus import draw_carpus
from bonelift.phantom.fingers import capsule_distance
from builders.wrist_of_tubes import wrist_of_tubes

PUBLISHED_MM = {"mc1": 53.3, "mc2": 78.0, "mc3": 88.3, "mc4": 84.4, "mc5": 66.8}
"""Sum of the phalanges of a digit, Buryanov and Kotiuk 2010."""


def test_digits_have_their_published_lengths_and_bend_to_the_palm():
    lengths: dict[str, list[float]] = {name: [] for name in PUBLISHED_MM}
    palmar = []
    for seed in range(40):
        carpus = draw_carpus(np.random.default_rng(seed), 1.0)
        for name, digit in carpus.digits.items():
            steps = np.linalg.norm(np.diff(digit.joints_mm, axis=0), axis=1)
            lengths[name].append(steps.sum() / carpus.scale)
        tip, knuckle = carpus.digits["mc3"].joints_mm[[-1, 0]]
        inverse = np.linalg.inv(carpus.hand_from_rest)
        palmar.append((apply_transform(inverse, tip) - apply_transform(inverse, knuckle))[1])
    for name, published in PUBLISHED_MM.items():
        # From the metacarpal head on: a gap for each joint, and half a head and a foot more, about 4 mm; single
        # hands differ by 4 %, the mean of 40 by 1 %.
        assert np.mean(lengths[name]) == pytest.approx(published + 4.0, abs=5.0)
    assert np.mean(palmar) > 5.0


def test_distance_to_a_capsule():
    axes = (np.linspace(-10, 10, 21), np.array([0.0]), np.linspace(-5, 25, 31))
    distance = capsule_distance(axes, np.array([[0.0, 0, 0], [0, 0, 20.0]]), np.array([4.0, 4.0]))
    x, z = np.meshgrid(axes[0], axes[2], indexing="ij")
    expected = np.hypot(x, z - np.clip(z, 0, 20)) - 4.0
    np.testing.assert_allclose(distance[:, 0], expected, atol=1e-4)


def test_the_overview_reaches_from_half_the_forearm_to_the_finger_tips():
    shape = wrist_of_tubes()
    rng = np.random.default_rng(4)
    anatomy = draw_anatomy(shape, rng)
    body = assemble_body(shape, anatomy, np.random.default_rng(1), 1.5, WHOLE_HAND)
    z = body.radius_from_voxel[2, 3] + 1.5 * np.arange(body.labels.shape[2])
    tips = np.array([digit.joints_mm[-1] for digit in anatomy.carpus.digits.values()])
    voxels = np.rint((tips - body.radius_from_voxel[:3, 3]) / 1.5).astype(int)
    for i, j, k in voxels:
        assert body.soft_g_cm3[i, j, k] > 0.3  # skin covers every finger tip, also those near the grid's sides
    assert z[0] == pytest.approx(-185.0)
    for label in (1, 2):  # the bones go through the first plane, beyond the meshes' ends at -90 mm
        assert (body.labels[:, :, 0] == label).sum() * 1.5**2 > 40.0


def test_the_overview_holds_the_same_bones_as_the_fine_body():
    shape = wrist_of_tubes()
    anatomy = draw_anatomy(shape, np.random.default_rng(4))
    fine = assemble_body(shape, anatomy, np.random.default_rng(1), 0.8)
    coarse = assemble_body(shape, anatomy, np.random.default_rng(1), 1.6, WHOLE_HAND)
    masses = []
    for body in (fine, coarse):
        z = body.radius_from_voxel[2, 3] + body.spacing_mm * np.arange(body.labels.shape[2])
        chosen = (z > -70) & (z < -20)
        masses.append(body.mineral_g_cm3[:, :, chosen].sum() * body.spacing_mm**3 / (chosen.sum() * body.spacing_mm))
    # One inside on both grids: walls keep their mass; the texture is sampled (1 %).
    assert masses[0] == pytest.approx(masses[1], rel=0.03)
