"""Pose gradients against finite differences and closed forms; back-projection as the exact transpose."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bonelift.drr import back_project, project, project_with_pose_gradient, project_with_pose_pullback
from bonelift.errors import InputError
from bonelift.geometry import rigid_from_vector
from builders.drr_scenes import centred_pose, film, radial_distance, smooth_volume

SHAPE_PX = (30, 26)
CAMERA = film(*SHAPE_PX, 2.0)
ROTATIONS = [(0.1, 0.2, 0.3), (1.4, 0.3, 0.1), (0.2, 1.5, 0.0), (2.8, 0.3, -0.4)]


@pytest.mark.parametrize("rule", ["joseph", "simpson"])
@pytest.mark.parametrize("rotation", ROTATIONS)
def test_pose_gradient_agrees_with_finite_differences(rotation, rule):
    rng = np.random.default_rng(3)
    values = smooth_volume(rng, (34, 30, 38), sigma_voxels=3.0, channels=2)
    pose = centred_pose(values.shape[1:], (1.1, 1.3, 0.9), rotation)
    image, gradient = project_with_pose_gradient(values, CAMERA, pose, SHAPE_PX, rule=rule)
    np.testing.assert_allclose(
        image, project(values, CAMERA, pose, SHAPE_PX, rule=rule), atol=1e-5 * np.abs(image).max()
    )
    # Steps of about a tenth of a voxel at the volume: long enough to average over the kinks of linear interpolation.
    for axis, step in enumerate([1e-4, 1e-4, 2e-3, 0.1, 0.1, 0.1]):
        twist = np.zeros(6)
        twist[axis] = step
        moved = np.stack([rigid_from_vector(sign * twist) @ pose for sign in (1, -1)])
        ahead, behind = project(values, CAMERA, moved, SHAPE_PX, rule=rule)
        difference = (ahead - behind) / (2 * step)
        error = np.abs(gradient[..., axis] - difference)
        # Linear interpolation has a piecewise constant slope; within a step of a tenth of a voxel one sample in ten
        # crosses into the next voxel, where the slope differs by h / sigma = 1/3: a few per cent of the largest.
        assert error.max() < 0.06 * np.abs(difference).max()
        assert error.mean() < 0.02 * np.abs(difference).mean() + 1e-3 * np.abs(difference).max()


def test_shadow_of_a_gaussian_moves_as_it_should():
    shape, sigma_mm = (61, 61, 61), 5.0
    blob = np.exp(-0.5 * (radial_distance(shape, (0.8, 0.8, 0.8)) / sigma_mm) ** 2).astype(np.float32)[None]
    pose = centred_pose(shape, 0.8, (0.3, 0.2, 0.1), depth_mm=900.0)
    image, gradient = project_with_pose_gradient(blob, CAMERA, pose, SHAPE_PX)
    rows, columns = np.mgrid[: SHAPE_PX[0], : SHAPE_PX[1]]
    rays = np.stack([columns, rows, np.ones_like(rows)], axis=-1) @ np.linalg.inv(CAMERA).T
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    centre = np.array([0, 0, 900.0])
    across = rays * (rays @ centre)[..., None] - centre
    truth = np.sqrt(2 * np.pi) * sigma_mm * np.exp(-0.5 * (across**2).sum(-1) / sigma_mm**2)
    # Interpolating a Gaussian of sigma 6 voxels linearly lowers it by up to 1/8 * 2 / 6**2 = 0.7 %.
    np.testing.assert_allclose(image[0], truth, atol=0.008 * truth.max())
    # d/dt exp(-|across|^2 / 2 s^2) = truth * across / s^2: the blob follows the translation.
    expected = truth[..., None] * across / sigma_mm**2
    np.testing.assert_allclose(gradient[0, ..., 3:], expected, atol=0.02 * np.abs(expected).max())
    # A rotation about the source moves the centre by w x c.
    turned = np.stack([expected @ np.cross(axis, centre) for axis in np.eye(3)], axis=-1)
    np.testing.assert_allclose(gradient[0, ..., :3], turned, atol=0.02 * np.abs(turned).max())


def test_pullback_is_the_gradient_summed_with_the_weights():
    rng = np.random.default_rng(5)
    values = smooth_volume(rng, (20, 24, 18), channels=2)
    poses = np.stack([centred_pose((20, 24, 18), 1.5, rotation) for rotation in ROTATIONS])
    weights = rng.standard_normal((len(poses), 2, *SHAPE_PX)).astype(np.float32)
    images, gradients = project_with_pose_gradient(values, CAMERA, poses, SHAPE_PX)
    for threads in (1, 2):
        again, total = project_with_pose_pullback(values, CAMERA, poses, weights, threads=threads)
        np.testing.assert_array_equal(again, images)
        expected = (weights[..., None].astype(float) * gradients).sum(axis=(1, 2, 3))
        np.testing.assert_allclose(total, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@given(
    rotation=st.tuples(*[st.floats(-3, 3)] * 3),
    shape=st.tuples(*[st.integers(1, 12)] * 3),
    seed=st.integers(0, 2**31),
    rule=st.sampled_from(["joseph", "simpson"]),
)
@settings(max_examples=50, deadline=None, derandomize=True)
def test_back_projection_is_the_transpose(rotation, shape, seed, rule):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((2, *shape)).astype(np.float32)
    poses = np.stack([centred_pose(shape, (2.0, 3.0, 2.5), rotation, depth) for depth in (950.0, 5.0)])
    weights = rng.standard_normal((2, 2, *SHAPE_PX)).astype(np.float32)
    images = project(values, CAMERA, poses, SHAPE_PX, rule=rule)
    voxels = back_project(weights, CAMERA, poses, shape, rule=rule)
    # Both sums run in float32 (6e-8) over at most 25 planes and some hundred rays a voxel.
    scale = np.abs(weights * images).sum() + 1e-6
    assert abs(float((images * weights).sum(dtype=float) - (values * voxels).sum(dtype=float))) < 2e-6 * scale


@pytest.mark.parametrize("rotation", [*ROTATIONS, (0.6, -0.6, 0.2)])
def test_the_fast_loop_is_the_transpose_too_on_any_number_of_threads(rotation):
    """A grid larger than tiles and chunks, wholly behind the image, so that the loop without checks runs."""
    rng = np.random.default_rng(6)
    shape = (44, 40, 48)
    pose = centred_pose(shape, (1.0, 1.3, 0.9), rotation, depth_mm=300.0)
    camera, shape_px = film(40, 36, 0.9, sdd_mm=320.0), (40, 36)
    values = rng.standard_normal((1, *shape)).astype(np.float32)
    weights = rng.standard_normal((1, *shape_px)).astype(np.float32)
    weights[:, :9] = 0.0  # rows without weight are passed over
    voxels = back_project(weights, camera, pose, shape)
    images = project(values, camera, pose, shape_px)
    scale = np.abs(weights * images).sum()
    assert abs(float((images * weights).sum(dtype=float) - (values * voxels).sum(dtype=float))) < 2e-6 * scale
    np.testing.assert_array_equal(back_project(weights, camera, pose, shape, threads=3), voxels)


def test_threads_do_not_meet_where_poses_run_along_different_axes():
    """Slices of one axis cut across those of another: were both cast at once, two threads would add to one voxel."""
    rng = np.random.default_rng(7)
    shape = (24, 20, 28)
    rotations = [
        (0, 0, 0),
        (np.pi / 2, 0, 0),
        (0, np.pi / 2, 0),
        (0.1, 0.1, 0),
        (np.pi / 2, 0.1, 0),
        (0.1, np.pi / 2, 0),
    ]
    poses = np.stack([centred_pose(shape, 1.5, rotation) for rotation in rotations])
    weights = rng.standard_normal((len(poses), 1, *SHAPE_PX)).astype(np.float32)
    alone = back_project(weights, CAMERA, poses, shape)
    for _ in range(20):
        np.testing.assert_array_equal(back_project(weights, CAMERA, poses, shape, threads=2), alone)


def test_a_gradient_of_another_size_is_refused():
    with pytest.raises(InputError, match="image gradient has shape"):
        back_project(np.zeros((2, 1, 5, 5)), CAMERA, centred_pose((4, 4, 4), 1.0), (4, 4, 4))
