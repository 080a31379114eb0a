"""The step that every surface alignment takes: exact to first order, never a mirror, deaf to what lies far off."""

from __future__ import annotations

import numpy as np

from bonelift.geometry import apply_transform, rigid_from_vector, translation
from bonelift.surface.point_to_plane import StepRules, biweights, point_to_plane_step


def ellipsoid() -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) points of an ellipsoid of half axes 10, 7, 5 mm, off the origin, and their unit normals."""
    directions = np.random.default_rng(3).normal(size=(400, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    axes = np.array([10.0, 7.0, 5.0])
    normals = directions / axes
    return directions * axes + [30.0, -20.0, 5.0], normals / np.linalg.norm(normals, axis=1, keepdims=True)


def iterated(moving: np.ndarray, rules: StepRules, kept: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Matches are known and stay: what is left after ten steps, and the motion that they add up to."""
    fixed, normals = ellipsoid()
    motion = np.eye(4)
    for _ in range(10):
        step = point_to_plane_step(apply_transform(motion, moving), fixed, normals, kept, rules)
        motion = step.motion @ motion
    return motion, apply_transform(motion, moving) - fixed


def test_known_matches_are_brought_together():
    fixed, _ = ellipsoid()
    moved = rigid_from_vector([0.1, -0.05, 0.08, 1.0, -2.0, 0.5])
    motion, left = iterated(apply_transform(moved, fixed), StepRules())
    # Gauss-Newton on residuals that vanish: the error is squared at every step, and damping takes a millionth of it.
    np.testing.assert_allclose(left, 0, atol=1e-6)
    np.testing.assert_allclose(motion @ moved, np.eye(4), atol=1e-6)
    assert np.linalg.det(motion[:3, :3]) > 0


def test_one_step_takes_a_small_turn_about_the_bone_itself_to_second_order():
    """0.001 rad about the middle, 36 mm from the origin: 10 mm times half its square is left, and no 0.036 mm."""
    fixed, normals = ellipsoid()
    middle = fixed.mean(axis=0)
    turn = translation(middle) @ rigid_from_vector([6e-4, -6e-4, 5e-4, 0, 0, 0]) @ translation(-middle)
    moved = apply_transform(turn, fixed)
    step = point_to_plane_step(moved, fixed, normals)
    np.testing.assert_allclose(apply_transform(step.motion, moved), fixed, atol=5e-5)
    assert step.largest < 1e-2


def test_a_size_is_found_where_it_may_change():
    fixed, _ = ellipsoid()
    smaller = 0.9 * fixed
    motion, left = iterated(smaller, StepRules(scaled=True))
    np.testing.assert_allclose(left, 0, atol=1e-6)
    assert np.isclose(np.cbrt(np.linalg.det(motion[:3, :3])), 1 / 0.9, atol=1e-6)
    rigid, left = iterated(smaller, StepRules())
    assert np.isclose(np.linalg.det(rigid[:3, :3]), 1, atol=1e-9)
    assert np.abs(left).max() > 0.1


def test_what_lies_far_off_or_is_left_out_says_nothing():
    fixed, _ = ellipsoid()
    moving = apply_transform(rigid_from_vector([0.02, 0, 0, 0.3, 0, 0]), fixed)
    moving[:20] += 40.0
    _, left = iterated(moving, StepRules())
    np.testing.assert_allclose(left[20:], 0, atol=1e-6)
    moving[20:200] += 0.3
    _, left = iterated(moving, StepRules(), np.arange(len(fixed)) >= 200)
    np.testing.assert_allclose(left[200:], 0, atol=1e-6)


def test_weights_fall_to_nothing_beyond_seven_medians():
    distances = np.array([0.0, 1.0, 1.0, 1.0, 6.9, 7.0, 1.0])
    weights = biweights(distances, np.array([True] * 6 + [False]), 1e-4)
    # 4.685 * 1.4826 = 6.946 medians.
    assert weights[0] == 1
    assert 0 < weights[4] < 1e-3
    assert weights[5] == weights[6] == 0


def test_a_turn_is_held():
    fixed, normals = ellipsoid()
    step = point_to_plane_step(
        apply_transform(rigid_from_vector([0, 0, 1.0, 0, 0, 0]), fixed),
        fixed,
        normals,
        rules=StepRules(largest_turn=0.1),
    )
    cosine = (np.trace(step.motion[:3, :3]) - 1) / 2
    assert np.arccos(cosine) <= 0.1 + 1e-9
