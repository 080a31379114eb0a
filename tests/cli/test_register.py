"""`bonelift register` on a study with broken cases and on loose files: what is written, and what is said."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from bonelift.cli import main
from bonelift.drr.joseph import project
from bonelift.drr.subject import attenuation_stack
from bonelift.film.standard import nominal_camera_from_radius
from bonelift.geometry import (
    XrayCamera,
    apply_transform,
    invert_rigid,
    rotation_about_axis,
    rotation_angle,
    translation,
    write_camera_json,
)
from bonelift.images import RADIUS, ULNA, LabelMap, Volume, write_labels_seg_nrrd, write_volume_nrrd
from bonelift.images.raster import write_png
from bonelift.registration.ct_bone import Part, ct_bone
from bonelift.registration.film_views import bone_shadow
from bonelift.study.folder import Study, StudyCase, StudyRadiograph, read_pose, read_study, write_pose, write_study
from bonelift.study.registration.case import RegistrationOptions
from bonelift.study.registration.whole_study import register_study
from builders.toy_wrist import DEPTH_MM, film_camera, toy_ct, toy_radiograph

Float = NDArray[np.float64]
TRUE_POSE = nominal_camera_from_radius(film_camera(), "pa", DEPTH_MM)
BROKEN = {
    "no-labels": "labels.seg.nrrd",
    "other-grid": "differ in shape or position",
    "nan": "NaN",
    "empty-mask": "empty",
    "other-size": "pixels",
    "mask-size": "the mask has",
}


def write_film(folder: Path, stem: str, camera: XrayCamera, world_from_ct: Float) -> None:
    """PNG, camera file and drawn mask of the toy wrist, which stands at ``world_from_ct`` before the camera."""
    image = toy_radiograph(camera.camera_from_world @ world_from_ct, camera, seed=len(stem))
    levels = (image - image.min()) / (image.max() - image.min())
    write_png(folder / f"{stem}.png", np.rint(levels * 65535).astype(np.uint16))
    write_camera_json(folder / f"{stem}.json", camera, DEPTH_MM)
    mask = np.zeros(camera.shape_px, dtype=np.uint8)
    mask[bone_shadow(ct_bone(*toy_ct(), "ulna").fine, camera, world_from_ct)] = ULNA
    mask[bone_shadow(ct_bone(*toy_ct(), "radius").fine, camera, world_from_ct)] = RADIUS
    write_png(folder / f"{stem}-mask.png", mask)


def write_toy_case(folder: Path) -> None:
    ct, labels = toy_ct()
    folder.mkdir(parents=True)
    write_volume_nrrd(folder / "ct.nrrd", ct)
    write_labels_seg_nrrd(folder / "labels.seg.nrrd", labels)
    write_film(folder, "pa", film_camera(), TRUE_POSE)


def listed(case: str) -> StudyCase:
    film = StudyRadiograph(f"{case}/pa.png", "pa", f"{case}/pa.json", None, "no", f"{case}/pa-mask.png")
    return StudyCase(case, case, "right", f"{case}/ct.nrrd", f"{case}/labels.seg.nrrd", "", (film,))


def spoil(study: Path) -> None:
    """Break each case of BROKEN in its way."""
    ct, labels = toy_ct()
    (study / "no-labels" / "labels.seg.nrrd").unlink()
    short = LabelMap(labels.labels[:, :, 2:], labels.world_from_voxel)
    write_labels_seg_nrrd(study / "other-grid" / "labels.seg.nrrd", short)
    values = ct.values.astype(np.float32)
    values[4, 4, 4] = np.nan
    write_volume_nrrd(study / "nan" / "ct.nrrd", Volume(values, ct.world_from_voxel))
    rows, columns = film_camera().shape_px
    write_png(study / "empty-mask" / "pa-mask.png", np.zeros((rows, columns), dtype=np.uint8))
    write_camera_json(study / "other-size" / "pa.json", replace(film_camera(), width_px=columns + 8), DEPTH_MM)
    mask = np.zeros((rows - 10, columns), dtype=np.uint8)
    mask[20:-20, 20:-20] = 1
    write_png(study / "mask-size" / "pa-mask.png", mask)


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """One sound case with a second film that is missing, and one of each kind of broken case."""
    folder = tmp_path_factory.mktemp("register") / "study"
    for case in ("sound", *BROKEN):
        write_toy_case(folder / case)
    spoil(folder)
    sound = listed("sound")
    lost = replace(sound.radiographs[0], file="sound/lost.png", view="lateral")
    cases = [replace(sound, radiographs=(*sound.radiographs, lost)), *map(listed, BROKEN)]
    write_study(folder, Study(tuple(cases), "a test"))
    return folder


@pytest.fixture(scope="module")
def registered(study) -> Path:
    out = study.parent / "out"
    assert main(["register", str(study), "--out", str(out), "--quiet"]) == 0
    assert (out / "sheet.png").is_file()
    return out


def table(out: Path) -> dict[tuple[str, str], dict[str, str]]:
    with (out / "records.csv").open() as stream:
        return {(row["case"], row["radiograph"]): row for row in csv.DictReader(stream)}


def assert_found(pose: Float, true: Float = TRUE_POSE) -> None:
    step = pose @ invert_rigid(true)
    centre = apply_transform(true, ct_bone(*toy_ct()).fine.centre_mm)
    moved = apply_transform(step, centre) - centre
    # The bars of the issue; the camera looks along z.
    assert np.rad2deg(rotation_angle(step)) < 2.0
    assert np.linalg.norm(moved[:2]) < 0.5


# --- a study ---------------------------------------------------------------------------------------------------------


def test_the_sound_film_is_registered_and_every_broken_one_says_why(registered):
    rows = table(registered)
    assert rows["sound", "pa"]["verdict"] == "ok", rows["sound", "pa"]["reason"]
    assert_found(read_pose(registered / "sound" / rows["sound", "pa"]["pose_file"]))
    assert rows["sound", "lost"]["verdict"] == "failed"
    assert "lost.png" in rows["sound", "lost"]["reason"]
    for case, reason in BROKEN.items():
        assert rows[case, "pa"]["verdict"] == "failed"
        assert reason in rows[case, "pa"]["reason"]
        assert rows[case, "pa"]["similarity"] == ""
    json_rows = json.loads((registered / "records.json").read_text())["rows"]
    assert len(json_rows) == len(rows) == len(BROKEN) + 2


def test_the_registration_drr_is_the_projection_at_the_pose_that_was_found(registered):
    pose = read_pose(registered / "sound" / "pa-pose.json")
    levels = np.asarray(Image.open(registered / "sound" / "pa-drr.png")).astype(np.float64)
    written = levels / 65535 * float(table(registered)["sound", "pa"]["drr_full_scale"])
    ct, labels = toy_ct()
    camera = film_camera()
    stack = attenuation_stack(ct, labels)
    expected = project(stack, camera.image_from_camera, pose @ ct.world_from_voxel, camera.shape_px)[0]
    assert np.allclose(written, expected, atol=2e-4 * expected.max())
    with Image.open(registered / "sound" / "pa-overlay.png") as overlay:
        assert overlay.mode == "RGB"
        assert len({colour for _, colour in overlay.getcolors(1 << 20) or []}) > 100


def test_the_same_call_keeps_what_is_done_and_finishes_what_was_mended(study, registered):
    pose = registered / "sound" / "pa-pose.json"
    before = pose.stat().st_mtime_ns
    folder = study / "empty-mask"
    (folder / "pa-mask.png").write_bytes((study / "sound" / "pa-mask.png").read_bytes())
    lost = study / "sound" / "lost.png"
    calls = ["register", str(study), "--out", str(registered), "--quiet", "--case", "empty-mask"]
    assert main([*calls, "--strict"]) == 3  # other cases of the table are still broken
    rows = table(registered)
    assert rows["empty-mask", "pa"]["verdict"] == "ok"
    assert rows["nan", "pa"]["verdict"] == "failed"
    assert pose.stat().st_mtime_ns == before
    assert not lost.exists()


def test_poses_are_listed_in_the_study_when_asked(study, registered):
    options = ["register", str(study), "--out", str(registered), "--quiet", "--case", "empty-mask", "--adopt"]
    assert main(options) == 0
    sound = next(case for case in read_study(study).cases if case.case == "sound")
    assert sound.radiographs[0].pose_file == "sound/pa-pose.json"
    assert sound.radiographs[1].pose_file is None
    assert_found(read_pose(study / "sound" / "pa-pose.json"))


def test_an_interrupted_run_leaves_no_half_case(study, tmp_path):
    def interrupt(_):
        raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        register_study(study, out, RegistrationOptions(start="landmarks"), interrupt, ["sound"])
    assert {path.name for path in out.iterdir()} == {"registration.json"}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--bones", "radius"], "other settings"),
        (["--case", "nobody"], "no case 'nobody'"),
        (["--start", "pose.json"], "loose files"),
    ],
)
def test_a_wrong_call_is_one_line(study, registered, capsys, more, said):
    assert main(["register", str(study), "--out", str(registered), *more]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_folder_inside_the_study_is_refused(study, capsys):
    assert main(["register", str(study), "--out", str(study / "out")]) == 2
    assert "inside the study" in capsys.readouterr().err
    assert not (study / "out").exists()


# --- loose files -----------------------------------------------------------------------------------------------------


@pytest.fixture
def loose(tmp_path) -> Path:
    write_toy_case(tmp_path / "files")
    return tmp_path / "files"


def loose_call(folder: Path, *more: str, stems: tuple[str, ...] = ("pa",), mask: bool = True) -> list[str]:
    call = ["register", "--ct", str(folder / "ct.nrrd"), "--labels", str(folder / "labels.seg.nrrd")]
    for stem in stems:
        call += ["--radiograph", str(folder / f"{stem}.png"), "--camera", str(folder / f"{stem}.json"), "--view", "pa"]
        call += ["--mask", str(folder / f"{stem}-mask.png")] if mask else []
    return [*call, "--side", "right", "--invert", "no", "--out", str(folder / "out"), *more]


def test_each_bone_is_registered_from_a_pose_file(loose):
    write_pose(loose / "near.json", translation([2.0, -1.0, 5.0]) @ TRUE_POSE)
    assert main(loose_call(loose, "--bones", "each", "--start", str(loose / "near.json"), "--quiet")) == 0
    rows = json.loads((loose / "out" / "records.json").read_text())["rows"]
    assert [row["bones"] for row in rows] == ["both", "radius", "ulna"]
    assert {row["start"] for row in rows} == {"pose file"}
    assert_found(read_pose(loose / "out" / "radiograph-1-pa-pose.json"))
    # The bones did not move against each other: each by itself lies where both did, within what one alone can tell.
    parts: tuple[Part, ...] = ("radius", "ulna")
    for part in parts:
        pose = read_pose(loose / "out" / f"radiograph-1-pa-{part}-pose.json")
        centre = ct_bone(*toy_ct(), part).fine.centre_mm
        assert np.linalg.norm((apply_transform(pose, centre) - apply_transform(TRUE_POSE, centre))[:2]) < 0.5


def test_two_calibrated_films_are_registered_together(loose):
    camera = film_camera()
    centre = apply_transform(TRUE_POSE, ct_bone(*toy_ct()).fine.centre_mm)
    orbit = translation(centre) @ rotation_about_axis([0, 1, 0], np.pi / 2) @ translation(-centre)
    write_film(loose, "side", replace(camera, camera_from_world=orbit), TRUE_POSE)
    assert main(loose_call(loose, "--together", "--quiet", stems=("pa", "side"))) == 0
    first, second = (read_pose(loose / "out" / f"radiograph-{n}-pa-pose.json") for n in (1, 2))
    assert np.allclose(second, orbit @ first)
    # All three axes are seen.
    assert np.linalg.norm(apply_transform(first, [0, 0, 0]) - apply_transform(TRUE_POSE, [0, 0, 0])) < 0.5


def test_loose_files_that_cannot_be_used_leave_nothing_and_say_one_line(loose, capsys):
    (loose / "far.json").unlink(missing_ok=True)
    write_pose(loose / "far.json", translation([400.0, 0, 0]) @ TRUE_POSE)
    blank = np.zeros(film_camera().shape_px, dtype=np.uint8)
    calls = {
        "--labels": [word for word in loose_call(loose) if "labels" not in word],
        "--camera was given 1 times for 2": [*loose_call(loose), "--radiograph", str(loose / "pa.png")],
        "share no world": loose_call(loose, "--together", stems=("pa", "twin")),
        "outside the image": loose_call(loose, "--start", str(loose / "far.json"), mask=False),
        "study folder or --ct": ["register", str(loose), *loose_call(loose)[1:]],
        "the mask is empty": loose_call(loose, stems=("blank",)),
        "no outline": loose_call(loose, "--start", "outline", mask=False),
    }
    for stem in ("twin", "blank"):
        write_film(loose, stem, film_camera(), TRUE_POSE)
    write_png(loose / "blank-mask.png", blank)
    for said, call in calls.items():
        assert main(call) == 2, said
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1
        assert not (loose / "out").exists()
