"""Algebra of rigid transforms, promised for every one of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bonelift.geometry import (
    apply_transform,
    compose,
    invert_rigid,
    is_rigid,
    rigid_between,
    rigid_from_vector,
    rotation_about_axis,
    rotation_angle,
    translation,
    vector_from_rigid,
)

PROPERTY = settings(max_examples=50, deadline=None, derandomize=True, database=None)

# Rounding of float64 (1e-16) on coordinates of up to 1e3 mm, through a few products.
ATOL = 1e-9

angles = st.floats(-3.0, 3.0)
lengths = st.floats(-500.0, 500.0)
poses = st.builds(
    lambda rotation, offset: rigid_from_vector([*rotation, *offset]),
    arrays(np.float64, 3, elements=angles),
    arrays(np.float64, 3, elements=lengths),
)
points = arrays(np.float64, (4, 3), elements=lengths)


@PROPERTY
@given(poses)
def test_every_pose_is_a_proper_rotation(pose: np.ndarray) -> None:
    assert is_rigid(pose)
    assert np.linalg.det(pose[:3, :3]) == pytest.approx(1, abs=1e-12)


@PROPERTY
@given(poses, points)
def test_inverse_returns_every_point(pose: np.ndarray, at: np.ndarray) -> None:
    np.testing.assert_allclose(apply_transform(invert_rigid(pose), apply_transform(pose, at)), at, atol=ATOL)
    np.testing.assert_allclose(invert_rigid(pose), np.linalg.inv(pose), atol=ATOL)


@PROPERTY
@given(poses, poses, poses, points)
def test_composition(a_from_b: np.ndarray, b_from_c: np.ndarray, c_from_d: np.ndarray, at: np.ndarray) -> None:
    whole = compose(a_from_b, b_from_c, c_from_d)
    np.testing.assert_allclose(whole, compose(compose(a_from_b, b_from_c), c_from_d), atol=ATOL)
    np.testing.assert_allclose(whole, compose(a_from_b, compose(b_from_c, c_from_d)), atol=ATOL)
    step_by_step = apply_transform(a_from_b, apply_transform(b_from_c, apply_transform(c_from_d, at)))
    np.testing.assert_allclose(apply_transform(whole, at), step_by_step, atol=ATOL)


@PROPERTY
@given(poses, points)
def test_distances_stay(pose: np.ndarray, at: np.ndarray) -> None:
    moved = apply_transform(pose, at)
    np.testing.assert_allclose(np.linalg.norm(moved - moved[0], axis=1), np.linalg.norm(at - at[0], axis=1), atol=ATOL)


@PROPERTY
@given(poses)
def test_vector_round_trip(pose: np.ndarray) -> None:
    # Near half a turn the rotation vector may flip its sign; the transform may not.
    np.testing.assert_allclose(rigid_from_vector(vector_from_rigid(pose)), pose, atol=1e-7)


@PROPERTY
@given(arrays(np.float64, 3, elements=st.floats(-2, 2)), angles)
def test_rotation_about_an_axis(axis: np.ndarray, angle_rad: float) -> None:
    if np.linalg.norm(axis) < 1e-3:
        axis = np.array([0.0, 0, 1])
    pose = rotation_about_axis(axis, angle_rad)
    np.testing.assert_allclose(apply_transform(pose, axis), axis, atol=1e-12)
    assert rotation_angle(pose) == pytest.approx(abs(angle_rad), abs=1e-7)


def test_rotations_are_right_handed() -> None:
    np.testing.assert_allclose(
        apply_transform(rotation_about_axis([0, 0, 2], np.pi / 2), [1, 0, 0]), [0, 1, 0], atol=1e-12
    )
    with pytest.raises(ValueError, match="length 0"):
        rotation_about_axis([0, 0, 0], 1.0)


def test_rotation_comes_before_translation() -> None:
    pose = rigid_from_vector([0, 0, np.pi / 2, 5, 0, 0])
    np.testing.assert_allclose(
        pose, compose(translation([5, 0, 0]), rotation_about_axis([0, 0, 1], np.pi / 2)), atol=1e-12
    )


@PROPERTY
@given(poses)
def test_a_mirror_is_not_rigid(pose: np.ndarray) -> None:
    assert not is_rigid(pose @ np.diag([-1.0, 1, 1, 1]))
    assert not is_rigid(pose * 1.01)
    assert not is_rigid(np.full((4, 4), np.nan))
    assert not is_rigid(pose[:3])


@PROPERTY
@given(poses, st.integers(0, 2**31))
def test_corresponding_points_give_their_pose_and_a_mirror_never(pose: np.ndarray, seed: int) -> None:
    points = np.random.default_rng(seed).normal(size=(12, 3)) * [3, 5, 8]
    np.testing.assert_allclose(rigid_between(points, apply_transform(pose, points)), pose, atol=1e-9)
    # The best linear map onto mirrored points is the mirror itself, which no bone can follow.
    mirrored = apply_transform(pose, points * [-1, 1, 1])
    found = rigid_between(points, mirrored)
    assert is_rigid(found)
    # Least squares: no small turn about the middle does better.
    cost = np.linalg.norm(apply_transform(found, points) - mirrored)
    for axis in np.eye(3):
        for angle in (-1e-3, 1e-3):
            middle = translation(mirrored.mean(axis=0))
            turned = compose(middle, rotation_about_axis(axis, angle), np.linalg.inv(middle), found)
            assert np.linalg.norm(apply_transform(turned, points) - mirrored) >= cost - 1e-9
