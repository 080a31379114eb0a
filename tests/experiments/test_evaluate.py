"""`bonelift evaluate`: experiments 1 to 3 on a small virtual cohort, killed on the way; then what is refused.

The networks of the smoke preset learn nothing, so what is tested is who is scored by what, and that the numbers are
those of the surfaces.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bonelift.cli import main
from bonelift.errors import InputError
from bonelift.experiments.folds import read_folds
from bonelift.experiments.images import load_case_images, make_case_images
from bonelift.experiments.presets import load_study_preset
from bonelift.experiments.run.case_records import check_unchanged, read_record
from bonelift.experiments.run.folder import RunPaths
from bonelift.experiments.training import write_samples
from bonelift.images import LabelMap, read_labels
from bonelift.images.nrrd_files import write_labels_seg_nrrd
from bonelift.reconstruction.bones import SHOWN_ABOVE_MM
from bonelift.storage.folder_lock import folder_lock
from bonelift.study.folder import read_study
from bonelift.surface.clip import clip_below
from bonelift.surface.distance import surface_distances
from bonelift.surface.mesh import TriangleMesh

PRESET = ["--preset", "smoke", "--folds", "2"]
FIGURES = ["translation", "mae-maps", "mae-by-patient", "histogram-matching", "mae-against-asd",
           "four-inputs-as-predicted", "four-inputs-rigid", "error-maps-CT-DRR", "error-maps-GAN-DRR",
           "methods"]  # fmt: skip

NUMBERS = ["asd_paper_mm", "asd_surface_mm", "hd95_mm", "maximum_mm", "dice", "skill_paper", "skill_surface"]


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """Five patients with a radiograph, one of them with a second CT that has none."""
    folder = tmp_path_factory.mktemp("cohort") / "study"
    shape = ["--patients", "5", "--scans", "6", "--turned", "1", "--with-radiographs", "5"]
    assert main(["simulate", *shape, "--seed", "5", "--out", str(folder), "--quiet"]) == 0
    return folder


@pytest.fixture(scope="module")
def run(study, tmp_path_factory) -> Path:
    """A whole run that was killed once while networks were trained, and then finished by the same command."""
    folder = tmp_path_factory.mktemp("run") / "run"
    call = ["evaluate", str(study), "--run", str(folder), *PRESET]
    code = f"import sys; from bonelift.cli import main; sys.exit(main({[*call, '--quiet']!r}))"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    reached = folder / "fold-1" / "pix2pix" / "checkpoint.safetensors"
    while not reached.is_file() and process.poll() is None:
        time.sleep(0.05)
    killed = process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    assert killed, process.communicate()[1]
    process.communicate()
    images = {path: path.stat().st_mtime_ns for path in folder.glob("images/*/drr.npy")}
    assert len(images) == 6
    assert main([*call, "--json"]) == 0
    assert {path: path.stat().st_mtime_ns for path in images} == images
    return folder


def rows_of(run: Path, name: str = "rows.csv") -> list[dict[str, str]]:
    with (run / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def call(study: Path, run: Path, *more: str) -> list[str]:
    return ["evaluate", str(study), "--run", str(run), *PRESET, "--quiet", *more]


def refused(capsys, arguments: list[str]) -> str:
    """The one line of a refused call."""
    capsys.readouterr()
    assert main(arguments) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def copied(run: Path, target: Path) -> Path:
    shutil.copytree(run, target)
    return target


def test_every_patient_is_scored_by_the_inputs_that_the_paper_gives_them(study, run):
    folds = read_folds(run / "folds.json")
    rows = rows_of(run)
    for case in read_study(study).cases:
        own = [row for row in rows if row["case"] == case.case]
        assert {row["fold"] for row in own} == {folds.fold_testing(case.patient).name}
        sources = {row["source"] for row in own if row["method"] == "model"}
        pair = case.patient in folds.pairs
        four = {"CT-DRR", "GAN-DRR", "registration-DRR", "histogram-matched"}
        assert sources == ({"CT-DRR"} if not case.radiographs else four if pair else {"CT-DRR", "GAN-DRR"})
        assert {row["source"] for row in own if row["method"] == "shape regressor"} == sources
        # Each input by both networks, the mean bone, the same at the true size and the grid's floor: two bones, as
        # predicted and after alignment.
        assert len(own) == 4 * (2 * len(sources) + 3)
        # So little training may leave a field that never reaches one half; then that is said.
        assert {row["note"] for row in own} <= {"", "no surface"}
        assert {bool(row["note"]) for row in own if row["asd_paper_mm"]} == {False}
    assert len(folds.pairs) == 4
    assert {row["source"] for row in rows_of(run, "translation.csv")} == {"GAN-DRR", "histogram-matched"}


def test_no_network_was_shown_a_patient_that_it_is_tested_on(study, run, tmp_path):
    """The samples that a network reads are, image for image, those of its training patients alone."""
    folds, cases = read_folds(run / "folds.json"), read_study(study).cases
    fold = folds.folds[0]
    for network, images, arrays in (
        ("tl", "drr.npy", "films-*/drr.npy"),
        ("pix2pix", "film.npy", "films-*/radiograph.npy"),
        ("shape", "drr.npy", "drrs-*/drr.npy"),
    ):
        split = fold.pix2pix if network == "pix2pix" else fold.tl
        chosen = [case for case in cases if case.patient in split.training]
        write_samples(RunPaths(run), chosen, tmp_path / network, network)
        shown = np.concatenate([np.load(path) for path in sorted((tmp_path / network).glob(arrays))])
        for case in cases:
            held = np.load(run / "images" / case.case / images)
            seen = any((shown == picture).all(axis=(1, 2)).any() for picture in held)
            expected = case.patient in split.training and len(held) > 0
            assert seen == expected, (network, case.case)
            assert not (seen and case.patient in fold.test)


def test_numbers_are_those_of_the_surfaces(study, run):
    case = next(c.case for c in read_study(study).cases if c.radiographs)
    images = load_case_images(run / "images" / case)
    pictures = np.load(run / "scores" / case / "pictures.npz")
    rows = [row for row in rows_of(run) if row["case"] == case]
    for bone in ("radius", "ulna"):
        kept = f"GAN-DRR/{bone}"
        row = next(r for r in rows if (r["source"], r["bone"], r["alignment"]) == ("GAN-DRR", bone, "as predicted"))
        if f"{kept}/vertices" not in pictures:
            assert row["note"] == "no surface"
            continue
        made = TriangleMesh(pictures[f"{kept}/vertices"].astype(np.float64), pictures[f"{kept}/faces"])
        truth = clip_below(images.truth(bone), SHOWN_ABOVE_MM)
        distances = surface_distances(clip_below(made, SHOWN_ABOVE_MM), truth)
        # The CSV has five digits, the kept surface is float32.
        assert float(row["asd_paper_mm"]) == pytest.approx(distances.asd_paper_mm, rel=1e-3)
        assert float(row["asd_surface_mm"]) == pytest.approx(distances.asd_surface_mm, rel=1e-3)
        assert float(row["hd95_mm"]) == pytest.approx(distances.hd95_mm, rel=1e-3)


def test_skill_is_measured_against_the_mean_bone_and_the_grid_costs_little(run):
    rows = rows_of(run)
    mean = {
        (r["case"], r["bone"], r["alignment"]): float(r["asd_paper_mm"]) for r in rows if r["method"] == "mean bone"
    }
    for row in rows:
        if row["method"] in ("model", "shape regressor") and not row["note"]:
            expected = 1 - float(row["asd_paper_mm"]) / mean[row["case"], row["bone"], row["alignment"]]
            assert float(row["skill_paper"]) == pytest.approx(expected, abs=2e-3)
        if row["method"] == "grid floor":
            # A surface at the half level of occupancies errs by a small part of a voxel of 1.25 mm.
            assert float(row["asd_surface_mm"]) < 0.25
            assert not row["dice"] or float(row["dice"]) == 1


def test_the_report_is_made_from_the_run_folder_alone(run, tmp_path, capsys):
    alone = copied(run, tmp_path / "run")
    shutil.rmtree(alone / "figures")
    (alone / "report.html").unlink()
    assert main(["evaluate", "no-study", "--run", str(alone), "--report-only", "--json"]) == 0
    page = (alone / "report.html").read_text(encoding="utf-8")
    assert {path.stem for path in (alone / "figures").glob("*.png")} == set(FIGURES)
    assert list((alone / "figures" / "affines").glob("case-*.png"))  # to look at, of each pair
    # The figure of the methods stands in methods.md alone; the sheet of the first pair comes beside the others.
    assert page.count("data:image/png;base64,") == len({*FIGURES} - {"methods"}) + 1
    for paper in ("0.72 ± 0.32", "1.45 ± 0.41", "1.34 ± 0.50", "0.025"):
        assert paper in page
    for words in ("As predicted", "After rigid alignment", "no skill", "Tukey-Kramer", "Shapiro-Wilk", "torch"):
        assert words in page
    assert str(run.parent) not in page
    statistics = json.loads((alone / "statistics.json").read_text())
    labels = {line["label"] for line in statistics["experiment_3"]}
    assert labels >= {"CT-DRR", "histogram-matched", "shape regressor: CT-DRR", "shape regressor: GAN-DRR"}
    assert rows_of(alone) == rows_of(run)


def test_a_finished_run_stays_as_it_is(study, run, capsys):
    """Also where a file of the study was written again with the same content: the hash says that nothing changed."""
    landmarks = study / read_study(study).cases[0].landmarks
    landmarks.write_bytes(landmarks.read_bytes())
    before = {path: path.read_bytes() for path in (run / "rows.csv", run / "statistics.json")}
    assert main([*call(study, run)[:-1], "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["cases"], answer["failed_cases"]) == (6, 0)
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.filterwarnings("default")  # Dask's own
def test_a_dask_worker_gives_the_same_scores(study, run, tmp_path):
    distributed = pytest.importorskip("distributed")
    again = copied(run, tmp_path / "run")
    shutil.rmtree(again / "scores" / "case-0001")
    one = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": None, "silence_logs": 50}
    with distributed.LocalCluster(**one) as cluster:
        assert main(call(study, again, "--scheduler", cluster.scheduler_address)) == 0
    for before, after in zip(rows_of(run), rows_of(again), strict=True):
        # Sums in another order of threads may move the last digits.
        asd = [float(row["asd_paper_mm"] or "nan") for row in (before, after)]
        assert asd[1] == pytest.approx(asd[0], abs=2e-3, nan_ok=True)
        assert {**after, **dict.fromkeys(NUMBERS)} == {**before, **dict.fromkeys(NUMBERS)}


def test_another_seed_preset_or_number_of_folds_is_refused(study, run, capsys):
    assert "another seed" in refused(capsys, call(study, run, "--seed", "3"))
    assert "another folds" in refused(capsys, call(study, run, "--folds", "4"))
    assert "another preset" in refused(capsys, call(study, run, "--preset", "laptop"))


def test_one_process_at_a_time_works_on_a_run(study, run, capsys):
    with folder_lock(run):
        assert "another bonelift is writing into it" in refused(capsys, call(study, run))


def test_a_fold_that_does_not_exist_is_refused(study, run, capsys):
    assert "'fold-9' is not in folds.json" in refused(capsys, call(study, run, "--fold", "fold-9"))


def test_folds_that_mix_a_patient_are_refused(study, run, tmp_path, capsys):
    broken = copied(run, tmp_path / "run")
    content = json.loads((broken / "folds.json").read_text())
    content["folds"][0]["tl"]["training"].append(content["folds"][0]["test"][0])
    (broken / "folds.json").write_text(json.dumps(content))
    assert "a fold never divides a patient" in refused(capsys, call(study, broken))


def test_a_study_that_changes_under_a_run_is_refused_by_file(study, run, capsys):
    case = read_study(study).cases[0]
    path = study / case.landmarks
    held = path.read_bytes()
    try:
        path.write_bytes(held + b"\n")
        assert f"{case.landmarks} is not what it was" in refused(capsys, call(study, run))
    finally:
        path.write_bytes(held)


def test_a_study_that_lists_something_else_is_refused(study, run, capsys):
    listed = study / "study.json"
    held = listed.read_bytes()
    content = json.loads(held)
    content["cases"][0]["side"] = "left"
    try:
        listed.write_text(json.dumps(content))
        assert "case-0001 is not listed in study.json as it was" in refused(capsys, call(study, run))
    finally:
        listed.write_bytes(held)


def test_a_corrupt_checkpoint_is_named_and_nothing_else_is_lost(study, run, tmp_path, capsys):
    broken = copied(run, tmp_path / "run")
    checkpoint = broken / "fold-1" / "finetune" / "checkpoint.safetensors"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    case = next(c for c in read_study(study).cases if c.patient in read_folds(run / "folds.json").fold("fold-1").test)
    shutil.rmtree(broken / "scores" / case.case)
    line = refused(capsys, call(study, broken))
    assert "finetune/checkpoint.safetensors" in line
    assert "not a readable checkpoint" in line
    assert len(list((broken / "scores").iterdir())) == 5


def test_a_run_folder_that_holds_something_else_is_refused(study, tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    assert "is not empty and no run of evaluate" in refused(capsys, call(study, tmp_path))
    (tmp_path / "run.json").write_text("{")
    assert "run.json: cannot be read as JSON" in refused(capsys, call(study, tmp_path))


@pytest.fixture
def spoilt(study, run, tmp_path):
    """The study with one case spoilt by ``spoil(study folder, case)``, and a run that has all other images already."""

    def make(spoil) -> tuple[Path, Path]:
        folder = tmp_path / "study"
        shutil.copytree(study, folder)
        case = read_study(folder).cases[-1]
        spoil(folder, case)
        begun = tmp_path / "run"
        begun.mkdir()
        for name in ("run.json", "folds.json"):
            shutil.copy2(run / name, begun / name)
        shutil.copytree(run / "images", begun / "images")
        shutil.rmtree(begun / "images" / case.case)
        return folder, begun

    return make


def drop_notch(folder: Path, case) -> None:
    path = folder / case.landmarks
    content = json.loads(path.read_text())
    points = content["markups"][0]["controlPoints"]
    content["markups"][0]["controlPoints"] = [p for p in points if p["label"] != "sigmoid_notch_volar"]
    path.write_text(json.dumps(content))


def label_the_carpus(folder: Path, case) -> None:
    labels = read_labels(folder / case.labels)
    values = labels.labels.copy()
    values[:3, :3, :3] = 3
    write_labels_seg_nrrd(
        folder / case.labels, LabelMap(values, labels.world_from_voxel, {**labels.names, 3: "carpus"})
    )


def test_a_case_that_cannot_be_used_is_named_before_training_and_may_be_mended(spoilt, study, run, capsys):
    folder, begun = spoilt(drop_notch)
    line = refused(capsys, call(folder, begun))
    case = read_study(folder).cases[-1]
    assert case.case in line
    assert "sigmoid_notch_volar" in line
    assert not list(begun.glob("fold-*"))
    shutil.copy2(study / case.landmarks, folder / case.landmarks)
    paths = RunPaths(begun)
    check_unchanged(paths, folder, read_study(folder))
    make_case_images(folder, case, paths.images(case.case), load_study_preset("smoke"), 0)
    assert read_record(paths.images(case.case)).failure == ""
    np.testing.assert_array_equal(
        np.load(paths.images(case.case) / "drr.npy"), np.load(run / "images" / case.case / "drr.npy")
    )


def test_unknown_label_values_are_named(spoilt):
    folder, begun = spoilt(label_the_carpus)
    case = read_study(folder).cases[-1]
    images = begun / "images" / case.case
    make_case_images(folder, case, images, load_study_preset("smoke"), 0)
    assert "unknown values 3" in read_record(images).failure
    with pytest.raises(InputError, match="unknown values 3"):
        load_case_images(images)
