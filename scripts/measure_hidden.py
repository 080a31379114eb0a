"""What a film costs that ends within the ulna, within the radius or near the joint, read with and without filling it.

    python scripts/measure_hidden.py --first 958000 --count 10 --out rows.csv

PA films of virtual patients, whole and cut: so that a part of the distal ulna, or of the distal radius, lies beyond the
picture; and so that little of the forearm is left. Each goes through `reconstruct` as it does by itself, and with what
is hidden left as it is. Writes a row for each bone and prints a table.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonelift.anatomy.shape_model import load_shape_model
from bonelift.experiments.surface_scores import ALIGNMENTS, score_surface
from bonelift.geometry import apply_transform
from bonelift.images import Radiograph
from bonelift.networks.model import load_model
from bonelift.phantom.patient import VirtualPatient, make_patient
from bonelift.phantom.whole_film import simulated_film
from bonelift.reconstruction.beyond_the_film import BeyondSettings
from bonelift.reconstruction.bones import BONES, SHOWN_ABOVE_MM
from bonelift.reconstruction.job import reconstruct
from bonelift.reconstruction.settings import JobSettings
from bonelift.surface.clip import clip_below

HOW = {"seen part": JobSettings(), "as it is": JobSettings(beyond=BeyondSettings(least_hidden=2.0))}
CUTS: dict[str, tuple[str, float]] = {
    "whole film": ("", 0.0),
    "a quarter of the ulna's width hidden": ("ulna", 0.25),
    "half of the ulna's width hidden": ("ulna", 0.5),
    "three quarters of the ulna's width hidden": ("ulna", 0.75),
    "a quarter of the radius' width hidden": ("radius", 0.25),
    "ends 40 mm from the joint": ("shaft", 40.0),
    "ends 30 mm from the joint": ("shaft", 30.0),
}
COLUMNS = ("seed", "cut", "read", "bone", "alignment", "mm", "score", "flags")


def cut_film(
    film: Radiograph, patient: VirtualPatient, camera_from_radius: NDArray[np.float64], part: str, much: float
) -> Radiograph:
    """The film without what lies beyond a column (a bone by name, share of its distal width) or a row (mm)."""
    if not part:
        return film
    if part == "shaft":
        end = film.camera.project(apply_transform(camera_from_radius, np.array([[0.0, 0.0, -much]]))[0])
        return kept(film, slice(0, round(end[1])), slice(None))
    vertices = getattr(patient.shape, part).vertices
    ends = film.camera.project(apply_transform(camera_from_radius, vertices[vertices[:, 2] > -15.0]))[:, 0]
    middle = film.camera.project(camera_from_radius[:3, 3])[0]
    low, high = ends.min(), ends.max()
    # Of the ulna its own side is lost, of the radius the other one.
    right = (high + low) / 2 > middle if part == "ulna" else not _ulna_is_right(film, patient, camera_from_radius)
    if right:
        return kept(film, slice(None), slice(0, round(high - much * (high - low))))
    return kept(film, slice(None), slice(round(low + much * (high - low)), None))


def _ulna_is_right(film: Radiograph, patient: VirtualPatient, camera_from_radius: NDArray[np.float64]) -> bool:
    ulna = apply_transform(camera_from_radius, patient.shape.ulna.vertices)
    return film.camera.project(ulna)[:, 0].mean() > film.camera.project(camera_from_radius[:3, 3])[0]


def kept(film: Radiograph, rows: slice, columns: slice) -> Radiograph:
    pixels = np.ascontiguousarray(film.pixels[rows, columns])
    moved = np.eye(3)
    moved[:2, 2] = [-(columns.start or 0), -(rows.start or 0)]
    return replace(film, pixels=pixels, camera=film.camera.viewed_through(moved, pixels.shape[1], pixels.shape[0]))


def rows_of(seed: int, model) -> Iterator[tuple]:
    patient = make_patient(seed, load_shape_model())
    film, pose = simulated_film(patient, np.random.default_rng([seed, 8]), "pa", "right")
    truth = {name: clip_below(getattr(patient.shape, name), SHOWN_ABOVE_MM) for name in BONES}
    for cut, (part, much) in CUTS.items():
        shown = cut_film(film, patient, pose, part, much)
        for read, how in HOW.items():
            found = reconstruct([shown], model, how)
            flags = sum(flag.severity != "info" for flag in found.quality.flags)
            for name in BONES:
                for alignment in ALIGNMENTS:
                    surface = None if found.bones is None else found.bones.surfaces[name]
                    (_, mm, *_), _ = score_surface(surface, truth[name], alignment)
                    yield seed, cut, read, name, alignment, f"{mm:.4f}", f"{found.quality.score:.3f}", flags


def table(rows: list[dict[str, str]]) -> str:
    head = "| film | read | radius, rigid | radius, as predicted | ulna, rigid | ulna, as predicted | remarked |"
    lines = [head, "|---|---|---|---|---|---|---|"]
    for cut in CUTS:
        for read in HOW:
            of = [row for row in rows if (row["cut"], row["read"]) == (cut, read)]
            cells = []
            for name in BONES:
                for alignment in ("rigid", "as predicted"):
                    mm = [float(row["mm"]) for row in of if (row["bone"], row["alignment"]) == (name, alignment)]
                    cells.append(f"{np.nanmean(mm):.2f} ({np.nanmax(mm):.2f})")
            flagged = {row["seed"]: int(row["flags"]) > 0 for row in of}
            lines.append(f"| {cut} | {read} | {' | '.join(cells)} | {sum(flagged.values())} of {len(flagged)} |")
    return "\n".join([*lines, "", "mm, mean (largest)."])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=958000, help="seed of the first virtual patient")
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    model = load_model(None)
    with arguments.out.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for seed in range(arguments.first, arguments.first + arguments.count):
            writer.writerows(rows_of(seed, model))
            file.flush()
    with arguments.out.open(newline="") as file:
        print(table(list(csv.DictReader(file))))


if __name__ == "__main__":
    main()
