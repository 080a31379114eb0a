"""`bonelift drr`: files that another program can use, from one CT and from a study; what is wrong is said in a line."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bonelift.cli import main
from bonelift.drr.joseph import project
from bonelift.drr.subject import attenuation_stack
from bonelift.geometry import camera_from_file, default_film_camera, rigid_from_vector, write_camera_json
from bonelift.images import LabelMap, Volume, read_volume, write_labels_seg_nrrd, write_volume_nrrd
from bonelift.study.ct_drrs import paper_camera
from bonelift.study.folder import read_study, write_pose

SHAPE = (24, 20, 28)
WORLD_FROM_VOXEL = np.diag([-1.5, 1.5, 1.5, 1.0])
WORLD_FROM_VOXEL[:3, 3] = [40.0, -20.0, 100.0]


def forearm() -> tuple[Volume, LabelMap]:
    """Two rods in soft tissue, in a world of its own."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[5:10, 7:12, 2:26], labels[14:18, 7:12, 2:26] = 1, 2
    values = np.where(labels > 0, 1000, 40).astype(np.int16)
    return Volume(values, WORLD_FROM_VOXEL), LabelMap(labels, WORLD_FROM_VOXEL)


@pytest.fixture
def case(tmp_path) -> Path:
    """ct.nrrd, labels.seg.nrrd, a camera of 60 x 50 px and a pose that puts the rods before it."""
    ct, labels = forearm()
    write_volume_nrrd(tmp_path / "ct.nrrd", ct)
    write_labels_seg_nrrd(tmp_path / "labels.seg.nrrd", labels)
    write_camera_json(tmp_path / "camera.json", default_film_camera(60, 50, 1.0))
    centre = (WORLD_FROM_VOXEL @ [*((np.array(SHAPE) - 1) / 2), 1.0])[:3]
    pose = rigid_from_vector([1.3, 0.1, 0.2, 0, 0, 0])
    pose[:3, 3] = [0, 0, 950.0] - pose[:3, :3] @ centre
    write_pose(tmp_path / "pose.json", pose)
    return tmp_path


def call(folder: Path, *more: str) -> list[str]:
    return ["drr", str(folder / "ct.nrrd"), "--labels", str(folder / "labels.seg.nrrd"),
            "--camera", str(folder / "camera.json"), "--out", str(folder / "out"), *more]  # fmt: skip


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_the_files_say_all_that_is_needed_to_make_them_again(case):
    more = ["--poses", "3", "--rotation-deg", "8", "--translation-mm", "3", "--seed", "4", "--content", "each-bone"]
    assert main(call(case, "--pose", str(case / "pose.json"), *more, "--quiet")) == 0
    facts = json.loads((case / "out" / "drr.json").read_text())
    camera = camera_from_file(case / "out" / facts["camera_file"]).camera
    assert facts["parts"] == ["radius", "ulna"]
    ct, labels = forearm()
    stack = attenuation_stack(ct, labels, "each bone", facts["attenuation"]["mu_water_per_mm"])
    assert len(facts["images"]) == 3
    for entry in facts["images"]:
        pose = np.array(entry["camera_from_world"]) @ ct.world_from_voxel
        expected = project(stack, camera.image_from_camera, pose, camera.shape_px, rule=facts["rule"])
        for part, image in zip(facts["parts"], expected, strict=True):
            levels = pixels(case / "out" / entry["files"][part])
            assert levels.dtype == np.uint16
            # Half a grey level; the CT is cut to its bones, which rounds positions anew.
            np.testing.assert_allclose(levels * facts["integral_per_grey_level"], image, atol=6e-5)
            assert entry["largest"][part] == pytest.approx(image.max(), abs=1e-4)
        assert np.abs(entry["turn_deg"]).max() <= 8
        assert np.abs(entry["shift_mm"]).max() <= 3
        assert entry["share_in_view"] == 1.0


