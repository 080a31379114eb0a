"""The networks of one fold, trained on the images of the run folder by the learning line that ``bonelift train`` takes.
Each call goes on where it was stopped."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from bonelift.errors import InputError
from bonelift.experiments.folds import ALL_PAIRS, Folds, Split
from bonelift.experiments.images import CaseImages, load_case_images
from bonelift.experiments.presets import StudyPreset
from bonelift.experiments.run.case_records import failure_of
from bonelift.experiments.run.cost import peak_mib
from bonelift.experiments.run.folder import RunPaths, write_json, writing
from bonelift.learning.line import (
    LearningRun,
    Metrics,
    SampleFolders,
    learn_autoencoder,
    learn_finetune,
    learn_pix2pix,
    learn_predictor,
    learn_shape,
    run_generator,
)
from bonelift.learning.model_folder import trained_bundle
from bonelift.learning.samples import (
    DrrSamples,
    FilmSamples,
    ShapeSamples,
    SurfaceSamples,
    chunk_folders,
    save_chunk,
)
from bonelift.networks.bundle import ModelBundle
from bonelift.networks.pix2pix import Generator
from bonelift.study.folder import StudyCase

Network = Literal["tl", "pix2pix", "shape"]
DONE_FILE = "done.json"


@dataclass(frozen=True)
class TrainingTask:
    """group: a fold's name, or ALL_PAIRS (pix2pix alone)."""

    group: str
    network: Network


def training_tasks(folds: Folds, names: Sequence[str]) -> tuple[list[TrainingTask], list[TrainingTask]]:
    """What has to be trained for the folds ``names``, in two rounds, the second after the first, because S reads what
    pix2pix makes; the pix2pix of all pairs goes with any of them."""
    first = [TrainingTask(ALL_PAIRS, "pix2pix")]
    for name in names:
        folds.fold(name)
        first += [TrainingTask(name, "pix2pix"), TrainingTask(name, "tl")]
    return first, [TrainingTask(name, "shape") for name in names]


def task_split(folds: Folds, task: TrainingTask) -> Split:
    """Patients that a task learns from; S has those of the TL net."""
    if task.group == ALL_PAIRS:
        return folds.all_pairs
    fold = folds.fold(task.group)
    return fold.pix2pix if task.network == "pix2pix" else fold.tl


def learning_run(paths: RunPaths, group: str, preset: StudyPreset, seed: int) -> LearningRun:
    """Of a fold, or of all pairs."""
    return LearningRun(paths.network(group), preset.networks, seed)


def train_network(
    paths: RunPaths,
    cases: Sequence[StudyCase],
    folds: Folds,
    preset: StudyPreset,
    task: TrainingTask,
    seed: int,
) -> Metrics:
    """Train one network of one group, or go on; returns the scalars of its last validation."""
    home = paths.network(task.group)
    done = home / f"{task.network}-{DONE_FILE}"
    split = task_split(folds, task)
    samples = SampleFolders(*(home / "samples" / task.network / part for part in ("training", "validation")))
    if done.is_file():
        _forget_samples(home, task)  # a kill may have fallen between both
        return {}
    with writing(home):
        for folder, patients in ((samples.training, split.training), (samples.validation, split.validation)):
            chosen = set(patients)
            films = {patient for patient in chosen if patient in folds.pairs}
            write_samples(paths, [case for case in cases if case.patient in chosen], folder, task.network, films)
    run, started = learning_run(paths, task.group, preset, seed), time.process_time()
    if task.network == "pix2pix":
        metrics = learn_pix2pix(run, samples)
    elif task.network == "tl":
        learn_autoencoder(run, samples)
        learn_predictor(run, samples)
        metrics = learn_finetune(run, samples)
    else:
        has_films = bool(chunk_folders(samples.training, FilmSamples))
        films, generator = (samples, run_generator(run)) if has_films else (None, None)
        metrics = learn_shape(run, samples, films, generator)
    seconds = round(time.process_time() - started, 2)
    write_json(done, {**metrics, "peak_mib": peak_mib(), "seconds": seconds})
    _forget_samples(home, task)
    return metrics


def _forget_samples(home: Path, task: TrainingTask) -> None:
    """What a network that is done has learned from: the images are in the run folder once."""
    shutil.rmtree(home / "samples" / task.network, ignore_errors=True)


def write_samples(
    paths: RunPaths, cases: Sequence[StudyCase], folder: Path, network: Network, pairs: set[str] | None = None
) -> None:
    """Make ``folder`` hold what ``network`` reads of ``cases``, a chunk a case. Cases that failed are left out.

    tl: labels and CT-DRRs. pix2pix: films and their registration-DRRs. shape: corresponding points and CT-DRRs, and the
    films of patients in ``pairs``. Raises InputError where nothing is left.
    """
    shutil.rmtree(folder, ignore_errors=True)
    index = 0
    for case in cases:
        if failure_of(paths.images(case.case)):
            continue
        images = load_case_images(paths.images(case.case))
        films = _registered_films(images, index)
        if network == "pix2pix":
            if films is None:
                continue
            save_chunk(folder, index, films)
        elif network == "tl":
            count = len(images.drr)
            unseen = np.zeros((count, 1, 1), np.float16)  # P never sees the film.
            save_chunk(folder, index, ShapeSamples(images.occupancy[None]))
            rows = np.full(count, index, np.int32)
            save_chunk(folder, index, FilmSamples(unseen, images.drr, rows, images.drr_view))
        else:
            save_chunk(folder, index, SurfaceSamples(images.radius_points[None], images.ulna_points[None]))
            if films is not None and case.patient in (pairs or ()):
                save_chunk(folder, index, films)
            rows = np.full(len(images.drr), index, np.int32)
            save_chunk(folder, index, DrrSamples(images.drr, rows, images.drr_view, images.drr_projection))
        index += 1
    if index == 0:
        reasons = {failure_of(paths.images(case.case)) for case in cases} - {""}
        why = f"; the first reason: {min(reasons)}" if reasons else ""
        raise InputError(f"{paths.run}: no usable case to train {network} on{why}")


def _registered_films(images: CaseImages, row: int) -> FilmSamples | None:
    """The films of a case whose registration-DRR is known; None where there are none."""
    kept = images.film_registered
    if not kept.any():
        return None
    patient = np.full(int(kept.sum()), row, np.int32)
    return FilmSamples(
        images.film[kept], images.film_drr[kept], patient, images.film_view[kept], images.film_projection[kept]
    )


def load_fold_model(paths: RunPaths, fold: str, preset: StudyPreset, seed: int) -> ModelBundle:
    """The networks of a fold as one model, on the CPU: what reconstructs by the functions of the main job."""
    return trained_bundle(learning_run(paths, fold, preset, seed))


def load_translator(paths: RunPaths, group: str, preset: StudyPreset, seed: int) -> Generator:
    """pix2pix's generator of a fold or of all pairs, ready to use on the CPU."""
    return run_generator(learning_run(paths, group, preset, seed)).to("cpu")
