"""Results of a study stand for what they were made from, and names lead nowhere else."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from bonelift.errors import InputError
from bonelift.storage.output_folder import MANIFEST_NAME
from bonelift.study.case_names import spelled_alike
from bonelift.study.folder import (
    Study,
    StudyCase,
    StudyRadiograph,
    case_from_entry,
    film_names,
    read_study,
    write_study,
)
from bonelift.study.results import is_made, made_from_case, made_result, study_results

FILM = StudyRadiograph("w01/pa.png", "pa", "w01/pa.json", "w01/pa-pose.json", "no", "w01/pa-mask.png")
CASE = StudyCase("w01", "p01", "right", "w01/ct.nrrd", "w01/labels.nrrd", "w01/points.json", (FILM,))
ALL = {"landmarks": True, "films": True, "poses": True}


@pytest.fixture
def study(tmp_path) -> Path:
    folder = tmp_path / "study"
    (folder / "w01").mkdir(parents=True)
    for name in ("ct.nrrd", "labels.nrrd", "points.json", "pa.png", "pa.json", "pa-pose.json", "pa-mask.png"):
        (folder / "w01" / name).write_text(f"content of {name}")
    return folder


def write(study: Path, out: Path, case: StudyCase = CASE, **settings) -> None:
    with made_result(out, made_from_case("drr", study, case, settings, **ALL)) as staging:
        (staging / "result").write_text("made")


def test_a_result_stands_where_nothing_changed(study, tmp_path):
    write(study, tmp_path / "w01", poses=3)
    assert is_made(tmp_path / "w01", made_from_case("drr", study, CASE, {"poses": 3}, **ALL))
    assert not is_made(tmp_path / "w02", made_from_case("drr", study, CASE, {"poses": 3}, **ALL))
    said = json.loads((tmp_path / "w01" / MANIFEST_NAME).read_text())["made_from"]
    assert set(said["files"]) == {"ct", "labels", "landmarks", "radiograph 1", "camera 1", "mask 1", "pose 1"}
    assert "content" not in json.dumps(said)


@pytest.mark.parametrize("name", ["labels.nrrd", "points.json", "pa.png", "pa.json", "pa-pose.json", "pa-mask.png"])
def test_a_result_of_mended_files_is_made_again(study, tmp_path, name):
    write(study, tmp_path / "w01")
    (study / "w01" / name).write_text("mended")
    made_from = made_from_case("drr", study, CASE, {}, **ALL)
    assert not is_made(tmp_path / "w01", made_from)
    write(study, tmp_path / "w01")
    assert is_made(tmp_path / "w01", made_from)


@pytest.mark.parametrize(
    "other",
    [
        replace(CASE, side="left"),
        replace(CASE, radiographs=(replace(FILM, invert="yes"),)),
        replace(CASE, radiographs=(replace(FILM, mask_file=None),)),
        replace(CASE, radiographs=(FILM, FILM)),
    ],
)
def test_a_result_of_other_facts_or_settings_is_made_again(study, tmp_path, other):
    write(study, tmp_path / "w01", poses=3)
    assert not is_made(tmp_path / "w01", made_from_case("drr", study, other, {"poses": 3}, **ALL))
    assert not is_made(tmp_path / "w01", made_from_case("drr", study, CASE, {"poses": 4}, **ALL))
    assert not is_made(tmp_path / "w01", made_from_case("normalize", study, CASE, {"poses": 3}, **ALL))


def test_files_that_moved_are_the_same(study, tmp_path):
    write(study, tmp_path / "w01")
    (study / "w01" / "ct.nrrd").rename(study / "w01" / "scan.nrrd")
    moved = replace(CASE, ct="w01/scan.nrrd")
    assert is_made(tmp_path / "w01", made_from_case("drr", study, moved, {}, **ALL))


def test_a_result_of_another_scan_is_never_replaced(study, tmp_path):
    write(study, tmp_path / "w01")
    (study / "w01" / "ct.nrrd").write_text("another patient")
    with pytest.raises(InputError, match="was made from another CT"):
        is_made(tmp_path / "w01", made_from_case("drr", study, CASE, {}, **ALL))
    (study / "w01" / "ct.nrrd").unlink()
    with pytest.raises(InputError, match="put it back"):
        is_made(tmp_path / "w01", made_from_case("drr", study, CASE, {}, **ALL))
    assert (tmp_path / "w01" / "result").read_text() == "made"


def test_a_folder_that_says_nothing_or_holds_more_is_never_replaced(study, tmp_path):
    (tmp_path / "w01").mkdir()
    (tmp_path / "w01" / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="does not say what it was made from"):
        is_made(tmp_path / "w01", made_from_case("drr", study, CASE, {}, **ALL))
    with pytest.raises(InputError, match="not an earlier bonelift result"):
        write(study, tmp_path / "w01")
    write(study, tmp_path / "w02")
    (tmp_path / "w02" / "notes.txt").write_text("precious")
    with pytest.raises(InputError, match="bonelift did not write"):
        write(study, tmp_path / "w02")
    assert (tmp_path / "w02" / "notes.txt").read_text() == (tmp_path / "w01" / "thesis.txt").read_text() == "precious"


def test_results_of_another_version_are_refused(study, tmp_path, monkeypatch):
    with study_results(study, tmp_path / "out", "s.json", {}, "DRRs"):
        pass
    monkeypatch.setattr("bonelift.study.results.MADE_BY", "bonelift 99")
    with pytest.raises(InputError, match="made_by was"), study_results(study, tmp_path / "out", "s.json", {}, "DRRs"):
        pass
    with pytest.raises(InputError, match="inside the study"), study_results(study, study / "o", "s.json", {}, "DRRs"):
        pass


@pytest.mark.parametrize(
    "name",
    ["../victim", "..", ".", "", "/tmp/victim", "a/b", "a\\b", "a\0b", "\ud800", "x" * 65, " a", "a ", ".a", "a.", 5,
     None, ["a"], "study.json", "records.csv", "w1.partial", "ü", "a\nb"],
)  # fmt: skip
@pytest.mark.parametrize("what", ["case", "patient"])
def test_a_name_that_is_no_folder_of_its_own_is_refused(study, name, what):
    """`register` removed what "../victim" and "" led to."""
    entry = asdict(CASE) | {what: name}
    with pytest.raises(InputError):
        case_from_entry(entry)
    (study / "study.json").write_text(json.dumps({"schema_version": 1, "cases": [entry]}))
    with pytest.raises(InputError):
        read_study(study)


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../x", "", 5, ["x"], "a\0b", "..\\x", "x" * 1001])
@pytest.mark.parametrize("field", ["ct", "labels", "truth_file"])
def test_a_file_outside_of_the_study_is_refused(path, field):
    with pytest.raises(InputError):
        case_from_entry(asdict(CASE) | {field: path})


@pytest.mark.parametrize(
    "entry",
    [
        None, 5, "w01", [], {}, {"case": "w01"}, asdict(CASE) | {"radiographs": 5}, asdict(CASE) | {"more": 1},
        asdict(CASE) | {"radiographs": [{"file": "a.png"}]}, asdict(CASE) | {"truth_meshes": ["a"]},
        asdict(CASE) | {"side": ["left"]}, asdict(CASE) | {"radiographs": [asdict(FILM) | {"view": 5}]},
        asdict(CASE) | {"radiographs": [asdict(FILM) | {"invert": "maybe"}]},
    ],
)  # fmt: skip
def test_a_case_of_another_shape_is_refused(entry):
    with pytest.raises(InputError):
        case_from_entry(entry)


def test_what_was_written_is_read_and_cases_that_one_disk_mixes_up_are_refused(study):
    write_study(study, Study((CASE,), "a test"))
    assert read_study(study) == Study((CASE,), "a test")
    with pytest.raises(InputError, match="twice"):
        Study((CASE, replace(CASE, case="W01")), "a test")


def test_films_of_one_name_get_names_of_their_own():
    films = (replace(FILM, file="a/film.png"), replace(FILM, file="b/film.tif"), replace(FILM, file="b/other.png"))
    assert film_names(replace(CASE, radiographs=films)) == ("1-film", "2-film", "other")


def test_two_spellings_of_one_patient_are_noticed():
    for one, other in (("P1", "p1"), ("007", "7"), ("p-1", "p_1"), ("p.01", "P1"), ("wrist-012", "wrist12")):
        assert spelled_alike([one, "else", other]) == [(one, other)]
    assert spelled_alike(["p1", "p2", "p10", "p-1-0", "1p", "p", "p1"]) == []
