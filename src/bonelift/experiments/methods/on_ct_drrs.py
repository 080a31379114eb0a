"""What the networks of methods have in common: they learn from CT-DRRs of the training patients and their labels."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bonelift.experiments.own_methods import TrainingCase, TrainingFold
from bonelift.extras import missing
from bonelift.learning.loop import LoopConfig, Stage, train
from bonelift.learning.precision import clip_and_update
from bonelift.networks.views import view_codes

VALIDATED = 8


@dataclass(frozen=True, eq=False)
class CtDrrs:
    """drr (N, H, W) float16 line integrals, view (N,) codes, patient (N,) row of occupancy (P, 2, I, J, K) uint8."""

    drr: NDArray[np.float16]
    view: NDArray[np.uint8]
    patient: NDArray[np.int64]
    occupancy: NDArray[np.uint8]


def load_ct_drrs(patients: Sequence[TrainingCase]) -> CtDrrs:
    """The CT-DRRs of these patients and their labels."""
    known = [case.load() for case in patients]
    return CtDrrs(
        np.concatenate([data.drrs for data in known]).astype(np.float16),
        np.concatenate([view_codes(data.drr_views) for data in known]),
        np.concatenate([np.full(len(data.drrs), row) for row, data in enumerate(known)]),
        np.stack([np.round(255 * data.labels).astype(np.uint8) for data in known]),
    )


@dataclass(frozen=True)
class Lesson:
    """batch: DRRs of an update. loss, metrics: of a network in the rows (N,) of some DRRs."""

    batch: int
    loss: Callable[[CtDrrs, NDArray[np.int64]], Tensor]
    metrics: Callable[[CtDrrs, NDArray[np.int64]], dict[str, float]]


def train_on_ct_drrs(fold: TrainingFold, network: nn.Module, name: str, lesson: Lesson) -> int:
    """Train a network on the fold, or go on, as many updates as the predictor of the TL net; that number."""
    parameters = list(network.parameters())
    optimiser = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=1e-5)
    count = fold.preset.predictor_training.loop.updates
    loop = LoopConfig(count, 1e-3, "cosine", min(50, count // 20), validate_every=max(count // 4, 1), seed=fold.seed)
    validation = load_ct_drrs(fold.validation)

    def step(held: CtDrrs, generator: np.random.Generator, progress: float) -> dict[str, float]:
        loss = lesson.loss(held, generator.integers(0, len(held.drr), lesson.batch))
        clip_and_update(loss, optimiser, parameters, 1.0)
        return {"loss": loss.item()}

    @torch.no_grad()
    def validate() -> dict[str, float]:
        network.eval()
        metrics = lesson.metrics(validation, np.arange(min(VALIDATED, len(validation.drr))))
        network.train()
        return metrics

    def load(held: CtDrrs | None) -> CtDrrs:
        return held or load_ct_drrs(fold.training)

    facts = {"batch": lesson.batch, "network": name}
    stage = Stage(name, {name: network}, {"adam": optimiser}, load, step, validate, facts)
    network.train()
    train(stage, loop, fold.folder / "network")
    network.eval()
    return count


def monai_nets() -> Any:
    """MONAI's networks. Raises InputError where it is not installed."""
    try:
        return importlib.import_module("monai.networks.nets")
    except ImportError:
        raise missing("monai", "this method") from None
