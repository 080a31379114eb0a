"""The oracle against closed forms, and the fast projector against the oracle."""

import numpy as np
import pytest

from bonelift.bench.scenes import disagreement_percent, make_scene, reference_sample
from bonelift.drr import project
from bonelift.drr.reference import line_integrals
from bonelift.errors import InputError
from bonelift.geometry import XrayCamera
from bonelift.images import Volume
from builders.drr_scenes import centred_pose, film, smooth_volume


def xray(shape_px, spacing_mm):
    return XrayCamera(film(shape_px[0], shape_px[1], spacing_mm), np.eye(4), shape_px[1], shape_px[0], 1000.0)


def test_unit_impulse_integrates_to_its_hat():
    values = np.zeros((5, 6, 7))
    values[2, 3, 4] = 1.0
    spacing = np.array([1.5, 2.0, 0.8])
    pose = centred_pose(values.shape, spacing)
    pose[:3, 3] = [0, 0, 700.0] - pose[:3, :3] @ [2, 3, 4]
    camera = xray((1, 1), 0.5)
    # Through the voxel along k: the hat function's area, one voxel edge.
    assert line_integrals(Volume(values, pose), camera)[0, 0] == pytest.approx(0.8, rel=1e-12)
    assert project(values[None], camera.image_from_camera, pose, (1, 1))[0, 0, 0] == pytest.approx(0.8, rel=1e-6)
    # Passing it at 0.3 and 0.6 voxel: the product of the hats across.
    pose[:3, 3] += [0.3 * 1.5, 0.6 * 2.0, 0]
    assert line_integrals(Volume(values, pose), camera)[0, 0] == pytest.approx(0.8 * 0.7 * 0.4, rel=1e-12)
    image = project(values[None], camera.image_from_camera, pose, (1, 1))
    assert image[0, 0, 0] == pytest.approx(0.8 * 0.7 * 0.4, rel=1e-5)


def test_diagonal_ray_through_an_impulse():
    values = np.zeros((5, 5, 5))
    values[2, 2, 2] = 1.0
    pose = centred_pose(values.shape, 1.0)
    from_diagonal = np.linalg.qr(np.column_stack([[1, 1, 1], [1, -1, 0], [1, 1, -2.0]]))[0]
    diagonal = from_diagonal[:, [1, 2, 0]] * np.sign(from_diagonal[0, 0])
    pose[:3, :3] = diagonal.T
    pose[:3, 3] = [0, 0, 700.0] - pose[:3, :3] @ [2, 2, 2]
    # 2 * integral of (1 - t)^3 over t in [0, 1], times sqrt(3) mm: sqrt(3) / 2.
    assert line_integrals(Volume(values, pose), xray((1, 1), 0.5))[0, 0] == pytest.approx(np.sqrt(3) / 2, rel=1e-9)


def test_box_chords():
    values, spacing = np.ones((19, 15, 13)), np.array([1.0, 1.4, 0.7])
    camera = xray((41, 41), 0.2)
    pose = centred_pose(values.shape, spacing, (0.0, 0.2, 0.1))
    image = project(values[None].astype(np.float32), camera.image_from_camera, pose, (41, 41))[0]
    rows, columns = np.mgrid[:41, :41]
    rays = np.stack([columns, rows, np.ones_like(rows)], axis=-1) @ np.linalg.inv(camera.image_from_camera).T
    cosine = (rays / np.linalg.norm(rays, axis=-1, keepdims=True)) @ (pose[:3, 2] / spacing[2])
    # All these rays enter and leave through the two k faces: 13 slices of 0.7 mm, half a hat beyond either face.
    np.testing.assert_allclose(image, 13 * 0.7 / cosine, rtol=1e-5)
    np.testing.assert_allclose(line_integrals(Volume(values, pose), camera), 13 * 0.7 / cosine, rtol=1e-9)


