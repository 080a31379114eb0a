"""The oracle against closed forms, and the fast projector against the oracle."""

import numpy as np
import pytest

from bonelift.drr import project
from bonelift.drr.reference import line_integrals
from bonelift.errors import InputError
from bonelift.geometry import XrayCamera
from bonelift.images import Volume
from drr_scenes import centred_pose, film, smooth_volume


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


def test_nan_is_refused():
    with pytest.raises(InputError, match="NaN"):
        line_integrals(Volume(np.full((3, 3, 3), np.nan), np.eye(4)), xray((2, 2), 1.0))
