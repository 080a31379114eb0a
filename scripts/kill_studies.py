"""What scripts/kill_commands.py runs: each command on a study so small that a run of it takes seconds."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from forked_commands import OUT

from bonelift.geometry import XrayCamera
from bonelift.geometry.camera_files import write_camera_json
from bonelift.images import Volume, read_ct, read_labels, write_labels_seg_nrrd, write_volume_nrrd
from bonelift.study.folder import read_study, write_study

PATIENTS, SEED = 4, 5
STEPS = np.array([2, 2, 1])
"""Every second voxel is kept along the axes along which the simulated CTs are fine."""
MARGIN_MM = 8.0
"""What is kept of a CT around its bones."""


def study_call() -> list[str]:
    """Makes the study from which the small one is cut."""
    return ["simulate", "--patients", str(PATIENTS), "--seed", str(SEED), "--out", OUT]


def calls(work: Path) -> dict[str, list[str]]:
    """The seven commands whose runs go on. OUT: see forked_commands."""
    study, pair, camera = str(work / "small"), str(work / "pair"), str(work / "small-camera.json")
    return {
        "simulate": ["simulate", "--patients", "2", "--seed", str(SEED), "--out", OUT],
        "import": ["import", "--table", str(work / "lab" / "cases.csv"), "--keep-voxels", "--out", OUT],
        "normalize": ["normalize", pair, "--out", OUT],
        "drr": ["drr", study, "--camera", camera, "--poses", "2", "--rotation-deg", "10", "--out", OUT],
        "register": ["register", pair, "--start", "pose", "--out", OUT],
        "train": ["train", "tl", study, "--preset", "smoke", "--run", OUT],
        "evaluate": [
            "evaluate",
            study,
            "--preset",
            "smoke",
            "--folds",
            "2",
            "--fold",
            "fold-1",
            "--workers",
            "1",
            "--run",
            OUT,
        ],
    }


def further_calls(work: Path) -> dict[str, list[str]]:
    """Of the commands that write one result."""
    case = work / "pair" / "case-0001"
    film = ["--radiograph", f"{case}/radiograph-1-pa.png", "--camera", f"{case}/radiograph-1-pa.json"]
    facts = ["--side", "right", "--view", "pa"]
    bones = ["--ct", f"{case}/ct.nrrd", "--labels", f"{case}/labels.seg.nrrd"]
    start_pose = ["--pose", f"{case}/radiograph-1-pa-pose.json"]
    start = ["--start", f"{case}/radiograph-1-pa-pose.json"]
    return {
        "reconstruct": ["reconstruct", film[1], *film[2:], *facts, "--out", OUT],
        "demo": ["demo", "--out", OUT],
        "check": ["check", str(work / "pair"), "--sheet", OUT],
        "drr of a CT": ["drr", bones[1], *bones[2:], *film[2:], *start_pose, "--out", OUT],
        "register of files": ["register", *bones, *film, *facts, *start, "--out", OUT],
    }


def make_studies(work: Path, simulated: Path) -> None:
    """``small`` (four cases), ``pair`` (two of them) and ``lab`` (their files and a table), where they are missing."""
    if (work / "ready").is_file():
        return
    for name in ("small", "pair", "lab"):
        shutil.rmtree(work / name, ignore_errors=True)
    make_small_study(simulated, work / "small")
    study = read_study(work / "small")
    for name in ("pair", "lab"):
        for case in study.cases[:2]:
            shutil.copytree(work / "small" / case.case, work / name / case.case)
    write_study(work / "pair", replace(study, cases=study.cases[:2]))
    with (work / "lab" / "cases.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["case", "patient", "side", "ct", "labels", "landmarks", "radiograph", "view", "camera", "pose"]
        )
        for number, case in enumerate(study.cases[:2], start=1):
            film = case.radiographs[0]
            files = (case.ct, case.labels, case.landmarks, film.file)
            writer.writerow(
                [f"w{number}", f"p{number}", case.side, *files, film.view, film.camera_file, film.pose_file]
            )
    write_camera_json(work / "small-camera.json", _small_camera())
    (work / "ready").touch()


def make_small_study(simulated: Path, small: Path) -> None:
    """The same cases with a coarse CT that is cut to the bones."""
    shutil.copytree(simulated, small)
    for case in read_study(small).cases:
        ct, labels = read_ct(small / case.ct), read_labels(small / case.labels)
        bones = np.argwhere(labels.labels > 0)
        margin = np.ceil(MARGIN_MM / labels.spacing_mm).astype(int)
        first, end = np.maximum(bones.min(axis=0) - margin, 0), bones.max(axis=0) + margin + 1
        part = tuple(slice(*edges) for edges in zip(first, end, STEPS, strict=True))
        kept_from_voxel = np.diag([*STEPS, 1.0])
        kept_from_voxel[:3, 3] = first
        world_from_kept = labels.world_from_voxel @ kept_from_voxel
        write_volume_nrrd(small / case.ct, Volume(np.ascontiguousarray(ct.values[part]), world_from_kept))
        cut = replace(labels, labels=np.ascontiguousarray(labels.labels[part]), world_from_voxel=world_from_kept)
        write_labels_seg_nrrd(small / case.labels, cut)


def _small_camera() -> XrayCamera:
    """The one that drr takes by default, with pixels of 2 mm."""
    return XrayCamera(np.array([[500.0, 0, 49.5], [0, 500.0, 62.0], [0, 0, 1]]), np.eye(4), 100, 125, 1000.0)
