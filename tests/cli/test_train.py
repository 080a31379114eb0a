"""`bonelift train`: every network of a study, the model that comes of them in use, and what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bonelift.cli import main
from bonelift.images.raster import write_png
from bonelift.learning.samples import FilmSamples, ShapeSamples, load_samples
from bonelift.learning.virtual_source import virtual_source
from bonelift.networks.model import load_model
from bonelift.networks.onnx_model import OnnxModel
from bonelift.reconstruction.judge import NO_SPREAD_KNOWN
from bonelift.study import training_run
from bonelift.study.folder import read_study

SMOKE = ["--preset", "smoke"]


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """Four patients, each with a CT and a radiograph of known pose."""
    folder = tmp_path_factory.mktemp("cohort") / "study"
    assert main(["simulate", "--patients", "4", "--seed", "31", "--out", str(folder), "--quiet"]) == 0
    return folder


@pytest.fixture(scope="module")
def run(study, tmp_path_factory) -> Path:
    """All targets, trained by one command."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    assert main(["train", "all", str(study), *SMOKE, "--modes", "2", "--run", str(folder), "--quiet"]) == 0
    return folder


def refused(capsys, *arguments: str) -> str:
    """The one line of a refused call."""
    capsys.readouterr()
    assert main([*(str(argument) for argument in arguments), "--quiet"]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_the_model_reconstructs_by_shape_with_every_check(study, run, tmp_path, capsys):
    assert isinstance(load_model(run / "model"), OnnxModel)
    kept = None
    for case in read_study(study).cases:
        radiograph, out = case.radiographs[0], tmp_path / case.case
        call = ["reconstruct", str(study / radiograph.file), "--camera", str(study / str(radiograph.camera_file))]
        call += ["--side", case.side, "--view", radiograph.view, "--model", str(run / "model"), "--out", str(out)]
        assert main([*call, "--json"]) == 0
        printed = json.loads(capsys.readouterr().out)
        if (out / "radius.stl").is_file():
            kept = json.loads((out / "reconstruction.json").read_text())
            break
    # A locator of some seconds' training may miss a wrist, but not all that it was shown.
    assert kept is not None
    assert kept["model"]["name"] == "first"
    assert kept["model"]["method"] == "shape"
    assert not any(NO_SPREAD_KNOWN in flag for flag in printed["flags"])
    checks = {check["name"]: check for check in kept["quality"]["checks"]}
    assert np.isfinite(checks["latent distance"]["value"])


def held_out(run: Path) -> list[str]:
    return json.loads((run / "split.json").read_text())["validation"]


def test_the_same_command_finds_nothing_left_to_do(study, run, capsys):
    before = (run / "model" / "weights.safetensors").read_bytes()
    assert main(["train", "all", str(study), *SMOKE, "--modes", "2", "--run", str(run), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert set(answer["validation"]) == {"locator", "pix2pix", "tl", "shape", "tuning"}
    assert answer["model"] == str(run / "model")
    assert answer["notes"] == ["shape bases: 2 modes of the radius and 2 modes of the ulna, from the 3 bones of the "
                               "training patients"]  # fmt: skip
    assert (run / "model" / "weights.safetensors").read_bytes() == before


def test_a_run_is_begun_once(study, run, capsys):
    line = refused(capsys, "train", "tl", study, "--preset", "laptop", "--run", run)
    assert "was begun with another preset" in line
    line = refused(capsys, "train", "shape", study, *SMOKE, "--modes", "1", "--run", run)
    assert "was made with other --modes or --basis" in line


def test_too_little_is_said_before_samples_are_made(study, tmp_path, capsys):
    new = ("--run", tmp_path / "run")
    line = refused(capsys, "train", "all", study, *SMOKE, "--modes", "9", *new)
    assert "3 patients' bones to train on; 9 modes need 10; pass --modes 2 or --basis packaged" in line
    line = refused(capsys, "train", "shape", study, *SMOKE, *new)
    assert "train pix2pix in it first, or all" in line
    assert not (tmp_path / "run").exists()
    assert "expected 3 virtual patients or more" in refused(
        capsys, "train", "all", "--virtual", "2", *SMOKE, "--run", tmp_path / "virtual"
    )
    for both in ((study, "--virtual", "5"), ()):
        assert "a study folder or --virtual N, and not both" in refused(capsys, "train", "tl", *both, *SMOKE, *new)


def test_films_are_learned_from_where_their_pose_is_known(study, tmp_path, capsys):
    copy = Path(shutil.copytree(study, tmp_path / "study"))
    patients = sorted({case.patient for case in read_study(copy).cases})
    without_poses(copy, patients[:3])
    call = ("train", "locator", copy, *SMOKE, "--run", tmp_path / "run")
    assert "locator learns from radiographs whose pose is known" in refused(capsys, *call)
    assert not (tmp_path / "run").exists()
    shutil.copy(study / "study.json", copy / "study.json")
    without_poses(copy, patients[:2])
    assert main([*(str(part) for part in call), "--quiet"]) == 0
    assert len(list((tmp_path / "run" / "samples" / "locator").glob("*/*"))) == 2
    shutil.copy(study / "study.json", copy / "study.json")
    assert "was begun with another study" in refused(capsys, *call)


def test_virtual_patients_are_made_on_the_way(tmp_path, capsys, monkeypatch):
    def small(*arguments, **options):
        return replace(virtual_source(*arguments, **options), films=1, images=1)

    monkeypatch.setattr(training_run, "virtual_source", small)
    call = ["train", "tl", "--virtual", "3", "--seed", "5", *SMOKE, "--run", str(tmp_path / "run")]
    assert main([*call, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert set(answer["validation"]) == {"tl"}
    assert answer["model"] is None  # which also takes a locator and a translator
    samples = tmp_path / "run" / "samples"
    # Four wrists for each patient with films; two patients validate.
    counts = {part: len(load_samples(samples / part, ShapeSamples).occupancy) for part in
              ("shapes", "samples", "validation")}  # fmt: skip
    assert counts == {"shapes": 12, "samples": 3, "validation": 2}
    assert len(load_samples(samples / "samples", FilmSamples).drr) == 3
    made = {path: path.stat().st_mtime_ns for path in samples.glob("*/*/*.npy")}
    assert main([*call, "--quiet"]) == 0
    assert {path: path.stat().st_mtime_ns for path in made} == made
    other = [part if part != "3" else "4" for part in call]
    assert "of other settings (patients was 3, now 4); pass another --run" in refused(capsys, *other)


def without_poses(study_folder: Path, patients: list[str]) -> None:
    """The study with the poses of these patients' radiographs unknown."""
    content = json.loads((study_folder / "study.json").read_text())
    for case in content["cases"]:
        for radiograph in case["radiographs"]:
            if case["patient"] in patients:
                radiograph["pose_file"] = None
    (study_folder / "study.json").write_text(json.dumps(content))


@pytest.mark.parametrize("name", ["config.json", "weights.safetensors", "read_shape.onnx"])
def test_a_model_without_a_file_is_refused(run, tmp_path, capsys, name):
    broken = Path(shutil.copytree(run / "model", tmp_path / "model"))
    (broken / name).unlink()
    line = refused(capsys, *reconstruction(tmp_path, broken))
    assert name in line


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda config: config.update(schema_version=7), "schema_version is 7; expected 1"),
        (lambda config: config["shape"].update(outputs=99), "shape regressor: 99 outputs for codes of 8 and 8 numbers"),
        (lambda config: config.pop("tl"), "not a usable model configuration"),
    ],
)
def test_a_model_that_does_not_fit_itself_is_refused(run, tmp_path, capsys, change, expected):
    broken = Path(shutil.copytree(run / "model", tmp_path / "model"))
    config = json.loads((broken / "config.json").read_text())
    change(config)
    (broken / "config.json").write_text(json.dumps(config))
    assert expected in refused(capsys, *reconstruction(tmp_path, broken))


def reconstruction(tmp_path: Path, model: Path) -> list[str]:
    image = tmp_path / "film.png"
    write_png(image, np.random.default_rng(0).integers(0, 60_000, (64, 48), dtype=np.uint16))
    call = ["reconstruct", str(image), "--side", "right", "--view", "pa", "--pixel-spacing-mm", "0.2"]
    return [*call, "--model", str(model), "--out", str(tmp_path / "result")]
