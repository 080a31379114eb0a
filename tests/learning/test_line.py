"""The learning line on toys: its order, what it leaves, what it refuses, and that being killed changes nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bonelift.errors import InputError
from bonelift.learning import model_folder
from bonelift.learning.bases import BasisChoice, read_basis_folder
from bonelift.learning.checkpoint import load_checkpoint, read_state
from bonelift.learning.line import (
    BASIS,
    STAGES,
    SampleFolders,
    learn,
    learn_steps,
    run_generator,
    run_translator,
)
from bonelift.learning.model_folder import trained_bundle
from bonelift.learning.samples import DrrSamples, load_samples
from bonelift.learning.training import train_targets
from bonelift.learning.warm_start import usual_level
from bonelift.networks.bundle import load_bundle
from bonelift.networks.inference import read_shape
from bonelift.networks.views import VIEW_CODES
from bonelift.reconstruction.bones import predict
from builders.toy_line import PATIENTS, PRESET, ToySource, toy_run, train_all

STORED = {"rtol": 1e-3, "atol": 1e-7}
"""Models are stored as float16: 11 bits, and 24 below the smallest normal number."""
STAGE_NAMES = [stage for stages in STAGES.values() for stage in stages]


@pytest.fixture(autouse=True)
def without_graphs(monkeypatch):
    """That graphs are written is tested by the command; exporting them takes longer than all of this."""
    monkeypatch.setattr(model_folder, "can_export", lambda: False)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """Everything trained without an interruption."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_folder, "can_export", lambda: False)
        train_all(folder)
    return folder


def weights(run: Path) -> dict[str, torch.Tensor]:
    return {
        f"{stage}/{name}": tensor
        for stage in STAGE_NAMES
        for name, tensor in load_checkpoint(run / stage / "checkpoint.safetensors")[0].items()
    }


@pytest.mark.parametrize("stage", ["pix2pix", "shape"])
def test_killed_in_the_middle_and_run_again_gives_the_same_weights(stage, whole, tmp_path):
    tests = Path(__file__).resolve().parents[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tests), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "builders.toy_line", str(tmp_path)]
    process = subprocess.Popen(command, env=environment, cwd=tests, stderr=subprocess.PIPE, text=True)
    reached = tmp_path / "run" / stage / "checkpoint.safetensors"
    while not reached.is_file() and process.poll() is None:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, process.communicate()[1]
    process.communicate()
    train_all(tmp_path)
    expected, found = weights(whole / "run"), weights(tmp_path / "run")
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    before, after = ((folder / "run" / "model" / "weights.safetensors").read_bytes() for folder in (whole, tmp_path))
    assert before == after


def test_the_model_holds_what_its_use_needs(whole):
    model = load_bundle(whole / "run" / "model")
    assert model.shape is not None
    assert model.reads_film
    assert model.name == "run"
    facts = model.metadata
    outputs = model.shape.config.outputs
    for entry, length in (("latent", PRESET.tl.latent), ("shape_code", outputs)):
        assert len(facts[entry]["mean"]) == len(facts[entry]["sd"]) == length
        assert facts[entry]["distance_99"] > 0
    for entry in ("shape_error_sd", "shape_sd_factor"):
        assert facts[entry].keys() == VIEW_CODES.keys()
        assert all(len(values) == outputs and min(values) > 0 for values in facts[entry].values())
    assert facts["shape_basis"]["modes"] == {"radius": 3, "ulna": 3}
    assert facts["shape_basis"]["origin"] == f"the {PATIENTS} bones of the training patients"
    for kept, made in zip(read_basis_folder(whole / "run" / "basis"), model.bases.values(), strict=True):
        # Modes are stored as float16: 11 bits of some mm.
        np.testing.assert_allclose(made.modes, kept.modes, atol=5e-3)
    assert [record["stage"] for record in facts["training"][0]["stages"]] == STAGE_NAMES
    drr = np.random.default_rng(0).random((32, 32))
    reading = read_shape([drr], ["pa"], model)
    assert reading.code.shape == reading.sd.shape == (outputs,)
    assert predict([drr], ["pa"], model).method == "shape"