@pytest.mark.parametrize("rotation", [(0.2, -0.3, 0.1), (1.5, 0.2, 0.3), (0.1, -1.4, 0.2), (0.6, 0.5, 2.0)])
def test_joseph_agrees_with_the_reference(rotation):
    rng = np.random.default_rng(11)
    values = smooth_volume(rng, (36, 30, 42), sigma_voxels=3.0)
    camera, pose = xray((40, 36), 1.5), centred_pose(values.shape[1:], (1.0, 1.4, 0.8), rotation)
    truth = line_integrals(Volume(values[0], pose), camera)
    error = np.abs(project(values, camera.image_from_camera, pose, (40, 36))[0] - truth)
    # The trapezoid rule over a slice errs by 1/12 of the second difference along the ray, (1/3)^2 of the values at
    # sigma = 3 voxels, and alternates in sign: under 1/108 of one slice in some 30.
    assert error.mean() < 1e-3 * np.abs(truth).max()
    assert error.max() < 6e-3 * np.abs(truth).max()


def steep_pose(values, slope, depth_mm=1e5):
    """Rays of a far source that move ``slope`` voxels along j for each voxel along i; centred on the grid."""
    along = np.array([1.0, slope, 0.0]) / np.hypot(1.0, slope)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([np.array([-along[1], along[0], 0.0]), [0.0, 0.0, 1.0], along])
    pose[:3, 3] = [0, 0, depth_mm] - pose[:3, :3] @ ((np.array(values.shape[-3:]) - 1) / 2)
    return pose


@pytest.mark.parametrize("slope", [0.25, 0.6, 0.99])
def test_the_error_of_a_rule_is_its_transfer_function(slope):
    """One slice that is a wave across: what a rule makes of it, over the exact integral, is known in closed form."""
    frequency = 0.2
    values = np.zeros((1, 9, 81, 5), np.float32)
    values[0, 4] = np.cos(2 * np.pi * frequency * (np.arange(81) - 40))[:, None]
    # 41 rays cut the slice over 20 voxels: whole periods, so that the wave stands apart from its aliases at 1 - f, ...
    step_voxels = 20 / 41
    camera = XrayCamera(film(1, 41, step_voxels / np.hypot(1.0, slope), sdd_mm=1e5), np.eye(4), 41, 1, 1e5)
    pose = steep_pose(values, slope)
    wave = np.cos(2 * np.pi * frequency * step_voxels * (np.arange(41) - 20))
    truth = line_integrals(Volume(values[0], pose), camera)[0]
    u = slope * frequency
    expected = {"joseph": 1.0, "simpson": (1 + 2 * np.cos(np.pi * u)) / 3}
    for rule, factor in expected.items():
        image = project(values, camera.image_from_camera, pose, (1, 41), rule=rule)[0, 0]
        # Rays of one source diverge by 1e-4 over the image; positions are rounded to 2**-20 voxel.
        assert (image @ wave) / (truth @ wave) == pytest.approx(factor / np.sinc(u) ** 2, rel=1e-3)


@pytest.mark.parametrize("rotation_deg", [(6.0, 11, 6), (25, 30, 0), (40, 20, 10), (0, 44, 0)])
def test_simpson_holds_the_error_down_at_any_tilt(rotation_deg):
    """Rough texture without empty space, the hardest case: error % of the largest integral."""
    voxels = 120
    scene = make_scene("no empty space", voxels, (120, 96), 2.1, seed=1, rotation_deg=rotation_deg)
    camera = scene.camera.image_from_camera
    sample = reference_sample(scene, 250, seed=1)
    errors = {}
    for rule in ("joseph", "simpson"):
        image = project(scene.values[None], camera, scene.camera_from_voxel, scene.camera.shape_px, rule=rule)[0]
        errors[rule] = disagreement_percent(image, *sample)
    # A ray sums about 120 independent voxels; errors of their sum relative to it fall as 1 / sqrt(voxels). The bars at
    # 400 voxels are 0.1 and 0.6 %: sqrt(400 / 120) = 1.83 times that here.
    assert errors["simpson"][0] < 0.1 * 1.83
    assert errors["simpson"][1] < 0.6 * 1.83
    assert errors["simpson"][0] < 0.35 * errors["joseph"][0]


def test_an_unknown_rule_is_refused():
    with pytest.raises(InputError, match="joseph or simpson"):
        project(np.ones((1, 3, 3, 3)), film(2, 2), centred_pose((3, 3, 3), 1.0), (2, 2), rule="euler")  # pyright: ignore


def test_nan_is_refused():
    with pytest.raises(InputError, match="NaN"):
        line_integrals(Volume(np.full((3, 3, 3), np.nan), np.eye(4)), xray((2, 2), 1.0))
