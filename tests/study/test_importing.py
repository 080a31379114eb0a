"""`bonelift import`: DICOM slices, Slicer files and CR films become a study that reads, and that names nobody."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bonelift.cli import main
from bonelift.geometry import rotation_angle
from bonelift.geometry.camera_files import camera_from_file
from bonelift.images import LabelMap, Volume, read_labels, read_landmarks, read_volume, write_volume_nrrd
from bonelift.images.bone_labels import read_bone_labels
from bonelift.images.nifti_files import write_labels_nifti
from bonelift.images.raster import write_png
from bonelift.images.reading import RadiographOptions, read_radiograph
from bonelift.images.resampling import resample_labels
from bonelift.learning.study_samples import film_sample
from bonelift.networks.bundle import load_bundle
from bonelift.study.folder import Study, read_study, write_study
from bonelift.study.normalised_cases import read_study_case
from builders.canaries import Canaries, findings
from builders.clinical_files import IDENTIFYING_WORDS, UID_ROOT, ClinicalWrist, write_wrist

SEED = 71


CANARIES = Canaries()


def complaints(error: str) -> list[str]:
    """The lines of standard error that are no progress, of which a slow machine shows some."""
    return [line for line in error.splitlines() if not line.startswith("cases ")]


@pytest.fixture(scope="module")
def wrists(tmp_path_factory) -> list[ClinicalWrist]:
    """A right wrist and, of another patient, a left one; canaries in the film of the first and in one of its slices."""
    folder = tmp_path_factory.mktemp("clinic")
    made = [write_wrist(folder / "Anna", SEED), write_wrist(folder / "Rudolf", SEED + 1, "left")]
    for name in ("film-pa.dcm", "ct/000.dcm"):
        CANARIES.respell(folder / "Anna" / name, overwrite=False)
    return made


@pytest.fixture(scope="module")
def study_folder(wrists, tmp_path_factory) -> Path:
    """Both imported from a table, the left one's landmarks found automatically."""
    table = wrists[0].folder.parent / "cases.csv"
    table.write_text(
        "case,patient,side,ct,labels,landmarks,radiograph,view,pose\n"
        "w01,p01,right,Anna/ct,Anna/bones.seg.nrrd,Anna/points.mrk.json,Anna/film-pa.dcm,,Anna/film-pa-pose.json\n"
        "w02,p02,left,Rudolf/ct,Rudolf/bones.seg.nrrd,,Rudolf/film-pa.dcm,pa,Rudolf/film-pa-pose.json\n"
    )
    folder = tmp_path_factory.mktemp("imported") / "study"
    assert main(["import", "--table", str(table), "--out", str(folder), "--quiet"]) == 0
    return folder


def one_case(wrist: ClinicalWrist, out: Path, **changes: str | None) -> list[str]:
    options: dict[str, str | None] = {
        "case": "w01",
        "patient": "p01",
        "side": wrist.side,
        "ct": str(wrist.folder / "ct"),
        "labels": str(wrist.folder / "bones.seg.nrrd"),
        "landmarks": str(wrist.folder / "points.mrk.json"),
        "out": str(out),
    }
    options |= {key.replace("_", "-"): value for key, value in changes.items()}
    flags = [f"--{key}" for key in options if key in ("no-find-landmarks", "drop-other-labels")]
    pairs = [part for key, value in options.items() if value is not None for part in (f"--{key}", value)]
    return ["import", *pairs, *flags]


def test_thick_slices_become_isotropic_and_stay_in_place(study_folder, wrists):
    for case, wrist in zip(read_study(study_folder).cases, wrists, strict=True):
        ct, labels = read_volume(study_folder / case.ct), read_labels(study_folder / case.labels)
        np.testing.assert_allclose(ct.spacing_mm, 0.625, atol=1e-6)
        assert ct.values.dtype == np.int16
        assert labels.labels.shape == ct.values.shape
        np.testing.assert_allclose(labels.world_from_voxel, ct.world_from_voxel, atol=1e-6)
        assert labels.names == {1: "radius", 2: "ulna"}
        # The same air and bone at the same places: the original's values at the new voxels nearest to old centres.
        original = read_volume(wrist.folder / "ct")
        indices = np.argwhere(np.asarray(original.values) > 900)[::199]
        world = indices @ original.world_from_voxel[:3, :3].T + original.world_from_voxel[:3, 3]
        new = np.linalg.inv(ct.world_from_voxel)
        at = np.rint(world @ new[:3, :3].T + new[:3, 3]).astype(int)
        at = np.clip(at, 0, np.array(ct.values.shape) - 1)
        # At most 0.54 mm from the old centre: dense bone stays dense, and no shift of a voxel or a slice passes.
        assert np.median(ct.values[tuple(at.T)]) > 800
        old = read_labels(wrist.folder / "bones.seg.nrrd")
        for name, label in (("radius", 1), ("ulna", 2)):
            own = next(value for value, title in old.names.items() if title == name)
            before = (old.labels == own).sum() * np.prod(old.spacing_mm)
            assert (labels.labels == label).sum() * 0.625**3 == pytest.approx(before, rel=0.02)