def test_every_format_holds_the_same_integrals(case):
    found = {}
    for kind in ("png", "nrrd", "npy"):
        out = case / kind
        more = ["--pose", str(case / "pose.json"), "--format", kind, "--out", str(out), "--quiet"]
        assert main(call(case, *more)) == 0
        scale = json.loads((out / "drr.json").read_text())["integral_per_grey_level"]
        if kind == "png":
            found[kind] = scale * pixels(out / "drr-0001.png")
        elif kind == "nrrd":
            found[kind] = read_volume(out / "drr.nrrd").values[:, :, 0].T
        else:
            found[kind] = np.load(out / "drr.npy", allow_pickle=False)[0, 0]
    np.testing.assert_array_equal(found["nrrd"], found["npy"])
    np.testing.assert_allclose(found["png"], found["npy"], atol=6e-5)


def test_a_strong_shadow_fits_sixteen_bits(case):
    ct, _ = forearm()
    write_volume_nrrd(case / "ct.nrrd", Volume(np.full(SHAPE, 20_000, np.int16), ct.world_from_voxel))
    assert main(call(case, "--pose", str(case / "pose.json"), "--content", "arm", "--quiet")) == 0
    facts = json.loads((case / "out" / "drr.json").read_text())
    largest = facts["images"][0]["largest"]["arm"]
    assert largest > 65535 * 1e-4
    assert pixels(case / "out" / "drr-0001.png").max() * facts["integral_per_grey_level"] == pytest.approx(
        largest, rel=1e-4
    )


