"""Measure registration on a virtual study: a CSV row for each trial, patient by patient; goes on where it stopped.

    bonelift simulate --patients 32 --seed 4207 --views pa lateral --out study
    python scripts/measure_registration.py study --csv docs/results/registration.csv

Each patient is registered from random starts within 10 degrees, 10 mm in the plane and 30 mm in depth (PA, lateral,
both views; both bones as one, radius, ulna), from starts further and further away (capture range), without masks, with
every similarity, and with the mirrored bone.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from bonelift.images import View
from bonelift.registration.ct_bone import Part
from bonelift.registration.films import FilmSettings
from bonelift.registration.similarity import Similarity
from bonelift.registration.verdict import record_of
from bonelift.study.folder import read_study
from bonelift.study.registration_trials import Mirror, TrialPatient, draw_start, read_trial_patient, run_trial

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
    group: str
    part: Part
    views: tuple[View, ...]
    reach: tuple[float, float, float] = NEAR
    similarity: Similarity = "local_gradient_correlation"
    masks: bool = True
    mirror: Mirror = "none"
    farthest: bool = False


TRIALS = {
    "near": [
        Trial("near", "both", ("pa",)),
        Trial("near", "radius", ("pa",)),
        Trial("near", "ulna", ("pa",)),
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


def run_patient(patient: TrialPatient, trials: list[Trial], seed: int) -> list[dict[str, object]]:
    rows = []
    for trial in trials:
        # Trials that differ in the similarity, the mask or the mirror alone start from the same pose.
        key = [seed, *patient.case.encode(), len(trial.views), int(trial.reach[0]), len(trial.part)]
        offset = draw_start(np.random.default_rng(key), *trial.reach, trial.farthest)
        settings = FilmSettings()
        settings = replace(settings, pose=replace(settings.pose, similarity=trial.similarity))
        found, errors, wall_s, cpu_s = run_trial(
            patient, trial.part, trial.views, offset, settings, trial.masks, trial.mirror, seed=seed
        )
        row: dict[str, object] = {
            "case": patient.case, "group": trial.group, "bones": trial.part, "views": "+".join(trial.views),
            "similarity_kind": trial.similarity,
            "masks": int(trial.masks), "mirror": trial.mirror, "reach_deg": trial.reach[0],
            "start_deg": np.rad2deg(np.linalg.norm(offset[:3])), "start_mm": np.linalg.norm(offset[3:5]),
            "start_depth_mm": abs(offset[5]), "angle_deg": errors.angle_deg, "in_plane_mm": errors.in_plane_mm,
            "depth_mm": errors.depth_mm, "target_mm": errors.target_mm, "good": int(errors.good),
            "wall_s": wall_s, "cpu_s": cpu_s,
        } | record_of(found)  # fmt: skip
        rows.append({key: f"{value:.4f}" if isinstance(value, float) else value for key, value in row.items()})
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("--csv", type=Path, required=True, help="rows are added to it; patients in it are left out")
    parser.add_argument("--patients", type=int, default=10_000)
    parser.add_argument("--groups", nargs="+", choices=list(TRIALS), default=list(TRIALS))
    parser.add_argument("--seed", type=int, default=1, help="of starts and masks")
    arguments = parser.parse_args()
    known: set[tuple[str, str]] = set()
    if arguments.csv.exists():
        with arguments.csv.open() as file:
            known = {(row["case"], row["group"]) for row in csv.DictReader(file)}
    cases = read_study(arguments.study).cases[: arguments.patients]
    for case in tqdm(cases, desc="patients"):
        trials = [t for group in arguments.groups for t in TRIALS[group] if (case.case, group) not in known]
        if not trials:
            continue
        rows = run_patient(read_trial_patient(arguments.study, case, arguments.seed), trials, arguments.seed)
        new = not arguments.csv.exists()
        with arguments.csv.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            if new:
                writer.writeheader()
            writer.writerows(rows)
            file.flush()
            os.fsync(file.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
