"""The loop: resuming equals not stopping, checkpoints are whole or refused, signals save."""

import json
import os
import resource
import signal
import socket
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from bonelift.errors import InputError
from bonelift.learning.checkpoint import CHECKPOINT_NAME, load_checkpoint, load_networks
from bonelift.learning.loop import CURVE_NAME, LoopConfig, Stage, learning_rate, train
from bonelift.learning.precision import part_of_update
from builders.sum_stage import sum_stage, train_in_two_processes

CONFIG = LoopConfig(12, 1e-2, "cosine", warmup_updates=3, log_every=2, validate_every=4)


def _line_stage(facts=None, at_update=None):
    """Fits a line to noisy points, with dropout: uses both random states, batch normalisation and Adam."""
    torch.manual_seed(5)
    network = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.ReLU(), nn.Linear(8, 1))
    optimiser = torch.optim.Adam(network.parameters())
    count = 0

    def step(samples, generator, progress):
        nonlocal count
        count += 1
        if at_update:
            at_update(count)
        points = torch.from_numpy(generator.choice(samples, 6)).float()
        noised = points + 0.1 * torch.randn_like(points)
        loss = (network(noised) - points.sum(1, keepdim=True)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return {"loss": loss.item()}

    def load(held):
        return np.random.default_rng(3).normal(size=(50, 2)) if held is None else held

    stage = Stage(
        "line", {"line": network}, {"adam": optimiser}, load, step, lambda: {"x": torch.rand(1).item()}, facts or {}
    )
    return stage, network


def _curve(run):
    """Rows of the learning curve without the clock."""
    rows = [json.loads(line) for line in (run / CURVE_NAME).read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "minutes"} for row in rows]


def _weights(network):
    return [tensor.clone() for tensor in network.state_dict().values()]


@pytest.mark.parametrize("pauses", [[5], [1, 4], [4, 4]])
def test_resuming_equals_not_stopping_bit_by_bit(tmp_path, pauses):
    stage, network = _line_stage()
    train(stage, CONFIG, tmp_path / "whole")
    expected = _weights(network)
    for pause in [*pauses, None]:
        stage, network = _line_stage()
        torch.manual_seed(99)  # Whatever happened before must not matter.
        train(stage, CONFIG, tmp_path / "parts", pause_after_updates=pause)
    for ours, theirs in zip(_weights(network), expected, strict=True):
        assert torch.equal(ours, theirs)
    whole, parts = (_curve(tmp_path / run) for run in ("whole", "parts"))
    assert [row["update"] for row in whole] == [2, 4, 4, 6, 8, 8, 10, 12, 12]
    assert parts == whole


def test_a_finished_run_is_not_run_again(tmp_path):
    stage, _ = _line_stage()
    metrics = train(stage, CONFIG, tmp_path)
    stage, network = _line_stage()
    assert train(replace(stage, step=None), CONFIG, tmp_path) == metrics  # type: ignore[arg-type]
    loaded = nn.Sequential(nn.Linear(2, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.ReLU(), nn.Linear(8, 1))
    load_networks(tmp_path, {"line": loaded})
    for ours, theirs in zip(_weights(loaded), _weights(network), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_stops(tmp_path, number):
    stage, _ = _line_stage(at_update=lambda update: os.kill(os.getpid(), number) if update == 5 else None)
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt, match="after 5 updates"):
        train(stage, CONFIG, tmp_path)
    assert signal.getsignal(number) is before
    assert load_checkpoint(tmp_path / CHECKPOINT_NAME)[1]["update"] == 5


def test_the_clock_ends_training(tmp_path):
    stage, _ = _line_stage()
    train(stage, replace(CONFIG, updates=10**9, max_minutes=0.2 / 60), tmp_path)
    state = load_checkpoint(tmp_path / CHECKPOINT_NAME)[1]
    assert state["done"]
    assert 0.2 <= state["seconds"] < 5


def test_learning_rate_rises_then_falls_to_two_percent():
    assert learning_rate(CONFIG, 0, 0.0) == pytest.approx(1e-2 / 3)
    assert learning_rate(CONFIG, 6, 0.5) == pytest.approx(0.5e-2)
    assert learning_rate(CONFIG, 11, 1.0) == pytest.approx(2e-4)
    constant = replace(CONFIG, schedule="constant", warmup_updates=0)
    assert learning_rate(constant, 11, 1.0) == 1e-2


def test_another_configuration_is_refused(tmp_path):
    stage, _ = _line_stage()
    train(stage, CONFIG, tmp_path, pause_after_updates=2)
    for other, config in ((_line_stage({"batch": 3})[0], CONFIG), (stage, replace(CONFIG, seed=1))):
        with pytest.raises(InputError, match="another stage or configuration"):
            train(other, config, tmp_path)


def test_other_layers_are_refused(tmp_path):
    stage, _ = _line_stage()
    train(stage, CONFIG, tmp_path)
    with pytest.raises(InputError, match="do not fit"):
        load_networks(tmp_path, {"line": nn.Linear(3, 1)})


@pytest.mark.parametrize(
    "spoil", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"\x80\x04." + b, lambda b: b[:40]]
)
def test_a_damaged_checkpoint_is_one_line(tmp_path, spoil):
    stage, _ = _line_stage()
    train(stage, CONFIG, tmp_path, pause_after_updates=2)
    path = tmp_path / CHECKPOINT_NAME
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(InputError, match="not a readable checkpoint") as caught:
        train(stage, CONFIG, tmp_path)
    assert "\n" not in str(caught.value)