def test_the_card_says_from_whom_how_long_and_how_good(whole):
    card = (whole / "run" / "model" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "| patients | training 6, validation 6 |" in card
    assert "| seed | 3 |" in card
    for stage in STAGE_NAMES:
        # The steps of a descent are its updates.
        assert f"\n| {stage} | {'2 | 256' if 'descent' in stage else '6 | 4'} | " in card
        assert f"\n{stage}\n\n| update | minutes | " in card
    assert "not a medical device" in card
    assert "from the 6 bones of the training patients" in card
    assert str(whole) not in card


def test_without_films_s_learns_from_drrs_alone(tmp_path):
    source = ToySource(tmp_path / "samples", has_films=False)
    run = toy_run(tmp_path / "run")
    outcome = train_targets("shape", run, source)
    assert source.made == ["bones"]
    assert set(outcome.metrics["shape"]) == {f"drr_{b}{kind}_mm" for b in ("radius", "ulna") for kind in ("", "_rigid")}
    assert outcome.model is None
    assert outcome.notes[1] == "no model yet: locator, pix2pix, tl are not trained"
    with pytest.raises(InputError, match=r"pix2pix learns from radiographs whose pose is known.*bonelift register"):
        learn("pix2pix", run, source)


def test_films_are_read_through_a_translator_that_must_be_there_first(tmp_path):
    source = ToySource(tmp_path / "samples")
    run = toy_run(tmp_path / "run")
    with pytest.raises(InputError, match=r"shape reads films through a translator.*train pix2pix in it first"):
        learn("shape", run, source)
    assert source.made == []


def test_tuning_needs_films_a_translator_and_a_shape_regressor(tmp_path):
    run = toy_run(tmp_path / "run")
    with pytest.raises(InputError, match="tuning learns from radiographs whose pose is known"):
        learn("tuning", run, ToySource(tmp_path / "samples", has_films=False))
    source = ToySource(tmp_path / "samples")
    with pytest.raises(InputError, match=r"tuning trains a translator on, .*train pix2pix in it first"):
        learn("tuning", run, source)
    learn("pix2pix", run, source)
    with pytest.raises(InputError, match=r"tuning goes by what the shape regressor reads, .*train shape in it first"):
        learn("tuning", run, source)


def test_the_tuned_translator_is_in_the_model(whole):
    model, run = load_bundle(whole / "run" / "model"), toy_run(whole / "run")
    tuned, before = run_translator(run).state_dict(), run_generator(run).state_dict()
    for name, tensor in model.generator.state_dict().items():
        torch.testing.assert_close(tensor, tuned[name], **STORED)
    assert any(not torch.equal(tensor, before[name]) for name, tensor in tuned.items())
    assert model.shape is not None
    steps, earlier = model.shape.network.descent, load_checkpoint(run.stage("descent") / "checkpoint.safetensors")[0]
    torch.testing.assert_close(steps[0].bias, earlier["network/shape_regressor/descent.0.bias"], **STORED)


def test_a_model_is_tuned_alone(whole, tmp_path):
    start = load_bundle(whole / "run" / "model")
    run = toy_run(tmp_path / "run", start=start)
    outcome = train_targets("tuning", run, ToySource(whole / "samples"))
    assert outcome.model is not None
    model = load_bundle(outcome.model)
    assert model.shape is not None
    assert start.shape is not None
    assert torch.equal(model.shape.network.descent[0].weight, start.shape.network.descent[0].weight)
    changed = [
        name
        for name, tensor in model.generator.state_dict().items()
        if not torch.equal(tensor, start.generator.state_dict()[name])
    ]
    assert changed
    assert model.metadata["shape_basis"] == start.metadata["shape_basis"]
    assert model.metadata["shape_error_sd"] != start.metadata["shape_error_sd"]


def test_all_steps_are_fitted_anew_and_the_convolutions_stay(whole, tmp_path):
    start, source = load_bundle(whole / "run" / "model"), ToySource(whole / "samples")
    assert start.shape is not None
    preset = replace(PRESET, shape=replace(PRESET.shape, descent_steps=start.shape.config.descent_steps + 1))
    run = replace(toy_run(tmp_path / "run", start=start), preset=preset)
    shutil.copytree(whole / "run" / BASIS, run.folder / BASIS)
    metrics = learn_steps(run, source.folders("bones"), source.folders("films"))
    # Toys are too few for a step to help, and then it stays 0: what counts here is that all of them were tried.
    assert read_state(run.stage("descent") / "checkpoint.safetensors")["update"] == len(start.shape.network.descent) + 1
    assert np.isfinite(metrics["film_radius_rigid_mm"])
    new = trained_bundle(run).shape
    assert new is not None
    assert len(new.network.descent) == len(start.shape.network.descent) + 1
    before, after = start.shape.network.state_dict(), new.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before if not name.startswith("descent."))


