"""Parts of an import by themselves: two arms, doubts, what is recorded of a scan and a film, names beside others."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bonelift.errors import InputError
from bonelift.geometry import default_film_camera, rotation_about_axis, translation
from bonelift.geometry.camera_files import camera_from_file, write_camera_json
from bonelift.images import LabelMap, Volume, write_labels_seg_nrrd, write_volume_nrrd
from bonelift.images.raster import write_png
from bonelift.study import importing, importing_case
from bonelift.study.findings import Finding
from bonelift.study.folder import Study, StudyCase, read_pose, write_pose
from bonelift.study.importing import CASE_FILE, check_beside
from bonelift.study.importing_case import ImportSettings, read_scan, write_case
from bonelift.study.importing_sources import CaseSource, RadiographSource
from bonelift.study.importing_table import read_table

SOURCE = CaseSource("w1", "p1", "right", Path("ct.nrrd"), Path("bones.seg.nrrd"))
TIP, EDGE = np.array([9.0, 4.0, 19.0]), np.array([5.0, 9.0, 15.0])
POINTS = {"radial_styloid": TIP, "sigmoid_notch_volar": EDGE}


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("larger_first", [True, False])
@pytest.mark.parametrize(("gap_mm", "refused"), [(14, False), (16, True)])
def test_a_bone_that_is_there_twice_far_apart_is_two_arms(axis, larger_first, gap_mm, refused):
    """Voxels of 2, 1 and 0.5 mm; the second piece has half of the first's voxels, and lies beyond 15 mm or not."""
    spacing_mm = np.array([2.0, 1.0, 0.5])
    lengths = (4, 2) if larger_first else (2, 4)
    gap = round(gap_mm / spacing_mm[axis])
    line = np.concatenate([[0] * 3, [1] * lengths[0], [0] * gap, [1] * lengths[1], [0] * 2]).astype(np.uint8)
    shape = [3, 3, 3]
    shape[axis] = len(line)
    labels = np.zeros(shape, np.uint8)
    middle: list[object] = [1, 1, 1]
    middle[axis] = slice(None)
    labels[tuple(middle)] = line  # type: ignore[index]
    map_ = LabelMap(labels, np.diag([*spacing_mm, 1.0]))
    if refused:
        with pytest.raises(InputError, match=r"bones.seg.nrrd: its radius is there twice, 16 mm apart"):
            importing_case._check_one_arm(SOURCE, map_, 1, "radius")
    else:
        importing_case._check_one_arm(SOURCE, map_, 1, "radius")


@pytest.mark.parametrize(("voxels", "refused"), [(29, False), (31, True)])
def test_a_crumb_is_no_second_arm(voxels, refused):
    """Less than three tenths of the bone."""
    labels = np.zeros((1, 1, 300), np.uint8)
    labels[0, 0, :100], labels[0, 0, 200 : 200 + voxels] = 1, 1
    if refused:
        with pytest.raises(InputError, match="100 mm apart"):
            importing_case._check_one_arm(SOURCE, LabelMap(labels, np.eye(4)), 1, "radius")
    else:
        importing_case._check_one_arm(SOURCE, LabelMap(labels, np.eye(4)), 1, "radius")


@pytest.mark.parametrize("spacing_mm", [0.2, 1.5, None])
def test_voxels_that_a_study_can_have(spacing_mm):
    assert ImportSettings(spacing_mm=spacing_mm).spacing_mm == spacing_mm


@pytest.mark.parametrize("spacing_mm", [0.19, 1.51])
def test_voxels_that_no_study_has(spacing_mm):
    with pytest.raises(InputError, match=r"expected 0.2 to 1.5 mm"):
        ImportSettings(spacing_mm=spacing_mm)


@pytest.fixture
def scan(tmp_path) -> CaseSource:
    """Two boxes as bones, on a turned grid of oblong voxels."""
    world_from_voxel = rotation_about_axis((1.0, 2.0, 3.0), 0.7) @ np.diag([0.5, 0.6, 0.7, 1.0])
    labels = np.zeros((24, 24, 40), np.uint8)
    labels[4:10, 4:10, 2:20], labels[14:18, 4:10, 2:20] = 1, 2
    write_volume_nrrd(tmp_path / "ct.nrrd", Volume(1000 * (labels > 0).astype(np.int16), world_from_voxel))
    write_labels_seg_nrrd(tmp_path / "bones.seg.nrrd", LabelMap(labels, world_from_voxel, {1: "radius", 2: "ulna"}))
    return replace(SOURCE, ct=tmp_path / "ct.nrrd", labels=tmp_path / "bones.seg.nrrd")


