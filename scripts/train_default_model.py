"""Train the packaged model on virtual patients, stage by stage; every stage resumes where it was stopped.

    python scripts/train_default_model.py samples --work runs/default --patients 1000 --workers 1
    python scripts/train_default_model.py autoencoder --work runs/default --minutes 25
    ... predictor, locator, pix2pix, finetune, bundle

Stages, in order of what they need: ``shapes`` (wrists alone), ``samples`` (films, DRRs, whole images), ``validation``,
``autoencoder`` (step 1; needs shapes), ``locator`` and ``pix2pix`` (need samples), ``predictor`` (step 2; needs samples
and the autoencoder),
``finetune`` (step 3; needs all), ``bundle`` (writes src/bonelift/models/default).
Training may start while samples are still being made.

Seeds: shapes 200000.., training patients 100000.., validation patients 800000... Evaluation uses 900000 and above.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from bonelift.images import LAPTOP_GRID
from bonelift.networks.bundle import DEFAULT_BUNDLE, new_bundle, save_bundle
from bonelift.networks.tl_embedding import DRR_SCALE
from bonelift.training.checkpoint import load_networks
from bonelift.training.locator import build_locator, train_locator
from bonelift.training.loop import LoopConfig
from bonelift.training.pix2pix import build_pix2pix, train_pix2pix, translate_films
from bonelift.training.presets import Preset, load_preset, with_minutes
from bonelift.training.samples import FilmSamples, load_samples
from bonelift.training.tl import TlNetworks, build_tl, load_tl, train_autoencoder, train_finetune, train_predictor
from bonelift.training.virtual_samples import VirtualSampleConfig, generate_samples, generate_shapes

SHAPE_SEEDS, TRAINING_SEEDS, VALIDATION_SEEDS = 200_000, 100_000, 800_000
VALIDATION_PATIENTS = 48
SEED = 0


def timed(loop: LoopConfig, minutes: float | None) -> LoopConfig:
    return loop if minutes is None else with_minutes(loop, minutes)


def loaded_tl(work: Path, preset: Preset, predictor: str | None, decoder: str | None) -> TlNetworks:
    networks = build_tl(preset.tl, SEED)
    load_tl(
        networks,
        work / "autoencoder",
        work / predictor if predictor else None,
        work / decoder if decoder else None,
    )
    return networks


def run_stage(arguments: argparse.Namespace) -> dict[str, float]:
    """One stage; returns its last validation scalars."""
    work, minutes = Path(arguments.work), arguments.minutes
    preset = load_preset("laptop")
    shapes, samples, validation = work / "shapes", work / "samples", work / "validation"
    if arguments.stage == "shapes":
        generate_shapes(shapes, range(SHAPE_SEEDS, SHAPE_SEEDS + arguments.patients), LAPTOP_GRID)
    elif arguments.stage == "samples":
        seeds = range(TRAINING_SEEDS, TRAINING_SEEDS + arguments.patients)
        generate_samples(samples, seeds, LAPTOP_GRID, VirtualSampleConfig(), workers=arguments.workers)
    elif arguments.stage == "validation":
        seeds = range(VALIDATION_SEEDS, VALIDATION_SEEDS + VALIDATION_PATIENTS)
        generate_samples(validation, seeds, LAPTOP_GRID, VirtualSampleConfig(films=4, locator_images=4))
    elif arguments.stage == "autoencoder":
        config = preset.autoencoder_training
        config = replace(config, loop=timed(config.loop, minutes))
        return train_autoencoder(shapes, validation, build_tl(preset.tl, SEED), config, work / "autoencoder")
    elif arguments.stage == "locator":
        config = preset.locator_training
        config = replace(config, loop=timed(config.loop, minutes))
        return train_locator(samples, validation, build_locator(preset.locator, SEED), config, work / "locator")
    elif arguments.stage == "pix2pix":
        config = preset.pix2pix_training
        config = replace(config, loop=timed(config.loop, minutes))
        return train_pix2pix(samples, validation, build_pix2pix(preset.pix2pix, SEED), config, work / "pix2pix")
    elif arguments.stage == "predictor":
        config = preset.predictor_training
        config = replace(config, loop=timed(config.loop, minutes))
        networks = loaded_tl(work, preset, None, None)
        return train_predictor(samples, validation, networks, config, work / "predictor")
    elif arguments.stage == "finetune":
        config = preset.finetune_training
        config = replace(config, loop=timed(config.loop, minutes))
        networks = loaded_tl(work, preset, "predictor", None)
        translators = build_pix2pix(preset.pix2pix, SEED)
        load_networks(work / "pix2pix", {"generator": translators.generator})
        drrs = [translate_films(translators.generator, load_samples(d, FilmSamples)) for d in (samples, validation)]
        return train_finetune(samples, validation, networks, config, work / "finetune", *drrs)
    elif arguments.stage == "bundle":
        return write_bundle(work, preset, arguments.name, Path(arguments.out))
    return {}


def write_bundle(work: Path, preset: Preset, name: str, out: Path) -> dict[str, float]:
    """Put the stages' weights into one folder, with what is known of their training and of the latents of P."""
    networks = loaded_tl(work, preset, "finetune", "finetune")
    translators = build_pix2pix(preset.pix2pix, SEED)
    locator = build_locator(preset.locator, SEED)
    load_networks(work / "pix2pix", {"generator": translators.generator})
    load_networks(work / "locator", {"locator": locator})
    stages = [json.loads(line) for line in (work / "stages.jsonl").read_text().splitlines()]
    metadata = {"latent": latent_spread(networks, work / "samples"), "training": stages}
    empty = new_bundle(name, preset.grid, preset.tl, preset.pix2pix, preset.locator, metadata)
    bundle = replace(
        empty,
        encoder=networks.encoder,
        decoder=networks.decoder,
        predictor=networks.predictor,
        generator=translators.generator,
        locator=locator,
    )
    digest = save_bundle(bundle, out)
    print(
        f"{out}: {name}, weights sha256 {digest[:12]}, {(out / 'weights.safetensors').stat().st_size / 2**20:.1f} MiB"
    )
    return {}


