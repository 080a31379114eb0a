"""The training loop: owns the clock, the learning rate, the random states, the checkpoint and the learning curve."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from math import cos, pi
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer
from tqdm import tqdm

from bonelift.errors import InputError
from bonelift.training.checkpoint import (
    CHECKPOINT_NAME,
    load_checkpoint,
    network_tensors,
    optimiser_tensors,
    restore_networks,
    restore_optimisers,
    save_checkpoint,
)

CURVE_NAME = "curve.jsonl"
S = TypeVar("S")


@dataclass(frozen=True)
class LoopConfig:
    """How long and how fast.

    updates: number of updates; training ends there, or when ``max_minutes`` of training time have passed.
    learning_rate: reached after ``warmup_updates``; "cosine" lowers it to 2 % over the updates or the minutes,
        whichever is further on; "constant" keeps it.
    log_every, validate_every, refresh_every: in updates; refreshing looks for new chunks of samples.
    """

    updates: int
    learning_rate: float
    schedule: Literal["constant", "cosine"] = "constant"
    warmup_updates: int = 0
    max_minutes: float | None = None
    checkpoint_minutes: float = 2.0
    log_every: int = 50
    validate_every: int = 500
    refresh_every: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        if self.updates < 1 or self.learning_rate <= 0 or (self.max_minutes is not None and self.max_minutes <= 0):
            raise InputError(
                f"training: updates {self.updates}, learning rate {self.learning_rate}, minutes {self.max_minutes}; "
                "expected positive numbers"
            )


@dataclass(frozen=True)
class Stage(Generic[S]):
    """What is trained: everything the loop does not own.

    networks: every network that is trained (a fixed one need not be here).
    load: samples held so far (None at first) -> samples, the same object where nothing is new.
    step: (samples, generator, progress of the training from 0 to 1) -> scalars; makes one update of the optimisers.
    validate: -> scalars; may use random numbers, the loop puts the random state back.
    facts: JSON-able configuration of the stage; a checkpoint made with another is refused.
    """

    name: str
    networks: dict[str, nn.Module]
    optimisers: dict[str, Optimizer]
    load: Callable[[S | None], S]
    step: Callable[[S, np.random.Generator, float], dict[str, float]]
    validate: Callable[[], dict[str, float]]
    facts: dict[str, Any]


def train(
    stage: Stage[S],
    config: LoopConfig,
    run_folder: Path,
    quiet: bool = False,
    pause_after_updates: int | None = None,
) -> dict[str, float]:
    """Train, or go on where ``run_folder`` stands; returns the last validation's scalars.

    With the same samples, stopping (Ctrl-C, SIGTERM or ``pause_after_updates`` of this call) and going on gives the
    same weights as not stopping. With ``max_minutes`` the clock has a say in the learning rate, so that then they only
    agree closely. Raises KeyboardInterrupt after saving when stopped by a signal.
    """
    run_folder.mkdir(parents=True, exist_ok=True)
    path = run_folder / CHECKPOINT_NAME
    generator = np.random.default_rng(config.seed)
    update, seconds, metrics = 0, 0.0, {}
    if path.exists():
        update, seconds, metrics, done = _restore(path, stage, config, generator)
        if done:
            return metrics
    else:
        torch.manual_seed(config.seed)
    _trim_curve(run_folder, update)
    samples = stage.load(None)
    clock = _Clock(seconds)
    recent: list[dict[str, float]] = []
    last_saved, first = clock.seconds, update
    total = None if config.max_minutes else config.updates
    with _stop_requests() as stopped, tqdm(total=total, initial=update, desc=stage.name, disable=quiet) as bar:
        while (progress := _progress(config, update, clock.seconds)) < 1:
            if update > first and update % config.refresh_every == 0:
                samples = stage.load(samples)
            rate = learning_rate(config, update, progress)
            for optimiser in stage.optimisers.values():
                for group in optimiser.param_groups:
                    group["lr"] = rate
            recent.append(stage.step(samples, generator, progress))
            update += 1
            bar.update()
            if update % config.log_every == 0:
                means = _means(recent)
                recent.clear()
                _log(run_folder, update, clock.seconds, {"learning_rate": rate, **means})
                bar.set_postfix_str(" ".join(f"{name} {value:.4g}" for name, value in means.items()))
            if update % config.validate_every == 0:
                metrics = _validate(stage, run_folder, update, clock)
            pause = bool(stopped) or update - first == pause_after_updates
            if pause or clock.seconds - last_saved > 60 * config.checkpoint_minutes:
                _save(path, stage, config, generator, (update, clock.seconds, metrics, False))
                last_saved = clock.seconds
            if stopped:
                raise KeyboardInterrupt(f"{stage.name}: stopped after {update} updates; run it again to go on")
            if pause:
                return metrics
    if update % config.validate_every:
        metrics = _validate(stage, run_folder, update, clock)
    _save(path, stage, config, generator, (update, clock.seconds, metrics, True))
    return metrics


def learning_rate(config: LoopConfig, update: int, progress: float) -> float:
    """Rate of one update. progress: 0 to 1 through the updates or the minutes."""
    warm = min(1.0, (update + 1) / config.warmup_updates) if config.warmup_updates else 1.0
    decay = max(0.02, 0.5 * (1 + cos(pi * progress))) if config.schedule == "cosine" else 1.0
    return config.learning_rate * warm * decay


def _means(rows: list[dict[str, float]]) -> dict[str, float]:
    """Mean of each scalar over the rows that have it."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: float(np.mean([row[name] for row in rows if name in row])) for name in names}


