"""The training loop: owns the clock, the learning rate, the random states, the checkpoint and the learning curve."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from math import cos, pi
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from bonelift import progress
from bonelift.errors import InputError
from bonelift.learning.checkpoint import (
    CHECKPOINT_NAME,
    load_checkpoint,
    network_tensors,
    optimiser_tensors,
    restore_networks,
    restore_optimisers,
    save_checkpoint,
)
from bonelift.learning.distributed import any_of, barrier, from_first, gathered, rank, share_buffers, world_size
from bonelift.learning.precision import part_of_update
from bonelift.storage.whole import write_whole

CURVE_NAME = "curve.jsonl"
S = TypeVar("S")


@dataclass(frozen=True)
class LoopConfig:
    """How long and how fast.

    updates: number of updates; training ends there, or when ``max_minutes`` of training time have passed.
    learning_rate: reached after ``warmup_updates``; "cosine" lowers it to 2 % over the updates or the minutes,
        whichever is further on; "constant" keeps it.
    log_every, validate_every, refresh_every: in updates; refreshing looks for new chunks of samples.
    accumulate: batches whose mean gradient makes one update (batch normalisation still sees one batch at a time).
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
    accumulate: int = 1

    def __post_init__(self) -> None:
        if self.accumulate < 1:
            raise InputError(f"training: accumulate is {self.accumulate}; expected 1 or more batches an update")
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
    pause_after_updates: int | None = None,
) -> dict[str, float]:
    """Train, or go on where ``run_folder`` stands; returns the last validation's scalars.

    With the same samples, stopping (Ctrl-C, SIGTERM, kill -9 or ``pause_after_updates`` of this call) and going on
    gives the same weights and the same curve as not stopping. With ``max_minutes`` the clock has a say in the learning
    rate, so that then they only agree closely. Under torchrun every process calls this; the first one writes. Raises
    KeyboardInterrupt after saving when stopped by a signal.
    """
    run_folder.mkdir(parents=True, exist_ok=True)
    path = run_folder / CHECKPOINT_NAME
    generator = np.random.default_rng([config.seed, rank()] if rank() else config.seed)
    reached = Reached()
    if path.exists():
        reached = _restore(path, stage, config, generator)
        if reached.done:
            return reached.metrics
    else:
        torch.manual_seed(config.seed + rank())
    curve = Curve(run_folder / CURVE_NAME, reached.curve_rows)
    samples = stage.load(None)
    clock = _Clock(reached.seconds)
    update, metrics, recent = reached.update, reached.metrics, [dict(row) for row in reached.recent]
    last_saved, first = clock.seconds, update

    def save(done: bool) -> None:
        _save(path, stage, config, generator, Reached(update, clock.seconds, metrics, recent, curve.rows, done))

    total = None if config.max_minutes else config.updates
    with _stop_requests() as stopped, progress.bar(total, stage.name, update) as bar:
        while (reached_part := from_first(_progress(config, update, clock.seconds))) < 1:
            if update > first and update % config.refresh_every == 0:
                samples = stage.load(samples)
            rate = learning_rate(config, update, reached_part)
            recent.append(_update(stage, samples, generator, reached_part, rate, config.accumulate))
            update += 1
            bar.done()
            if update % config.log_every == 0:
                means = _means(recent)
                recent.clear()
                curve.add(update, clock.seconds, {"learning_rate": rate, **means})
                bar.note(" ".join(f"{name} {value:.4g}" for name, value in means.items()))
            if update % config.validate_every == 0:
                metrics = _validate(stage, curve, update, clock)
            stop = any_of(bool(stopped))
            pause = stop or update - first == pause_after_updates
            if pause or from_first(clock.seconds - last_saved > 60 * config.checkpoint_minutes):
                save(done=False)
                last_saved = clock.seconds
            if stop:
                raise KeyboardInterrupt(f"{stage.name}: stopped after {update} updates; run it again to go on")
            if pause:
                return metrics
    if update % config.validate_every:
        metrics = _validate(stage, curve, update, clock)
    save(done=True)
    return metrics


def _update(
    stage: Stage[S], samples: S, generator: np.random.Generator, progress: float, rate: float, parts: int
) -> dict[str, float]:
    """One update of ``parts`` batches at one learning rate; the mean scalars of its steps."""
    for optimiser in stage.optimisers.values():
        for group in optimiser.param_groups:
            group["lr"] = rate
    rows = []
    for part in range(parts):
        with part_of_update(part, parts):
            rows.append(stage.step(samples, generator, progress))
    share_buffers(stage.networks.values())
    return _means(rows) if parts > 1 else rows[0]


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


