"""`bonelift check`: a sound study passes, and each way to spoil one is named with its case."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bonelift.cli import main
from bonelift.cli.check import table
from bonelift.geometry import translation
from bonelift.images import LabelMap, Volume, read_labels, read_landmarks, read_volume
from bonelift.images.markups import write_landmarks
from bonelift.images.nrrd_files import write_labels_seg_nrrd, write_volume_nrrd
from bonelift.study import checking
from bonelift.study.checking import (
    CaseCheck,
    check_case,
    check_ct,
    check_grids,
    check_label_values,
    check_study,
    with_comparisons,
)
from bonelift.study.folder import Study, StudyCase, read_pose, read_study, write_pose, write_study
from builders.bare_study import cohort


@pytest.fixture(scope="module")
def small_study(tmp_path_factory) -> Path:
    """One virtual right wrist, cut to its distal part: quick to read. Left ones: test_study_importing."""
    folder = tmp_path_factory.mktemp("small") / "study"
    assert main(["simulate", "--patients", "1", "--seed", "17", "--out", str(folder), "--quiet"]) == 0
    case = read_study(folder).cases[0]
    ct, labels = read_volume(folder / case.ct), read_labels(folder / case.labels)
    styloid = read_landmarks(folder / case.landmarks)["radial_styloid_tip"]
    k = (np.linalg.inv(ct.world_from_voxel) @ [*styloid, 1])[2]
    low, high = (round(k + mm / ct.spacing_mm[2]) for mm in (-62, 14))
    world = ct.world_from_voxel @ translation([0, 0, low])
    write_volume_nrrd(folder / case.ct, Volume(ct.values[:, :, low:high], world))
    write_labels_seg_nrrd(folder / case.labels, LabelMap(labels.labels[:, :, low:high], world))
    return folder


def test_a_sound_study_passes(small_study):
    check = check_study(small_study)
    assert check.count("error") == 0
    facts = check.cases[0].facts
    assert facts["shape_side"] == facts["landmark_side"] == "right"
    assert facts["landmark_reach_mm"] < 1.0  # landmarks are means of surface caps 0.4 mm deep
    assert facts["radius_contrast_hu"] > 600
    shown = table(check)
    assert "1 cases of 1 patients: 0 errors" in shown
    assert "case-0001  right" in shown


def moved_labels(folder: Path, case: StudyCase) -> None:
    """The right grid, the wrong place: 4 mm across the shaft."""
    labels = read_labels(folder / case.labels)
    steps = round(4.0 / float(labels.spacing_mm[0]))
    write_labels_seg_nrrd(folder / case.labels, replace(labels, labels=np.roll(labels.labels, steps, axis=0)))


def mirrored_scan(folder: Path, case: StudyCase) -> None:
    """Everything mirrored alike, as by a lost sign in a header: only anatomy can tell."""
    mirror = np.diag([-1.0, 1, 1, 1])
    ct, labels = read_volume(folder / case.ct), read_labels(folder / case.labels)
    write_volume_nrrd(folder / case.ct, Volume(ct.values, mirror @ ct.world_from_voxel))
    write_labels_seg_nrrd(folder / case.labels, LabelMap(labels.labels, mirror @ labels.world_from_voxel))
    points = read_landmarks(folder / case.landmarks)
    write_landmarks(folder / case.landmarks, {name: mirror[:3, :3] @ point for name, point in points.items()})


def far_landmark(folder: Path, case: StudyCase) -> None:
    points = read_landmarks(folder / case.landmarks)
    write_landmarks(folder / case.landmarks, points | {"radial_styloid_tip": points["radial_styloid_tip"] + 20.0})


def dorsal_for_volar(folder: Path, case: StudyCase) -> None:
    points = read_landmarks(folder / case.landmarks)
    write_landmarks(folder / case.landmarks, points | {"sigmoid_notch_volar": points["sigmoid_notch_dorsal"]})


def no_notch(folder: Path, case: StudyCase) -> None:
    points = read_landmarks(folder / case.landmarks)
    write_landmarks(folder / case.landmarks, {"radial_styloid_tip": points["radial_styloid_tip"]})


def lost_file(folder: Path, case: StudyCase) -> None:
    (folder / case.ct).unlink()


def other_image_size(folder: Path, case: StudyCase) -> None:
    path = folder / case.radiographs[0].file
    Image.open(path).crop((0, 0, 500, 700)).save(path)


def mirror_pose(folder: Path, case: StudyCase) -> None:
    path = folder / str(case.radiographs[0].pose_file)
    path.write_text(json.dumps({"camera_from_world": np.diag([-1.0, 1, 1, 1]).tolist()}))


def pose_elsewhere(folder: Path, case: StudyCase) -> None:
    path = folder / str(case.radiographs[0].pose_file)
    write_pose(path, translation([900.0, 0, 0]) @ read_pose(path))


@pytest.mark.parametrize(
    ("spoil", "what", "words"),
    [
        (moved_labels, "overlap", "fits the bone better"),
        (far_landmark, "landmarks", "from the radius's surface"),
        (dorsal_for_volar, "side", "dorsal edge taken for its volar"),
        (no_notch, "landmarks", "no sigmoid_notch_volar"),
        (lost_file, "ct", "no such file"),
        (other_image_size, "radiograph", "500 x 700"),
        (mirror_pose, "pose", "not rigid"),
        (pose_elsewhere, "pose", "off the image"),
    ],
)
def test_a_spoilt_case_is_an_error(small_study, tmp_path, spoil: Callable[[Path, StudyCase], None], what, words):
    folder = tmp_path / "study"
    shutil.copytree(small_study, folder)
    case = read_study(folder).cases[0]
    spoil(folder, case)
    check, _ = check_case(folder, case)
    errors = [finding for finding in check.findings if finding.level == "error"]
    assert any(finding.what == what and words in finding.text for finding in errors), check.findings


def test_a_mirrored_scan_is_known_by_its_bones(small_study, tmp_path):
    """By the radius's shape alone, and by landmarks and ulna alone."""
    folder = tmp_path / "study"
    shutil.copytree(small_study, folder)
    case = read_study(folder).cases[0]
    mirrored_scan(folder, case)
    text = " ".join(finding.text for finding in check_case(folder, case)[0].findings if finding.what == "side")
    assert "recorded as right, but the radius has the shape of a left one" in text
    assert "landmarks and ulna make a left wrist" in text


