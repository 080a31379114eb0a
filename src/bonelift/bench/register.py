"""``bonelift bench register``: registration put to the test on a virtual study, a row for each trial.

Each patient is registered from random starts within 10 degrees, 10 mm in the plane and 30 mm in depth (PA, lateral,
both views; both bones as one, radius, ulna), from starts further and further away (capture range), without masks, with
every similarity, and with the mirrored bone. With ``--peers``, nanodrr's registration stands beside it from the same
starts (:mod:`bonelift.bench.register_peers`).
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonelift.bench.register_trials import (
    Mirror,
    TrialPatient,
    draw_start,
    read_trial_patient,
    run_beside_radius,
    run_trial,
)
from bonelift.images import View
from bonelift.registration.ct_bone import Part
from bonelift.registration.films import FilmSettings
from bonelift.registration.similarity import Similarity
from bonelift.registration.verdict import record_of
from bonelift.storage.output_folder import claim_folder
from bonelift.study.folder import read_study

TABLE_FILE = "registration.csv"
SETTINGS_FILE = "bench-register.json"
NEAR = (10.0, 10.0, 30.0)
"""Degrees, mm in the plane, mm in depth."""
CAPTURE = tuple((far, far, min(3 * far, 100.0)) for far in (20.0, 30.0, 45.0, 60.0, 90.0))
SIMILARITIES: tuple[Similarity, ...] = (
    "gradient_correlation",
    "multiscale_gradient_correlation",
    "patch_gradient_correlation",
    "intensity_correlation",
)


@dataclass(frozen=True)
class Trial:
    """One registration of each patient. reach: how far off it starts (degrees, mm in the plane, mm in depth): at random
    up to there, or (farthest) there. beside_radius: the radius is registered first, and the part, the ulna, beside it;
    the forearm was turned otherwise in the CT."""

    group: str
    part: Part
    views: tuple[View, ...]
    reach: tuple[float, float, float] = NEAR
    similarity: Similarity = "local_gradient_correlation"
    masks: bool = True
    mirror: Mirror = "none"
    farthest: bool = False
    beside_radius: bool = False


TRIALS: dict[str, list[Trial]] = {
    "near": [
        Trial("near", "both", ("pa",)),
        Trial("near", "radius", ("pa",)),
        Trial("near", "ulna", ("pa",)),
        Trial("near", "ulna", ("pa",), beside_radius=True),
        Trial("near", "both", ("lateral",)),
        Trial("near", "radius", ("pa", "lateral")),
        Trial("near", "both", ("pa", "lateral")),
    ],
    "capture": [Trial("capture", "both", ("pa",), reach, farthest=True) for reach in CAPTURE],
    "similarity": [Trial("similarity", "radius", ("pa",), similarity=kind) for kind in SIMILARITIES],
    "no mask": [Trial("no mask", "both", ("pa",), masks=False), Trial("no mask", "radius", ("pa",), masks=False)],
    "mirror": [
        Trial("mirror", "radius", ("pa",), mirror="side"),
        Trial("mirror", "radius", ("pa",), mirror="depth"),
        Trial("mirror", "radius", ("pa", "lateral"), mirror="depth"),
    ],
}


def columns_of(trial: Trial) -> dict[str, str | int]:
    """What the table says of a trial, and tells it from the others by."""
    bones = f"{trial.part} beside radius" if trial.beside_radius else trial.part
    return {
        "group": trial.group, "bones": bones, "views": "+".join(trial.views), "similarity_kind": trial.similarity,
        "masks": int(trial.masks), "mirror": trial.mirror, "reach_deg": int(trial.reach[0]),
    }  # fmt: skip


_OF_TRIAL = tuple(columns_of(TRIALS["near"][0]))


def drawn_start(case: str, trial: Trial, seed: int) -> NDArray[np.float64]:
    """(6,) where a trial starts, as chart parameters about the truth."""
    # Trials that differ in the similarity, the mask or the mirror alone start from the same pose.
    key = [seed, *case.encode(), len(trial.views), int(trial.reach[0]), len(trial.part)]
    return draw_start(np.random.default_rng(key), *trial.reach, trial.farthest)


def number_cells(row: dict[str, Any]) -> dict[str, Any]:
    """The row with its floats as text of four decimals."""
    return {key: f"{value:.4f}" if isinstance(value, float) else value for key, value in row.items()}


def run_patient(patient: TrialPatient, trials: list[Trial], seed: int) -> list[dict[str, Any]]:
    """A row of plain columns for each trial."""
    rows = []
    for trial in trials:
        offset = drawn_start(patient.case, trial, seed)
        settings = FilmSettings()
        settings = replace(settings, pose=replace(settings.pose, similarity=trial.similarity))
        if trial.beside_radius:
            rng = np.random.default_rng([seed, *patient.case.encode(), 7])
            found, errors, wall_s, cpu_s = run_beside_radius(patient, trial.views, offset, rng, seed)
        else:
            found, errors, wall_s, cpu_s = run_trial(
                patient, trial.part, trial.views, offset, settings, trial.masks, trial.mirror, seed=seed
            )
        row: dict[str, Any] = {
            "case": patient.case, **columns_of(trial),
            "start_deg": np.rad2deg(np.linalg.norm(offset[:3])), "start_mm": np.linalg.norm(offset[3:5]),
            "start_depth_mm": abs(offset[5]), "angle_deg": errors.angle_deg, "in_plane_mm": errors.in_plane_mm,
            "depth_mm": errors.depth_mm, "target_mm": errors.target_mm, "good": int(errors.good),
            "wall_s": wall_s, "cpu_s": cpu_s,
        } | record_of(found)  # fmt: skip
        rows.append(number_cells(row))
    return rows


def run_register_bench(
    study_folder: Path,
    out: Path,
    groups: Sequence[str],
    patients: int | None = None,
    seed: int = 1,
    on_patient: Callable[[str], None] = lambda _: None,
) -> list[dict[str, str]]:
    """Run the trials that ``out`` does not hold yet, patient by patient; returns all rows of its table.

    seed: of starts and drawn masks. Raises InputError for a study that cannot be read, or an ``out`` of another study.
    """
    study = read_study(study_folder)
    claim_folder(out, SETTINGS_FILE, {"study": study.origin, "seed": seed}, "a bench of registration")
    table = out / TABLE_FILE
    known = {(row["case"], *(row[column] for column in _OF_TRIAL)) for row in read_rows(table)}
    for case in study.cases[:patients]:
        asked = [trial for group in groups for trial in TRIALS[group]]
        trials = [trial for trial in asked if (case.case, *map(str, columns_of(trial).values())) not in known]
        if trials:
            append_rows(table, run_patient(read_trial_patient(study_folder, case, seed), trials, seed))
        on_patient(case.case)
    return read_rows(table)


def read_rows(table: Path) -> list[dict[str, str]]:
    """The rows of a table; none where there is none."""
    if not table.is_file():
        return []
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def append_rows(table: Path, rows: list[dict[str, Any]]) -> None:
    """Add a patient's rows, so that an interrupted bench goes on after them."""
    new = not table.exists()
    with table.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows(rows)
        file.flush()
        os.fsync(file.fileno())