def spoil(folder: Path, what: str) -> list[str]:
    """Damage the case; returns the options that are left."""
    pose = ["--pose", str(folder / "pose.json")]
    ct, labels = forearm()
    if what == "NaN":
        values = ct.values.astype(np.float32)
        values[3, 4, 5] = np.nan
        write_volume_nrrd(folder / "ct.nrrd", Volume(values, ct.world_from_voxel))
    elif what == "other grid":
        write_labels_seg_nrrd(folder / "labels.seg.nrrd", LabelMap(labels.labels[1:], labels.world_from_voxel))
    elif what == "one bone":
        one = np.minimum(labels.labels, 1)
        write_labels_seg_nrrd(folder / "labels.seg.nrrd", LabelMap(one, labels.world_from_voxel, {1: "radius"}))
    elif what == "no pose":
        return []
    elif what == "pose behind":
        away = rigid_from_vector([0, np.pi, 0, 0, 0, 0]) @ np.array(
            json.loads((folder / "pose.json").read_text())["camera_from_world"]
        )
        write_pose(folder / "pose.json", away)
    elif what == "skewed pose":
        (folder / "pose.json").write_text(json.dumps({"camera_from_world": np.diag([1, 2, 1, 1]).tolist()}))
    elif what == "two places":
        return [*pose, "--landmarks", str(folder / "pose.json"), "--side", "left"]
    elif what == "no side":
        return ["--landmarks", str(folder / "pose.json")]
    elif what == "two poses":
        return [*pose, *pose, "--poses", "3"]
    elif what == "energy":
        return [*pose, "--energy-kev", "3"]
    return pose


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("NaN", "NaN"),
        ("other grid", "resample the labels"),
        ("one bone", "no voxel of ulna"),
        ("no pose", "beside the image or behind the source"),
        ("pose behind", "camera and pose do not belong together"),
        ("skewed pose", "not rigid"),
        ("two places", "pass one of them"),
        ("no side", "needs --side"),
        ("two poses", "drawn around one"),
        ("energy", "20 to 150 keV"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_left(case, capsys, what, words):
    assert main(call(case, *spoil(case, what))) == 2
    error = capsys.readouterr().err
    assert words in error
    assert len(error.splitlines()) == 1
    assert not (case / "out").exists()


def test_a_ct_without_labels_is_said(case, capsys):
    assert main(["drr", str(case / "ct.nrrd"), "--pose", str(case / "pose.json"), "--out", str(case / "out")]) == 2
    assert "a CT without labels; pass --labels" in capsys.readouterr().err
    assert (
        main(["drr", str(case / "ct.nrrd"), "--labels", str(case / "labels.seg.nrrd"), "--out", str(case / "o")]) == 2
    )
    assert "nothing says where the wrist stands" in capsys.readouterr().err


@pytest.fixture(scope="module")
def study_folder(tmp_path_factory) -> Path:
    """Two virtual wrists, the second one left."""
    folder = tmp_path_factory.mktemp("cohort") / "study"
    assert main(["simulate", "--patients", "2", "--seed", "9", "--out", str(folder), "--quiet"]) == 0
    return folder


def test_a_study_is_rendered_resumed_and_its_broken_case_named(study_folder, tmp_path, capsys):
    out = tmp_path / "drrs"
    more = ["drr", str(study_folder), "--poses", "2", "--seed", "3", "--rule", "joseph", "--out", str(out)]
    whole = (study_folder / "case-0002" / "labels.seg.nrrd").read_bytes()
    (study_folder / "case-0002" / "labels.seg.nrrd").write_bytes(whole[:2000])
    try:
        assert main([*more, "--json"]) == 0
        assert list(json.loads(capsys.readouterr().out)["failed"]) == ["case-0002"]
        assert main([*more, "--quiet", "--strict"]) == 3
        # Nothing at all came of it: not a run with failures, but a run that failed.
        (study_folder / "case-0001" / "labels.seg.nrrd").rename(study_folder / "away")
        assert main([*more[:-1], str(tmp_path / "none"), "--json"]) == 2
        assert "no case gave a DRR; case-0001" in capsys.readouterr().err
        (study_folder / "away").rename(study_folder / "case-0001" / "labels.seg.nrrd")
    finally:
        (study_folder / "case-0002" / "labels.seg.nrrd").write_bytes(whole)
    assert not (out / "case-0002").exists()
    before = (out / "case-0001" / "drr-0001.png").stat().st_mtime_ns
    assert main([*more, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["images"] == 4
    assert (out / "case-0001" / "drr-0001.png").stat().st_mtime_ns == before
    rows = list(csv.DictReader((out / "drr-cases.csv").read_text().splitlines()))
    assert [(row["case"], row["side"], row["images"], row["reason"]) for row in rows] == [
        ("case-0001", "right", "2", ""),
        ("case-0002", "left", "2", ""),
    ]
    assert main([*more[:-4], "--seed", "4", "--out", str(out)]) == 2
    assert "other settings" in capsys.readouterr().err
    nominal_pose_is_anatomical(study_folder, out)


def nominal_pose_is_anatomical(study_folder: Path, out: Path) -> None:
    """The true radius frame: origin on the image's centre, shaft up; ulna on the right of a right wrist."""
    camera = paper_camera()
    for case in read_study(study_folder).cases:
        truth = json.loads((study_folder / str(case.truth_file)).read_text())
        world_from_own = np.array(truth["world_from_radius"])  # rigid; x runs radially on a left wrist
        facts = json.loads((out / case.case / "drr.json").read_text())
        nominal = np.array(facts["random_poses"]["nominal_camera_from_world"])
        ulnar = -1.0 if case.side == "left" else 1.0
        own = np.array([[0, 0, 0], [20.0 * ulnar, 0, 0], [0, 0, -40.0]])
        points = camera.project((np.c_[own, np.ones(3)] @ (nominal @ world_from_own).T)[:, :3])
        # The frame found from labels lies within 1 mm and 1.5 degrees of the true one (test_cli_simulate): 3 px of
        # 0.4 mm, and 1 mm over 40.
        np.testing.assert_allclose(points[0], [249.5, 312.0], atol=3.0)
        np.testing.assert_allclose(points[1] - points[0], [20 * ulnar / 0.4 / 0.97, 0], atol=4.0)
        np.testing.assert_allclose(points[2] - points[0], [0, 40 / 0.4 / 0.97], atol=4.0)


def test_options_of_one_ct_are_refused_for_a_study(study_folder, tmp_path, capsys):
    assert main(["drr", str(study_folder), "--side", "left", "--out", str(tmp_path / "x")]) == 2
    assert "--side belongs to one CT" in capsys.readouterr().err
    assert main(["drr", str(study_folder), "--out", str(study_folder / "drr")]) == 2
    assert "inside the study" in capsys.readouterr().err