def test_imported_cases_return_to_the_true_radius_frame(study_folder, wrists):
    """Landmarks by hand and found automatically, right and left, against the frame the patient was made in."""
    cases = read_study(study_folder).cases
    for case, wrist in zip(cases, wrists, strict=True):
        normalised, posed = read_study_case(study_folder, case)
        step = normalised.right_from_world @ wrist.world_from_right
        # As test_cli_simulate for landmarks by hand; found ones turn the frame about its shaft by up to 2.5 degrees
        # (docs/results/normalisation.md).
        assert np.linalg.norm(step[:3, 3]) < 1.0
        assert np.rad2deg(rotation_angle(step)) < (1.5 if wrist.side == "right" else 4.0)
        assert posed[0].radiograph.view == "pa"
        # Where the DRR along the imported camera and pose is thick, the film is bright; not so in a mirror.
        sample = film_sample(normalised, posed[0], np.random.default_rng(0), 0.0, 0.0)
        assert np.corrcoef(sample.drr[30:140].ravel(), sample.pixels[30:140].ravel())[0, 1] > 0.5
        assert np.corrcoef(sample.drr[30:140, ::-1].ravel(), sample.pixels[30:140].ravel())[0, 1] < 0.5


def test_an_imported_study_is_sound_and_trains(study_folder, tmp_path, capsys):
    """Check finds nothing wrong; then every network is trained on it, the first wrist standing for a third patient."""
    folder = tmp_path / "study"
    shutil.copytree(study_folder, folder)
    assert main(["check", str(folder), "--json"]) == 0
    checked = json.loads(capsys.readouterr().out)
    assert (checked["errors"], len(checked["cases"])) == (0, 2)
    assert [case["facts"]["shape_side"] for case in checked["cases"]] == ["right", "left"]
    study = read_study(folder)
    third = replace(study.cases[0], case="w03", patient="p03")
    write_study(folder, Study((*study.cases, third), study.origin))
    run = tmp_path / "run"
    expected = {"locator": "origin_mm", "pix2pix": "drr_mae_in_bone", "tl": "drr_dice_radius"}
    for network, scalar in expected.items():
        assert main(["train", network, str(folder), "--preset", "smoke", "--run", str(run), "--json"]) == 0
        assert scalar in json.loads(capsys.readouterr().out)["validation"][network]
    assert load_bundle(run / "model").metadata["preset"] == "smoke"


def test_films_keep_geometry_and_grey_levels(study_folder, wrists):
    for case in read_study(study_folder).cases:
        film = case.radiographs[0]
        image = Image.open(study_folder / film.file)
        camera = camera_from_file(study_folder / str(film.camera_file))
        assert (image.height, image.width) == camera.camera.shape_px
        assert np.asarray(image).max() == 65535
        assert not image.info  # no text, no profile, no dates
        assert film.invert == "no"
        assert camera.source_to_object_mm is not None