def test_missing_checkpoint(tmp_path):
    with pytest.raises(InputError, match="no such checkpoint"):
        load_networks(tmp_path, {})


def test_impossible_lengths_are_refused():
    with pytest.raises(InputError, match="expected positive"):
        LoopConfig(0, 1e-3)


@pytest.mark.parametrize("dies_at", [1, 3, 8, 11])
def test_kill_9_and_going_on_gives_the_same_curve(tmp_path, dies_at):
    """A child process is killed in the middle of an update; between checkpoints its curve was cut off mid-line."""
    config = replace(CONFIG, checkpoint_minutes=1e-9)  # at every update
    stage, network = _line_stage()
    train(stage, config, tmp_path / "whole")
    child = os.fork()
    if child == 0:
        kill = lambda update: os.kill(os.getpid(), signal.SIGKILL) if update == dies_at else None  # noqa: E731
        train(_line_stage(at_update=kill)[0], config, tmp_path / "killed")
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    with (tmp_path / "killed" / CURVE_NAME).open("a") as curve:
        curve.write('{"update": 99, "lo')
    stage, resumed = _line_stage()
    train(stage, config, tmp_path / "killed")
    assert _curve(tmp_path / "killed") == _curve(tmp_path / "whole")
    for ours, theirs in zip(_weights(resumed), _weights(network), strict=True):
        assert torch.equal(ours, theirs)


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path):
    """RLIMIT_FSIZE makes the operating system refuse to write on, as a full disk does."""
    stage, _ = _line_stage()
    train(stage, CONFIG, tmp_path, pause_after_updates=3)
    before = (tmp_path / CHECKPOINT_NAME).read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    stage, _ = _line_stage()
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        with pytest.raises(InputError, match="cannot be written"):
            train(stage, CONFIG, tmp_path, pause_after_updates=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / CHECKPOINT_NAME).read_bytes() == before
    assert not list(tmp_path.glob(".*partial"))
    stage, network = _line_stage()
    train(stage, CONFIG, tmp_path)
    stage, expected = _line_stage()
    train(stage, CONFIG, tmp_path / "whole")
    for ours, theirs in zip(_weights(network), _weights(expected), strict=True):
        assert torch.equal(ours, theirs)


def test_accumulated_gradients_are_those_of_one_large_batch(tmp_path):
    config = LoopConfig(10, 1e-2)
    stage, whole = sum_stage(8)
    train(stage, config, tmp_path / "whole")
    stage, parts = sum_stage(2)
    train(stage, replace(config, accumulate=4), tmp_path / "parts")
    # The same points in the same order; float32 sums in another order, through ten steps of Adam.
    assert torch.allclose(whole.weight, parts.weight, atol=1e-5)
    stage, small = sum_stage(2)
    train(stage, config, tmp_path / "small")
    assert not torch.allclose(whole.weight, small.weight, atol=1e-4)


def test_two_processes_train_as_one(tmp_path):
    """Two gloo processes, stopped and resumed once: both end with the weights of the averaged gradients."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    torch.multiprocessing.spawn(train_in_two_processes, (port, tmp_path), nprocs=2)
    weights = [torch.load(tmp_path / f"weights-{number}.pt", weights_only=True)["weight"] for number in range(2)]
    assert torch.equal(*weights)
    assert [row["update"] for row in _curve(tmp_path) if "loss" in row] == [2, 4, 6, 8, 10]
    # The same by hand: each process draws from its own generator, both gradients count half.
    stage, network = sum_stage(4)
    generators = [np.random.default_rng(0), np.random.default_rng([0, 1])]
    points = stage.load(None)
    for _ in range(10):
        for part, generator in enumerate(generators):
            with part_of_update(part, 2):
                stage.optimisers["adam"].param_groups[0]["lr"] = 1e-2
                stage.step(points, generator, 0.0)
    assert torch.allclose(network.weight, weights[0], atol=1e-5)
