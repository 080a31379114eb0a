"""Registration against known poses: simple bones, their own projections, and situations that must be refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from bonelift.errors import InputError
from bonelift.film.standard import FILM_SHAPE, nominal_camera_from_radius
from bonelift.geometry import XrayCamera, invert_rigid, rigid_from_vector, rotation_about_axis, rotation_angle
from bonelift.images import LAPTOP_GRID
from bonelift.registration.chart import pose_chart, twist_in_camera
from bonelift.registration.objective import PosePrior, objective
from bonelift.registration.pose import PoseResult, PoseSettings, register
from bonelift.registration.search import cma_search
from bonelift.registration.similarity import (
    gradient_correlation,
    gradients,
    intensity_correlation,
    patch_gradient_correlation,
)
from bonelift.registration.views import FixedView, MovingBone, coarser, moving_bone, project_bone
from builders.toy_wrist import DEPTH_MM, assert_jacobian_is_derivative, film_camera, toy_radius, toy_ulna

Float = NDArray[np.float64]
SETTINGS = PoseSettings(starts=3, generations=12)


def wrist() -> MovingBone:
    return moving_bone(toy_radius() + toy_ulna(), LAPTOP_GRID.radius_from_voxel)


def errors(found: Float, true: Float, camera: XrayCamera, bone: MovingBone) -> tuple[float, float, float]:
    """Angle (deg), distance in the image plane (mm) and depth (mm) between two poses."""
    step = pose_chart(camera, true, bone.centre_mm).parameters(found)
    return np.rad2deg(np.linalg.norm(step[:3])), float(np.linalg.norm(step[3:5])), abs(step[5])


@pytest.fixture(scope="module")
def start() -> Float:
    return nominal_camera_from_radius(film_camera(), "pa", DEPTH_MM)


def moved(start: Float, bone: MovingBone, parameters: list[float]) -> Float:
    return pose_chart(film_camera(), start, bone.centre_mm).poses(np.array([parameters]))[0]


def noisy_image(bone: MovingBone, camera: XrayCamera, pose: Float, seed: int = 0) -> Float:
    image = project_bone(bone, camera, pose[None])[0]
    return image + np.random.default_rng(seed).normal(0, 0.01 * image.max(), image.shape)


def register_once(bone: MovingBone, image: Float, start: Float, settings: PoseSettings = SETTINGS) -> PoseResult:
    return register(bone, [FixedView(image, film_camera())], start, settings)


def test_a_search_in_doubt_goes_on_where_it_ended_and_a_confirmed_one_does_not(start):
    """As if all starts had been made at once; the evaluations tell that none was made twice in the first case, and that
    none was added in the second."""
    bone = wrist()
    image = noisy_image(bone, film_camera(), moved(start, bone, [0.05, -0.04, 0.06, 2.0, -1.5, 3.0]))
    quick = PoseSettings(starts=3, generations=6)
    whole = register_once(bone, image, start, quick)
    alone = register_once(bone, image, start, replace(quick, starts=1))
    gone_on = register_once(bone, image, start, replace(quick, starts=1, starts_in_doubt=3))
    assert (alone.starts, alone.agreeing_starts, gone_on.starts) == (1, 1, 3)
    np.testing.assert_array_equal(gone_on.world_from_bone, whole.world_from_bone)
    assert gone_on.evaluations == whole.evaluations
    assert whole.agreeing_starts >= 2
    sure = register_once(bone, image, start, replace(quick, starts_in_doubt=6))
    assert (sure.starts, sure.evaluations) == (3, whole.evaluations)


def test_a_start_that_was_read_confirms_a_search_that_ends_there_and_no_other(start):
    """It counts as one of the starts, and then none is added in doubt."""
    bone = wrist()
    true = moved(start, bone, [0.05, -0.04, 0.06, 2.0, -1.5, 3.0])
    image = noisy_image(bone, film_camera(), true)
    quick = PoseSettings(starts=1, generations=6, starts_in_doubt=3, start_confirms=True)
    read = moved(true, bone, [0.01, 0.0, -0.01, 0.2, -0.2, 2.0])
    near = register_once(bone, image, read, quick)
    assert (near.starts, near.agreeing_starts, near.converged) == (2, 2, True)
    far = register_once(bone, image, moved(true, bone, [0.0, 0.0, 0.08, 0.0, 0.0, 0.0]), quick)
    assert errors(far.world_from_bone, true, film_camera(), bone)[0] < 1
    assert far.starts == 4
    alone = register_once(
        bone, image, moved(true, bone, [0.01, 0.0, -0.01, 0.2, -0.2, 2.0]), replace(quick, start_confirms=False)
    )
    assert alone.starts == 3


def test_a_guess_is_one_of_the_starts_and_wins_where_the_search_does_not_get_there(start):
    """The start is turned by 115 degrees and nothing is searched: only what is known from elsewhere leads there."""
    bone = wrist()
    true = moved(start, bone, [0.05, -0.04, 0.06, 2.0, -1.5, 3.0])
    view = FixedView(noisy_image(bone, film_camera(), true), film_camera())
    far = moved(start, bone, [0.0, 0.0, 2.0, 0.0, 0.0, 0.0])
    settings = PoseSettings(starts=1, generations=0, prior_sigma=(3.0,) * 3 + (30.0,) * 3)
    lost = register(bone, [view], far, settings)
    apart = ([0.05, 0.0, -0.03, 1.0, 1.0, 4.0], [0.0, -0.06, 0.02, -1.0, 0.5, -3.0])
    near = [moved(true, bone, offset) for offset in apart]
    found = register(bone, [view], far, settings, guesses=near)
    assert errors(lost.world_from_bone, true, film_camera(), bone)[0] > 5
    assert errors(found.world_from_bone, true, film_camera(), bone)[0] < 1
    assert (lost.starts, found.starts, found.agreeing_starts) == (1, 3, 2)


# --- similarity ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("similarity", [gradient_correlation, intensity_correlation, patch_gradient_correlation])
def test_similarity_is_one_for_any_gain_and_offset_and_less_for_noise(similarity):
    rng = np.random.default_rng(1)
    image = np.cumsum(np.cumsum(rng.normal(size=(40, 30)), axis=0), axis=1)
    others = np.stack([3 * image + 7, image[::-1], rng.normal(size=image.shape)])
    scores = similarity(image, others)
    assert scores.shape == (3,)
    assert scores[0] == pytest.approx(1.0, abs=1e-9)
    assert (scores[1:] < 0.7).all()


def test_negative_image_anticorrelates():
    image = np.random.default_rng(2).normal(size=(20, 20))
    assert gradient_correlation(image, -image) == pytest.approx(-1.0)


def test_gradient_correlation_ignores_a_ramp_that_intensity_correlation_does_not():
    image = np.random.default_rng(3).normal(size=(30, 30))
    ramp = image + 10 * np.arange(30)[:, None]
    inner = np.zeros((30, 30))
    inner[1:-1, 1:-1] = 1  # a ramp's gradient is a constant except on the border, where it is set to 0
    assert gradient_correlation(image, ramp, inner) == pytest.approx(1.0)
    assert intensity_correlation(image, ramp, inner) < 0.5


def test_weights_are_those_of_a_weighted_correlation():
    rng = np.random.default_rng(8)
    fixed, moving, weights = rng.normal(size=(16, 20)), rng.normal(size=(16, 20)), rng.uniform(0.1, 3, (16, 20))
    moving += 0.7 * fixed
    covariance = np.cov(fixed.ravel(), moving.ravel(), aweights=weights.ravel())
    expected = covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1])
    assert intensity_correlation(fixed, moving, weights) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("similarity", [gradient_correlation, intensity_correlation, patch_gradient_correlation])
def test_pixels_of_weight_zero_do_not_count(similarity):
    rng = np.random.default_rng(4)
    image, mask = rng.normal(size=(24, 24)), np.zeros((24, 24))
    mask[:12] = 1
    spoiled = image.copy()
    spoiled[14:] = 1e3  # two rows off the mask, so that no gradient inside it reaches there
    assert similarity(image, spoiled, mask) == pytest.approx(1.0)


def test_patches_limit_what_a_strong_foreign_edge_costs():
    image = noisy_image(wrist(), film_camera(), nominal_camera_from_radius(film_camera(), "pa", DEPTH_MM))
    ring = image.copy()
    rows, columns = np.indices(image.shape)
    ring[np.abs(rows + columns - 140) < 3] += 3 * image.max()
    assert patch_gradient_correlation(image, ring) > gradient_correlation(image, ring) + 0.2


def test_gradients_of_a_plane_are_its_slopes():
    rows, columns = np.mgrid[:6, :5].astype(float)
    slope = gradients(2 * columns - 3 * rows)
    assert np.allclose(slope[0, :, 1:-1], 2)
    assert np.allclose(slope[1, 1:-1], -3)


@pytest.mark.parametrize("mask", [np.zeros((8, 8)), np.full((8, 8), -1.0), np.ones((4, 4)), np.full((8, 8), np.nan)])
def test_a_bad_mask_is_refused(mask):
    with pytest.raises(InputError):
        gradient_correlation(np.eye(8), np.eye(8), mask)


# --- search, chart, objective ----------------------------------------------------------------------------------------


def test_search_finds_a_narrow_valley_and_repeats_itself():
    def rosenbrock(x: Float) -> Float:
        return (100 * (x[:, 1:] - x[:, :-1] ** 2) ** 2 + (1 - x[:, :-1]) ** 2).sum(axis=1)

    runs = [
        cma_search(rosenbrock, np.zeros(3), np.full(3, 0.5), np.random.default_rng(5), 16, 400, 1e-12) for _ in range(2)
    ]
    assert np.allclose(runs[0].best, 1, atol=1e-3)
    assert np.array_equal(runs[0].best, runs[1].best)


def test_search_leaves_the_global_generator_alone():
    np.random.seed(7)  # noqa: NPY002 - the point of the test
    expected = np.random.rand()  # noqa: NPY002
    np.random.seed(7)  # noqa: NPY002
    cma_search(lambda x: (x**2).sum(axis=1), np.ones(2), np.ones(2), np.random.default_rng(0), 6, 5)
    assert np.random.rand() == expected  # noqa: NPY002


def test_chart_goes_there_and_back(start):
    chart = pose_chart(film_camera(), start, wrist().centre_mm)
    parameters = np.array([0.1, -0.2, 0.3, 4, -5, 30])
    pose = chart.poses(parameters[None])[0]
    assert np.allclose(chart.parameters(pose), parameters)
    assert np.allclose(chart.recentred(pose).poses(np.zeros((1, 6)))[0], pose)


def test_chart_directions_are_those_of_the_image(start):
    camera, bone = film_camera(), wrist()
    chart = pose_chart(camera, start, bone.centre_mm)
    steps = chart.poses(np.array([[0, 0, 0, 2.0, 0, 0], [0, 0, 0, 0, 2.0, 0], [0, 0, 0, 0, 0, 40.0]]))
    centre = np.array([pose[:3, :3] @ bone.centre_mm + pose[:3, 3] for pose in [start, *steps]])
    shift = camera.project(centre)[1:] - camera.project(centre)[0]
    # 2 mm at the wrist are 4 px of the film; the view frame is off the camera's axes by under 2 degrees.
    assert np.allclose(shift, [[4, 0], [0, 4], [0, 0]], atol=0.02)


def test_twist_is_the_chart_step_written_in_the_camera_frame(start):
    camera, bone = film_camera(), wrist()
    chart = pose_chart(camera, start, bone.centre_mm)
    parameters = np.array([1, -2, 3, 0.1, 0.2, -0.3]) * 1e-5
    twist = twist_in_camera(chart, camera) @ parameters
    expected = camera.camera_from_world @ chart.poses(parameters[None])[0]
    # Exact to first order: the rest is the square of 1e-5 times the lever of 1 m.
    assert np.allclose(rigid_from_vector(twist) @ camera.camera_from_world @ start, expected, atol=1e-6)


def test_residuals_sum_to_the_similarity_and_their_jacobian_is_their_derivative(start):
    camera, bone = film_camera(), wrist()
    image = noisy_image(bone, camera, moved(start, bone, [0.05, 0.05, 0.02, 1, -1, 5]))
    problem = objective(bone, [FixedView(image, camera)], 2, 0.7)
    chart = pose_chart(camera, start, bone.centre_mm)
    residual, _ = problem.residuals(chart)
    similarity = problem.similarity(start[None], "gradient_correlation")[0, 0]
    assert residual @ residual == pytest.approx(1 - similarity)

    assert_jacobian_is_derivative(problem, chart, np.array([5e-3, 5e-3, 5e-3, 0.15, 0.15, 1.5]))


def test_the_priors_residuals_are_the_root_of_its_cost_and_its_jacobian_their_derivative():
    prior = PosePrior(np.array([0.1, 0.2, 0.3, 4.0, 5.0, 60.0]), 0.02)
    parameters = np.array([0.1, -0.1, 0.2, 3.0, -2.0, 30.0])
    # By hand: squares of 1, 1/2, 2/3, 3/4, 2/5, 1/2, times 0.02.
    expected = 0.02 * (1 + 0.25 + 4 / 9 + 9 / 16 + 4 / 25 + 0.25)
    assert prior.cost(parameters) == pytest.approx(expected)
    assert (prior.residuals(parameters) ** 2).sum() == pytest.approx(expected)
    for direction in np.eye(6):
        step = prior.residuals(parameters + direction) - prior.residuals(parameters)  # linear: the step is exact
        np.testing.assert_allclose(prior.jacobian @ direction, step, atol=1e-12)


def test_a_coarser_view_sees_the_same_point_in_the_same_place():
    view = FixedView(np.arange(48.0).reshape(6, 8), XrayCamera(np.diag([500, 500, 1.0]), np.eye(4), 8, 6, 1000))
    half = coarser(view, 2, 0)
    assert half.image[1, 2] == view.image[2:4, 4:6].mean()
    # The centre of coarse pixel (column 2, row 1) is the corner shared by fine pixels 4, 5 and 2, 3.
    point = view.camera.back_project([4.5, 2.5], 700.0)
    assert np.allclose(half.camera.project(point), [2, 1])


# --- poses -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "offset", [[0.08, -0.06, 0.1, 5, -4, 10], [-0.1, 0.1, -0.08, -4, 6, -15]], ids=["one way", "other way"]
)
def test_known_pose_is_recovered_from_one_view(start, offset):
    camera, bone = film_camera(), wrist()
    true = moved(start, bone, offset)
    result = register_once(bone, noisy_image(bone, camera, true), start)
    angle_deg, in_plane_mm, depth_mm = errors(result.world_from_bone, true, camera, bone)
    # 1 % noise on 20,000 px of 0.5 mm leaves hundredths of a mm in the plane. Depth changes the scale by 1 per 1000
    # a mm, that is 0.05 mm at the rim of a 100 mm bone: ten times the in-plane error and the prior's pull.
    assert in_plane_mm < 0.1
    assert angle_deg < 3
    assert depth_mm < 8
    assert result.converged, result.reason
    assert result.similarity > 0.9
    assert result.agreeing_starts >= 2


def test_a_second_view_settles_depth(start):
    camera, bone = film_camera(), wrist()
    centre = start[:3, :3] @ bone.centre_mm + start[:3, 3]
    turn = np.eye(4)
    turn[:3, 3] = centre
    orbit = turn @ rotation_about_axis([0, 1, 0], np.pi / 2) @ invert_rigid(turn)
    side = XrayCamera(camera.image_from_camera, orbit, camera.width_px, camera.height_px, camera.sdd_mm)
    true = moved(start, bone, [0.06, -0.05, 0.04, 3, -3, 12])
    views = [FixedView(noisy_image(bone, c, true, seed), c) for seed, c in enumerate([camera, side])]
    result = register(bone, views, start, SETTINGS)
    angle_deg, in_plane_mm, depth_mm = errors(result.world_from_bone, true, camera, bone)
    # What is depth in one view lies in the plane of the other.
    assert in_plane_mm < 0.1
    assert depth_mm < 0.1
    assert angle_deg < 1
    assert result.slack[5] < 1
    assert len(result.similarity_per_view) == 2


def test_one_bone_is_placed_beside_another_that_stays(start):
    camera = film_camera()
    radius = moving_bone(toy_radius(), LAPTOP_GRID.radius_from_voxel)
    ulna = moving_bone(toy_ulna(), LAPTOP_GRID.radius_from_voxel)
    true = moved(start, ulna, [0, 0, 0.05, 1.5, -2, 0])
    image = project_bone(radius, camera, start[None])[0] + project_bone(ulna, camera, true[None])[0]
    settings = PoseSettings(starts=1, generations=0, prior_sigma=(0.05, 0.05, 0.1, 3, 3, 3))
    result = register(ulna, [FixedView(image, camera)], start, settings, others=[(radius, start)])
    _, in_plane_mm, _ = errors(result.world_from_bone, true, camera, ulna)
    assert in_plane_mm < 0.15
    assert result.converged, result.reason


def test_a_hopeless_start_is_reported_as_not_converged(start):
    bone = wrist()
    image = noisy_image(bone, film_camera(), start)
    far = moved(start, bone, [1.2, 0.9, 2.5, 45, 60, -300])
    result = register_once(bone, image, far)
    assert not result.converged
    assert result.reason


def test_an_image_without_the_bone_is_reported_as_not_converged(start):
    noise = np.random.default_rng(6).normal(size=FILM_SHAPE)
    result = register_once(wrist(), noise, start)
    assert not result.converged
    assert "similarity" in result.reason


def test_a_mirrored_bone_scores_worse_than_the_true_one(start):
    bone = wrist()
    mirrored = (toy_radius() + toy_ulna())[::-1, :, :]
    image = noisy_image(bone, film_camera(), moved(start, bone, [0.05, -0.05, 0.05, 2, -2, 5]))
    true_result = register_once(bone, image, start)
    mirror_result = register_once(moving_bone(mirrored, LAPTOP_GRID.radius_from_voxel), image, start)
    assert true_result.similarity > mirror_result.similarity + 0.1


def test_the_same_seed_gives_the_same_pose(start):
    bone = wrist()
    image = noisy_image(bone, film_camera(), moved(start, bone, [0.02, 0.03, 0.05, 2, 2, 5]))
    quick = PoseSettings(starts=2, generations=4, last_iterations=2)
    first, second = (register_once(bone, image, start, quick) for _ in range(2))
    assert np.array_equal(first.world_from_bone, second.world_from_bone)
    assert rotation_angle(first.world_from_bone) > 0


# --- bad input -------------------------------------------------------------------------------------------------------


def test_bad_input_is_refused(start):
    camera, bone = film_camera(), wrist()
    with pytest.raises(InputError, match="no image"):
        register(bone, [], start)
    with pytest.raises(InputError, match="px"):
        FixedView(np.zeros((10, 10)), camera)
    with pytest.raises(InputError, match="NaN"):
        FixedView(np.full(FILM_SHAPE, np.nan), camera)
    with pytest.raises(InputError, match="empty"):
        FixedView(np.zeros(FILM_SHAPE), camera, np.zeros(FILM_SHAPE))
    with pytest.raises(InputError, match="empty"):
        moving_bone(np.zeros((4, 4, 4)), np.eye(4))
    with pytest.raises(InputError, match="NaN"):
        moving_bone(np.full((4, 4, 4), np.nan), np.eye(4))
    behind = start.copy()
    behind[:3, 3] *= -1
    with pytest.raises(InputError, match="behind"):
        register(bone, [FixedView(np.zeros(FILM_SHAPE), camera)], behind)