def _progress(config: LoopConfig, update: int, seconds: float) -> float:
    minutes = seconds / (60 * config.max_minutes) if config.max_minutes else 0.0
    return max(update / config.updates, minutes)


class _Clock:
    """Seconds of training, earlier calls included."""

    def __init__(self, seconds: float) -> None:
        self._start = time.monotonic() - seconds

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start


def _validate(stage: Stage[Any], run_folder: Path, update: int, clock: _Clock) -> dict[str, float]:
    training = {name: network.training for name, network in stage.networks.items()}
    with torch.random.fork_rng(), torch.no_grad():
        for network in stage.networks.values():
            network.eval()
        metrics = stage.validate()
        for name, network in stage.networks.items():
            network.train(training[name])
    _log(run_folder, update, clock.seconds, {f"validation/{name}": value for name, value in metrics.items()})
    return metrics


def _log(run_folder: Path, update: int, seconds: float, scalars: dict[str, float]) -> None:
    row = {"update": update, "minutes": round(seconds / 60, 3), **{k: float(f"{v:.6g}") for k, v in scalars.items()}}
    with (run_folder / CURVE_NAME).open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def _trim_curve(run_folder: Path, update: int) -> None:
    """Forget what was logged after the checkpoint: it will be logged again."""
    path = run_folder / CURVE_NAME
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if json.loads(line)["update"] <= update]
        path.write_text("".join(line + "\n" for line in kept), encoding="utf-8")


def _save(
    path: Path,
    stage: Stage[Any],
    config: LoopConfig,
    generator: np.random.Generator,
    reached: tuple[int, float, dict[str, float], bool],
) -> None:
    update, seconds, metrics, done = reached
    tensors = {**network_tensors(stage.networks), **optimiser_tensors(stage.optimisers)}
    tensors["random/torch"] = torch.get_rng_state()
    if torch.cuda.is_available():
        tensors["random/cuda"] = torch.cuda.get_rng_state()
    state = {
        "stage": stage.name,
        "facts": json.loads(json.dumps(stage.facts)),
        "config": asdict(config),
        "update": update,
        "seconds": seconds,
        "metrics": metrics,
        "done": done,
        "generator": generator.bit_generator.state,
    }
    save_checkpoint(path, tensors, state)


def _restore(
    path: Path, stage: Stage[Any], config: LoopConfig, generator: np.random.Generator
) -> tuple[int, float, dict[str, float], bool]:
    """Put networks, optimisers and random states back; (update, seconds, metrics, done)."""
    tensors, state = load_checkpoint(path)
    try:
        made_with = replace(config, **{k: v for k, v in state["config"].items() if k not in _MAY_CHANGE})
        same = state["stage"] == stage.name and state["facts"] == json.loads(json.dumps(stage.facts))
        reached = (int(state["update"]), float(state["seconds"]), dict(state["metrics"]), bool(state["done"]))
        numpy_state, torch_state = state["generator"], tensors["random/torch"]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not a checkpoint of this version ({error}); delete it to start again") from error
    if not same or made_with != config:
        raise InputError(f"{path}: made by another stage or configuration; pass another run folder or delete it")
    restore_networks(stage.networks, tensors, path)
    restore_optimisers(stage.optimisers, tensors, path)
    generator.bit_generator.state = numpy_state
    torch.set_rng_state(torch_state)
    if torch.cuda.is_available() and "random/cuda" in tensors:
        torch.cuda.set_rng_state(tensors["random/cuda"])
    return reached


_MAY_CHANGE = ("checkpoint_minutes", "log_every", "validate_every", "refresh_every")


@contextmanager
def _stop_requests() -> Iterator[list[int]]:
    """Ctrl-C and SIGTERM put their number into the list instead of breaking into an update."""
    received: list[int] = []
    earlier = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            earlier[number] = signal.signal(number, lambda signum, _frame: received.append(signum))
        except ValueError:  # Not the main thread: its owner handles signals.
            break
    try:
        yield received
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
