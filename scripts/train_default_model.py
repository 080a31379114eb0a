"""Train the packaged model on virtual patients, stage by stage; every stage resumes where it was stopped.

    python scripts/train_default_model.py samples --work runs/default --patients 1000 --workers 1
    python scripts/train_default_model.py autoencoder --work runs/default --minutes 25
    ... predictor, locator, pix2pix, finetune, bundle

Stages, in order of what they need: ``shapes`` (wrists alone), ``samples`` (films, DRRs, whole images), ``bones``
(DRRs alone), ``validation``; ``autoencoder`` (step 1; needs shapes), ``locator`` and ``pix2pix`` (need samples),
``predictor`` (step 2; needs samples and the autoencoder), ``finetune`` (step 3; needs all of these); ``basis``,
``films`` (of patients that the generator never sees, so that its DRRs of them err as they will in use), ``shape`` (the
shape regressor; needs bones, films and the basis); ``bundle`` (writes src/bonelift/models/default;
networks that were not trained here are taken over from the packaged model).
Training may start while samples and bones are still being made.

Seeds: shapes 200000.., bones 300000.., films 400000.., training patients 100000.., validation patients 800000...
Evaluation uses 900000 and above.
"""

from __future__ import annotations

import argparse
import hashlib
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
from bonelift.errors import InputError
from bonelift.images import LAPTOP_GRID
from bonelift.images.film import FILM_SHAPE
from bonelift.images.volume import BONES
from bonelift.learning.bare_samples import generate_bare_samples
from bonelift.learning.checkpoint import load_networks
from bonelift.learning.locator import build_locator, train_locator
from bonelift.learning.loop import LoopConfig
from bonelift.learning.pix2pix import build_pix2pix, train_pix2pix, translate_films
from bonelift.learning.presets import Preset, load_preset, with_minutes
from bonelift.learning.samples import FilmSamples, SurfaceSamples, load_samples
from bonelift.learning.shape_regression import (
    FilmDrrs,
    ShapeTraining,
    build_shape_regressor,
    encode_surfaces,
    train_shape_regressor,
)
from bonelift.learning.tl import TlNetworks, build_tl, load_tl, train_autoencoder, train_finetune, train_predictor
from bonelift.learning.trained_bundle import with_trained
from bonelift.learning.virtual_samples import VirtualSampleConfig, generate_samples, generate_shapes
from bonelift.networks.bundle import load_bundle, save_bundle
from bonelift.networks.model import DEFAULT_MODEL
from bonelift.networks.onnx_export import add_graphs
from bonelift.networks.pix2pix import Generator
from bonelift.networks.shape_regressor import ShapeConfig, ShapeReader, ShapeRegressor, new_shape_reader
from bonelift.networks.tl_embedding import DRR_SCALE, FilmReader
from bonelift.networks.views import LATERAL, PA

SHAPE_SEEDS, BARE_SEEDS, TRAINING_SEEDS, FILM_SEEDS, VALIDATION_SEEDS = 200_000, 300_000, 100_000, 400_000, 800_000
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
            samples,
            seeds,
            LAPTOP_GRID,
            VirtualSampleConfig(films=4, locator_images=2),
            workers=arguments.workers,
        )
    elif arguments.stage == "films":
        seeds = range(FILM_SEEDS, FILM_SEEDS + arguments.patients)
        config = VirtualSampleConfig(films=arguments.films, locator_images=0)
        generate_samples(work / "films", seeds, LAPTOP_GRID, config, workers=arguments.workers)
    elif arguments.stage == "bones":
        generate_bare_samples(work / "bones", range(BARE_SEEDS, BARE_SEEDS + arguments.patients))
    elif arguments.stage == "basis":
        write_basis(work / "basis", arguments.patients)
    elif arguments.stage == "shape":
        return run_shape_stage(work, preset, minutes, arguments.from_packaged)
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
        # The curves of virtual-1 were far from overfitting, and dropout costs sharpness then.
        translators = build_pix2pix(replace(preset.pix2pix, dropout=0.1), SEED)
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
        drrs, seen = (
            translate_films(translators.generator, load_samples(folder, FilmSamples))
            for folder in (samples, validation)
        )
        return train_finetune(samples, validation, networks, config, work / "finetune", drrs, seen)
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


def run_shape_stage(work: Path, preset: Preset, minutes: float | None, from_packaged: bool) -> dict[str, float]:
    """S, on bare bones and on the generator's DRRs of films."""
    bases = read_bases(work / "basis")
    packaged = load_bundle()
    generator = with_trained(packaged, work, preset, SEED).generator  # the packaged one where there is no new pix2pix
    films, validation = (
        FilmDrrs(folder, translated(folder, generator)) for folder in (work / "films", work / "validation")
    )
    network = build_shape_regressor(ShapeConfig(bases[0].length + bases[1].length, reads_film=True), SEED)
    share, rate = 0.25, 1e-3
    if from_packaged:
        if packaged.shape is None:
            raise InputError("the packaged model has no shape regressor to start from")
        start_from(network, packaged.shape)
        readings = read_codes(packaged.shape.network, without_pictures(load_samples(work / "films", FilmSamples)))
        films, share, rate = replace(films, read_codes=readings), 0.5, 3e-4
    loop = timed(LoopConfig(10_000, rate, "cosine", 100, validate_every=250), minutes)
    config = ShapeTraining(loop, film_share=share)
    return train_shape_regressor(work / "bones", validation, network, bases, config, work / "shape", films)


