"""The packaged shape model: what every virtual wrist must be, whatever the seed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import KDTree

from bonelift.anatomy.deformations import bump, random_field, smooth_step, tilt_joint
from bonelift.anatomy.frame import articular_point, fit_shaft_axis
from bonelift.anatomy.landmarks import FAR_POINTS, expected_landmarks, find_landmarks
from bonelift.anatomy.measurements import fit_circle, measure
from bonelift.anatomy.population import SPREAD
from bonelift.anatomy.shape_model import MODEL_FILE, WristShape, load_shape_model, sample_wrist
from bonelift.anatomy.statistical_shape import ShapeModel, read_model, save_model
from bonelift.anatomy.surface_fit import surface_cloud
from bonelift.errors import InputError
from bonelift.surface.voxelize import signed_distance_grid

SEEDS = (7, 8, 9, 10, 11, 12)


@pytest.fixture(scope="module")
def wrists() -> list[WristShape]:
    return [sample_wrist(load_shape_model(), np.random.default_rng(seed)) for seed in SEEDS]


def test_the_packaged_file_is_small():
    assert MODEL_FILE.stat().st_size < 4e6


def test_a_model_survives_its_file(tmp_path):
    model = load_shape_model()
    save_model(tmp_path / "model.npz", model)
    again = read_model(tmp_path / "model.npz")
    np.testing.assert_array_equal(again.radius.modes, model.radius.modes)
    np.testing.assert_array_equal(again.ulna.mean.faces, model.ulna.mean.faces)
    assert set(again.landmarks) == set(model.landmarks)


def test_another_format_is_refused(tmp_path):
    np.savez(tmp_path / "old.npz", format_version=np.array(0))
    with pytest.raises(InputError, match="format 0"):
        read_model(tmp_path / "old.npz")


def test_a_model_of_other_bones_is_loaded_from_its_file(tmp_path):
    model = load_shape_model()
    save_model(tmp_path / "model.npz", ShapeModel(model.radius, model.ulna, model.landmarks | {"extra": np.ones(3)}))
    assert set(load_shape_model(tmp_path / "model.npz").landmarks) == {*model.landmarks, "extra"}
    assert "extra" not in load_shape_model().landmarks


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"solid stl"])
def test_a_file_that_is_no_model_is_refused(tmp_path, content):
    (tmp_path / "model.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"model.npz: cannot be read as a shape model"):
        load_shape_model(tmp_path / "model.npz")


def test_a_model_that_lacks_a_part_is_refused(tmp_path):
    np.savez(tmp_path / "model.npz", format_version=np.array(1))
    with pytest.raises(InputError, match=r"landmark_names.* missing"):
        load_shape_model(tmp_path / "model.npz")


def test_the_same_seed_gives_the_same_wrist(wrists):
    again = sample_wrist(load_shape_model(), np.random.default_rng(SEEDS[0]))
    np.testing.assert_array_equal(again.radius.vertices, wrists[0].radius.vertices)
    np.testing.assert_array_equal(again.ulna.vertices, wrists[0].ulna.vertices)


def test_bones_are_closed_and_run_up_the_shaft(wrists):
    for wrist in wrists:
        for bone in (wrist.radius, wrist.ulna):
            assert not bone.border_vertices().any()
            assert bone.volume_mm3 > 8000
            assert bone.vertices[:, 2].min() < -80


def test_a_wrist_is_in_its_own_radius_frame(wrists):
    """Three rounds of the frame settle within 0.05 mm and 0.1 degree."""
    for wrist in wrists:
        axis = fit_shaft_axis(wrist.radius)
        np.testing.assert_allclose(axis.direction, [0, 0, 1], atol=2e-3)
        np.testing.assert_allclose(articular_point(wrist.radius, axis), 0, atol=0.05)
        line = wrist.landmarks["sigmoid_notch_volar"] - wrist.landmarks["radial_styloid_tip"]
        assert abs(line[1]) < 0.05
        assert line[0] > 15


def test_anatomy_lies_where_it_should(wrists):
    for wrist in wrists:
        marks = wrist.landmarks
        assert marks["radial_styloid_tip"][2] > 2
        assert marks["lister_tubercle"][1] < -5
        assert marks["volar_rim"][1] > 5
        assert marks["ulnar_head_centre"][0] > 12
        assert marks["ulnar_styloid_tip"][2] > marks["ulnar_head_centre"][2]


def test_the_bones_keep_a_gap(wrists):
    """0.8 mm is promised between surfaces; points 0.5 mm apart overestimate a gap, never underestimate it."""
    for wrist in wrists[:2]:
        radius, ulna = surface_cloud(wrist.radius, 0.5).points, surface_cloud(wrist.ulna, 0.5).points
        assert KDTree(radius).query(ulna, distance_upper_bound=5.0)[0].min() > 0.8
        grid = np.diag([1.5, 1.5, 2.0, 1.0])
        grid[:3, 3] = (-25, -35, -100)
        shape = (60, 50, 60)
        inside = [signed_distance_grid(bone, shape, grid, 1.0) < 0 for bone in (wrist.radius, wrist.ulna)]
        assert not (inside[0] & inside[1]).any()


def test_men_are_larger():
    model = load_shape_model()
    sizes = {
        sex: np.mean([sample_wrist(model, np.random.default_rng(i), sex).description["size"] for i in range(4)])
        for sex in ("female", "male")
    }
    # The same draws for both: the difference of the means is SPREAD's, times 1 +- 2.5 SD of 2.4 % at most.
    assert sizes["male"] - sizes["female"] == pytest.approx(SPREAD.scale_male - SPREAD.scale_female, rel=0.07)


def test_landmarks_are_found_without_correspondences(wrists):
    """Searched from the mean wrist's positions alone. A window may miss a corner that moved far: 1.5 mm on average."""
    expected = load_shape_model().landmarks
    errors: dict[str, list[float]] = {name: [] for name in FAR_POINTS}
    for wrist in wrists:
        found = find_landmarks(wrist.radius, wrist.ulna, expected_landmarks(expected, wrist.ulna))
        for name in errors:
            errors[name].append(float(np.linalg.norm(found[name] - wrist.landmarks[name])))
    assert np.mean(errors["radial_styloid_tip"]) < 1.0
    assert np.mean(errors["ulnar_styloid_tip"]) < 1.0
    assert np.mean([value for values in errors.values() for value in values]) < 1.5


