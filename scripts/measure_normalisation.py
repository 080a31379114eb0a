"""How well the radius frame and its landmarks are found without landmarks by hand: docs/results/normalisation.md.

Virtual patients (every second wrist left) are scanned with drawn protocols, put into the world in any orientation, and
segmented by their own labels. The truth is the patient's own frame and landmarks.

    python scripts/measure_normalisation.py --patients 36
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import platform
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation
from tqdm import tqdm

from bonelift.anatomy.automatic_landmarks import find_frame, side_evidence
from bonelift.anatomy.shape_model import load_shape_model
from bonelift.anatomy.side import mirror_transform
from bonelift.drr.normalised_case import normalise_case
from bonelift.errors import InputError
from bonelift.geometry import apply_transform
from bonelift.images import RADIUS, ULNA, LabelMap, Side
from bonelift.phantom.ct import draw_scan_settings, scan
from bonelift.phantom.patient import make_patient
from bonelift.study.normalisation import frame_difference
from bonelift.surface.label_surface import label_surface

FIRST_SEED = 930_000
"""No network and no other results page uses these seeds."""
HAND_ERROR_MM = 1.0
SHORT_MM = -55.0
OUT = Path("docs/results")
LANDMARKS = ("radial_styloid_tip", "sigmoid_notch_volar", "sigmoid_notch_dorsal", "volar_rim", "dorsal_rim",
             "lister_tubercle", "ulnar_styloid_tip", "ulnar_head_centre")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=36)
    parser.add_argument(
        "--partial", type=Path, default=Path("runs/normalisation-partial.jsonl"), help="rows so far; resumes"
    )
    options = parser.parse_args()
    lines = options.partial.read_text(encoding="utf-8").splitlines() if options.partial.is_file() else []
    rows = [json.loads(line) for line in lines]
    done = {row["seed"] for row in rows}
    for n in tqdm(range(options.patients)):
        if FIRST_SEED + n not in done:
            start = time.time()
            new = measured(FIRST_SEED + n, "left" if n % 2 else "right")
            new = [row | {"wall_s": round((time.time() - start) / len(new), 2)} for row in new]
            with options.partial.open("a", encoding="utf-8") as stream:
                stream.writelines(json.dumps(row) + "\n" for row in new)
            rows += new
    rows.sort(key=lambda row: row["seed"])
    path = OUT / "normalisation.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    seconds = sum(row["wall_s"] for row in rows)
    (OUT / "normalisation.md").write_text(page(rows, options.patients, seconds), encoding="utf-8")
    print(path)


def measured(seed: int, side: Side) -> list[dict]:
    """A row for each way to the frame."""
    patient = make_patient(seed, load_shape_model())
    rng = np.random.default_rng([seed, 3])
    settings = draw_scan_settings(rng)
    ct, labels = scan(patient.body, rng, settings)
    world_from_own = np.eye(4)
    world_from_own[:3, :3] = Rotation.random(random_state=rng).as_matrix()
    world_from_own[:3, 3] = rng.uniform(-80, 80, 3)
    world_from_right = world_from_own @ (mirror_transform() if side == "left" else np.eye(4))
    truth = {name: apply_transform(world_from_right, point) for name, point in patient.shape.landmarks.items()}
    ct, labels = (replace(v, world_from_voxel=world_from_right @ v.world_from_voxel) for v in (ct, labels))
    hand = {name: point + rng.normal(0, HAND_ERROR_MM, 3) for name, point in truth.items()}
    base = {"seed": seed, "side": side, "slice_mm": round(settings.spacing_mm[2], 3)}
    rows = []
    short = shortened(labels, world_from_right)
    for way, used in (("automatic", labels), ("automatic, 55 mm of radius", short)):
        rows.append(base | {"way": way} | automatic(used, side, world_from_right, truth))
    for way, points in (("true landmarks", truth), ("landmarks by hand, SD 1 mm", hand)):
        frame = normalise_case(ct, labels, points, side).right_from_world
        rows.append(base | {"way": way} | empty() | frame_difference(frame @ world_from_right))
    return rows


def shortened(labels: LabelMap, world_from_right: np.ndarray) -> LabelMap:
    """Only what lies above SHORT_MM of the radius frame: a wrist CT that shows little shaft."""
    right_from_voxel = np.linalg.inv(world_from_right) @ labels.world_from_voxel
    k = np.arange(labels.labels.shape[2])
    kept = right_from_voxel[2, 3] + right_from_voxel[2, 2] * k > SHORT_MM
    return replace(labels, labels=labels.labels * kept[None, None].astype(np.uint8))


def empty() -> dict:
    frame = dict.fromkeys(("origin_mm", "rotation_deg", "about_z_deg", "z_tilt_deg"), "")
    return frame | {"failed": "", "side_ratio": "", "wrong_side_refused": "", "seconds": ""} | {
        f"{name}_mm": "" for name in LANDMARKS
    }  # fmt: skip


def automatic(labels: LabelMap, side: Side, world_from_right: np.ndarray, truth: dict) -> dict:
    radius, ulna = label_surface(labels, RADIUS), label_surface(labels, ULNA)
    row = empty()
    start = time.process_time()
    try:
        found = find_frame(radius, ulna, side)
    except InputError as error:
        return row | {"failed": str(error)}
    row["seconds"] = round(time.process_time() - start, 2)
    evidence = side_evidence(radius, ulna)
    own, other = evidence.as_right_mm, evidence.as_left_mm
    row["side_ratio"] = round(other / own if side == "right" else own / other, 2)
    try:
        find_frame(radius, ulna, "left" if side == "right" else "right")
        row["wrong_side_refused"] = 0
    except InputError:
        row["wrong_side_refused"] = 1
    row |= {f"{n}_mm": round(float(np.linalg.norm(found.landmarks[n] - truth[n])), 3) for n in LANDMARKS}
    return row | frame_difference(found.right_from_world @ world_from_right)


INTRODUCTION = """\
# Radius frame and landmarks without landmarks by hand

