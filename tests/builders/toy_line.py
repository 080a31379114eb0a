"""A toy training that goes the whole learning line in seconds: balls for labels, a few modes of the shape model for
bones."""

from __future__ import annotations

import sys
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from bonelift.anatomy.shape_model import load_shape_model
from bonelift.learning.bases import BasisChoice
from bonelift.learning.line import Kind, LearningRun, SampleFolders
from bonelift.learning.loop import LoopConfig
from bonelift.learning.presets import Preset
from bonelift.learning.samples import DrrSamples, SurfaceSamples, save_chunk
from bonelift.learning.shape_regression import ShapeTraining
from bonelift.learning.training import train_targets
from bonelift.learning.tuning import TuningTraining
from bonelift.networks.shape_regressor import ShapeConfig
from builders.toy_cohort import (
    AUTOENCODER,
    GRID,
    LOCATOR,
    LOCATOR_TRAINING,
    PIX2PIX,
    PIX2PIX_TRAINING,
    PREDICTOR,
    TL,
    toy_films,
    toy_shapes,
    write_cohort,
)

PATIENTS = 6
# A checkpoint after every update: a killed training loses nothing but the update it was in.
LOOP = LoopConfig(6, 1e-3, validate_every=3, log_every=2, checkpoint_minutes=1e-9)
PRESET = Preset(
    "smoke",
    GRID,
    TL,
    PIX2PIX,
    LOCATOR,
    replace(AUTOENCODER, loop=LOOP),
    replace(PREDICTOR, loop=LOOP),
    replace(PREDICTOR, loop=LOOP),
    replace(PIX2PIX_TRAINING, loop=LOOP),
    ShapeConfig(
        1,
        (4, 8, 8, 16),
        (1, 1, 1),
        16,
        (32, 32),
        gain_free=True,
        tells_error=True,
        descent_steps=1,
        film_steps=1,
        points=12,
    ),
    ShapeTraining(LOOP, batch=4),
    shape_modes=3,
    locator_training=replace(LOCATOR_TRAINING, loop=LOOP),
    tuning_training=TuningTraining(LOOP, batch=4),
)


def toy_surfaces(count: int, seed: int) -> SurfaceSamples:
    """Wrists of the shape model that differ in four modes."""
    model = load_shape_model()
    rng = np.random.default_rng(seed)
    bones = []
    for bone in (model.radius, model.ulna):
        scores = rng.standard_normal((count, 4))
        shapes = bone.mean.vertices + np.tensordot(scores, bone.modes[:4], axes=1) + rng.normal(0, 1.0, (count, 1, 3))
        bones.append(shapes.astype(np.float32))
    return SurfaceSamples(*bones)


@dataclass(frozen=True)
class ToySource:
    """A SampleSource. made: the kinds that were asked for."""

    folder: Path
    has_films: bool = True
    tl_reads_gan: bool = False
    shape_from_readings: bool = False
    made: list[Kind] = field(default_factory=list)

    def make(self, kinds: Collection[Kind]) -> None:
        self.made.extend(kinds)
        for number, part in enumerate(("training", "validation")):
            folder = self.folder / part
            if folder.is_dir():
                continue
            staging = self.folder / f"{part}.partial"
            write_cohort(staging, PATIENTS, number)
            films = toy_films(toy_shapes(PATIENTS, number))
            save_chunk(staging, 0, toy_surfaces(PATIENTS, number))
            save_chunk(staging, 0, DrrSamples(films.drr, films.patient, films.view))
            staging.rename(folder)

    def folders(self, kind: Kind) -> SampleFolders:
        return SampleFolders(self.folder / "training", self.folder / "validation")

    def facts(self) -> dict[str, Any]:
        return {"source": "toys", "patients": {"training": PATIENTS, "validation": PATIENTS}}


def toy_run(folder: Path, **changes: Any) -> LearningRun:
    return LearningRun(folder, PRESET, seed=3, **changes)


def train_all(folder: Path) -> None:
    """What a killed process does."""
    train_targets("all", toy_run(folder / "run", basis=BasisChoice(3, "own")), ToySource(folder / "samples"))


if __name__ == "__main__":
    train_all(Path(sys.argv[1]))
