"""The run folder of an evaluation of eight toy patients, two balls each: its images and folds, nothing trained yet.

Small enough that every network of a fold trains in seconds, and every array of a patient can be spoilt on purpose.
"""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import torch
import trimesh

from bonelift.experiments.folds import Folds, draw_folds
from bonelift.experiments.images import CaseImages
from bonelift.experiments.presets import StudyPreset, load_study_preset
from bonelift.experiments.run.case_records import CaseRecord, write_record
from bonelift.experiments.run.folder import RunPaths
from bonelift.experiments.scores import CaseRow, read_scores, score_case
from bonelift.experiments.training import train_network, training_tasks
from bonelift.learning.loop import LoopConfig
from bonelift.learning.samples import ShapeSamples
from bonelift.study.folder import StudyCase
from builders.bare_study import cohort
from builders.toy_cohort import AUTOENCODER, GRID, PIX2PIX, PIX2PIX_TRAINING, PREDICTOR, TL, toy_films
from builders.toy_line import toy_surfaces

STUDY = cohort(patients=8, films=6, registered=6, twice=1)
FOLDS: Folds = draw_folds(STUDY, 2, seed=3)
SEED = 4
BAND_MM = 8.0
TESTED_ARRAYS = ("radius_vertices", "radius_faces", "ulna_vertices", "ulna_faces")
"""The truth that a test patient is scored against."""


def toy_preset() -> StudyPreset:
    """The smoke preset on the toy grid; the autoencoder trains until its fields have a surface."""
    smoke = load_study_preset("smoke")
    short = LoopConfig(6, 3e-3, log_every=2, validate_every=3)
    networks = replace(
        smoke.networks,
        grid=GRID,
        tl=TL,
        pix2pix=PIX2PIX,
        autoencoder_training=replace(AUTOENCODER, loop=LoopConfig(120, 1e-2, "cosine", validate_every=60)),
        predictor_training=replace(PREDICTOR, loop=replace(short, updates=40)),
        finetune_training=replace(PREDICTOR, loop=short),
        pix2pix_training=replace(PIX2PIX_TRAINING, loop=short),
    )
    return replace(smoke, networks=networks, ct_drrs=2, test_drrs=1, films_per_pair=2)


def write_toy_images(run: Path) -> None:
    """What `evaluate` makes of every case before anything is trained."""
    torch.set_num_threads(1)
    for index, case in enumerate(STUDY.cases):
        folder = RunPaths(run).images(case.case)
        folder.mkdir(parents=True)
        images = _images(case, np.random.default_rng([7, index]))
        for field in fields(CaseImages):
            np.save(folder / f"{field.name}.npy", getattr(images, field.name))
        write_record(folder, CaseRecord(case.case, case.patient, case.side, {}, {}, [], None))


def _images(case: StudyCase, rng: np.random.Generator) -> CaseImages:
    centres, radii = np.array([[-3.0, 0, rng.uniform(-2, 2)], [4.0, 0, rng.uniform(-2, 2)]]), rng.uniform(2.2, 3.8, 2)
    voxels = GRID.centres_mm()
    to_surface = np.stack([np.linalg.norm(voxels - c, axis=-1) - r for c, r in zip(centres, radii, strict=True)])
    laid = np.stack([np.linalg.norm(voxels, axis=-1) - r for r in radii])
    laid_from_right = np.tile(np.eye(4), (2, 1, 1))
    laid_from_right[:, :3, 3] = -centres
    occupancy = np.round(255 * np.clip(0.5 - to_surface, 0, 1)).astype(np.uint8)
    drr = toy_films(ShapeSamples(occupancy[None])).drr
    cuts = 2 if case.radiographs else 0
    film_drr = np.repeat(drr, cuts, axis=0).reshape(cuts, *drr.shape[1:])
    film = (0.2 + 0.8 * np.sqrt(film_drr) + rng.uniform(0, 0.05, film_drr.shape)).astype(np.float16)
    balls = [trimesh.creation.icosphere(2, r).apply_translation(c) for r, c in zip(radii, centres, strict=True)]
    surfaces = [part for ball in balls for part in (ball.vertices.astype(np.float32), ball.faces.astype(np.int32))]
    toy_points = toy_surfaces(1, int(rng.integers(1000)))
    return CaseImages(
        occupancy,
        np.clip(laid, -BAND_MM, BAND_MM).astype(np.float16),
        laid_from_right,
        (np.repeat(drr, 2, axis=0) + rng.uniform(0, 0.002, (2, *drr.shape[1:]))).astype(np.float16),
        np.zeros(2, np.uint8),
        np.full((2, 3, 4), np.nan, np.float32),
        film,
        film_drr.astype(np.float16),
        np.zeros(cuts, np.uint8),
        np.full((cuts, 3, 4), np.nan, np.float32),
        np.zeros(cuts, np.int32),
        np.ones(cuts, np.bool_),
        *surfaces,
        *(points[0] for points in (toy_points.radius, toy_points.ulna)),
    )


def spoil(run: Path, patients: set[str]) -> None:
    """Put something else of the same kind into every array of these patients: another film, another bone elsewhere."""
    rng = np.random.default_rng(99)
    for path in _arrays_of(run, patients):
        array = np.load(path)
        if path.stem.endswith(("vertices", "points")):
            other = 0.8 * array + 1.5
        elif array.dtype == np.uint8 and array.ndim > 1:
            other = np.rot90(array, axes=(1, 2)) // 2
        elif array.shape[1:] == (4, 4):
            other = array + 1.5 * np.array([[0, 0, 0, 1]] * 3 + [[0, 0, 0, 0]])
        elif np.issubdtype(array.dtype, np.floating):
            other = np.roll(array, 3, axis=-1) + rng.uniform(0, 0.1, array.shape)
        else:
            continue  # faces, views, numbers: facts without which the rest is no longer of its kind
        np.save(path, other.astype(array.dtype))


def put_back_what_is_tested(whole: Path, run: Path, patients: set[str]) -> None:
    """The pictures that these patients are scored from and the surfaces they are scored against, as in ``whole``; all
    else that was spoilt stays so: label grids, registration-DRRs, other CT-DRRs and films, the bone as it was laid."""
    for path in _arrays_of(run, patients):
        held = np.load(whole / path.relative_to(run))
        if path.stem in TESTED_ARRAYS:
            np.save(path, held)
        elif path.stem in ("drr", "film") and len(held):
            other = np.load(path)
            other[0] = held[0]
            np.save(path, other)


def _arrays_of(run: Path, patients: set[str]) -> list[Path]:
    folders = [RunPaths(run).images(case.case) for case in STUDY.cases if case.patient in patients]
    return [path for folder in folders for path in sorted(folder.glob("*.npy"))]


def train_group(run: Path, fold: str) -> None:
    """All networks that score the patients of ``fold``: its own and the pix2pix of all pairs."""
    for tasks in training_tasks(FOLDS, [fold]):
        for task in tasks:
            train_network(RunPaths(run), STUDY.cases, FOLDS, toy_preset(), task, SEED)


def score_fold(run: Path, fold: str) -> list[CaseRow]:
    """Rows of the fold's test patients."""
    rows = []
    for case in STUDY.cases:
        if case.patient in FOLDS.fold(fold).test:
            score_case(RunPaths(run), case, STUDY.cases, FOLDS, toy_preset(), SEED)
            rows += read_scores(RunPaths(run).scores(case.case))[0]
    return rows