class Curve:
    """The learning curve, one JSON object a line. rows: how many lines belong to it; what a killed process wrote after
    its last checkpoint is cut off when the run goes on, since it will be written again."""

    def __init__(self, path: Path, rows: int) -> None:
        self._path, self.rows = path, rows
        if rank() or not path.exists():
            return
        kept = path.read_text(encoding="utf-8").splitlines()[:rows]
        write_whole(path, "".join(line + "\n" for line in kept))
        self.rows = len(kept)

    def add(self, update: int, seconds: float, scalars: dict[str, float]) -> None:
        self.rows += 1
        if rank():
            return
        shown = {name: float(f"{value:.6g}") for name, value in scalars.items()}
        row = {"update": update, "minutes": round(seconds / 60, 3), **shown}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def read_curve(run_folder: Path) -> list[dict[str, float]]:
    """The lines of a stage's learning curve. Raises InputError where it cannot be read."""
    path = run_folder / CURVE_NAME
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); delete its folder and train again") from error


def _validate(stage: Stage[Any], curve: Curve, update: int, clock: _Clock) -> dict[str, float]:
    training = {name: network.training for name, network in stage.networks.items()}
    with torch.random.fork_rng(), torch.no_grad():
        for network in stage.networks.values():
            network.eval()
        metrics = stage.validate()
        for name, network in stage.networks.items():
            network.train(training[name])
    curve.add(update, clock.seconds, {f"validation/{name}": value for name, value in metrics.items()})
    return metrics


@dataclass(frozen=True)
class Reached:
    """How far a run is. recent: scalars since the last line of the curve; curve_rows: lines of the curve so far."""

    update: int = 0
    seconds: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    recent: list[dict[str, float]] = field(default_factory=list)
    curve_rows: int = 0
    done: bool = False


def _save(path: Path, stage: Stage[Any], config: LoopConfig, generator: np.random.Generator, reached: Reached) -> None:
    """The first process writes; the random states of all are in it."""
    random = {f"random/torch/{number}": state for number, state in enumerate(gathered(torch.get_rng_state()))}
    generators = gathered(_as_bytes(generator.bit_generator.state))
    if rank() == 0:
        tensors = {**network_tensors(stage.networks), **optimiser_tensors(stage.optimisers), **random}
        if torch.cuda.is_available():
            tensors["random/cuda"] = torch.cuda.get_rng_state()
        state = {
            "stage": stage.name,
            "facts": json.loads(json.dumps(stage.facts)),
            "config": asdict(config),
            **asdict(reached),
            "generators": [json.loads(bytes(state.tolist())) for state in generators],
        }
        save_checkpoint(path, tensors, state)
    barrier()


def _as_bytes(state: Mapping[str, Any]) -> torch.Tensor:
    return torch.tensor(list(json.dumps(state).encode()), dtype=torch.uint8)


def _restore(path: Path, stage: Stage[Any], config: LoopConfig, generator: np.random.Generator) -> Reached:
    """Put networks, optimisers and random states back; how far the run was."""
    tensors, state = load_checkpoint(path)
    try:
        made_with = replace(config, **{k: v for k, v in state["config"].items() if k not in _MAY_CHANGE})
        same = state["stage"] == stage.name and state["facts"] == json.loads(json.dumps(stage.facts))
        reached = Reached(
            int(state["update"]),
            float(state["seconds"]),
            dict(state["metrics"]),
            [dict(row) for row in state["recent"]],
            int(state["curve_rows"]),
            bool(state["done"]),
        )
        states = state["generators"]
        torch_states = [tensors[f"random/torch/{number}"] for number in range(len(states))]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not a checkpoint of this version ({error}); delete it to start again") from error
    if not same or made_with != config:
        raise InputError(f"{path}: made by another stage or configuration; pass another run folder or delete it")
    if len(states) != world_size() and not reached.done:
        raise InputError(f"{path}: made by {len(states)} processes, now there are {world_size()}; start as many again")
    restore_networks(stage.networks, tensors, path)
    restore_optimisers(stage.optimisers, tensors, path)
    own = min(rank(), len(states) - 1)
    generator.bit_generator.state = states[own]
    torch.set_rng_state(torch_states[own])
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