def test_one_ct_under_two_patients_is_an_error(small_study, tmp_path, capsys):
    folder = tmp_path / "study"
    shutil.copytree(small_study, folder)
    study = read_study(folder)
    again = replace(study.cases[0], case="again", patient="somebody-else")
    write_study(folder, Study((*study.cases, again), study.origin))
    assert main(["check", str(folder), "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert "2 errors in 2 of 2 cases" in captured.err
    cases = json.loads(captured.out)["cases"]
    assert all("under patients somebody-else, virtual-" in case["findings"][0]["text"] for case in cases)
    same_patient = [CaseCheck(name, "p", "right") for name in ("a", "b")]
    compared = with_comparisons(same_patient, {"a": "hash", "b": "hash"})
    assert [finding.level for check in compared for finding in check.findings] == ["warning", "warning"]


def test_grid_spacing_and_values():
    world = np.diag([0.6, 0.6, 1.0, 1.0])
    values = np.full((20, 20, 20), -1000, np.int16)
    values[5:10] = 1500
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[5:8], labels[9] = 1, 2
    assert check_ct(Volume(values, world)) == []
    assert check_grids(Volume(values, world), LabelMap(labels, world)) == []
    assert check_label_values(LabelMap(labels, world)) == []

    def texts(findings) -> str:
        return " ".join(f"{finding.level} {finding.text}" for finding in findings)

    assert "error voxels of 0.6 x 0.6 x 4 mm" in texts(check_ct(Volume(values, np.diag([0.6, 0.6, 4.0, 1.0]))))
    assert "warning coarse" in texts(check_ct(Volume(values, np.diag([0.4, 0.4, 1.25, 1.0]))))
    sheared = world.copy()
    sheared[0, 2] = 0.1
    assert "right angles" in texts(check_ct(Volume(values, sheared)))
    assert "is it in HU" in texts(check_ct(Volume(values + 1024, world)))
    assert "2.00 mm apart" in texts(
        check_grids(Volume(values, world), LabelMap(labels, translation([2.0, 0, 0]) @ world))
    )
    labels[0] = 5
    assert "error unknown values 5" in texts(check_label_values(LabelMap(labels, world)))
    assert "no voxel of ulna" in texts(check_label_values(LabelMap(np.minimum(labels, 1), world)))


def test_a_case_counts_as_done_when_it_has_been_looked_at(tmp_path, monkeypatch):
    """The time that is left is told from it."""
    write_study(tmp_path, cohort(patients=2, films=0, registered=0))
    order = []
    look = checking.check_case
    monkeypatch.setattr(checking, "check_case", lambda *given: (order.append("looks"), look(*given))[1])
    check_study(tmp_path, lambda _: order.append("done"))
    assert order == ["looks", "done"] * 2
