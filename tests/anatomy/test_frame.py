"""The radius frame against closed forms: cylinders have known axes, centroids and ends."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from bonelift.anatomy.frame import (
    ShaftAxis,
    articular_point,
    fit_shaft_axis,
    radius_from_landmarks,
    section_centroid,
    section_segments,
)
from bonelift.anatomy.side import mirror_mesh, mirrored_pose
from bonelift.errors import InputError
from bonelift.geometry import apply_transform, is_rigid
from bonelift.surface.mesh import TriangleMesh


def tube(tilt_x: float, top_mm: float, bottom_mm: float, radius_mm: float = 7.0, sides: int = 48) -> TriangleMesh:
    """A closed cylinder sheared along x by ``tilt_x`` mm per mm, axis through the origin."""
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    ring = radius_mm * np.column_stack([np.cos(angle), np.sin(angle)])
    lower = np.column_stack([ring[:, 0] + tilt_x * bottom_mm, ring[:, 1], np.full(sides, bottom_mm)])
    upper = np.column_stack([ring[:, 0] + tilt_x * top_mm, ring[:, 1], np.full(sides, top_mm)])
    ends = np.array([[tilt_x * bottom_mm, 0, bottom_mm], [tilt_x * top_mm, 0, top_mm]])
    i, j = np.arange(sides), (np.arange(sides) + 1) % sides
    faces = np.concatenate(
        [
            np.column_stack([i, j, i + sides]),
            np.column_stack([j, j + sides, i + sides]),
            np.column_stack([j, i, np.full(sides, 2 * sides)]),
            np.column_stack([i + sides, j + sides, np.full(sides, 2 * sides + 1)]),
        ]
    )
    return TriangleMesh(np.concatenate([lower, upper, ends]), faces.astype(np.int32))


def test_a_cut_has_the_centroid_and_area_of_its_polygon():
    mesh = tube(0.1, 0.0, -100.0)
    centroid, area = section_centroid(mesh, -33.3)
    # A regular 48-gon has area n/2 r^2 sin(2 pi / n); diagonals of the side faces lie in its sides.
    assert area == pytest.approx(24 * 49 * np.sin(2 * np.pi / 48), rel=1e-9)
    np.testing.assert_allclose(centroid, [-3.33, 0, -33.3], atol=1e-9)


def test_segments_run_counter_clockwise():
    segments = section_segments(tube(0.0, 0.0, -50.0), -10.0)
    start, end = segments[:, 0], segments[:, 1]
    assert ((start[:, 0] * end[:, 1] - start[:, 1] * end[:, 0]) > 0).all()


def test_a_cut_off_the_bone_is_empty():
    centroid, area = section_centroid(tube(0.0, 0.0, -50.0), 5.0)
    assert area == 0
    assert np.isnan(centroid[:2]).all()


def test_the_axis_of_a_sheared_tube_is_its_shear_line():
    axis = fit_shaft_axis(tube(0.1, 0.0, -100.0))
    np.testing.assert_allclose(axis.direction, np.array([0.1, 0, 1]) / np.hypot(0.1, 1), atol=1e-9)
    np.testing.assert_allclose(articular_point(tube(0.1, 0.0, -100.0), axis), [0, 0, 0], atol=1e-9)


def test_a_short_bone_has_no_shaft_axis():
    with pytest.raises(InputError, match="shaft"):
        fit_shaft_axis(tube(0.0, 0.0, -30.0))


def test_the_frame_has_the_paper_s_axes():
    """Right wrist lying in the world's axes: the frame differs by a known shift and turn about Z."""
    axis = ShaftAxis(np.array([1.0, 2, -30]), np.array([0, 0, 2.0]))
    pose = radius_from_landmarks([-9, 2, 10], [21, 2, -4], axis, [1, 2, 3])
    np.testing.assert_allclose(pose[:3, :3], np.eye(3), atol=1e-12)
    np.testing.assert_allclose(apply_transform(pose, [1.0, 2, 3]), 0, atol=1e-12)


def test_landmarks_along_the_shaft_are_refused():
    with pytest.raises(InputError, match="landmarks"):
        radius_from_landmarks([0, 0, 10], [0, 0, 0], ShaftAxis(np.zeros(3), np.array([0, 0, 1.0])), [0, 0, 0])


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=3, max_size=3), st.lists(st.floats(-200, 200), min_size=3, max_size=3))
def test_the_frame_moves_with_the_bone(turn: list[float], shift: list[float]):
    """radius_from_world (world_from_moved p) is the same point whatever the motion: the frame belongs to the bone."""
    rotation = Rotation.from_rotvec(turn).as_matrix()
    points = np.array([[-9.0, 1, 10], [19, 5, -4], [0, 0, -40], [1, -1, 0]])
    moved = points @ rotation.T + shift
    still = radius_from_landmarks(points[0], points[1], ShaftAxis(points[2], np.array([0, 0, 1.0])), points[3])
    after = radius_from_landmarks(moved[0], moved[1], ShaftAxis(moved[2], rotation[:, 2]), moved[3])
    assert is_rigid(after)
    np.testing.assert_allclose(apply_transform(after, moved), apply_transform(still, points), atol=1e-9)


def test_mirroring_twice_is_nothing_and_keeps_normals_outward():
    mesh = tube(0.1, 0.0, -50.0)
    once = mirror_mesh(mesh)
    assert once.volume_mm3 == pytest.approx(mesh.volume_mm3)
    np.testing.assert_array_equal(mirror_mesh(once).vertices, mesh.vertices)


def test_a_mirrored_pose_is_rigid_and_commutes_with_the_mirror():
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = Rotation.from_rotvec([0.3, -0.2, 0.9]).as_matrix(), [4, 5, 6]
    mirrored = mirrored_pose(pose)
    assert is_rigid(mirrored)
    point = np.array([1.0, 2, 3])
    expected = apply_transform(pose, point) * [-1, 1, 1]
    np.testing.assert_allclose(apply_transform(mirrored, point * [-1, 1, 1]), expected, atol=1e-12)
