"""What a virtual cohort may keep to itself: where the landmarks truly lie, and how the radiographs were taken."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from bonelift.cli import main
from bonelift.geometry import invert_rigid, rotation_angle
from bonelift.images.markups import read_landmarks
from bonelift.study.folder import StudyCase, read_pose, read_study
from bonelift.study.virtual_cohort import placed_landmarks

CALL = ["--seed", "5", "--views", "pa"]


@pytest.fixture(scope="module")
def study_folder(tmp_path_factory) -> Path:
    """One virtual wrist, told exactly."""
    folder = tmp_path_factory.mktemp("exact") / "study"
    assert main(["simulate", "--patients", "1", *CALL, "--out", str(folder), "--quiet"]) == 0
    return folder


def truth_of(study_folder: Path, case: StudyCase) -> dict:
    return json.loads((study_folder / str(case.truth_file)).read_text())


@pytest.fixture(scope="module")
def unposed_folder(tmp_path_factory) -> Path:
    """The wrist of ``study_folder``, its landmarks placed by a hand, the pose of its radiograph not told."""
    folder = tmp_path_factory.mktemp("unposed") / "study"
    asked = ["--landmark-error-mm", "1", "--without-poses", "--out", str(folder), "--quiet"]
    assert main(["simulate", "--patients", "1", *CALL, *asked]) == 0
    return folder


def test_a_hands_error_moves_the_landmarks_and_nothing_else(study_folder, unposed_folder):
    exact, placed = (read_study(folder).cases[0] for folder in (study_folder, unposed_folder))
    for name in (exact.ct, exact.labels, exact.radiographs[0].file):
        assert (study_folder / name).read_bytes() == (unposed_folder / name).read_bytes()
    true, seen = (
        read_landmarks(folder / str(case.landmarks))
        for folder, case in ((study_folder, exact), (unposed_folder, placed))
    )
    off_mm = np.array([np.linalg.norm(seen[name] - true[name]) for name in true])
    # A normal error of 1 mm along three axes: beyond 5 mm once in 70,000 points, and none is 0.
    assert ((off_mm > 0.01) & (off_mm < 5)).all()
    assert truth_of(unposed_folder, placed)["landmark_error_mm"] == 1.0


def test_a_cohort_without_poses_is_one_that_register_completes(unposed_folder, tmp_path, capsys):
    """The third experiment of the paper needs poses that were found, and `register --adopt` lists them."""
    study_folder = shutil.copytree(unposed_folder, tmp_path / "study")
    case = read_study(study_folder).cases[0]
    assert case.radiographs[0].pose_file is None
    assert not list(study_folder.glob("**/*-pose.json"))
    options = ["--out", str(tmp_path / "registered"), "--adopt", "--quiet"]
    assert main(["register", str(study_folder), *options]) == 0
    adopted = read_study(study_folder).cases[0].radiographs[0].pose_file
    assert adopted is not None
    truth = truth_of(study_folder, case)
    camera_from_radius = np.array(truth["radiographs"][0]["camera_from_radius"])
    found = read_pose(study_folder / adopted) @ np.array(truth["world_from_radius"])
    # Eight such films were found within 0.4 degrees, 0.21 mm in the plane and 3 mm in depth.
    assert np.rad2deg(rotation_angle(found @ invert_rigid(camera_from_radius))) < 1.5
    assert np.abs(found[:2, 3] - camera_from_radius[:2, 3]).max() < 1.0
    assert abs(found[2, 3] - camera_from_radius[2, 3]) < 10.0


@pytest.mark.parametrize(("error_mm", "said"), [("9", "expected 0 to 5 mm"), ("-1", "not a number of 0 or above")])
def test_an_impossible_hand_is_refused(error_mm, said, tmp_path, capsys):
    call = ["simulate", "--patients", "1", *CALL, "--out", str(tmp_path / "study"), "--landmark-error-mm", error_mm]
    with suppress(SystemExit):
        assert main(call) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "study").exists()


def test_a_hands_errors_are_normal_and_repeat():
    points = {f"point-{number:04d}": np.array([number, 0.0, -number]) for number in range(4000)}
    placed = placed_landmarks(points, 2.0, np.random.default_rng(3))
    shuffled = placed_landmarks(dict(reversed(points.items())), 2.0, np.random.default_rng(3))
    off = np.stack([placed[name] - points[name] for name in points])
    # SD of an SD over n draws is 1 / sqrt(2 n): 1.1 %; of the mean 2 / sqrt(n) = 0.03.
    np.testing.assert_allclose(off.std(axis=0), 2.0, rtol=0.05)
    np.testing.assert_allclose(off.mean(axis=0), 0.0, atol=0.15)
    assert all((placed[name] == shuffled[name]).all() for name in points)
    exact = placed_landmarks(points, 0.0, np.random.default_rng(3))
    assert all((exact[name] == points[name]).all() for name in points)
