"""The table of the documentation, imported as it stands: DICOM, 3D Slicer's files, TotalSegmentator's folder, a PNG."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from bonelift.cli import main
from bonelift.images import LabelMap, read_landmarks
from bonelift.images.raster import write_png
from bonelift.study.folder import read_study
from builders.clinical_files import scanned, write_wrist
from builders.label_files import write_rtstruct, write_totalsegmentator_folder

ROOT = Path(__file__).parents[2]
SEED = 71


def documented_table(page: str) -> str:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(r"```text\n(case,patient.*?)```", text, re.DOTALL)[0]


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Path:
    """The files that the table names, of one virtual patient's right wrist and its mirror image."""
    folder = tmp_path_factory.mktemp("lab")
    write_wrist(folder / "anna", SEED, views=("pa", "lateral"))
    (folder / "anna" / "film-pa.dcm").rename(folder / "anna" / "cr1.dcm")
    (folder / "anna" / "film-lateral.dcm").rename(folder / "anna" / "cr2.dcm")
    rudolf = write_wrist(folder / "rudolf", SEED, "left")
    labels = scanned(SEED)[2]
    own = LabelMap(labels.labels, rudolf.world_from_right @ labels.world_from_voxel)
    write_totalsegmentator_folder(folder / "rudolf" / "segmentations", own)
    write_rtstruct(folder / "rudolf" / "rt.dcm", own, {1: "Radius", 2: "Ulna"})
    pixels = dcmread(folder / "rudolf" / "film-pa.dcm").pixel_array
    write_png(folder / "rudolf" / "film.png", pixels.astype(np.uint16))
    for name in ("bones.seg.nrrd", "points.mrk.json", "film-pa.dcm"):
        (folder / "rudolf" / name).unlink()
    return folder


def test_the_table_of_both_pages_is_imported_at_the_first_try(lab, capsys):
    assert documented_table("study-folder.md") == documented_table("guides/lab.md")
    (lab / "cases.csv").write_text(documented_table("study-folder.md"))
    assert main(["import", "--table", str(lab / "cases.csv"), "--out", str(lab / "study")]) == 0
    assert "w002: its landmarks were found automatically" in capsys.readouterr().out
    first, second = read_study(lab / "study").cases
    assert [film.view for film in first.radiographs] == ["pa", "lateral"]
    assert (second.patient, second.side, len(second.radiographs)) == ("p002", "left", 1)
    assert {"radial_styloid_tip", "sigmoid_notch_volar"} <= set(read_landmarks(lab / "study" / second.landmarks))
    assert main(["check", str(lab / "study"), "--json"]) == 0
    checked = json.loads(capsys.readouterr().out)
    assert checked["errors"] == 0
    with Image.open(checked["sheet"]) as sheet:
        assert (Path(checked["sheet"]).name, sheet.format) == ("check.png", "PNG")
        assert len(sheet.convert("L").getcolors(maxcolors=256) or []) > 100


def test_rows_that_are_wrong_are_all_named_the_others_imported_and_a_mended_one_made_again(lab, capsys):
    """A wrong side in a header's eyes, no spacing for a PNG, a label that is not there; then the table mended."""
    study = lab / "second"
    head = "case,patient,side,ct,labels,radius_label,ulna_label,radiograph,view,pixel_spacing_mm\n"
    good = "w101,p101,left,rudolf/ct,rudolf/rt.dcm,,,,,\n"
    rows = [
        "w102,p102,left,rudolf/ct,rudolf/segmentations,,,rudolf/film.png,pa,\n",
        "w103,p103,right,anna/ct,anna/bones.seg.nrrd,Femur,,,,\n",
        "w104,p104,right,anna/gone,anna/bones.seg.nrrd,,,,,\n",
    ]
    (lab / "bad.csv").write_text(head + good + "".join(rows))
    assert main(["import", "--table", str(lab / "bad.csv"), "--out", str(study)]) == 2
    said = capsys.readouterr()
    assert "line 3: case w102: film.png: " in said.out
    assert "fill in the column pixel_spacing_mm" in said.out
    assert "line 4: case w103: bones.seg.nrrd: no segment is the radius" in said.out
    assert "fill in the column radius_label" in said.out
    assert "line 5: case w104: ct 'anna/gone' is not there" in said.out
    error = said.err.splitlines()[-1]  # before it, where the machine is slow, how far it is
    assert "3 of 4 cases were not imported" in error
    assert "--" not in error
    assert "w101" in {case.case for case in read_study(study).cases}
    (study / "w101" / "import.json").write_text("{")  # damaged, in the study's first case: no folder has to be removed
    (lab / "bad.csv").write_text(head + good.replace("p101", "p111"))
    assert main(["import", "--table", str(lab / "bad.csv"), "--out", str(study), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["redone"] == ["w101"]
