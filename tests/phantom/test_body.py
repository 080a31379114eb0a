"""The whole body: tissues disjoint, densities physical, joints with a gap, one seed one patient."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from bonelift.geometry import apply_transform
from bonelift.phantom.body import Body, build_body
from bonelift.phantom.carpus import draw_carpus
from bonelift.phantom.ct import hounsfield
from bonelift.phantom.patient import make_patient
from builders.wrist_of_tubes import wrist_of_tubes

SPACING_MM = 0.9
MINERAL_DENSITY = 3.16
"""Hydroxyapatite crystal, g/cm3."""


@pytest.fixture(scope="module")
def body() -> Body:
    return build_body(wrist_of_tubes(), np.random.default_rng(4), SPACING_MM)


def heights(body: Body) -> np.ndarray:
    return body.radius_from_voxel[2, 3] + body.spacing_mm * np.arange(body.labels.shape[2])


def test_grid_covers_wrist_and_forearm_and_is_tight_to_the_skin(body):
    z = heights(body)
    assert z[0] == pytest.approx(-81.0)  # 9 mm inside the end of the radius at -90
    assert z[-1] >= 74.0
    tissue = body.soft_g_cm3 + body.mineral_g_cm3 > 0.5
    assert body.soft_g_cm3.dtype == body.mineral_g_cm3.dtype == np.float32
    for axis in (0, 1):
        present = np.flatnonzero(tissue.any(axis=tuple(a for a in range(3) if a != axis)))
        # The coarse grid of the skin has 3 mm voxels; two of them at most stay empty on each side.
        assert present[0] <= 8
        assert present[-1] >= tissue.shape[axis] - 10


def test_densities_are_physical(body):
    mineral, soft = body.mineral_g_cm3, body.soft_g_cm3
    assert mineral.min() >= 0
    assert mineral.max() < 1.4
    assert soft.min() >= 0
    assert soft.max() <= 1.12
    # Mineral and the rest share the voxel: water-equivalent tissue of at most 1.12 g/cm3 fills what mineral leaves.
    assert (mineral / MINERAL_DENSITY + soft / 1.12).max() < 1.05
    assert not mineral[soft == 0].any()


def test_mineral_lies_in_labelled_bone_and_its_rim(body):
    # A voxel holds mineral if its centre lies within half a voxel of a surface: the rim is the 26 neighbours. Edges of
    # carpal bones thinner than half a voxel have a rim and no labelled core; they carry next to nothing.
    near_bone = ndimage.binary_dilation(body.labels > 0, np.ones((3, 3, 3)))
    assert body.mineral_g_cm3[~near_bone].sum() < 1e-3 * body.mineral_g_cm3.sum()
    assert set(np.unique(body.labels)) == {0, 1, 2, 3}


def test_bones_do_not_touch_across_the_joints(body):
    carpal = body.labels == 3
    forearm = (body.labels == 1) | (body.labels == 2)
    distance = ndimage.distance_transform_edt(~forearm, sampling=SPACING_MM)
    # The gap is 1.6 mm at least between surfaces, so between centres of voxels inside them; the radius is a polygon
    # of 48 sides, whose first-order distance is right to 0.1 mm.
    assert distance[carpal].min() >= 1.5
    # ... and the carpus is seated in the joint, not floating above it.
    assert distance[carpal].min() < 5.0


def test_each_carpal_bone_is_apart(body):
    # The gap is 1.0 mm at least, more than the voxel: no two face neighbours lie in different bones.
    parts, count = ndimage.label(body.labels == 3)
    volume_mm3 = np.bincount(parts.ravel())[1:] * SPACING_MM**3
    assert 13 <= (volume_mm3 > 100).sum() <= count  # eight carpals and five metacarpals; the thumb's phalanx may be cut
    carpal = (body.labels == 3) & (heights(body) < 30)
    # Eight carpals of an adult hold 15 to 20 cm^3; this wrist is 10 % smaller than the mean in each direction.
    assert 10_000 < carpal.sum() * SPACING_MM**3 < 20_000


def test_shaft_has_compact_walls_and_a_canal_of_marrow(body):
    z = heights(body)
    hu = hounsfield(body.mineral_g_cm3, body.soft_g_cm3)[:, :, np.argmin(abs(z + 70))]
    bone = body.labels[:, :, np.argmin(abs(z + 70))] == 1
    assert hu[bone].max() > 1300
    assert -120 < hu[bone].min() < 0
    share = (hu[bone] > 1000).mean()
    assert 0.25 < share < 0.9


def test_muscle_fat_and_air_lie_where_they_belong(body):
    plane = body.soft_g_cm3[:, :, 10]
    no_bone = body.labels[:, :, 10] == 0
    rim = ndimage.binary_dilation(~no_bone, iterations=2)
    inside = (plane > 0.85) & ~rim
    assert (plane == 0).any()
    assert np.percentile(plane[inside], 5) < 0.96  # subcutaneous fat
    assert np.percentile(plane[inside], 80) > 1.02  # muscle


def test_same_seed_same_body_other_seed_another():
    shape = wrist_of_tubes("male", 60.0)
    first, again, other = (build_body(shape, np.random.default_rng(seed), 1.5) for seed in (5, 5, 6))
    np.testing.assert_array_equal(first.mineral_g_cm3, again.mineral_g_cm3)
    np.testing.assert_array_equal(first.soft_g_cm3, again.soft_g_cm3)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert first.mineral_g_cm3.sum() != other.mineral_g_cm3.sum()


def test_bone_mineral_does_not_depend_on_the_grid():
    shape = wrist_of_tubes()
    masses = []
    for spacing_mm in (0.7, 1.1):
        body = build_body(shape, np.random.default_rng(9), spacing_mm)
        z = heights(body)
        forearm = (z > -80) & (z < -20)
        masses.append(body.mineral_g_cm3[:, :, forearm].sum() * spacing_mm**3 / (forearm.sum() * spacing_mm))
    # Below z = -20 mm there is nothing but radius and ulna. The texture is sampled, not integrated (1 %), the random
    # tables of the two grids differ in their first row's height by less than a voxel (1 %).
    assert masses[0] == pytest.approx(masses[1], rel=0.03)


def test_posture_moves_the_hand_about_the_capitate():
    for seed in range(20):
        carpus = draw_carpus(np.random.default_rng(seed), 1.0)
        assert np.linalg.det(carpus.hand_from_rest[:3, :3]) == pytest.approx(1.0)
        tip = apply_transform(carpus.hand_from_rest, [2.5, 0.5, 70.0])
        # Flexion goes palmar (+y), ulnar deviation to +x; each angle alone gives the sign where it dominates.
        if abs(carpus.flexion_deg) > 5:
            assert np.sign(tip[1] - 0.5) == np.sign(carpus.flexion_deg)
        if abs(carpus.deviation_deg) > 5:
            assert np.sign(tip[0] - 2.5) == np.sign(carpus.deviation_deg)


def test_skin_covers_radius_and_ulna(body):
    tissue = body.mineral_g_cm3 + body.soft_g_cm3 > 0.2
    depth = ndimage.distance_transform_edt(np.pad(tissue, 1), sampling=SPACING_MM)[1:-1, 1:-1, 1:-1]
    # Away from the cut ends, at least skin and some fat: 1.5 mm and more over the subcutaneous borders.
    inner = (slice(None), slice(None), slice(6, -6))
    assert depth[inner][(body.labels[inner] == 1) | (body.labels[inner] == 2)].min() > 1.5


def test_a_seed_is_a_patient():
    first, again, other = (make_patient(seed, spacing_mm=1.5) for seed in (21, 21, 22))
    np.testing.assert_array_equal(first.shape.radius.vertices, again.shape.radius.vertices)
    np.testing.assert_array_equal(first.body.mineral_g_cm3, again.body.mineral_g_cm3)
    assert first.facts == again.facts
    assert first.facts["wall_scale"] != other.facts["wall_scale"]
    labels = first.body.labels
    # The labelled voxels lie in the box of the shape's surfaces and reach its distal tip to two voxels.
    z = heights(first.body)
    for label, mesh in ((1, first.shape.radius), (2, first.shape.ulna)):
        i, j, k = np.nonzero(labels == label)
        places = apply_transform(first.body.radius_from_voxel, np.column_stack([i, j, k]))
        lowest, highest = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
        assert (places >= lowest).all()
        assert (places <= highest).all()
        assert places[:, 2].max() > highest[2] - 3.0
    assert z[0] < -80
