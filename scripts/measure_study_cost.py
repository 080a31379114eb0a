"""What the training of ``bonelift evaluate`` costs on this machine, from a few measured updates of each stage.

    OMP_NUM_THREADS=1 python scripts/measure_study_cost.py --preset laptop

Prints processor seconds an update (all threads together, so that a busy machine does not disturb them; on a GPU
seconds on the clock) and what the preset's networks of all folds add up to. The samples are noise: the cost does not
depend on what they show.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from bonelift.anatomy.shape_model import load_shape_model
from bonelift.experiments.presets import StudyPreset, load_study_preset
from bonelift.learning.bases import BasisChoice
from bonelift.learning.line import (
    STAGES,
    LearningRun,
    SampleFolders,
    StageName,
    learn_autoencoder,
    learn_finetune,
    learn_pix2pix,
    learn_predictor,
    learn_shape,
)
from bonelift.learning.loop import LoopConfig
from bonelift.learning.presets import with_trainings
from bonelift.learning.samples import DrrSamples, FilmSamples, ShapeSamples, SurfaceSamples, save_chunk


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", choices=["smoke", "small", "laptop", "paper"], default="laptop")
    parser.add_argument("--updates", type=int, default=3, help="measured, of each stage")
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    preset = load_study_preset(options.preset, options.device)
    with tempfile.TemporaryDirectory() as name:
        samples = Path(name)
        write_noise(samples, preset)
        rows = measured(samples, preset, options.updates, options.folds)
    print("| stage | batch | updates a network | networks | s an update | hours in all |\n|---|---|---|---|---|---|")
    for stage, batch, updates, networks, seconds in rows:
        hours = updates * networks * seconds / 3600
        print(f"| {stage} | {batch} | {updates} | {networks} | {seconds:.2f} | {hours:.2f} |")
    print(f"sum: {sum(u * n * s for _, _, u, n, s in rows) / 3600:.1f} hours")


def write_noise(folder: Path, preset: StudyPreset, count: int = 16) -> None:
    rng = np.random.default_rng(0)
    grid, film = preset.networks.tl.grid_shape, preset.networks.tl.film_shape
    model = load_shape_model()
    bones = [
        bone.mean.vertices + rng.normal(0, 1, (count, 1, 3)) + rng.normal(0, 0.1, (count, *bone.mean.vertices.shape))
        for bone in (model.radius, model.ulna)
    ]
    pictures = rng.random((2, count, *film)).astype(np.float16)
    rows, views = np.arange(count, dtype=np.int32), np.zeros(count, dtype=np.uint8)
    save_chunk(folder, 0, ShapeSamples(rng.integers(0, 127, (count, 2, *grid), dtype=np.uint8)))
    save_chunk(folder, 0, SurfaceSamples(*(points.astype(np.float32) for points in bones)))
    save_chunk(folder, 0, FilmSamples(pictures[0], pictures[1], rows, views))
    save_chunk(folder, 0, DrrSamples(pictures[1], rows, views))


Row = tuple[str, int, int, int, float]
StageRun = Callable[[LearningRun, SampleFolders], object]


def measured(samples: Path, preset: StudyPreset, updates: int, folds: int) -> list[Row]:
    """(stage, batch, updates, networks, processor seconds an update)."""
    networks = preset.networks
    predictor = networks.predictor_training
    warm = round(predictor.latent_warmup * predictor.loop.updates)
    stages: list[tuple[str, StageName, dict[str, object], int, int, StageRun]] = [
        ("TL step 1", "autoencoder", {}, networks.autoencoder_training.loop.updates, folds, learn_autoencoder),
        ("TL step 2, latents", "predictor", {"latent_warmup": 1.0}, warm, folds, learn_predictor),
        ("TL step 2", "predictor", {"latent_warmup": 0.0}, predictor.loop.updates - warm, folds, learn_predictor),
        ("TL step 3", "finetune", {}, networks.finetune_training.loop.updates, folds, learn_finetune),
        ("pix2pix", "pix2pix", {}, networks.pix2pix_training.loop.updates, folds + 1, learn_pix2pix),
        ("shape regressor", "shape", {}, networks.shape_training.loop.updates, folds, learn_shape),
    ]
    rows = []
    for number, (title, stage, changes, planned, count, learn) in enumerate(stages):
        if planned == 0:
            continue
        training = getattr(networks, f"{stage}_training")
        clock = time.process_time if training.device == "cpu" else time.perf_counter
        seconds = []
        # Twice one update: the first call of a stage also sets up torch, and is not counted.
        for call, length in enumerate((1, 1, 1 + updates)):
            loop = LoopConfig(length, 1e-4, validate_every=10**6)
            changed = replace(networks, **{f"{stage}_training": replace(training, loop=loop, **changes)})
            run = LearningRun(samples / f"run-{number}-{call}", changed, basis=BasisChoice(3))
            seconds.append(seconds_of(run, SampleFolders(samples, samples), stage, learn, clock))
        rows.append((title, training.batch, planned, count, (seconds[2] - seconds[1]) / updates))
    return rows


def seconds_of(
    run: LearningRun, samples: SampleFolders, stage: StageName, learn: StageRun, clock: Callable[[], float]
) -> float:
    """Of one stage, after the stages that it needs. Validation, loading and saving are in both of two such
    measurements and fall out of their difference.

    A stage ends by reading its metrics and weights, so that a GPU has done all its work by then.
    """
    single = LoopConfig(1, 1e-4, validate_every=10**6)
    short = replace(run, preset=with_trainings(run.preset, lambda training: replace(training, loop=single)))
    before = STAGES["tl"][: STAGES["tl"].index(stage)] if stage in STAGES["tl"] else ()
    for earlier in before:
        (learn_autoencoder if earlier == "autoencoder" else learn_predictor)(short, samples)
    start = clock()
    learn(run, samples)
    return clock() - start


if __name__ == "__main__":
    main()