def test_the_record_has_the_voxels_of_the_scanner_and_of_the_study(scan):
    kept = read_scan(scan, ImportSettings(spacing_mm=None))[2]
    assert kept["ct"]["scanner_voxels_mm"] == [0.5, 0.6, 0.7]
    np.testing.assert_allclose(kept["ct"]["voxels_mm"], [0.5, 0.6, 0.7], atol=2e-6)
    assert "interpolation" not in kept["ct"]
    assert kept["labels"] == {"interpolation": "none"}
    made = read_scan(scan, ImportSettings(spacing_mm=0.8, interpolation="cubic"))[2]
    assert made["ct"]["scanner_voxels_mm"] == [0.5, 0.6, 0.7]
    np.testing.assert_allclose(made["ct"]["voxels_mm"], [0.8] * 3, atol=2e-6)
    assert made["ct"]["interpolation"] == "cubic"
    assert made["labels"] == {"interpolation": "shape-based"}


@pytest.fixture
def written(scan, tmp_path, monkeypatch):
    """Writes the case with a doubt about its shape, and with landmarks or without; returns what was listed and done."""
    monkeypatch.setattr(importing_case, "_check_on_bone", lambda *key: None)
    monkeypatch.setattr(importing_case, "_found_landmarks", lambda *key: (POINTS, {"origin": "found"}))
    monkeypatch.setattr(importing_case, "_landmark_doubt", lambda *key: "of the landmarks")

    def write(doubt: str, given: bool):
        monkeypatch.setattr(importing_case, "_shape_doubt", lambda *key: doubt)
        monkeypatch.setattr(importing_case, "_given_landmarks", lambda *key: POINTS if given else None)
        (tmp_path / "staging").mkdir()
        return write_case(tmp_path / "staging", scan, ImportSettings(spacing_mm=None))

    return write


def test_an_odd_shape_without_landmarks_is_refused(written):
    with pytest.raises(InputError, match=r"^bones.seg.nrrd: no distal radius$"):
        written("no distal radius", given=False)


def test_landmarks_are_found_where_none_are_given(written):
    case, facts = written("", given=False)
    assert facts["landmarks"] == {"origin": "found"}
    assert case.landmarks == "w1/landmarks.mrk.json"


def test_given_landmarks_let_an_odd_shape_pass_and_the_doubts_are_said(written):
    _, facts = written("no distal radius", given=True)
    assert facts["landmarks"] == {"origin": "given"}
    assert "no distal radius" in str(facts["doubts"])
    assert "of the landmarks" in str(facts["doubts"])


def test_found_landmarks_say_how_well_the_frame_fits(monkeypatch):
    found = SimpleNamespace(landmarks=POINTS, residual_mm=0.12345)
    monkeypatch.setattr(importing_case, "find_frame", lambda radius, ulna, side: found)
    told = importing_case._found_landmarks(SOURCE, None, None)  # type: ignore[arg-type]
    assert told == (POINTS, {"origin": "found automatically", "residual_mm": 0.123})


@pytest.mark.parametrize(("landmarks", "name"), [(Path("p.mrk.json"), "p.mrk.json"), (None, "landmarks")])
@pytest.mark.parametrize("on_ulna", [True, False])
def test_landmarks_on_the_ulna_are_refused_by_the_name_of_their_file(monkeypatch, landmarks, name, on_ulna):
    finding = Finding("error", "landmarks", "lie off the radius")
    monkeypatch.setattr(importing_case, "landmark_findings", lambda radius, points: ([finding], None))
    near, far = SimpleNamespace(vertices=TIP[None] + 1.0), SimpleNamespace(vertices=TIP[None] + 9.0)
    radius, ulna = (far, near) if on_ulna else (near, far)
    source = replace(SOURCE, landmarks=landmarks)
    points = {**POINTS, importing_case.STYLOID: TIP}
    if on_ulna:
        with pytest.raises(InputError, match=f"^{name}: lie off the radius; radius and ulna are exchanged"):
            importing_case._landmark_doubt(source, radius, ulna, points)  # type: ignore[arg-type]
    else:
        assert importing_case._landmark_doubt(source, radius, ulna, points) == "lie off the radius"  # type: ignore[arg-type]