{count} virtual patients (seeds {first} to {last}; every second wrist left), scanned with drawn protocols (slices of 0.6
to 1.25 mm), their labels turned and shifted at random in the world. *automatic* is `find_frame`
(`anatomy/automatic_landmarks.py`), which sees nothing but the labels and the recorded side. *true landmarks*: the frame
built from the patient's exact landmarks on the same labels, the floor that labels and shaft axis leave. *landmarks by
hand*: the same with a Gaussian error of {hand:g} mm along each axis. Errors against the patient's own frame: mean +- SD
(largest).

**Read with this**: the patients are drawn from the shape model that the finder bends onto them. Their shapes hold local
variation that the modes do not span, but real bones will be farther off: look at the overlays of `bonelift normalize`.

| way | origin (mm) | about Z (deg) | tilt of Z (deg) | whole rotation (deg) | failed |
|---|---|---|---|---|---|
"""
ENDING = """
Per case: [normalisation.csv](normalisation.csv). Command: `python scripts/measure_normalisation.py --patients {count}`.
Commit {commit}. Machine: {machine}, two cores, one thread, {date}, {minutes:.0f} minutes.
"""


def page(rows: list[dict], count: int, seconds: float) -> str:
    """The results page."""
    ways = list(dict.fromkeys(row["way"] for row in rows))
    lines = []
    for way in ways:
        of_way = [row for row in rows if row["way"] == way]
        good = [row for row in of_way if not row["failed"]]
        measures = ("origin_mm", "about_z_deg", "z_tilt_deg", "rotation_deg")
        cells = [spread([abs(row[name]) for row in good]) for name in measures]
        lines.append(f"| {way} | {' | '.join(cells)} | {len(of_way) - len(good)} of {len(of_way)} |")
    lines += ["", "Landmarks found automatically, distance from the true ones (mm):", ""]
    lines += ["| landmark | all labels | 55 mm of radius |", "|---|---|---|"]
    for name in LANDMARKS:
        found = [[row for row in rows if row["way"] == way and not row["failed"]] for way in ways[:2]]
        lines.append(f"| `{name}` | {' | '.join(spread([row[f'{name}_mm'] for row in part]) for part in found)} |")
    lines += ["", *side_lines(rows, ways[:2])]
    last = FIRST_SEED + count - 1
    ending = ENDING.format(
        count=count, commit=commit(), machine=platform.machine(), date=datetime.date.today(), minutes=seconds / 60
    )
    start = INTRODUCTION.format(count=count, first=FIRST_SEED, last=last, hand=HAND_ERROR_MM)
    return start + "\n".join(lines) + ending


def side_lines(rows: list[dict], ways: list[str]) -> list[str]:
    lines = []
    for way in ways:
        good = [row for row in rows if row["way"] == way and not row["failed"]]
        ratio = min(row["side_ratio"] for row in good)
        refused = sum(row["wrong_side_refused"] for row in good)
        seconds = float(np.median([row["seconds"] for row in good]))
        lines += [
            f"Side by shape, {way}: the mean bone of the other side lies at least {ratio:.1f} times as far away;",
            f"the wrong side, stated on purpose, was refused {refused} of {len(good)} times; {seconds:.1f} s a wrist.",
            "",
        ]
    return lines


def spread(values: list[float]) -> str:
    array = np.array(values, dtype=float)
    return f"{array.mean():.2f} +- {array.std(ddof=1):.2f} ({array.max():.2f})"


def commit() -> str:
    return subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()


if __name__ == "__main__":
    main()
