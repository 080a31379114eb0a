"""A whole training: targets learned, the model written as soon as it can be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bonelift.learning.bases import basis_facts
from bonelift.learning.distributed import barrier, process_group, rank
from bonelift.learning.line import BASIS, LearningRun, Metrics, SampleSource, Target, learn
from bonelift.learning.model_folder import missing_targets, write_model


@dataclass(frozen=True)
class TrainingOutcome:
    """metrics: last validation of each target. model: the folder that ``reconstruct --model`` takes, None where targets
    are missing, which ``notes`` then names. first: whether this is the process that reports (see torchrun)."""

    metrics: dict[Target, Metrics]
    model: Path | None
    notes: tuple[str, ...]
    first: bool = True


def train_targets(target: Target | Literal["all"], run: LearningRun, source: SampleSource) -> TrainingOutcome:
    """Learn ``target`` and write ``run.folder/model`` where the run then has all it needs. Interrupted, the same call
    goes on. Started by torchrun, every process calls it: they train as one, and the first makes samples and writes.

    Raises InputError: see :func:`bonelift.learning.line.learn`.
    """
    with process_group(run.preset.autoencoder_training.device) as number:
        metrics = learn(target, run, source)
        lacking = missing_targets(run)
        model = None
        if not lacking:
            if rank() == 0:
                write_model(run, source)
            barrier()
            model = run.folder / "model"
        return TrainingOutcome(metrics, model, _notes(run, metrics, lacking), number == 0)


def _notes(run: LearningRun, metrics: dict[Target, Metrics], lacking: list[str]) -> tuple[str, ...]:
    notes = []
    if "shape" in metrics:
        facts = basis_facts(run.folder / BASIS)
        modes = " and ".join(f"{count} modes of the {bone}" for bone, count in facts.modes.items())
        notes.append(f"shape bases: {modes}, from {facts.origin}")
    if lacking:
        notes.append(f"no model yet: {', '.join(lacking)} {'is' if len(lacking) == 1 else 'are'} not trained")
    elif not run.is_done("descent") and (run.start is None or run.start.shape is None):
        notes.append("the model has no shape regressor yet: reconstruct takes the TL-embedding network")
    return tuple(notes)
