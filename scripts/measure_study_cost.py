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

from bonelift.experiments.presets import StudyPreset, load_study_preset
from bonelift.learning.loop import LoopConfig
from bonelift.learning.pix2pix import build_pix2pix, train_pix2pix
from bonelift.learning.samples import FilmSamples, ShapeSamples, save_chunk
from bonelift.learning.tl import build_tl, train_autoencoder, train_finetune, train_predictor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", choices=["smoke", "laptop", "paper"], default="laptop")
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
    save_chunk(folder, 0, ShapeSamples(rng.integers(0, 127, (count, 2, *grid), dtype=np.uint8)))
    pictures = rng.random((2, count, *film)).astype(np.float16)
    views = np.zeros(count, dtype=np.uint8)
    save_chunk(folder, 0, FilmSamples(pictures[0], pictures[1], np.arange(count, dtype=np.int32), views))


Row = tuple[str, int, int, int, float]


def measured(samples: Path, preset: StudyPreset, updates: int, folds: int) -> list[Row]:
    """(stage, batch, updates, networks, processor seconds an update)."""
    networks = preset.networks
    tl = build_tl(networks.tl, 0, networks.autoencoder_training.device)
    gan = build_pix2pix(networks.pix2pix, 0, networks.pix2pix_training.device)
    auto, predictor = networks.autoencoder_training, networks.predictor_training
    finetune, pix2pix = networks.finetune_training, networks.pix2pix_training
    warm = round(predictor.latent_warmup * predictor.loop.updates)
    latent, decoded = replace(predictor, latent_warmup=1.0), replace(predictor, latent_warmup=0.0)
    stages: list[tuple[str, int, int, int, Callable[[LoopConfig, Path], object]]] = [
        ("TL step 1", auto.batch, auto.loop.updates, folds,
         lambda loop, run: train_autoencoder(samples, samples, tl, replace(auto, loop=loop), run, True)),
        ("TL step 2, latents", predictor.batch, warm, folds,
         lambda loop, run: train_predictor(samples, samples, tl, replace(latent, loop=loop), run)),
        ("TL step 2", predictor.batch, predictor.loop.updates - warm, folds,
         lambda loop, run: train_predictor(samples, samples, tl, replace(decoded, loop=loop), run)),
        ("TL step 3", finetune.batch, finetune.loop.updates, folds,
         lambda loop, run: train_finetune(samples, samples, tl, replace(finetune, loop=loop), run)),
        ("pix2pix", pix2pix.batch, pix2pix.loop.updates, folds + 1,
         lambda loop, run: train_pix2pix(samples, samples, gan, replace(pix2pix, loop=loop), run, True)),
    ]  # fmt: skip
    rows = []
    for number, (stage, batch, planned, count, run_stage) in enumerate(stages):
        if planned == 0:
            continue
        # Twice one update: the first call of a stage also sets up torch, and is not counted.
        calls = enumerate((1, 1, 1 + updates))
        clock = time.process_time if auto.device == "cpu" else time.perf_counter
        _, short, long = (seconds_of(run_stage, n, samples / f"run-{number}-{call}", clock) for call, n in calls)
        rows.append((stage, batch, planned, count, (long - short) / updates))
    return rows


def seconds_of(
    run_stage: Callable[[LoopConfig, Path], object], updates: int, run: Path, clock: Callable[[], float]
) -> float:
    """Validation, loading and saving are in both of two such measurements and fall out of their difference.

    A stage ends by reading its metrics and weights, so that a GPU has done all its work by then.
    """
    start = clock()
    run_stage(LoopConfig(updates, 1e-4, validate_every=10**6), run)
    return clock() - start


if __name__ == "__main__":
    main()