def translated(folder: Path, generator: Generator) -> NDArray[np.float16]:
    """The generator's DRR of every film in ``folder``, kept beside them so that a stage can be taken up again soon."""
    weights = hashlib.sha256(b"".join(t.numpy().tobytes() for t in generator.state_dict().values())).hexdigest()
    path = folder / f"translated-{weights[:12]}.npy"
    known = np.load(path, allow_pickle=False) if path.exists() else np.empty((0, *FILM_SHAPE), np.float16)
    new = later_films(load_samples(folder, FilmSamples), len(known))
    if len(new.drr):
        known = np.concatenate([known, translate_films(generator, new, bfloat16=False)])
        np.save(path, known)
    return known


def without_pictures(films: FilmSamples) -> FilmSamples:
    """The DRRs as those of a CT, which no film belongs to."""
    return replace(films, radiograph=np.zeros_like(films.radiograph))


def start_from(network: ShapeRegressor, trained: ShapeReader) -> None:
    """The weights of a trained S; where it has read DRRs alone, the film's start at 0. The bases must be the same."""
    weights = trained.network.state_dict()
    first = next(iter(weights))
    if not trained.config.reads_film:
        drr, view = weights[first].split(1, dim=1)
        weights[first] = torch.cat([drr, torch.zeros_like(drr), view], dim=1)
    network.load_state_dict(weights)


def write_bundle(work: Path, preset: Preset, name: str, out: Path) -> dict[str, float]:
    """Put the stages' weights into one folder, with what is known of their training and of the codes of P and S.

    A network that was not trained in ``work`` is taken over from the packaged model, with what its metadata says.
    """
    bundle = load_bundle()
    known = bundle.metadata.get("training", [])
    metadata = {**bundle.metadata, "training": [*known, *(stage for stage in read_stages(work) if stage not in known)]}
    bundle = with_trained(bundle, work, preset, SEED)
    if (work / "finetune").is_dir():
        metadata["latent"] = code_spread(bundle.predictor, load_samples(work / "samples", FilmSamples))
    if (work / "shape").is_dir():
        shape, facts = trained_shape_reader(work, bundle.generator)
        bundle, metadata = replace(bundle, shape=shape), {**metadata, **facts}
    digest = save_bundle(replace(bundle, name=name, metadata=metadata), out)
    add_graphs(out)
    size = (out / "weights.safetensors").stat().st_size / 2**20
    print(f"{out}: {name}, weights sha256 {digest[:12]}, {size:.1f} MiB")
    return {}


def read_stages(work: Path) -> list[dict[str, object]]:
    path = work / "stages.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def trained_shape_reader(work: Path, generator: Generator) -> tuple[ShapeReader, dict[str, object]]:
    """S, and the metadata that its use needs: spread of its codes, and their errors by view on validation films."""
    radius, ulna = read_bases(work / "basis")
    reader = new_shape_reader(ShapeConfig(radius.length + ulna.length, reads_film=True), radius, ulna)
    load_networks(work / "shape", {"shape_regressor": reader.network})
    reader.network.eval()
    films = load_samples(work / "validation", FilmSamples)
    films = replace(films, drr=translated(work / "validation", generator))
    true_codes = encode_surfaces(load_samples(work / "validation", SurfaceSamples), (radius, ulna))
    errors = read_codes(reader.network, films) - true_codes[films.patient]
    error_sd = {
        view: np.sqrt((errors[films.view == code] ** 2).mean(axis=0)).round(4).tolist()
        for view, code in (("pa", PA), ("lateral", LATERAL))
    }
    training = load_samples(work / "films", FilmSamples)
    training = replace(training, drr=translated(work / "films", generator))
    return reader, {"shape_error_sd": error_sd, "shape_code": code_spread(reader.network, training)}


def later_films(films: FilmSamples, first: int) -> FilmSamples:
    return FilmSamples(films.radiograph[first:], films.drr[first:], films.patient[first:], films.view[first:])


@torch.no_grad()
def read_codes(network: FilmReader, films: FilmSamples) -> NDArray[np.float32]:
    """(N, outputs) of the DRRs of ``films``; S reads the films as well."""
    network.eval()
    codes = []
    for start in range(0, len(films.drr), 64):
        part = slice(start, start + 64)
        pictures = torch.from_numpy(films.drr[part].astype(np.float32))[:, None] / DRR_SCALE
        if isinstance(network, ShapeRegressor) and network.reads_film:
            pictures = torch.cat([pictures, torch.from_numpy(films.radiograph[part].astype(np.float32))[:, None]], 1)
        codes.append(network(pictures, torch.from_numpy(films.view[part])).numpy())
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
        "films",
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
    parser.add_argument("--out", default=str(DEFAULT_MODEL), help="folder written by the bundle stage")
    parser.add_argument("--patients", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--films", type=int, default=4, help="films: of each patient")
    parser.add_argument("--from-packaged", action="store_true", help="pix2pix, shape: start from packaged weights")
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
