"""Where S and the outlines read that the wrist stands, beside where the search around that ended, and the truth.

    python scripts/measure_read_pose.py --first 957000 --count 14 --out rows.csv

One film of each view of virtual patients (right wrists, as recorded), whole, through `reconstruct`. Errors are those of
the wrist as one, in directions of the film: two tilts out of its plane and the turn in it (degrees), right, down and
depth (mm). Writes a row a film and prints a table.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from bonelift.anatomy.shape_model import load_shape_model
from bonelift.geometry import invert_rigid
from bonelift.images.radiograph import View
from bonelift.networks.model import load_model
from bonelift.phantom.patient import make_patient
from bonelift.phantom.whole_film import simulated_film
from bonelift.reconstruction.job import reconstruct
from bonelift.reconstruction.result import Reconstruction
from bonelift.registration.chart import pose_chart

Float = NDArray[np.float64]
NUMBERS = ("tilt_1_deg", "tilt_2_deg", "turn_deg", "right_mm", "down_mm", "depth_mm")


def errors(found: Reconstruction, world_from_radius: Float) -> dict[str, Float]:
    """{"read" or "searched": (6,)} of the one film of a result; {} where no wrist stands in it.

    world_from_radius: (4, 4), true, in the world of the radiograph's camera.
    """
    if not found.placed or found.bones is None or not found.bones.motions:
        return {}
    film = found.films[0].film
    true = invert_rigid(film.world_from_canonical) @ world_from_radius
    poses = {
        "read": film.nominal_camera_from_radius() @ found.bones.motions[0],
        "searched": found.placed[0].wrist.world_from_bone,
    }
    chart = pose_chart(film.camera, true, found.bones.wrist_solid.centre_mm)
    six = {name: chart.parameters(pose) for name, pose in poses.items()}
    return {name: np.concatenate([np.rad2deg(values[:3]), values[3:]]) for name, values in six.items()}


def table(rows: list[dict[str, str]]) -> str:
    lines = [f"| view | pose | films | {' | '.join(NUMBERS)} |", "|---|---|---|" + "---|" * len(NUMBERS)]
    for view, pose in dict.fromkeys((row["view"], row["pose"]) for row in rows):
        here = np.array(
            [[float(row[n]) for n in NUMBERS] for row in rows if (row["view"], row["pose"]) == (view, pose)]
        )
        squares, middle = np.sqrt((here**2).mean(axis=0)), np.median(np.abs(here), axis=0)
        cells = " | ".join(f"{a:.2f} ({b:.2f})" for a, b in zip(squares, middle, strict=True))
        lines.append(f"| {view} | {pose} | {len(here)} | {cells} |")
    return "\n".join([*lines, "", "Root mean square (median of the sizes)."])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=957000, help="seed of the first virtual patient")
    parser.add_argument("--count", type=int, default=14)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    model, shapes = load_model(None), load_shape_model()
    rows = []
    for seed in range(arguments.first, arguments.first + arguments.count):
        patient = make_patient(seed, shapes)
        views: tuple[View, ...] = get_args(View)
        for index, view in enumerate(views):
            film, truth = simulated_film(patient, np.random.default_rng([seed, 7, index]), view, "right")
            found = errors(reconstruct([film], model), truth)
            for pose in ("read", "searched"):
                numbers = found.get(pose, np.full(6, np.nan))
                row = {"seed": str(seed), "view": view, "pose": pose}
                rows.append(row | {name: f"{value:.3f}" for name, value in zip(NUMBERS, numbers, strict=True)})
    with arguments.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(table(rows))


if __name__ == "__main__":
    main()
