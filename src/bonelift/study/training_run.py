"""``bonelift train``: the networks of one run folder, trained on the cases of a study folder.

The run folder holds ``split.json`` (which patients validate), ``samples`` (what the networks read), one folder for
each stage with its checkpoint and learning curve, and ``model``, which ``bonelift reconstruct --model``
takes, as soon as every network is there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import numpy as np

from bonelift.drr.normalised_case import NormalisedCase, PosedRadiograph, case_occupancy
from bonelift.errors import InputError
from bonelift.images import View
from bonelift.learning.locator import build_locator, train_locator
from bonelift.learning.pix2pix import build_pix2pix, train_pix2pix
from bonelift.learning.presets import Preset
from bonelift.learning.samples import (
    FilmSamples,
    LocatorSamples,
    ShapeSamples,
    chunk_folders,
    save_chunk,
)
from bonelift.learning.study_samples import ct_drr_samples, film_sample, locator_samples
from bonelift.learning.tl import build_tl, train_autoencoder, train_finetune, train_predictor
from bonelift.learning.trained_bundle import with_trained
from bonelift.learning.virtual_samples import FilmSample, LocatorSample
from bonelift.networks.bundle import new_bundle, save_bundle
from bonelift.networks.onnx_export import add_graphs, can_export
from bonelift.networks.views import view_codes
from bonelift.storage.json_values import as_json_gives_it
from bonelift.storage.whole import write_whole
from bonelift.study.folder import Study, StudyCase, read_study
from bonelift.study.normalised_cases import read_study_case

Target = Literal["pix2pix", "tl", "locator"]
OnCase = Callable[[str], None]

VALIDATION_SHARE = 0.15
CT_DRRS = 40
"""Random CT-DRRs of each case for the TL network, as in Shiode et al. 2021."""
FILMS_PER_RADIOGRAPH = 4
"""Films cut from each radiograph with different landmark errors."""
CUT_ERROR_MM, CUT_ERROR_DEG = 1.5, 2.5


def train_on_study(
    target: Target,
    study_folder: Path,
    preset: Preset,
    run: Path,
    *,
    seed: int = 0,
    on_case: OnCase = lambda _: None,
) -> dict[str, float]:
    """Make the samples that ``target`` needs, train it, and write ``run/model`` when all networks are there.

    Interrupted, the same call goes on. pix2pix and locator learn from the cases that have a radiograph with a known
    pose. Returns the last validation scalars of the last stage. Raises InputError for a study that holds too little, or
    a run folder of another study, preset or seed.
    """
    study = read_study(study_folder)
    training, validation = split_by_patient(study, run, preset.name, seed)
    for part, cases in (("training", training), ("validation", validation)):
        usable = [case for case in cases if target == "tl" or _has_pose(case)]
        if not usable:
            raise InputError(
                f"none of the {len(cases)} cases of {part} has a radiograph whose pose is known (pose_file in "
                f"study.json); {target} learns from those, of two patients at least: bonelift register finds poses"
            )
        make_samples(study_folder, usable, preset, run / "samples" / target / part, target, seed, on_case)
    metrics = _train(target, preset, run, seed)
    write_model_if_complete(run, preset, seed)
    return metrics


def split_by_patient(study: Study, run: Path, preset: str, seed: int) -> tuple[list[StudyCase], list[StudyCase]]:
    """Training and validation cases; a patient is wholly in one. Drawn once, then kept in ``run/split.json``.

    One patient at least with a radiograph of known pose validates, where two have one. Raises InputError for fewer than
    three patients, and for a run that was begun otherwise.
    """
    patients = sorted({case.patient for case in study.cases})
    if len(patients) < 3:
        raise InputError(f"the study has {len(patients)} patients; training needs at least 3 (one of them validates)")
    path = run / "split.json"
    begun = as_json_gives_it({"preset": preset, "seed": seed, "study": [asdict(case) for case in study.cases]})
    if not path.is_file():
        count = max(1, round(VALIDATION_SHARE * len(patients)))
        drawn = [str(patient) for patient in np.random.default_rng(seed).permutation(patients)]
        posed = {case.patient for case in study.cases if _has_pose(case)}
        if len(posed) > 1 and not posed.intersection(drawn[:count]):
            first = min(posed, key=drawn.index)
            drawn.remove(first)
            drawn.insert(0, first)
        run.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps({**begun, "validation": sorted(drawn[:count])}, indent=1) + "\n")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        changed = [name for name, value in begun.items() if content[name] != value]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be used ({error}); pass another --run") from error
    if changed:
        raise InputError(f"{run}: was begun with another {changed[0]} ({path.name}); pass another --run")
    held_out = set(content["validation"])
    return (
        [case for case in study.cases if case.patient not in held_out],
        [case for case in study.cases if case.patient in held_out],
    )


def make_samples(
    study_folder: Path,
    cases: Sequence[StudyCase],
    preset: Preset,
    folder: Path,
    target: Target,
    seed: int,
    on_case: OnCase,
) -> None:
    """One chunk for each case; chunks that exist are kept."""
    done = len(chunk_folders(folder, LocatorSamples) if target == "locator" else chunk_folders(folder, FilmSamples))
    for index, case in enumerate(cases):
        on_case(case.case)
        if index < done:
            continue
        rng = np.random.default_rng([seed, index])
        try:
            normalised, radiographs = read_study_case(study_folder, case)
        except InputError as error:
            raise InputError(f"case {case.case}: {error}") from error
        if target == "locator":
            _save_locator(folder, index, [s for posed in radiographs for s in locator_samples(normalised, posed, rng)])
            continue
        films = _films(normalised, radiographs, target, rng)
        save_chunk(folder, index, ShapeSamples(case_occupancy(normalised, preset.grid)[None]))
        _save_films(folder, index, films)


def _has_pose(case: StudyCase) -> bool:
    return any(entry.pose_file for entry in case.radiographs)


def _films(
    case: NormalisedCase, radiographs: Sequence[PosedRadiograph], target: Target, rng: np.random.Generator
) -> list[FilmSample]:
    """For pix2pix the true films with their DRRs; for the TL network random CT-DRRs in the views the study has."""
    if target == "pix2pix":
        repeated = [posed for posed in radiographs for _ in range(FILMS_PER_RADIOGRAPH)]
        return [film_sample(case, posed, rng, CUT_ERROR_MM, CUT_ERROR_DEG) for posed in repeated]
    views: list[View] = [posed.radiograph.view for posed in radiographs] or ["pa"]
    return ct_drr_samples(case, [views[number % len(views)] for number in range(CT_DRRS)], rng)


def _save_films(folder: Path, patient: int, films: Sequence[FilmSample]) -> None:
    samples = FilmSamples(
        np.stack([film.pixels for film in films]).astype(np.float16),
        np.stack([film.drr for film in films]).astype(np.float16),
        np.full(len(films), patient, dtype=np.int32),
        view_codes([film.view for film in films]),
    )
    save_chunk(folder, patient, samples)


def _save_locator(folder: Path, index: int, images: Sequence[LocatorSample]) -> None:
    samples = LocatorSamples(
        np.stack([sample.image for sample in images]).astype(np.float16),
        np.stack([sample.landmarks_px for sample in images]),
        np.array([sample.present for sample in images]),
    )
    save_chunk(folder, index, samples)


def _train(target: Target, preset: Preset, run: Path, seed: int) -> dict[str, float]:
    samples, validation = (run / "samples" / target / part for part in ("training", "validation"))
    if target == "locator":
        network = build_locator(preset.locator, seed, preset.locator_training.device)
        return train_locator(samples, validation, network, preset.locator_training, run / "locator")
    if target == "pix2pix":
        networks = build_pix2pix(preset.pix2pix, seed, preset.pix2pix_training.device)
        return train_pix2pix(samples, validation, networks, preset.pix2pix_training, run / "pix2pix")
    return _train_tl(preset, run, seed)


def _train_tl(preset: Preset, run: Path, seed: int) -> dict[str, float]:
    """The three steps of Shiode et al. 2021, on CT-DRRs."""
    samples, validation = (run / "samples" / "tl" / part for part in ("training", "validation"))
    networks = build_tl(preset.tl, seed, preset.autoencoder_training.device)
    train_autoencoder(samples, validation, networks, preset.autoencoder_training, run / "autoencoder")
    train_predictor(samples, validation, networks, preset.predictor_training, run / "predictor")
    return train_finetune(samples, validation, networks, preset.finetune_training, run / "finetune")


def write_model_if_complete(run: Path, preset: Preset, seed: int) -> bool:
    """Write ``run/model`` once the stages tl, pix2pix and locator have left their networks; True where it did.

    With its ONNX graphs, where what writes them is installed; without, the model needs torch.
    """
    stages = [run / name for name in ("autoencoder", "finetune", "pix2pix", "locator")]
    if not all(any(stage.glob("*.safetensors")) for stage in stages):
        return False
    empty = new_bundle(run.name, preset.grid, preset.tl, preset.pix2pix, preset.locator, {"preset": preset.name})
    save_bundle(with_trained(empty, run, preset, seed), run / "model")
    if can_export():
        add_graphs(run / "model")
    return True
