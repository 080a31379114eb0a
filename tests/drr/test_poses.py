"""Random poses of a CT in front of the camera, and what of it they show."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bonelift.drr import project
from bonelift.drr.poses import POSES_A_CT, moved_poses, random_motions, share_in_view
from bonelift.drr.subject import attenuation_stack, cropped_to_bones
from bonelift.errors import InputError
from bonelift.geometry import apply_transform, default_film_camera, is_rigid, rigid_from_vector
from bonelift.images import LabelMap, Volume
from builders.drr_scenes import centred_pose, film


def test_random_motions_fill_their_ranges():
    motions = random_motions(np.random.default_rng(1), 4000, np.radians(30), 20.0)
    limits = np.repeat([np.radians(30), 20.0], 3)
    assert (np.abs(motions) <= limits).all()
    # Uniform on +-L: mean 0 with SD L / sqrt(3 * 4000) = 0.009 L, and SD L / sqrt(3); five such deviations allowed.
    assert (np.abs(motions.mean(axis=0)) < 0.05 * limits).all()
    np.testing.assert_allclose(motions.std(axis=0), limits / np.sqrt(3), rtol=0.05)
    with pytest.raises(InputError, match="at least one"):
        random_motions(np.random.default_rng(1), 0)


@given(
    motion=st.tuples(*[st.floats(-0.6, 0.6)] * 3, *[st.floats(-30, 30)] * 3),
    nominal=st.tuples(*[st.floats(-3, 3)] * 3, *[st.floats(-50, 50)] * 2, st.floats(500, 900)),
    centre=st.tuples(*[st.floats(-80, 80)] * 3),
)
def test_a_wrist_turns_about_its_own_centre(motion, nominal, centre):
    pose = rigid_from_vector(nominal)
    moved = moved_poses(pose, centre, [motion])[0]
    assert is_rigid(moved)
    np.testing.assert_allclose(apply_transform(moved, centre), apply_transform(pose, centre) + motion[3:], atol=1e-9)
    # One axis at a time it is the rotation about that axis of the camera.
    about_z = moved_poses(pose, centre, [[0, 0, motion[2], 0, 0, 0]])[0]
    np.testing.assert_allclose(about_z[:3, :3], rigid_from_vector([0, 0, motion[2], 0, 0, 0])[:3, :3] @ pose[:3, :3])


def test_turns_come_about_x_then_y_then_z():
    """Quarter turns: about x, y goes to z; about y, z goes to x. The other way round y would stay and end on z."""
    quarter = np.pi / 2
    moved = moved_poses(np.eye(4), [0, 0, 0], [[quarter, quarter, 0, 0, 0, 0], [0, quarter, quarter, 0, 0, 0]])
    np.testing.assert_allclose(apply_transform(moved[0], [0, 1, 0]), [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(apply_transform(moved[1], [0, 0, 1]), [0, 1, 0], atol=1e-12)


def test_the_papers_poses_lie_within_30_degrees_and_30_mm():
    motions = random_motions(np.random.default_rng(4), 2000)
    # Of 2000 even draws the largest is within 1 % of the limit but for a chance of 2e-9 an axis.
    np.testing.assert_allclose(np.abs(motions).max(axis=0), [np.radians(30)] * 3 + [30.0] * 3, rtol=0.01)
    assert POSES_A_CT == 40


def test_share_in_view_counts_what_falls_on_the_image():
    camera = default_film_camera(100, 80, 1.0)
    at = np.array([[0, 0, 500.0], [24, 0, 500.0], [26, 0, 500.0], [0, 0, -500.0], [0, 21, 500.0]])
    # 24 mm at half the distance is 48 px beside the centre of 100, 26 mm 52; 21 mm 42 of 80 rows.
    assert share_in_view(camera, np.eye(4), at) == pytest.approx(2 / 5)


def test_cutting_the_ct_to_its_bones_changes_no_pixel():
    rng = np.random.default_rng(2)
    labels = np.zeros((30, 28, 26), np.uint8)
    labels[5:12, 0:6, 4:20], labels[16:22, 9:15, 8:26] = 1, 2
    frame = np.diag([0.9, 1.1, 1.3, 1.0])
    ct, marked = Volume(rng.uniform(0, 900, labels.shape), frame), LabelMap(labels, frame)
    cut_ct, cut_labels = cropped_to_bones(ct, marked)
    assert cut_ct.values.size < 0.7 * ct.values.size
    camera_from_world = centred_pose(labels.shape, 1.0, (0.3, -0.2, 0.5))
    whole, cut = (
        project(attenuation_stack(*case), film(40, 36, 1.0), camera_from_world @ case[0].world_from_voxel, (40, 36))
        for case in ((ct, marked), (cut_ct, cut_labels))
    )
    # Positions are rounded to 2**-20 voxel from another first voxel.
    np.testing.assert_allclose(cut, whole, atol=1e-5 * whole.max())