@torch.no_grad()
def latent_spread(networks: TlNetworks, samples: Path) -> dict[str, list[float] | float]:
    """Mean and SD of P's latents over training films, and the 99th percentile of the standardised distance."""
    films = load_samples(samples, FilmSamples)
    latents = []
    for start in range(0, len(films.drr), 64):
        part = slice(start, start + 64)
        drr = torch.from_numpy(films.drr[part].astype(np.float32))[:, None] / DRR_SCALE
        latents.append(networks.predictor(drr, torch.from_numpy(films.view[part])).numpy())
    values = np.concatenate(latents)
    mean, sd = values.mean(axis=0), values.std(axis=0)
    distance = np.sqrt((((values - mean) / np.maximum(sd, 1e-6)) ** 2).mean(axis=1))
    return {"mean": mean.tolist(), "sd": sd.tolist(), "distance_99": float(np.percentile(distance, 99))}


def main() -> None:
    stages = ("shapes", "samples", "validation", "autoencoder", "locator", "pix2pix", "predictor", "finetune", "bundle")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=stages)
    parser.add_argument("--work", default="runs/default", help="folder for samples, checkpoints and learning curves")
    parser.add_argument("--minutes", type=float, help="end the stage by the clock, its learning rate annealed to that")
    parser.add_argument("--name", default="virtual-1", help="model id written by the bundle stage")
    parser.add_argument("--out", default=str(DEFAULT_BUNDLE), help="folder written by the bundle stage")
    parser.add_argument("--patients", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    started = time.time()
    metrics = run_stage(arguments)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    record = {
        "stage": arguments.stage,
        "arguments": {key: value for key, value in vars(arguments).items() if key not in ("work", "out")},
        "minutes": round((time.time() - started) / 60, 2),
        "metrics": metrics,
        "commit": commit,
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {arguments.threads} threads, torch {torch.__version__}",
    }
    with (Path(arguments.work) / "stages.jsonl").open("a") as file:
        file.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
