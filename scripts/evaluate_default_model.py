"""Score the packaged model on virtual patients never used in training: docs/results/holdout.md and holdout.csv.

python scripts/evaluate_default_model.py --patients 24 --workers 2
python scripts/evaluate_default_model.py --pairs --patients 24 --workers 2    (two calibrated films: two-films.md)
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from bonelift.experiments.holdout import PREDICTORS, ScoreRow, no_skill_surfaces, score_pair, score_patient, summary
from bonelift.images import LAPTOP_GRID
from bonelift.images.volume import BONES
from bonelift.networks.model import load_model

FIRST_SEED, FIRST_PAIR_SEED = 940_000, 916_000
"""Below lie the seeds of training (100000.., 200000..), validation (800000..) and of the X-ray settings (900000..)."""
MEAN_SEEDS = tuple(range(200_000, 200_200))
"""Training wrists whose mean is the no-skill bone."""


HOLDOUT_PAGE = """# The packaged model on unseen virtual patients

{patients} virtual patients (seeds {first} to {last}) that no network saw, every second one a left
wrist, one PA view each. Input *radiograph*: a whole simulated film through `reconstruct`, wrist found by the locator.
Input *CT-DRR*: the DRR of the virtual CT, cut along the true landmarks with the error that training used (SD 1.5 mm,
2.5 degrees).

*As predicted*: in the radius frame, nothing moved. *Rigid*: after rigid alignment of the bone by itself; never a scale.
No skill: the mean of {means} training wrists, as *mean bone* (corresponding points, laid on each other) and
as *mean field* (half level of the mean labels). *Skill* is 1 - ASD / ASD of the better of the two, by the
surface-to-surface ASD. *Shape regressor*: what `reconstruct` gives. *TL-embedding*: on the same images
(`--method tl`). *Grid floor*: the true labels on the TL network's 1.25 mm grid. Surfaces are compared for
z >= -40 mm; the paper's ASD is between points at most 0.625 mm apart. Mean +- SD over patients.

The patients are drawn from the same
virtual population as the training patients, and the shape regressor writes its answer in the modes of that population;
the TL-embedding network has no such help. What holds for other populations, and for real bones, is in
[real-bones.md](real-bones.md) and [adult-films.md](adult-films.md).

{table}

By how far a patient is from the mean: the patients in thirds by the distance of the mean bone from their own, after
rigid alignment; surface-to-surface ASD, mm, rigid, of the shape regressor. The size of a bone that is
near the mean says nothing of it: only its shape is left to read.

{thirds}

{made}"""
PAIRS_PAGE = """# Two films of calibrated cameras

{patients} virtual patients (seeds {first} to {last}) that no network saw, every second one a left wrist, each on a PA
and a lateral film whose cameras are known in one world; the distance of the wrist is not given. *Fitted*: what
`reconstruct` gives, the bones fitted to both films. *Shape regressor*, two films: what the networks predicted from
both, before the fit; first film alone: from the PA film, at the distance that both films told.

*As predicted*: in the radius frame, nothing moved; the frame is predicted too, and the fit does not change it.
*Rigid*: after rigid alignment of the bone by itself; never a scale. No skill: the mean of {means} training wrists, as
*mean bone* (corresponding points, laid on each other) and as *mean field* (half level of the mean labels). *Skill* is
1 - ASD / ASD of the better of the two, by the surface-to-surface ASD. Surfaces are compared for z >= -40 mm; the
paper's ASD is between points at most 0.625 mm apart. Mean +- SD over patients. The modes that are fitted come from the
same virtual population (other patients) as these patients: real bones vary in ways that they do not hold. Settings of
the fit were chosen on other patients (`bonelift simulate --seed 920000`, and seeds 915000 to 915023).

{table}

