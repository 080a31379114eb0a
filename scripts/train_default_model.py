"""Train the packaged model on virtual patients, stage by stage; every stage resumes where it was stopped.

    python scripts/train_default_model.py samples --work runs/default --patients 1000 --workers 1
    python scripts/train_default_model.py autoencoder --work runs/default --minutes 25
    ... predictor, locator, pix2pix, finetune, shape, bundle

The stages are those of the learning line (bonelift.learning.line), which ``bonelift train`` goes as a whole. Samples:
``shapes`` (wrists alone), ``samples`` (films, DRRs, whole images), ``bones`` (DRRs alone), ``films`` (of patients that
the generator never sees, so that its DRRs of them err as they will in use), ``validation``. Stages: ``autoencoder``
(needs shapes), ``locator`` and ``pix2pix`` (need samples), ``predictor`` (needs samples and the autoencoder),
``finetune`` (needs all of these); ``basis``, ``shape`` (needs bones, films and the basis); ``steps`` (all descent steps
of the packaged S anew, its convolutions stay; needs the same, of patients that these have not seen); ``tuning`` (the
translator by what S reads, then the steps that see the film; needs samples, films and a few bones); ``bundle`` (writes
src/bonelift/models/default; networks that were not trained here are taken over from the packaged model);
``outlines`` (the packaged model with what corrects S by outlines learned anew, and no other weight changed; needs
bones, films that the translator was not tuned on, and validation). Training may start while samples and bones are still
being made.

``--shape-model FILE`` (from scripts/build_shape_model.py --without ...) draws all patients from a population that never
saw the subjects left out, and ``bundle`` writes into the model whom that population was built without. Weights that saw
the subjects may not come in: ``--from-packaged`` is refused then. The translator and the locator are not about the
shape of a subject's bones; without stages of their own they stay the packaged ones.

Seeds: shapes 200000.., bones 300000.., films 400000.., training patients 100000.., validation patients 800000...
Evaluation uses 900000 and above.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import torch

from bonelift import progress
from bonelift.anatomy.shape_model import ShapeModel, load_shape_model, sample_wrist
from bonelift.cli.console import Console
from bonelift.errors import InputError
from bonelift.images.volume import BONES
from bonelift.learning.bases import fit_bases, write_basis_folder
from bonelift.learning.line import (
    BASIS,
    LearningRun,
    Metrics,
    StageName,
    basis_choice,
    learn_autoencoder,
    learn_film_steps,
    learn_finetune,
    learn_locator,
    learn_pix2pix,
    learn_predictor,
    learn_shape,
    learn_steps,
    learn_tuning,
    run_generator,
)
from bonelift.learning.loop import LoopConfig
from bonelift.learning.model_folder import error_facts, model_of_run, outlines_of_run
from bonelift.learning.presets import Preset, load_preset, timed, with_trainings
from bonelift.learning.virtual_source import POPULATION_FILE, Part, VirtualSource, claim_population, population_facts
from bonelift.networks.bundle import ModelBundle, load_bundle, save_bundle
from bonelift.networks.model_files import DEFAULT_MODEL
from bonelift.networks.onnx_export import add_graphs

FIRST_SEEDS: dict[Part, int] = {
    "shapes": 200_000,
    "bones": 300_000,
    "samples": 100_000,
    "films": 400_000,
    "validation": 800_000,
}
VALIDATION_PATIENTS = 48
BASIS_SEEDS = FIRST_SEEDS["shapes"]
SHAPE_MODES = 80
"""A bone: 0.09 mm of a radius and 0.06 mm of an ulna lie outside so many modes."""


def default_run(work: Path, minutes: float | None, from_packaged: bool, start_rate: float) -> LearningRun:
    """The preset of the packaged model. The curves of virtual-1 were far from overfitting, and dropout costs sharpness
    then. DRRs are bent for S, since neither beam hardening nor a translator's contrast is known. Where
    there are thousands of patients, a third descent step still helps."""
    preset = load_preset("laptop")
    preset = replace(
        preset,
        pix2pix=replace(preset.pix2pix, dropout=0.1),
        shape=replace(preset.shape, descent_steps=3),
        shape_modes=SHAPE_MODES,
        shape_training=replace(preset.shape_training, bending=1.0, start_rate=start_rate),
    )
    if minutes is not None:
        preset = timed(preset, minutes)
    return LearningRun(work, preset, start=load_bundle() if from_packaged else None)


def counted(preset: Preset, updates: int) -> Preset:
    """Every stage of the preset ended after ``updates``, its learning rate annealed to that, with four validations or
    fewer on the way."""

    def change(loop: LoopConfig) -> LoopConfig:
        return replace(loop, updates=updates, validate_every=max(loop.validate_every, -(-updates // 4)))

    return with_trainings(preset, lambda training: replace(training, loop=change(training.loop)))


def samples_of(arguments: argparse.Namespace, run: LearningRun) -> VirtualSource:
    """Every part of the work folder; ``--patients`` counts when a part is made."""
    seeds: dict[Part, Sequence[int]] = {}
    for part, first in FIRST_SEEDS.items():
        if part == arguments.stage and arguments.first_seed is not None:
            first = arguments.first_seed
        count = VALIDATION_PATIENTS if part == "validation" else arguments.patients
        seeds[part] = range(first, first + count)
    # Validation patients had four whole images and films each from the beginning.
    images = arguments.images if arguments.images is not None else 4 if arguments.stage == "validation" else 2
    return VirtualSource(
        Path(arguments.work), run.preset.grid, seeds, films=4 if arguments.stage == "validation" else arguments.films,
        images=images, drrs=arguments.drrs, unseen_films=arguments.films, workers=arguments.workers,
        shape_model=load_shape_model(arguments.shape_model),
    )  # fmt: skip


def run_stage(arguments: argparse.Namespace) -> Metrics:
    """One stage; returns its last validation scalars."""
    stage, work = arguments.stage, Path(arguments.work)
    run = default_run(work, arguments.minutes, arguments.from_packaged, arguments.rate)
    if arguments.updates is not None:
        run = replace(run, preset=counted(run.preset, arguments.updates))
    source = samples_of(arguments, run)
    if run.start is not None and source.shape_model.without:
        raise InputError(
            "--from-packaged: the packaged weights have seen the subjects that --shape-model leaves out; train from "
            "scratch"
        )
    if (run.folder / POPULATION_FILE).exists() or source.shape_model.without:
        claim_population(run.folder, source.shape_model)
    if stage in get_args(Part):
        source.make_part(stage)
    elif stage == "autoencoder":
        return learn_autoencoder(run, source.folders("shapes"))
    elif stage == "locator":
        return learn_locator(run, source.folders("locator"))
    elif stage == "pix2pix":
        return learn_pix2pix(run, source.folders("pix2pix"))
    elif stage == "predictor":
        return learn_predictor(run, source.folders("tl"))
    elif stage == "finetune":
        return learn_finetune(run, source.folders("tl"), run_generator(run))
    elif stage == "basis":
        if run.start is not None and run.start.shape is not None:
            bases = (run.start.shape.radius, run.start.shape.ulna)
            write_basis_folder(run.folder / BASIS, bases, _basis_facts(run, f"that of {run.start.name}"))
        else:
            write_basis(run, arguments.patients, source.shape_model)
    elif stage == "shape":
        if arguments.films == 0:
            return learn_shape(run, source.folders("bones"))
        # Without a translator of its own it reads through the packaged one.
        generator = run_generator(run if run.is_done("pix2pix") else replace(run, start=load_bundle()))
        return learn_shape(run, source.folders("bones"), source.folders("films"), generator, from_readings=True)
    elif stage == "steps":
        return learn_steps(replace(run, start=load_bundle()), source.folders("bones"), source.folders("films"))
    elif stage == "film_descent":
        return learn_film_steps(replace(run, start=load_bundle()), source.folders("bones"), source.folders("films"))
    elif stage == "tuning":
        folders = [source.folders(kind) for kind in ("tuning", "bones", "films")]
        return learn_tuning(replace(run, start=load_bundle()), *folders)
    elif stage == "bundle":
        write_bundle(replace(run, start=load_bundle()), source, arguments.name, Path(arguments.out))
    elif stage == "outlines":
        bundle = load_bundle()
        run = replace(run, start=bundle)
        bundle = replace(bundle, name=arguments.name, outlines=outlines_of_run(run, source, bundle))
        bundle = replace(bundle, metadata={**bundle.metadata, **error_facts(run, source, bundle)})
        write(bundle, run, Path(arguments.out))
    return {}


def write_basis(run: LearningRun, count: int, model: ShapeModel) -> None:
    """Shape bases of radius and ulna from ``count`` wrists of ``model``, of the training seeds."""
    wrists = []
    with progress.bar(count, "virtual wrists") as bar:
        for seed in range(BASIS_SEEDS, BASIS_SEEDS + count):
            wrists.append(sample_wrist(model, np.random.default_rng(seed)))
            bar.done()
    points = [np.stack([getattr(wrist, bone).vertices for wrist in wrists]) for bone in BONES]
    bases = fit_bases(points[0], points[1], basis_choice(run).modes)
    write_basis_folder(run.folder / BASIS, bases, _basis_facts(run, f"{count} virtual wrists"))


def _basis_facts(run: LearningRun, origin: str) -> dict[str, object]:
    choice = basis_choice(run)
    return {"choice": {"modes": choice.modes, "origin": choice.origin}, "origin": origin}


def write_bundle(run: LearningRun, source: VirtualSource, name: str, out: Path) -> None:
    """Put the stages' weights into one folder, with what is known of their training and of the codes of P and S.

    A network that was not trained in the work folder is that of the packaged model, with what its metadata says.
    Raises InputError where that would be S, and subjects were left out, whom the packaged S has seen.
    """
    left_out = source.shape_model.without
    if left_out and not run.is_done("descent"):
        raise InputError(
            f"{run.folder}: no S was trained here (stage shape), and the packaged one has seen {', '.join(left_out)}"
        )
    bundle = model_of_run(run, source, name)
    bundle = replace(bundle, metadata={**bundle.metadata, **population_metadata(source.shape_model)})
    write(bundle, run, out)


def write(bundle: ModelBundle, run: LearningRun, out: Path) -> None:
    """A model and its graphs, with the stages of ``run`` in its metadata."""
    known = bundle.metadata.get("training", [])
    training = [*known, *(stage for stage in read_stages(run.folder) if stage not in known)]
    digest = save_bundle(replace(bundle, metadata={**bundle.metadata, "training": training}), out)
    add_graphs(out)
    size = (out / "weights.safetensors").stat().st_size / 2**20
    print(f"{out}: {bundle.name}, weights sha256 {digest[:12]}, {size:.1f} MiB")


def population_metadata(model: ShapeModel) -> dict[str, object]:
    """ "population_without": subjects or sources that the population of S was built without."""
    return {"population": model.digest(), "population_without": list(model.without)}


def read_stages(work: Path) -> list[dict[str, object]]:
    path = work / "stages.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def main() -> None:
    stages = (*get_args(Part), *get_args(StageName), "basis", "steps", "bundle", "outlines")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=stages)
    parser.add_argument("--work", default="runs/default", help="folder for samples, checkpoints and learning curves")
    parser.add_argument("--minutes", type=float, help="end the stage by the clock, its learning rate annealed to that")
    parser.add_argument("--name", default="virtual-1", help="model id written by the bundle stage")
    parser.add_argument("--out", default=str(DEFAULT_MODEL), help="folder written by the bundle stage")
    parser.add_argument("--patients", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument(
        "--films", type=int, default=4, help="of each patient of samples and films; shape: 0 for bare bones alone"
    )
    parser.add_argument("--drrs", type=int, default=8, help="of each patient of bones")
    parser.add_argument("--images", type=int, help="whole images of each patient of samples (2) or validation (4)")
    parser.add_argument("--first-seed", type=int, help="of the patients of samples, bones or films")
    parser.add_argument("--from-packaged", action="store_true", help="start from the weights of the packaged model")
    parser.add_argument("--rate", type=float, default=3e-4, help="shape: learning rate from a trained S on")
    parser.add_argument("--updates", type=int, help="end the training of the stage after so many updates")
    parser.add_argument("--shape-model", type=Path, metavar="FILE", help="population (default: the packaged)")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    started = time.time()
    try:
        with progress.shown_by(Console().progress):
            metrics = run_stage(arguments)
    except InputError as error:
        parser.error(str(error))
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    record = {
        "stage": arguments.stage,
        "arguments": {
            key: value for key, value in vars(arguments).items() if key not in ("work", "out", "shape_model")
        },
        "population": population_facts(load_shape_model(arguments.shape_model)),
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
