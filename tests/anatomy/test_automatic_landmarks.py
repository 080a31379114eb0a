"""Landmarks and frame without landmarks by hand, on virtual wrists in any pose, right and left."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from bonelift.anatomy.automatic_landmarks import find_frame, side_evidence
from bonelift.anatomy.landmark_names import named_landmarks
from bonelift.anatomy.shape_model import load_shape_model, sample_wrist
from bonelift.anatomy.side import mirror_transform
from bonelift.cli import main
from bonelift.errors import InputError
from bonelift.geometry import apply_transform, rotation_angle
from bonelift.images import LAPTOP_GRID, Side, read_labels, read_volume
from bonelift.study.folder import Study, write_study
from bonelift.study.virtual_cohort import CohortSettings, plan_cohort, read_case, write_case
from bonelift.surface.clip import clip_below
from bonelift.surface.mesh import TriangleMesh


def placed(seed: int, side: Side, cut_mm: float = -75.0) -> tuple[TriangleMesh, TriangleMesh, np.ndarray, dict]:
    """Radius and ulna in a random pose, world_from_right, and the true landmarks there."""
    wrist = sample_wrist(load_shape_model(), np.random.default_rng(seed))
    world_from_right = np.eye(4)
    world_from_right[:3, :3] = Rotation.random(random_state=seed).as_matrix()
    world_from_right[:3, 3] = [40.0, -70.0, 900.0]
    if side == "left":
        world_from_right = world_from_right @ mirror_transform()
    radius, ulna = (clip_below(bone, cut_mm).transformed(world_from_right) for bone in (wrist.radius, wrist.ulna))
    return radius, ulna, world_from_right, {n: apply_transform(world_from_right, p) for n, p in wrist.landmarks.items()}


@pytest.mark.parametrize(("seed", "side", "cut_mm"), [(11, "right", -75.0), (12, "left", -50.0)])
def test_the_frame_is_found_in_any_pose(seed: int, side: Side, cut_mm: float) -> None:
    radius, ulna, world_from_right, truth = placed(seed, side, cut_mm)
    found = find_frame(radius, ulna, side)
    step = found.right_from_world @ world_from_right
    # docs/results/normalisation.md: the largest errors of 36 wrists, rounded up.
    assert np.linalg.norm(step[:3, 3]) < 1.0
    assert np.rad2deg(rotation_angle(step)) < 4.0
    assert np.linalg.det(found.right_from_world[:3, :3]) == pytest.approx(1.0 if side == "right" else -1.0)
    for name in ("radial_styloid_tip", "sigmoid_notch_volar"):
        assert np.linalg.norm(found.landmarks[name] - truth[name]) < 2.5
    assert np.linalg.norm(found.landmarks["ulnar_head_centre"] - truth["ulnar_head_centre"]) < 3.0
    evidence = side_evidence(radius, ulna)
    assert evidence.side == side
    with pytest.raises(InputError, match=f"has the shape of a {side} one"):
        find_frame(radius, ulna, "left" if side == "right" else "right")


def test_what_is_no_distal_radius_is_refused() -> None:
    radius, ulna, world_from_right, _ = placed(13, "right")
    right = radius.transformed(np.linalg.inv(world_from_right))
    with pytest.raises(InputError, match="mm long"):
        find_frame(clip_below(right, -25.0), ulna, "right")
    rod = TriangleMesh(right.vertices * [0.3, 3.0, 1.0], right.faces)
    with pytest.raises(InputError, match="automatic landmarks"):
        find_frame(rod, ulna.transformed(np.linalg.inv(world_from_right)), "right")


def test_landmarks_under_the_names_people_give_them() -> None:
    point = np.zeros(3)
    for styloid, notch in (
        ("Radial styloid tip", "volar edge of sigmoid notch"),
        ("styloid", "SigmoidNotchPalmar"),
        ("radial_styloid_tip", "sigmoid_notch_volar"),
    ):
        found = named_landmarks({styloid: point, notch: point + 1, "Ulnar styloid": point}, "x.mrk.json")
        assert set(found) == {"radial_styloid_tip", "sigmoid_notch_volar", "Ulnar styloid"}
    found = named_landmarks({"F-1": point, "F-2": point}, "x.mrk.json", "F-2", "F-1")
    assert list(found) == ["sigmoid_notch_volar", "radial_styloid_tip"]
    with pytest.raises(InputError, match="--styloid-label"):
        named_landmarks({"F-1": point, "F-2": point}, "x.mrk.json")
    with pytest.raises(InputError, match="2 landmarks could be"):
        named_landmarks({"styloid": point, "radial styloid": point, "notch volar": point}, "x.mrk.json")


def test_normalize_writes_the_radius_frame(tmp_path, capsys) -> None:
    study, out = tmp_path / "study", tmp_path / "normalised"
    settings = CohortSettings(2, 23)
    study.mkdir()
    name = write_case(study, settings, plan_cohort(settings)[1])
    write_study(study, Study((read_case(study / name),), "test"))
    assert main(["normalize", str(study), "--case", "case-0002", "--out", str(out), "--json"]) == 0
    assert (out / "sheet.png").is_file()
    frame = json.loads(capsys.readouterr().out)["frames"]["case-0002"]
    truth = json.loads((study / "case-0002" / "truth.json").read_text())
    right_from_world = np.array(frame["right_from_world"])
    step = right_from_world @ np.array(truth["world_from_radius"]) @ mirror_transform()  # a left wrist
    assert np.linalg.norm(step[:3, 3]) < 1.0  # as test_cli_simulate: voxels of 0.6 mm
    assert np.rad2deg(rotation_angle(step)) < 1.5
    assert frame["automatic"]["rotation_deg"] < 4.0
    labels, ct = read_labels(out / "case-0002" / "labels.seg.nrrd"), read_volume(out / "case-0002" / "ct.nrrd")
    assert labels.labels.shape == ct.values.shape == LAPTOP_GRID.shape
    patient_from_right = np.array(frame["patient_from_right"])
    np.testing.assert_allclose(labels.world_from_voxel, patient_from_right @ LAPTOP_GRID.radius_from_voxel)
    # Bone is dense where the labels say so, and only there: the frame, the mirror and the grid agree.
    assert ct.values[labels.labels == 1].mean() > 300
    assert ct.values[labels.labels == 0].mean() < 0
    assert sorted(p.name for p in (out / "case-0002").iterdir()) == [
        "bonelift-files.json", "ct.nrrd", "frame.json", "labels.seg.nrrd", "landmarks.mrk.json", "overlay.png",
        "radius-occupancy.nrrd",
        "radius.stl", "ulna-occupancy.nrrd", "ulna.stl",
    ]  # fmt: skip
    before = (out / "case-0002" / "ct.nrrd").stat().st_mtime_ns
    assert main(["normalize", str(study), "--case", "case-0002", "--out", str(out), "--quiet"]) == 0
    assert (out / "case-0002" / "ct.nrrd").stat().st_mtime_ns == before
    assert main(["normalize", str(study), "--out", str(out), "--grid", "paper"]) == 2
    assert "other settings" in capsys.readouterr().err
    assert main(["normalize", str(study), "--out", str(tmp_path / "x"), "--case", "none"]) == 2
    assert not (tmp_path / "x").exists()
