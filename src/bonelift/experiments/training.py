"""The networks of one fold, trained on the images of the run folder. Each call goes on where it was stopped."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from bonelift.errors import InputError
from bonelift.experiments.folds import ALL_PAIRS, Folds, Split
from bonelift.experiments.images import load_case_images
from bonelift.experiments.presets import StudyPreset
from bonelift.experiments.run.case_records import failure_of
from bonelift.experiments.run.cost import peak_mib
from bonelift.experiments.run.folder import RunPaths, write_json, writing
from bonelift.learning.checkpoint import load_networks
from bonelift.learning.pix2pix import build_pix2pix, train_pix2pix
from bonelift.learning.samples import FilmSamples, ShapeSamples, save_chunk
from bonelift.learning.tl import TlNetworks, build_tl, load_tl, train_autoencoder, train_finetune, train_predictor
from bonelift.networks.pix2pix import Generator
from bonelift.study.folder import StudyCase

Network = Literal["tl", "pix2pix"]
DONE_FILE = "done.json"


@dataclass(frozen=True)
class TrainingTask:
    """group: a fold's name, or ALL_PAIRS (pix2pix alone)."""

    group: str
    network: Network


def training_tasks(folds: Folds, names: Sequence[str]) -> list[TrainingTask]:
    """What has to be trained for the folds ``names``; the pix2pix of all pairs goes with any of them."""
    tasks = [TrainingTask(ALL_PAIRS, "pix2pix")]
    for name in names:
        folds.fold(name)
        tasks += [TrainingTask(name, "pix2pix"), TrainingTask(name, "tl")]
    return tasks


def task_split(folds: Folds, task: TrainingTask) -> Split:
    if task.group == ALL_PAIRS:
        return folds.all_pairs
    return getattr(folds.fold(task.group), task.network)


def train_network(
    paths: RunPaths,
    cases: Sequence[StudyCase],
    folds: Folds,
    preset: StudyPreset,
    task: TrainingTask,
    seed: int,
) -> dict[str, float]:
    """Train one network of one group, or go on; returns the scalars of its last validation."""
    home = paths.network(task.group)
    done = home / f"{task.network}-{DONE_FILE}"
    split = task_split(folds, task)
    samples, validation = (home / "samples" / task.network / part for part in ("training", "validation"))
    if done.is_file():
        return {}
    with writing(home):
        for folder, patients in ((samples, split.training), (validation, split.validation)):
            write_samples(paths, [case for case in cases if case.patient in set(patients)], folder, task.network)
    networks = preset.networks
    if task.network == "pix2pix":
        translators = build_pix2pix(networks.pix2pix, seed, networks.pix2pix_training.device)
        metrics = train_pix2pix(samples, validation, translators, networks.pix2pix_training, home / "pix2pix")
    else:
        tl = build_tl(networks.tl, seed, networks.autoencoder_training.device)
        train_autoencoder(samples, validation, tl, networks.autoencoder_training, home / "autoencoder")
        train_predictor(samples, validation, tl, networks.predictor_training, home / "predictor")
        metrics = train_finetune(samples, validation, tl, networks.finetune_training, home / "finetune")
    write_json(done, {**metrics, "peak_mib": peak_mib()})
    shutil.rmtree(home / "samples" / task.network, ignore_errors=True)
    return metrics


def write_samples(paths: RunPaths, cases: Sequence[StudyCase], folder: Path, network: Network) -> None:
    """Make ``folder`` hold what ``network`` reads of ``cases``, a chunk a case: labels and CT-DRRs, or films and their
    registration-DRRs. Cases that failed are left out. Raises InputError where nothing is left.
    """
    shutil.rmtree(folder, ignore_errors=True)
    index = 0
    for case in cases:
        if failure_of(paths.images(case.case)):
            continue
        images = load_case_images(paths.images(case.case))
        kept = images.film_registered
        if network == "tl":
            count = len(images.drr)
            unseen = np.zeros((count, 1, 1), np.float16)  # P never sees the film.
            films = FilmSamples(unseen, images.drr, np.full(count, index, np.int32), images.drr_view)
            save_chunk(folder, index, ShapeSamples(images.occupancy[None]))
        elif kept.any():
            patient = np.full(int(kept.sum()), index, np.int32)
            films = FilmSamples(images.film[kept], images.film_drr[kept], patient, images.film_view[kept])
        else:
            continue
        save_chunk(folder, index, films)
        index += 1
    if index == 0:
        reasons = {failure_of(paths.images(case.case)) for case in cases} - {""}
        why = f"; the first reason: {min(reasons)}" if reasons else ""
        raise InputError(f"{paths.run}: no usable case to train {network} on{why}")


def load_tl_networks(paths: RunPaths, group: str, preset: StudyPreset, seed: int) -> TlNetworks:
    """E, D and P of a fold, ready to use on the CPU."""
    networks = build_tl(preset.networks.tl, seed)
    home = paths.network(group)
    load_tl(networks, home / "autoencoder", home / "finetune", home / "finetune")
    return networks


def load_translator(paths: RunPaths, group: str, preset: StudyPreset, seed: int) -> Generator:
    """pix2pix's generator of a fold or of all pairs, ready to use on the CPU."""
    generator = build_pix2pix(preset.networks.pix2pix, seed).generator
    load_networks(paths.network(group) / "pix2pix", {"generator": generator})
    return generator.eval()
