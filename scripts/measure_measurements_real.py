"""The measurements on real bones, and against a second computation: docs/results/measurements-real-bones.md.

python scripts/measure_measurements_real.py --cache FOLDER    (FOLDER outside the repository, for the covers)

Needs BONELIFT_DATA. No surface and no number of a single subject leaves the process.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
from measure_real_bones import covered_bones

from bonelift.anatomy.measurement_facts import facts_of
from bonelift.anatomy.measurements import measure
from bonelift.anatomy.shape_model import load_shape_model, sample_wrist
from bonelift.experiments.measurement_errors import error_of
from bonelift.experiments.real_bones import RealWrist, real_wrist
from bonelift.experiments.real_bones_scores import pictures
from bonelift.images.volume import BONES
from bonelift.networks.model import load_model
from bonelift.reconstruction.bones import predict
from bonelift.reconstruction.measured import measure_bones

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from builders.independent_measurements import independent_measurements

FIRST_SEED, DRAWN = 983_000, 24
PAGE = """# Measurements on real bones, and against a second computation

## Real bones

{wrists} wrists of real bones ({radii} radii, {ulnae} ulnae), closed and carried on by the shape model's template (mean
distance of the real surface from it: {off}), with a drawn inside through a virtual CT of unknown scale; CT-DRRs
read by the packaged model, nothing fitted. Truth: the same measurement on the real bone, with its own landmarks. A
measurement of the ulna counts where the ulna is real; one of both bones where both come from one scan, as they lay; one
of the shaft where the scan shows it to z = -38 mm. *Mean's error*: of answering with the mean of the other wrists.

**{model} learned from a population that was built with these subjects (no image of theirs, and no bone itself): this is
no test of generalisation.** What is left out is tested in [real-bones.md](real-bones.md).

{real}

*Landmarks found*: the same real bones measured with the landmarks that the program finds by itself, against those
carried over from the template: what the search for landmarks alone costs.

{landmarks}

## Against a second computation

Bones of {drawn} virtual patients (seeds {first} to {last}). The second computation shares no code with the first:
points sampled on surfaces, rays, rotating callipers, geometric circles (`tests/builders/independent_measurements.py`).
Both get the same landmarks. Largest difference, and SD of the measurement over the patients.

{second}

The height of the ulnar head is the mean of its three highest vertices here and the highest of 20000 points there.
Circles are algebraic here and geometric there; where a notch is so flat that its radius is above 30 mm, they differ by
1 to 3 mm.

Command: `python scripts/measure_measurements_real.py`. Model `{model}`, weights sha256 `{sha}`. Commit {commit},
{machine}, {date}.
"""
BOTH_BONES = {"ulnar_variance_3d", "sigmoid_notch_radius_3d", "ulnar_head_radius_3d"}
"""Their sections, or both ends of their length, depend on how radius and ulna lie to each other."""
SHAFT = {"palmar_cortical_angle_medial_3d", "palmar_cortical_angle_lateral_3d"}


def counts(key: str, wrist: RealWrist, same_scan: bool) -> bool:
    """Whether a measurement of this wrist is that of real bone."""
    if key in BOTH_BONES:
        return same_scan and set(wrist.scored_above_mm) == set(BONES)
    bone = "ulna" if key.startswith("ulnar_head") else "radius"
    if bone not in wrist.scored_above_mm:
        return False
    return key not in SHAFT or wrist.scored_above_mm[bone] <= -38.0


def values(surfaces: Mapping, landmarks: Mapping | None = None) -> dict[str, float]:
    return {value.facts.key: value.value for value in measure_bones(surfaces, landmarks)}


def error_rows(title: str, table: Mapping[str, list[tuple[float, float]]]) -> str:
    lines = [f"| {title} | n | error | bias | mean's error | r |", "|---|---|---|---|---|---|"]
    for facts in facts_of("3D"):
        pairs = np.array(table.get(facts.key, [])).reshape(-1, 2)
        error = error_of(pairs[:, 0], pairs[:, 1])
        if error.cases < 3:
            lines.append(f"| {facts.name}, {facts.unit} | {error.cases} | too few | | | |")
            continue
        lines.append(
            f"| {facts.name}, {facts.unit} | {error.cases} | {error.mean_abs:.2f} | {error.bias:+.2f} "
            f"| {error.no_skill:.2f} | {error.correlation:+.2f} |"
        )
    return "\n".join(lines)


def second_table() -> str:
    ours, other = [], []
    for seed in range(FIRST_SEED, FIRST_SEED + DRAWN):
        wrist = sample_wrist(load_shape_model(), np.random.default_rng(seed))
        parts = (wrist.radius, wrist.ulna, wrist.landmarks)
        ours.append(asdict(measure(*parts)))
        other.append(independent_measurements(*parts))
    lines = ["| measurement | largest difference | SD over patients |", "|---|---|---|"]
    for facts in facts_of("3D"):
        pair = np.array([[a[facts.field], b[facts.field]] for a, b in zip(ours, other, strict=True)])
        pair = pair[np.isfinite(pair).all(axis=1)]
        largest = np.abs(pair[:, 0] - pair[:, 1]).max()
        lines.append(f"| {facts.name}, {facts.unit} | {largest:.2f} | {pair[:, 0].std(ddof=1):.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, help="folder, outside the repository, for the covers")
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    options = parser.parse_args()
    shape_model, model = load_shape_model(), load_model()
    covered = covered_bones(Path(os.environ["BONELIFT_DATA"]) / "reference_bones", shape_model, options.cache)
    read: dict[str, dict[str, list[tuple[float, float]]]] = {"one PA CT-DRR": {}, "PA and lateral CT-DRR": {}}
    found: dict[str, list[tuple[float, float]]] = {}
    wrists = []
    for subject in sorted({bone.subject for bone in covered}):
        wrist = real_wrist(subject, covered, shape_model, np.random.default_rng(sum(subject.encode())))
        if wrist is None:
            continue
        wrists.append(wrist)
        same_scan = all(bone.same_scan for bone in covered if bone.subject == subject)
        surfaces = {name: getattr(wrist.shape, name) for name in BONES}
        truth = values(surfaces, wrist.shape.landmarks)
        drrs = pictures(wrist, 0, films=False).drrs
        answers = {
            "one PA CT-DRR": values(predict([drrs["pa"]], ["pa"], model).surfaces),
            "PA and lateral CT-DRR": values(predict([drrs["pa"], drrs["lateral"]], ["pa", "lateral"], model).surfaces),
        }
        again = values(surfaces)
        for key in truth:
            if not counts(key, wrist, same_scan):
                continue
            found.setdefault(key, []).append((truth[key], again[key]))
            for name, answer in answers.items():
                read[name].setdefault(key, []).append((truth[key], answer[key]))
    off = [value for wrist in wrists for value in wrist.off_mm.values()]
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    text = PAGE.format(
        wrists=len(wrists), radii=sum("radius" in w.scored_above_mm for w in wrists),
        ulnae=sum("ulna" in w.scored_above_mm for w in wrists), off=f"{min(off):.2f} to {max(off):.2f} mm",
        real="\n\n".join(error_rows(name, table) for name, table in read.items()),
        landmarks=error_rows("landmarks found", found), second=second_table(), drawn=DRAWN, first=FIRST_SEED,
        last=FIRST_SEED + DRAWN - 1, model=model.name, sha=model.weights_sha256[:12], commit=commit.stdout.strip(),
        machine=platform.machine(), date=time.strftime("%Y-%m-%d"),
    )  # fmt: skip
    (options.out / "measurements-real-bones.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