def test_a_drawn_mask_comes_along_and_its_film_is_not_trimmed(wrists, tmp_path, capsys):
    film = wrists[0].folder / "film-pa.dcm"
    whole = read_radiograph(film, RadiographOptions(side="right", view="pa")).camera.shape_px
    drawn = np.zeros(whole, dtype=np.uint8)
    drawn[whole[0] // 2 :, 60:90], drawn[whole[0] // 2 :, 95:110] = 1, 2
    write_png(wrists[0].folder / "film-mask.png", drawn)
    table = wrists[0].folder / "masked.csv"
    table.write_text(
        "case,patient,side,ct,labels,landmarks,radiograph,view,mask\n"
        "w01,p01,right,ct,bones.seg.nrrd,points.mrk.json,film-pa.dcm,pa,film-mask.png\n"
    )
    assert main(["import", "--table", str(table), "--out", str(tmp_path / "study"), "--quiet"]) == 0
    listed = read_study(tmp_path / "study").cases[0].radiographs[0]
    assert listed.mask_file == "w01/radiograph-1-pa-mask.png"
    kept = np.asarray(Image.open(tmp_path / "study" / listed.mask_file))
    np.testing.assert_array_equal(kept, drawn)
    assert np.asarray(Image.open(tmp_path / "study" / listed.file)).shape == drawn.shape
    write_png(wrists[0].folder / "film-mask.png", drawn[:-20])
    assert main(["import", "--table", str(table), "--out", str(tmp_path / "other"), "--quiet"]) == 2
    assert "the mask has" in capsys.readouterr().err


def test_nothing_of_the_identity_enters_the_study(study_folder):
    """No word of the header, of the folders' names, and no UID, in any file, compressed or not; and no canary."""
    assert len(CANARIES.places) > 10000
    assert findings(CANARIES, study_folder)[2] == []
    files = [path for path in study_folder.rglob("*") if path.is_file()]
    assert len(files) == 1 + 2 * 7
    for path in files:
        content = path.read_bytes().lower()
        if path.suffix == ".nrrd":
            content = content.split(b"\n\n", 1)[0]  # what follows is voxels
        for word in (*IDENTIFYING_WORDS, UID_ROOT):
            assert word.encode() not in content, path
            assert word not in str(path.relative_to(study_folder)).lower()


def test_a_patient_named_as_in_the_header_is_refused(wrists, tmp_path, capsys):
    for patient in ("HOSP-4711", "Anna-Rontgen", "hosp4711"):
        assert main(one_case(wrists[0], tmp_path / "study", patient=patient)) == 2
        error = capsys.readouterr().err
        assert "DICOM header" in error
        assert patient not in error
    assert not (tmp_path / "study").exists()


def test_the_same_import_again_keeps_and_what_changed_is_made_again(study_folder, wrists, tmp_path, capsys):
    copy = tmp_path / "study"
    shutil.copytree(study_folder, copy)
    table = wrists[0].folder.parent / "cases.csv"
    call = ["import", "--table", str(table), "--out", str(copy), "--json"]
    before = (copy / "w01" / "ct.nrrd").stat().st_mtime_ns
    assert main(call) == 0
    assert json.loads(capsys.readouterr().out)["kept"] == ["w01", "w02"]
    assert (copy / "w01" / "ct.nrrd").stat().st_mtime_ns == before
    # Another CT under a name that is taken is no row that was repaired.
    assert main(one_case(wrists[1], copy, patient="p09")) == 2
    assert "is in the study already, as another CT of patient p01" in capsys.readouterr().err
    # Another patient number for the same CT is one, and so is another film or option.
    radiograph = str(wrists[0].folder / "film-pa.dcm")
    assert main([*one_case(wrists[0], copy, patient="p09", radiograph=radiograph), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["redone"], report["imported"], report["kept"]) == (["w01"], [], [])
    assert [(case.case, case.patient) for case in read_study(copy).cases] == [("w01", "p09"), ("w02", "p02")]
    assert read_study(copy).cases[0].radiographs[0].pose_file is None
    assert main(one_case(wrists[0], copy, case="w03", spacing_mm="0.5")) == 2
    assert "mixed voxel sizes" in capsys.readouterr().err
    assert [case.case for case in read_study(copy).cases] == ["w01", "w02"]


def test_an_import_that_was_killed_goes_on(study_folder, wrists, tmp_path, capsys):
    """Whole cases, half a case and no study.json: as kill -9 leaves it before the first listing."""
    copy = tmp_path / "study"
    shutil.copytree(study_folder, copy)
    (copy / "study.json").unlink()
    (copy / ".w02.partial").mkdir()
    (copy / "w02").rename(copy / ".w02.partial" / "left-over")
    table = wrists[0].folder.parent / "cases.csv"
    assert main(["import", "--table", str(table), "--out", str(copy), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["kept"], report["imported"]) == (["w01"], ["w02"])
    assert sorted(path.name for path in copy.iterdir()) == ["study.json", "w01", "w02"]
    for name in ("ct.nrrd", "labels.seg.nrrd", "landmarks.mrk.json", "radiograph-1-pa.png"):
        assert (copy / "w02" / name).read_bytes() == (study_folder / "w02" / name).read_bytes()


def unknown_labels(wrist: ClinicalWrist, folder: Path) -> dict[str, str]:
    labels = read_labels(wrist.folder / "bones.seg.nrrd")
    values = np.where(labels.labels == 1, 1, np.where(labels.labels == 2, 2, 0)).astype(np.uint8)
    values[0, 0, 0] = 9
    write_labels_nifti(folder / "bones.nii.gz", LabelMap(values, labels.world_from_voxel))
    return {"labels": str(folder / "bones.nii.gz")}


def far_labels(wrist: ClinicalWrist, folder: Path) -> dict[str, str]:
    labels = read_labels(wrist.folder / "bones.seg.nrrd")
    world = labels.world_from_voxel.copy()
    world[:3, 3] += [0, 0, 60.0]
    write_labels_nifti(
        folder / "far.nii.gz", LabelMap((labels.labels > 0).astype(np.uint8) + labels.labels // 2, world)
    )
    return {"labels": str(folder / "far.nii.gz"), "drop_other_labels": None}


def one_landmark(wrist: ClinicalWrist, folder: Path) -> dict[str, str]:
    content = json.loads((wrist.folder / "points.mrk.json").read_text())
    content["markups"][0]["controlPoints"].pop()
    (folder / "one.mrk.json").write_text(json.dumps(content))
    return {"landmarks": str(folder / "one.mrk.json")}


def other_body_part(wrist: ClinicalWrist, folder: Path) -> dict[str, str]:
    """A CT of soft tissue alone in the place of the wrist's."""
    ct = read_volume(wrist.folder / "ct")
    tissue = np.random.default_rng(1).normal(40, 20, ct.values.shape).astype(np.int16)
    write_volume_nrrd(folder / "belly.nrrd", Volume(tissue, ct.world_from_voxel))
    return {"ct": str(folder / "belly.nrrd")}


def exchanged_bones(wrist: ClinicalWrist, folder: Path) -> dict[str, str]:
    return {"radius_label": "Ulna", "ulna_label": "Distal_Radius"}


def two_arms(wrist: ClinicalWrist, folder: Path) -> dict[str, str]:
    """The wrist and, 30 mm beyond the field of view, the same again, as a scan of both arms in one file."""
    ct, labels = read_volume(wrist.folder / "ct"), read_bone_labels(wrist.folder / "bones.seg.nrrd")
    i, j, k = ct.values.shape
    whole = resample_labels(labels, (i, j, k), ct.world_from_voxel)
    gap = np.zeros((60, j, k), np.int16)
    write_volume_nrrd(
        folder / "both.nrrd", Volume(np.concatenate([ct.values, gap - 1000, ct.values]), ct.world_from_voxel)
    )
    twice = np.concatenate([whole.labels, gap.astype(np.uint8), whole.labels])
    write_labels_nifti(folder / "both.nii.gz", LabelMap(twice, ct.world_from_voxel))
    return {"ct": str(folder / "both.nrrd"), "labels": str(folder / "both.nii.gz")}


def missing_slice(wrist: ClinicalWrist, folder: Path) -> dict[str, str]:
    shutil.copytree(wrist.folder / "ct", folder / "gap")
    (folder / "gap" / "020.dcm").unlink()
    return {"ct": str(folder / "gap")}


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (unknown_labels, ["label values 9", "--drop-other-labels"]),
        (far_labels, ["outside of the CT"]),
        (one_landmark, ["volar edge of the sigmoid notch", "--notch-label"]),
        (missing_slice, ["slices are missing"]),
        (lambda w, f: {"landmarks": None, "no_find_landmarks": None}, ["no landmarks", "--landmarks"]),
        (other_body_part, ["does not lie on bone of this CT", "another body part"]),
        (exchanged_bones, ["radial_styloid_tip lies", "radius and ulna are exchanged"]),
        (two_arms, ["its radius is there twice", "crop the CT to one arm"]),
        (lambda w, f: {"labels": str(f / "none.nrrd")}, ["none.nrrd"]),
        (lambda w, f: {"radiograph": str(w.folder / "film-pa.dcm"), "side": "left"}, ["contradicts"]),
        (lambda w, f: {"radius_label": "Femur"}, ["no segment is the radius", "Distal_Radius"]),
        (lambda w, f: {"radiograph": str(w.folder / "ct" / "000.dcm")}, ["not a radiograph"]),
    ],
    ids=[
        "unknown-labels",
        "elsewhere",
        "landmark",
        "gap",
        "no-landmarks",
        "body-part",
        "exchanged",
        "two-arms",
        "no-file",
        "side",
        "segment",
        "ct-as-film",
    ],
)
def test_a_wrong_case_is_one_line_and_leaves_nothing(wrists, tmp_path, capsys, spoil, words):
    changes = spoil(wrists[0], tmp_path)
    assert main(one_case(wrists[0], tmp_path / "study", **changes)) == 2
    error = capsys.readouterr().err
    assert len(complaints(error)) == 1
    assert "case w01" in error
    for word in words:
        assert word in error
    assert not (tmp_path / "study").exists()


def test_landmarks_off_the_bone_are_taken_and_the_doubt_is_said(wrists, tmp_path, capsys):
    """Off the radius on the side away from the ulna: they are a person's, and no exchange of the bones."""
    labels = read_bone_labels(wrists[0].folder / "bones.seg.nrrd")
    radius, ulna = (np.argwhere(labels.labels == value).mean(axis=0) for value in (1, 2))
    across = labels.world_from_voxel[:3, :3] @ (radius - ulna) * [-1, -1, 1]  # to RAS, which the file is in
    content = json.loads((wrists[0].folder / "points.mrk.json").read_text())
    for point in content["markups"][0]["controlPoints"]:
        # 25 mm: farther off the bone than the 6 mm from which on check speaks of an error.
        point["position"] = list(point["position"] + 25 * across / np.linalg.norm(across))
    (tmp_path / "off.mrk.json").write_text(json.dumps(content))
    call = one_case(wrists[0], tmp_path / "study", landmarks=str(tmp_path / "off.mrk.json"))
    assert main([*call, "--json"]) == 0
    notes = json.loads(capsys.readouterr().out)["notes"]
    assert any("radial_styloid_tip lies" in note for note in notes)
    assert "off.mrk" not in (tmp_path / "study" / "w01" / "import.json").read_text()


def test_a_mirrored_wrist_is_not_given_landmarks(wrists, tmp_path, capsys):
    call = one_case(wrists[0], tmp_path / "study", side="left", landmarks=None)
    assert main(call) == 2
    assert "has the shape of a right one" in capsys.readouterr().err
    assert not (tmp_path / "study").exists()


def test_a_failed_row_is_named_and_the_others_are_there(wrists, tmp_path, capsys):
    table = wrists[0].folder.parent / "mixed.csv"
    table.write_text(
        "case;patient;side;ct;labels;landmarks\n"
        "bad;p08;right;Anna/ct;Anna/none.seg.nrrd;Anna/points.mrk.json\n"
        "good;p09;R;Anna/ct;Anna/bones.seg.nrrd;Anna/points.mrk.json\n"
    )
    assert main(["import", "--table", str(table), "--out", str(tmp_path / "study")]) == 2
    captured = capsys.readouterr()
    assert "mixed.csv: 1 of 2 cases were not imported; line 2: case bad: labels 'Anna/none.seg.nrrd' is" in captured.err
    assert len(complaints(captured.err)) == 1
    assert [case.case for case in read_study(tmp_path / "study").cases] == ["good"]
    assert sorted(path.name for path in (tmp_path / "study").iterdir()) == ["good", "study.json"]
    assert set(read_landmarks(tmp_path / "study" / "good" / "landmarks.mrk.json")) >= {"radial_styloid_tip"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("case,patient,side,ct\n", "no column 'labels'"),
        ("case,patient,side,ct,labels,colour\n", "unknown column 'colour'"),
        ("case,patient,side,ct,labels\nw1,p1,both,a,b\n", "line 2: case w1: side is 'both'"),
        ("case,patient,side,ct,labels\nw1,p1,left,a,b\n", "ct 'a' is not there"),
        ("case,patient,side,ct,labels\n", "holds no rows"),
    ],
)
def test_a_wrong_table_names_its_line(tmp_path, capsys, text, words):
    (tmp_path / "cases.csv").write_text(text)
    assert main(["import", "--table", str(tmp_path / "cases.csv"), "--out", str(tmp_path / "study")]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not (tmp_path / "study").exists()
