"""Train the packaged model on virtual patients, stage by stage; every stage resumes where it was stopped.

    python scripts/train_default_model.py samples --work runs/default --patients 1000 --workers 1
    python scripts/train_default_model.py autoencoder --work runs/default --minutes 25
    ... predictor, locator, pix2pix, finetune, bundle

Stages, in order of what they need: ``shapes`` (wrists alone), ``samples`` (films, DRRs, whole images), ``bones``
(DRRs alone), ``validation``; ``autoencoder`` (step 1; needs shapes), ``locator`` and ``pix2pix`` (need samples),
``predictor`` (step 2; needs samples and the autoencoder), ``finetune`` (step 3; needs all of these); ``basis``,
``shape`` (the shape regressor; needs bones, samples and the basis); ``bundle`` (writes src/bonelift/models/default;
networks that were not trained here are taken over from the packaged model).
Training may start while samples and bones are still being made.

Seeds: shapes 200000.., bones 300000.., training patients 100000.., validation patients 800000... Evaluation uses 900000
and above.
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
from numpy.typing import NDArray
from tqdm import tqdm

from bonelift.anatomy.shape_basis import BoneBasis, basis_arrays, basis_from_arrays, fit_basis
from bonelift.anatomy.shape_model import load_shape_model, sample_wrist
from bonelift.images import LAPTOP_GRID
from bonelift.images.volume import BONES
from bonelift.networks.bundle import DEFAULT_BUNDLE, load_bundle, save_bundle
from bonelift.networks.pix2pix import Generator
from bonelift.networks.shape_regressor import ShapeConfig, ShapeReader, new_shape_reader
from bonelift.networks.tl_embedding import DRR_SCALE, FilmReader
from bonelift.training.bare_samples import generate_bare_samples
from bonelift.training.checkpoint import load_networks
from bonelift.training.locator import build_locator, train_locator
from bonelift.training.loop import LoopConfig
from bonelift.training.pix2pix import build_pix2pix, train_pix2pix, translate_films
from bonelift.training.presets import Preset, load_preset, with_minutes
from bonelift.training.samples import LATERAL, PA, FilmSamples, SurfaceSamples, load_samples
from bonelift.training.shape_regression import (
    FilmDrrs,
    ShapeTraining,
    build_shape_regressor,
    encode_surfaces,
    train_shape_regressor,
)
from bonelift.training.tl import TlNetworks, build_tl, load_tl, train_autoencoder, train_finetune, train_predictor
from bonelift.training.virtual_samples import VirtualSampleConfig, generate_samples, generate_shapes

SHAPE_SEEDS, BARE_SEEDS, TRAINING_SEEDS, VALIDATION_SEEDS = 200_000, 300_000, 100_000, 800_000
VALIDATION_PATIENTS = 48
SEED = 0
SHAPE_MODES = 80
"""A bone: 0.09 mm of a radius and 0.06 mm of an ulna lie outside so many modes."""


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
        generate_samples(
            samples, seeds, LAPTOP_GRID, VirtualSampleConfig(films=4, locator_images=2), workers=arguments.workers
        )
    elif arguments.stage == "bones":
        generate_bare_samples(work / "bones", range(BARE_SEEDS, BARE_SEEDS + arguments.patients))
    elif arguments.stage == "basis":
        write_basis(work / "basis", arguments.patients)
    elif arguments.stage == "shape":
        return run_shape_stage(work, preset, minutes)
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
        translators = build_pix2pix(preset.pix2pix, SEED)
        if arguments.from_packaged:
            translators.generator.load_state_dict(load_bundle().generator.state_dict())
            translators.generator.requires_grad_(True)
        return train_pix2pix(samples, validation, translators, config, work / "pix2pix")
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


def write_basis(folder: Path, count: int) -> None:
    """Shape bases of radius and ulna from ``count`` wrists of the training seeds."""
    model = load_shape_model()
    wrists = [
        sample_wrist(model, np.random.default_rng(seed))
        for seed in tqdm(range(SHAPE_SEEDS, SHAPE_SEEDS + count), desc="virtual wrists")
    ]
    folder.mkdir(parents=True, exist_ok=True)
    for bone in BONES:
        points = np.stack([getattr(wrist, bone).vertices for wrist in wrists])
        arrays = basis_arrays(fit_basis(points, getattr(model, bone).mean.faces, SHAPE_MODES))
        np.savez(folder / f"{bone}.npz", allow_pickle=False, **arrays)


def read_bases(folder: Path) -> tuple[BoneBasis, BoneBasis]:
    radius, ulna = (basis_from_arrays(np.load(folder / f"{bone}.npz", allow_pickle=False)) for bone in BONES)
    return radius, ulna


def run_shape_stage(work: Path, preset: Preset, minutes: float | None) -> dict[str, float]:
    """S, on bare bones and on the generator's DRRs of films."""
    bases = read_bases(work / "basis")
    translators = build_pix2pix(preset.pix2pix, SEED)
    if (work / "pix2pix").is_dir():
        load_networks(work / "pix2pix", {"generator": translators.generator})
    else:  # no new pix2pix: S learns to read the packaged one
        translators = replace(translators, generator=load_bundle().generator)
    films, validation = (
        FilmDrrs(folder, translate_films(translators.generator, load_samples(folder, FilmSamples), bfloat16=False))
        for folder in (work / "samples", work / "validation")
    )
    network = build_shape_regressor(ShapeConfig(bases[0].length + bases[1].length), SEED)
    config = ShapeTraining(timed(LoopConfig(10_000, 1e-3, "cosine", 100, validate_every=250), minutes), film_share=0.25)
    return train_shape_regressor(work / "bones", validation, network, bases, config, work / "shape", films)