{made}"""


def score(seed: int, model: str | None, pairs: bool) -> list[ScoreRow]:
    torch.set_num_threads(1)
    rows_of = score_pair if pairs else score_patient
    return rows_of(seed, load_model(model), no_skill_surfaces(MEAN_SEEDS, LAPTOP_GRID))


def table(lines: list[dict[str, float | str | int]]) -> str:
    """Markdown. Skill is 1 - ASD / ASD of the better of both mean bones (surface ASD), same bone and alignment."""
    no_skill = {
        (line["bone"], line["alignment"]): min(
            float(other["asd_surface_mm"])
            for other in lines
            if str(other["method"]).startswith("mean")
            and (other["bone"], other["alignment"]) == (line["bone"], line["alignment"])
        )
        for line in lines
    }
    rows = [
        "| input | method | bone | alignment | ASD, paper's (mm) | ASD, surface (mm) | HD95 (mm) | skill | failed |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for line in lines:
        skill = 1 - float(line["asd_surface_mm"]) / no_skill[line["bone"], line["alignment"]]
        shown = f"{skill:.0%}" if line["method"] in (*PREDICTORS.values(), "fitted") else ""
        rows.append(
            f"| {line['source']} | {line['method']} | {line['bone']} | {line['alignment']} "
            f"| {line['asd_paper_mm']:.2f} +- {line['asd_paper_mm_sd']:.2f} "
            f"| {line['asd_surface_mm']:.2f} +- {line['asd_surface_mm_sd']:.2f} "
            f"| {line['hd95_mm']:.2f} +- {line['hd95_mm_sd']:.2f} "
            f"| {shown} | {line['failed']} of {line['cases']} |"
        )
    return "\n".join(rows)


def thirds_table(rows: Sequence[ScoreRow]) -> str:
    """Markdown: patients of each bone in thirds by how far the mean bone is from theirs; skill against it; rigid."""
    lines = ["| bone | patients | mean bone | radiograph | skill | CT-DRR | skill |", "|---|---|---|---|---|---|---|"]
    sources = ("none", "radiograph", "CT-DRR")
    for bone in BONES:
        mm = {
            (row.source, row.patient): row.asd_surface_mm
            for row in rows
            if (row.bone, row.alignment) == (bone, "rigid")
            and row.method == ("mean bone" if row.source == "none" else PREDICTORS["shape"])
        }
        nearest = sorted((patient for source, patient in mm if source == "none"), key=lambda each: mm["none", each])
        for name, third in zip(("nearest", "middle", "farthest"), np.array_split(nearest, 3), strict=True):
            mean, film, drr = (np.mean([mm[source, patient] for patient in third]) for source in sources)
            cells = [f"{film:.2f}", f"{1 - film / mean:.0%}", f"{drr:.2f}", f"{1 - drr / mean:.0%}"]
            lines.append(f"| {bone} | {len(third)} {name} | {mean:.2f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=24)
    parser.add_argument("--pairs", action="store_true", help="two calibrated films of each patient")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--model", help="model folder; default: the packaged one")
    parser.add_argument("--out", default="docs/results", help="folder of holdout.md and holdout.csv")
    arguments = parser.parse_args()
    started = time.time()
    first, name = (FIRST_PAIR_SEED, "two-films") if arguments.pairs else (FIRST_SEED, "holdout")
    seeds = range(first, first + arguments.patients)
    with multiprocessing.get_context("spawn").Pool(arguments.workers) as pool:
        results = pool.imap(partial(score, model=arguments.model, pairs=arguments.pairs), seeds)
        rows = [row for patient in tqdm(results, total=len(seeds)) for row in patient]
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    with (out / f"{name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(ScoreRow)])
        writer.writeheader()
        for row in rows:
            values = asdict(row)
            writer.writerow({key: f"{v:.4f}" if isinstance(v, float) else v for key, v in values.items()})
    model = load_model(arguments.model)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    made = f"""Per case: [{name}.csv]({name}.csv).

Command: `python scripts/evaluate_default_model.py {"--pairs " if arguments.pairs else ""}--patients {len(seeds)}`.
Model `{model.name}`, weights sha256 `{model.weights_sha256[:12]}`. Commit {commit}. Machine: {platform.machine()},
{arguments.workers} processes of one thread, torch {torch.__version__}, {time.strftime("%Y-%m-%d")},
{(time.time() - started) / 60:.0f} minutes.
"""
    text = (PAIRS_PAGE if arguments.pairs else HOLDOUT_PAGE).format(
        patients=len(seeds),
        first=seeds[0],
        last=seeds[-1],
        means=len(MEAN_SEEDS),
        table=table(summary(rows)),
        thirds="" if arguments.pairs else thirds_table(rows),
        made=made,
    )
    (out / f"{name}.md").write_text(text)
    print(table(summary(rows)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
