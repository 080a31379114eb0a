"""How the error that a reading expects of itself compares with its true error: docs/results/expected-error.md and .csv.

python scripts/measure_expected_error.py --patients 100

Bones of virtual patients that no network saw (seeds from 970000) through a virtual CT of unknown scale;
one PA CT-DRR each.
"""

from __future__ import annotations

import argparse
import csv
import platform
import subprocess
import time
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from bonelift.anatomy.shape_model import load_shape_model
from bonelift.experiments.holdout import no_skill_surfaces
from bonelift.experiments.surface_scores import score_surface
from bonelift.images import LAPTOP_GRID
from bonelift.images.volume import BONES
from bonelift.learning.bare_samples import bare_patient
from bonelift.learning.virtual_samples import VirtualSampleConfig
from bonelift.networks.model import WristModel, load_model
from bonelift.reconstruction.bones import predict
from bonelift.reconstruction.expected import expected_errors

FIRST_SEED = 970_000
MEAN_SEEDS = tuple(range(200_000, 200_100))
PAGE = """# The error that a reading expects of itself

Bones of {patients} virtual patients that no network saw (seeds {first} to {last}), through a virtual CT of unknown
scale; one PA CT-DRR each. *Expected*: what `reconstruct` writes as `expected_error_mm`, rigid. *True*:
surface-to-surface ASD after rigid alignment.
The patients are sorted by what was expected and divided into five groups of one size. Real
films and bones are not in this table: there the errors told may be too small.

| bone | group | expected, mm | true, mm | true, largest |
|---|---|---|---|---|
{rows}

Rank correlation of expected and true error: {correlations}.

Command: `python scripts/measure_expected_error.py --patients {patients}`. Model `{model}`, weights sha256 `{sha}`.
Commit {commit}, {machine}, {date}. Every case: [expected-error.csv](expected-error.csv).
"""


def measured(seed: int, model: WristModel) -> list[dict[str, float | str]]:
    """A row a bone: expected and true error (mm, rigid), and that of the mean bone."""
    patient = bare_patient(seed, load_shape_model(), 1, VirtualSampleConfig(lateral_fraction=0.0))
    bones = predict([patient.drrs[0]], ["pa"], model)
    expected = expected_errors(bones, model)
    if expected is None:
        raise SystemExit(f"model {model.name} tells no errors")
    means = no_skill_surfaces(MEAN_SEEDS, LAPTOP_GRID)["mean bone"]
    rows = []
    for bone in BONES:
        truth = getattr(patient.shape, bone)
        true_mm = score_surface(bones.surfaces[bone], truth, "rigid")[0][1]
        mean_mm = score_surface(means[bone], truth, "rigid")[0][1]
        rows.append(
            {
                "patient": seed,
                "bone": bone,
                "expected_mm": expected[bone].rigid_mm,
                "true_mm": true_mm,
                "mean_mm": mean_mm,
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    arguments = parser.parse_args()
    seeds = range(FIRST_SEED, FIRST_SEED + arguments.patients)
    model = load_model()
    rows = [row for seed in seeds for row in measured(seed, model)]
    with (arguments.out / "expected-error.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({k: f"{v:.4f}" if isinstance(v, float) else v for k, v in row.items()} for row in rows)
    lines, correlations = [], []
    for bone in BONES:
        pairs = np.array([(row["expected_mm"], row["true_mm"]) for row in rows if row["bone"] == bone], dtype=float)
        for number, group in enumerate(np.array_split(pairs[pairs[:, 0].argsort()], 5), start=1):
            expected, true = group.mean(axis=0)
            lines.append(f"| {bone} | {number} | {expected:.2f} | {true:.2f} | {group[:, 1].max():.2f} |")
        correlations.append(f"{bone} {float(spearmanr(pairs[:, 0], pairs[:, 1]).statistic):+.2f}")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    text = PAGE.format(
        patients=len(seeds), first=seeds[0], last=seeds[-1], rows="\n".join(lines),
        correlations=", ".join(correlations), model=model.name, sha=model.weights_sha256[:12],
        commit=commit.stdout.strip(), machine=platform.machine(),
        date=time.strftime("%Y-%m-%d"),
    )  # fmt: skip
    (arguments.out / "expected-error.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
