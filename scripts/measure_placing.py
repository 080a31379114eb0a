"""How far the outlines of a result lie from the true ones on its film: as read, and where each search ends.

    python scripts/measure_placing.py --first 957000 --count 12 --out rows.csv

One film of each view of virtual patients (right wrists, as recorded), whole, through `reconstruct`. Of each bone the
two edges in every row of the standard film are compared with those of the true bone where it truly stands: mean
distance in mm at the wrist, distal 40 mm. "read": where S and the outlines read both bones; "wrist": where the search
for both bones as one ends; "each by itself": where the searches for each bone end. Writes a row for each and prints a
table.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from bonelift.anatomy.shape_model import load_shape_model
from bonelift.film.standard import FILM_SPACING_MM
from bonelift.geometry import apply_transform, invert_rigid
from bonelift.images.radiograph import View
from bonelift.images.volume import BONES
from bonelift.networks.model import load_model
from bonelift.phantom.patient import make_patient
from bonelift.phantom.whole_film import simulated_film
from bonelift.reconstruction.job import reconstruct

Float = NDArray[np.float64]
POSES = ("read", "wrist", "each by itself")
SCORED_ABOVE_MM = -40.0
_END_PX = 4


def edges_off_mm(found_px: Float, true_px: Float) -> float:
    """Mean distance of the edges on both sides of projected points (N, 2), (column, row) px, row by row."""
    first = int(max(found_px[:, 1].min(), true_px[:, 1].min())) + _END_PX
    last = int(min(found_px[:, 1].max(), true_px[:, 1].max())) - 2 * _END_PX
    off = []
    for row in range(first, last):
        sides = []
        for points in (found_px, true_px):
            columns = points[np.abs(points[:, 1] - row) < 1.5, 0]
            sides.append((columns.min(), columns.max()) if len(columns) > 3 else (np.nan, np.nan))
        off.append(np.subtract(*sides))
    return float(np.nanmean(np.abs(off))) * FILM_SPACING_MM


def table(rows: list[dict[str, str]]) -> str:
    lines = ["| view | bone | films | " + " | ".join(POSES) + " |", "|---|---|---|" + "---|" * len(POSES)]
    for view, bone in dict.fromkeys((row["view"], row["bone"]) for row in rows):
        here = [row for row in rows if (row["view"], row["bone"]) == (view, bone)]
        values = np.array([[float(row[pose]) for pose in POSES] for row in here])
        cells = [f"{np.nanmean(v):.2f} ({np.nanmedian(v):.2f}, {np.nanmax(v):.2f})" for v in values.T]
        lines.append(f"| {view} | {bone} | {np.isfinite(values[:, 0]).sum()} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", "Mean (median, largest), mm."])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=957000, help="seed of the first virtual patient")
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    model, shapes = load_model(None), load_shape_model()
    views: tuple[View, ...] = get_args(View)
    rows = []
    for seed in range(arguments.first, arguments.first + arguments.count):
        patient = make_patient(seed, shapes)
        for index, view in enumerate(views):
            shown, truth = simulated_film(patient, np.random.default_rng([seed, 7, index]), view, "right")
            result = reconstruct([shown], model)
            for bone in BONES:
                row = {"seed": str(seed), "view": view, "bone": bone, **dict.fromkeys(POSES, "nan")}
                if result.placed and result.bones is not None and result.bones.motions:
                    film, placed = result.films[0].film, result.placed[0]
                    true = invert_rigid(film.world_from_canonical) @ truth
                    poses = (
                        film.nominal_camera_from_radius() @ result.bones.motions[0],
                        placed.wrist.world_from_bone,
                        placed.bones[bone].world_from_bone,
                    )
                    vertices = [getattr(patient.shape, bone).vertices, result.bones.surfaces[bone].vertices]
                    true_bone, own_bone = (points[points[:, 2] > SCORED_ABOVE_MM] for points in vertices)
                    true_px = film.camera.project(apply_transform(true, true_bone))
                    for name, pose in zip(POSES, poses, strict=True):
                        own_px = film.camera.project(apply_transform(pose, own_bone))
                        row[name] = f"{edges_off_mm(own_px, true_px):.3f}"
                rows.append(row)
    with arguments.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(table(rows))


if __name__ == "__main__":
    main()