@pytest.mark.parametrize("whole", [True, False])
def test_a_film_is_written_with_its_camera_pose_and_mask(tmp_path, whole):
    pixels = np.random.default_rng(0).integers(0, 60_000, (60, 50)).astype(np.uint16)
    write_png(tmp_path / "film.png", pixels)
    camera = default_film_camera(50, 60, 0.4)
    write_camera_json(tmp_path / "camera.json", camera, 950.0)
    film = RadiographSource(tmp_path / "film.png", "pa", camera=tmp_path / "camera.json", invert="no", line=3)
    if whole:
        write_png(tmp_path / "mask.png", (255 * (pixels > 30_000)).astype(np.uint8))
        write_pose(tmp_path / "pose.json", translation((1.0, 2.0, 900.0)))
        film = replace(film, pose=tmp_path / "pose.json", mask=tmp_path / "mask.png")
    staging = tmp_path / "staging"
    staging.mkdir()
    listed, facts = importing_case._write_radiograph(staging, SOURCE, film, 2)
    names = {"radiograph-2-pa.png", "radiograph-2-pa.json"}
    names |= {"radiograph-2-pa-pose.json", "radiograph-2-pa-mask.png"} if whole else set()
    assert {path.name for path in staging.iterdir()} == names
    assert (listed.file, listed.camera_file) == ("w1/radiograph-2-pa.png", "w1/radiograph-2-pa.json")
    assert listed.pose_file == ("w1/radiograph-2-pa-pose.json" if whole else None)
    assert listed.mask_file == ("w1/radiograph-2-pa-mask.png" if whole else None)
    assert (facts["view"], facts["origins"]["source_to_object"]["value"]) == ("pa", 950.0)
    kept = camera_from_file(staging / "radiograph-2-pa.json", None)
    assert kept.source_to_object_mm == 950.0
    if whole:
        np.testing.assert_array_equal(read_pose(staging / "radiograph-2-pa-pose.json"), translation((1.0, 2.0, 900.0)))


def test_a_case_stands_beside_others_by_another_name_or_takes_its_namesakes_place(tmp_path):
    study = Study((StudyCase("w1", "p1", "right", "w1/ct", "w1/labels", "", ()),), "bonelift import")
    (tmp_path / "w1").mkdir()
    with pytest.raises(InputError, match="in the study already, and not by import"):
        check_beside(study, tmp_path, SOURCE)
    (tmp_path / "w1" / CASE_FILE).write_text("{}")
    check_beside(study, tmp_path, SOURCE)
    check_beside(study, tmp_path, replace(SOURCE, case="w2", patient="p2"))
    with pytest.raises(InputError, match="the study has w1; expected names that differ by more than capitals"):
        check_beside(study, tmp_path, replace(SOURCE, case="W1"))
    with pytest.raises(InputError, match="patients"):
        check_beside(study, tmp_path, replace(SOURCE, case="w2", patient="P1"))


def test_voxels_of_a_record(tmp_path):
    path = tmp_path / CASE_FILE
    path.write_text(json.dumps({"ct": {"voxels_mm": [0.5, 0.6, 0.7]}}))
    np.testing.assert_array_equal(importing._recorded_spacing(path), [0.5, 0.6, 0.7])
    for content in ("{", "{}", '{"ct": {"voxels_mm": [1, 1]}}', '{"ct": {"voxels_mm": [0, 1, 1]}}'):
        path.write_text(content)
        assert importing._recorded_spacing(path) is None


@pytest.mark.parametrize(("cell", "dropped"), [("yes", True), ("NO", False), ("", False)])
def test_a_table_says_whether_other_labels_are_dropped(tmp_path, cell, dropped):
    head = "case,patient,side,ct,labels,radiograph,view,pixel_spacing_mm,drop_other_labels\n"
    (tmp_path / "t.csv").write_text(f"{head}w1,p1,left,ct,bones,film.png,lateral,0.2,{cell}\n")
    (case,) = read_table(tmp_path / "t.csv", files_exist=False).cases
    assert case.bones.drop_others is dropped
    assert (case.ct, case.labels) == (tmp_path / "ct", tmp_path / "bones")
    assert [(film.file, film.view) for film in case.radiographs] == [(tmp_path / "film.png", "lateral")]


def test_files_of_a_table_are_missed_where_they_have_to_be_there(tmp_path):
    (tmp_path / "t.csv").write_text("case,patient,side,ct,labels\nw1,p1,left,ct,bones\n")
    assert len(read_table(tmp_path / "t.csv", files_exist=False).cases) == 1
    said = [problem.text for problem in read_table(tmp_path / "t.csv", files_exist=True).problems]
    assert [text.split(";")[0] for text in said] == ["ct 'ct' is not there", "labels 'bones' is not there"]