def test_steps_of_no_regressor_are_refused(tmp_path):
    with pytest.raises(InputError, match="starts from no shape regressor"):
        learn_steps(toy_run(tmp_path), SampleFolders(tmp_path, tmp_path), SampleFolders(tmp_path, tmp_path))


def test_a_run_goes_on_from_a_model(whole, tmp_path):
    start = load_bundle(whole / "run" / "model")
    source = ToySource(whole / "samples", shape_from_readings=True)
    still = replace(PRESET.shape_training, loop=replace(PRESET.shape_training.loop, updates=1))
    run = replace(
        toy_run(tmp_path / "run", start=start, basis=BasisChoice(3, "own")),
        preset=replace(PRESET, shape_training=still),
    )
    outcome = train_targets("shape", run, source)
    assert outcome.model == tmp_path / "run" / "model"
    made = load_bundle(outcome.model)
    # The translator and the locator are the first model's, S began with its weights and made one small update.
    assert all(
        torch.equal(a, b) for a, b in zip(start.generator.parameters(), made.generator.parameters(), strict=True)
    )
    assert made.shape is not None
    assert start.shape is not None
    first, second = (dict(shape.network.named_parameters()) for shape in (start.shape, made.shape))
    # What tells errors starts anew.
    moved = max(float((first[name] - second[name]).abs().max()) for name in first if "to_log_sd" not in name)
    assert 0 < moved < 0.02
    assert len(made.metadata["training"]) == 2
    with pytest.raises(InputError, match="was started from another model"):
        train_targets("shape", replace(run, start=None), ToySource(whole / "samples", has_films=False))


def test_a_start_that_heeded_the_gain_reads_usual_pictures_as_before(whole, tmp_path):
    one = replace(PRESET.shape_training, loop=replace(PRESET.shape_training.loop, updates=1))
    heedful = replace(PRESET, shape_training=one, shape=replace(PRESET.shape, gain_free=False))
    source = ToySource(whole / "samples", has_films=False)
    first = replace(toy_run(tmp_path / "first", basis=BasisChoice(3, "own")), preset=heedful)
    learn("shape", first, source)
    start = replace(load_bundle(whole / "run" / "model"), shape=trained_bundle(first).shape)
    run = replace(
        toy_run(tmp_path / "run", start=start, basis=BasisChoice(3, "own")), preset=replace(PRESET, shape_training=one)
    )
    learn("shape", run, source)
    before, after = (trained_bundle(of).shape for of in (first, run))
    assert before is not None
    assert after is not None
    weights = [dict(shape.network.named_parameters())["convolutions.0.weight"][:, 0] for shape in (before, after)]
    level = usual_level(load_samples(whole / "samples" / "training", DrrSamples).drr)
    assert abs(level - 1) > 0.1
    # One update of AdamW moves a weight by about the rate that is learned at, 3e-4.
    torch.testing.assert_close(weights[1], level * weights[0], rtol=0, atol=1e-3)


def test_a_model_of_other_sizes_is_no_start(whole, tmp_path):
    start = load_bundle(whole / "run" / "model")
    wider = replace(PRESET, locator=replace(PRESET.locator, channels=(8, 16, 32)))
    run = replace(toy_run(tmp_path / "run", start=start), preset=wider)
    with pytest.raises(InputError, match="has other sizes than preset smoke"):
        learn("locator", run, ToySource(tmp_path / "samples"))


@pytest.mark.parametrize(
    ("choice", "bones", "own"),
    [
        (BasisChoice(5), 6, True),
        (BasisChoice(6), 6, False),
        (BasisChoice(5, "packaged"), 600, False),
        (BasisChoice(5, "own"), 6, True),
    ],
)
def test_bases_are_the_studys_own_where_there_are_more_bones_than_modes(choice, bones, own):
    assert choice.is_own(bones) == own


def test_too_many_modes_are_refused_with_a_number_that_would_do():
    with pytest.raises(InputError, match=r"6 patients' bones.*6 modes need 7; pass --modes 5 or --basis packaged"):
        BasisChoice(6, "own").is_own(6)


def test_another_basis_is_no_going_on(whole):
    run = toy_run(whole / "run", basis=BasisChoice(2, "own"))
    with pytest.raises(InputError, match="was made with other --modes or --basis"):
        train_targets("shape", run, ToySource(whole / "samples"))
    assert json.loads((whole / "run" / "basis" / "basis.json").read_text())["modes"] == {"radius": 3, "ulna": 3}