def test_no_surface_means_no_landmark():
    model = load_shape_model()
    far = {name: point + 500 for name, point in model.landmarks.items()}
    with pytest.raises(InputError, match="no surface"):
        find_landmarks(model.radius.mean, model.ulna.mean, far)


def test_measurements_of_the_mean_wrist_are_adult():
    """Windows of two published SDs about the published means (DESIGN, section 2), tilt widened to the real bones'."""
    model = load_shape_model()
    found = measure(model.radius.mean, model.ulna.mean, model.landmarks)
    assert 18 < found.radial_inclination_deg < 30
    assert 2 < found.palmar_tilt_deg < 18
    assert 8 < found.radial_height_mm < 16
    assert -4 < found.ulnar_variance_mm < 3
    assert 24.5 < found.radius_width_mm < 31
    assert 16 < found.radius_depth_mm < 22
    assert 5.5 < found.ulnar_head_radius_mm < 11


def test_tilting_the_joint_changes_the_measured_tilt():
    """A palmar tilt of 3 degrees added where the weight is 1 adds 3 degrees to the rims' line, within the fit's 0.5."""
    model = load_shape_model()
    bone = model.radius.mean
    tilted = type(bone)(bone.vertices + tilt_joint(bone.vertices, 0.0, np.deg2rad(3.0)), bone.faces)
    before = measure(bone, model.ulna.mean, model.landmarks).palmar_tilt_deg
    marks = {**model.landmarks, **find_landmarks(tilted, model.ulna.mean, model.landmarks)}
    assert measure(tilted, model.ulna.mean, marks).palmar_tilt_deg - before == pytest.approx(3.0, abs=0.7)


def test_a_circle_is_found_exactly():
    angle = np.linspace(0.2, 1.5, 9)
    centre, radius = fit_circle(np.column_stack([3 + 8 * np.cos(angle), -2 + 8 * np.sin(angle)]))
    np.testing.assert_allclose([*centre, radius], [3, -2, 8], atol=1e-9)


def test_smooth_weights_have_their_limits():
    np.testing.assert_allclose(smooth_step(np.array([-2.0, 0, 0.5, 1, 2]), 0, 1), [0, 0, 0.5, 1, 1])
    np.testing.assert_allclose(bump(np.array([[0.0, 0, 0], [0, 0, 2]]), [0, 0, 0], 2.0), [1, np.exp(-0.5)])


def test_the_random_field_has_its_standard_deviation():
    """One point, 1400 draws of 3 components: a standard error of 1.1 %, so 5 % is over four of them."""
    rng = np.random.default_rng(3)
    values = [random_field(rng, np.array([[1.0, 2.0, 3.0]]), 5.0, 0.2, waves=30)[0] for _ in range(1400)]
    assert np.std(values) == pytest.approx(0.2, rel=0.05)