def write_bundle(work: Path, preset: Preset, name: str, out: Path) -> dict[str, float]:
    """Put the stages' weights into one folder, with what is known of their training and of the codes of P and S.

    A network that was not trained in ``work`` is taken over from the packaged model, with what its metadata says.
    """
    bundle = load_bundle()
    metadata = {**bundle.metadata, "training": [*bundle.metadata.get("training", []), *read_stages(work)]}
    if (work / "finetune").is_dir():
        networks = loaded_tl(work, preset, "finetune", "finetune")
        metadata["latent"] = code_spread(networks.predictor, load_samples(work / "samples", FilmSamples))
        bundle = replace(
            bundle,
            grid=preset.grid,
            tl=preset.tl,
            encoder=networks.encoder,
            decoder=networks.decoder,
            predictor=networks.predictor,
        )
    if (work / "pix2pix").is_dir():
        translators = build_pix2pix(preset.pix2pix, SEED)
        load_networks(work / "pix2pix", {"generator": translators.generator})
        bundle = replace(bundle, pix2pix=preset.pix2pix, generator=translators.generator)
    if (work / "locator").is_dir():
        locator = build_locator(preset.locator, SEED)
        load_networks(work / "locator", {"locator": locator})
        bundle = replace(bundle, locator_config=preset.locator, locator=locator)
    if (work / "shape").is_dir():
        shape, facts = trained_shape_reader(work, bundle.generator)
        bundle, metadata = replace(bundle, shape=shape), {**metadata, **facts}
    digest = save_bundle(replace(bundle, name=name, metadata=metadata), out)
    size = (out / "weights.safetensors").stat().st_size / 2**20
    print(f"{out}: {name}, weights sha256 {digest[:12]}, {size:.1f} MiB")
    return {}


def read_stages(work: Path) -> list[dict[str, object]]:
    path = work / "stages.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def trained_shape_reader(work: Path, generator: Generator) -> tuple[ShapeReader, dict[str, object]]:
    """S, and the metadata that its use needs: spread of its codes, and their errors by view on validation films."""
    radius, ulna = read_bases(work / "basis")
    reader = new_shape_reader(ShapeConfig(radius.length + ulna.length), radius, ulna)
    load_networks(work / "shape", {"shape_regressor": reader.network})
    reader.network.eval()
    films = load_samples(work / "validation", FilmSamples)
    films = replace(films, drr=translate_films(generator, films, bfloat16=False))
    true_codes = encode_surfaces(load_samples(work / "validation", SurfaceSamples), (radius, ulna))
    errors = read_codes(reader.network, films) - true_codes[films.patient]
    error_sd = {
        view: np.sqrt((errors[films.view == code] ** 2).mean(axis=0)).round(4).tolist()
        for view, code in (("pa", PA), ("lateral", LATERAL))
    }
    training = load_samples(work / "samples", FilmSamples)
    training = replace(training, drr=translate_films(generator, training, bfloat16=False))
    return reader, {"shape_error_sd": error_sd, "shape_code": code_spread(reader.network, training)}


@torch.no_grad()
def read_codes(network: FilmReader, films: FilmSamples) -> NDArray[np.float32]:
    """(N, outputs) of the DRRs of ``films``."""
    network.eval()
    codes = []
    for start in range(0, len(films.drr), 64):
        part = slice(start, start + 64)
        drr = torch.from_numpy(films.drr[part].astype(np.float32))[:, None] / DRR_SCALE
        codes.append(network(drr, torch.from_numpy(films.view[part])).numpy())
    return np.concatenate(codes)


def code_spread(network: FilmReader, films: FilmSamples) -> dict[str, list[float] | float]:
    """Mean and SD of the codes over training films, and the 99th percentile of the standardised distance."""
    values = read_codes(network, films)
    mean, sd = values.mean(axis=0), values.std(axis=0)
    distance = np.sqrt((((values - mean) / np.maximum(sd, 1e-6)) ** 2).mean(axis=1))
    return {"mean": mean.tolist(), "sd": sd.tolist(), "distance_99": float(np.percentile(distance, 99))}


def main() -> None:
    stages = (
        "shapes",
        "bones",
        "basis",
        "shape",
        "samples",
        "validation",
        "autoencoder",
        "locator",
        "pix2pix",
        "predictor",
        "finetune",
        "bundle",
    )
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=stages)
    parser.add_argument("--work", default="runs/default", help="folder for samples, checkpoints and learning curves")
    parser.add_argument("--minutes", type=float, help="end the stage by the clock, its learning rate annealed to that")
    parser.add_argument("--name", default="virtual-1", help="model id written by the bundle stage")
    parser.add_argument("--out", default=str(DEFAULT_BUNDLE), help="folder written by the bundle stage")
    parser.add_argument("--patients", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--from-packaged", action="store_true", help="pix2pix: start from the packaged generator")
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