def test_grey_levels_fill_sixteen_bits_whatever_they_are():
    """A line from the darkest pixel to the brightest; a film without any contrast stays dark."""
    levels = importing_case.sixteen_bit(np.array([[-2.0, 0.0], [2.0, 6.0]]))
    assert levels.dtype == np.uint16
    assert levels.tolist() == [[0, round(65535 / 4)], [round(65535 / 2), 65535]]
    assert importing_case.sixteen_bit(np.full((2, 2), 7.0)).tolist() == [[0, 0], [0, 0]]


def test_paths_and_words_of_a_row_belong_to_their_columns(tmp_path):
    head = "case,patient,side,ct,labels,landmarks,radiograph,view,pixel_spacing_mm,sdd_mm,source_to_object_mm,camera,"
    row = "w1,p1,L,a,b,c.json,film.png,pa,0.2,1000,950,cam.json,"
    (tmp_path / "t.csv").write_text(f"{head}pose,mask,frame,invert\n{row}pose.json,mask.png,2,Yes\n")
    (case,) = read_table(tmp_path / "t.csv", files_exist=False).cases
    assert (case.side, case.landmarks) == ("left", tmp_path / "c.json")
    (film,) = case.radiographs
    assert (film.camera, film.pose, film.mask) == tuple(tmp_path / n for n in ("cam.json", "pose.json", "mask.png"))
    assert (film.pixel_spacing_mm, film.sdd_mm, film.source_to_object_mm) == (0.2, 1000.0, 950.0)
    assert (film.frame, film.invert, film.line) == (2, "yes", 2)


def test_a_folder_that_is_not_there_begins_an_empty_study(tmp_path):
    assert importing._study_to_extend(tmp_path / "new", [SOURCE], ImportSettings()) == Study((), "")
    with pytest.raises(InputError, match="case w1: is given twice"):
        importing._study_to_extend(tmp_path / "new", [SOURCE, SOURCE], ImportSettings())


@pytest.mark.parametrize("holds", ["w1", "w2"])
def test_a_record_of_another_case_is_not_taken_for_this_one(tmp_path, holds):
    """The same files and options: the case is kept; a folder that was renamed holds another."""
    case = {"case": holds, "patient": "p1", "side": "right", "ct": "w1/ct", "labels": "w1/l", "landmarks": ""}
    record = {"case": {**case, "radiographs": [], "truth_file": None, "truth_meshes": {}}, "inputs_sha256": "same"}
    (tmp_path / "w1").mkdir()
    (tmp_path / "w1" / CASE_FILE).write_text(json.dumps(record))
    if holds == "w1":
        kept = importing._kept_case(tmp_path / "w1", SOURCE, "same")
        assert kept is not None
        assert (kept.case, kept.patient) == ("w1", "p1")
        assert importing._kept_case(tmp_path / "w1", SOURCE, "other") is None
    else:
        with pytest.raises(InputError, match="the folder w1 holds the case w2"):
            importing._kept_case(tmp_path / "w1", SOURCE, "same")


@pytest.mark.parametrize(
    ("line", "error", "said"),
    [
        (None, InputError("odd;  pass --side"), "case w1: odd; pass --side"),
        (3, InputError("odd; pass --side"), "line 3: case w1: odd; fill in the column side"),
        (3, importing_case.FilmError(5, "odd"), "line 5: case w1: odd"),
    ],
)
def test_a_reason_names_the_line_that_it_is_about(line, error, said):
    assert importing._reason(replace(SOURCE, line=line), error) == said


@pytest.mark.parametrize(("share", "refused"), [(0.009, False), (0.011, True)])
def test_voxels_of_a_study_are_those_of_its_first_case_to_a_hundredth(tmp_path, share, refused):
    study = Study((StudyCase("w1", "p1", "right", "w1/ct", "w1/labels", "", ()),), "bonelift import")
    (tmp_path / "w1").mkdir()
    (tmp_path / "w1" / CASE_FILE).write_text(json.dumps({"ct": {"voxels_mm": [0.5, 0.5, 0.5 * (1 + share)]}}))
    if refused:
        with pytest.raises(InputError, match="mixed voxel sizes"):
            importing._check_spacing(tmp_path, study, ImportSettings(spacing_mm=0.5))
    else:
        importing._check_spacing(tmp_path, study, ImportSettings(spacing_mm=0.5))
