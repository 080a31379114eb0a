"""Poses of the random CT-DRRs: the paper's, and what positioning leaves."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from bonelift.drr.normalised_case import NormalisedCase, PosedRadiograph
from bonelift.film.standard import FILM_SHAPE, nominal_camera_from_radius
from bonelift.geometry import rigid_from_vector
from bonelift.images import View, Volume
from bonelift.learning.presets import load_preset
from bonelift.learning.study_samples import ct_drr_samples, random_view
from bonelift.surface.mesh import TriangleMesh

DRAWS = 300


@pytest.fixture(scope="module")
def case() -> NormalisedCase:
    """A bar of bone 16 mm wide about the radius frame's origin, in a world of its own."""
    world_from_radius = rigid_from_vector(np.array([0.3, -0.2, 0.1, 40.0, -20.0, 90.0]))
    radius_from_voxel = np.diag([2.0, 2.0, 2.0, 1.0])
    radius_from_voxel[:3, 3] = [-7.0, -7.0, -47.0]
    bones = Volume(np.full((8, 8, 25), 0.04, np.float32), radius_from_voxel)
    nothing = TriangleMesh(np.zeros((3, 3)), np.array([[0, 1, 2]]))
    return NormalisedCase(nothing, nothing, bones, np.array([19.0, 2.0, -3.0]), np.linalg.inv(world_from_radius))


def motion(case: NormalisedCase, posed: PosedRadiograph) -> np.ndarray:
    """(6,) turns about the camera's x, y, z (degrees) and shifts (mm) from the wrist straight in the beam."""
    radiograph = posed.radiograph
    # The blank image has half the film's pixel and the film's field.
    film_from_image = np.array([[0.5, 0, -0.25], [0, 0.5, -0.25], [0, 0, 1.0]])
    film_camera = radiograph.camera.viewed_through(film_from_image, FILM_SHAPE[1], FILM_SHAPE[0])
    straight = nominal_camera_from_radius(film_camera, radiograph.view, radiograph.source_to_object_mm)
    pose = posed.camera_from_world @ np.linalg.inv(case.right_from_world)
    turns = Rotation.from_matrix(pose[:3, :3] @ straight[:3, :3].T).as_euler("xyz", degrees=True)
    return np.concatenate([turns, pose[:3, 3] - straight[:3, 3]])


@pytest.mark.parametrize("view", ["pa", "lateral"])
def test_the_papers_poses_fill_30_degrees_and_30_mm(case, view: View):
    rng = np.random.default_rng(1)
    motions = np.stack([motion(case, random_view(case, view, rng, "paper")) for _ in range(DRAWS)])
    assert np.abs(motions).max(axis=0) == pytest.approx(np.full(6, 30.0), abs=2.0)  # (28 / 30)^300 is 1e-9
    assert (np.abs(motions) <= 30.0 + 1e-9).all()
    # A uniform draw within 30 has SD 17.3; its mean over the draws one of 1.0.
    np.testing.assert_allclose(motions.mean(axis=0), 0.0, atol=5.0)
    np.testing.assert_allclose(motions.std(axis=0), 30 / np.sqrt(3), rtol=0.2)


def test_positioning_leaves_less(case):
    rng = np.random.default_rng(2)
    motions = np.stack([motion(case, random_view(case, "pa", rng, "positioning")) for _ in range(DRAWS)])
    # SD 7.5, 5 and 4 degrees, one draw in seven twice as wide: 1.2 times that at most.
    assert (motions[:, :3].std(axis=0) < 10.0).all()
    np.testing.assert_allclose(motions[:, 5], 0.0, atol=1e-6)  # the depth is the nominal one


def test_ct_drrs_take_the_poses_asked_for(case):
    """With a far turn the bar is foreshortened: the paper's poses give DRRs that positioning does not."""
    by_paper, positioned = (
        ct_drr_samples(case, ["pa"] * 40, np.random.default_rng(3), 0.0, 0.0, poses)
        for poses in ("paper", "positioning")
    )
    # 16 mm of 0.04 per mm, straight through; a turn about the shaft lengthens the way up to the diagonal.
    thickest = {name: max(s.drr.max() for s in made) for name, made in (("p", by_paper), ("f", positioned))}
    assert thickest["f"] < thickest["p"] <= 0.04 * 16 * np.sqrt(3)
    assert all(sample.drr.max() >= 0.04 * 15 for sample in (*by_paper, *positioned))


def test_the_preset_of_the_paper_trains_on_its_poses():
    assert [load_preset(name).drr_poses for name in ("smoke", "laptop", "paper")] == ["positioning"] * 2 + ["paper"]
    assert load_preset("paper").ct_drrs == 40
