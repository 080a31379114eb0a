"""Whether what the model does not know is flagged: metal and casts on virtual films, children and casts on real ones.

    python scripts/measure_flags.py virtual --first 960000 --count 3 --out flags.csv
    BONELIFT_DATA=... python scripts/measure_flags.py table --out flags.csv --batch BATCH/results.csv

virtual: a film of each patient (--view) as it is, and with each device of bonelift.phantom.devices: a steel plate along
the distal radius, two wires, the rod and pins of an external fixator, a cast of plaster, one of fibreglass. table:
sensitivity and specificity with their 95 % intervals (Wilson), and the area under the ROC of the score.
BATCH/results.csv is of a batch of the films of radiographs; adults are taken from docs/results/adult-films.csv
(scripts/measure_adult_films.py).
"""

from __future__ import annotations

import argparse
import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.stats import binomtest

from bonelift.anatomy.shape_model import load_shape_model
from bonelift.images import Radiograph, View
from bonelift.images.reading import OBJECT_TO_DETECTOR_MM
from bonelift.networks.model import load_model
from bonelift.phantom.devices import CASTS, METALWORK, Device, with_device
from bonelift.phantom.patient import make_patient
from bonelift.phantom.xray import draw_settings, expose
from bonelift.phantom.xray_geometry import FILM_SPREAD, draw_geometry
from bonelift.reconstruction.job import reconstruct

ADULTS = Path(__file__).resolve().parent.parent / "docs" / "results" / "adult-films.csv"
RealRow = tuple[str, list[str], float, bool, bool]
"""(view, kinds, score, flagged as severe, flagged at all)."""
COLUMNS = ("film", "view", "kind", "score", "severe", "warnings", "says_so")
KINDS: tuple[Literal["plain"] | Device, ...] = ("plain", *METALWORK, *CASTS)
SAYS_SO = ("metal in the radius", "rod", "cast")
"""Checks whose flags tell metal or a cast."""


def virtual_films(first: int, count: int, view: View) -> Iterator[tuple[str, str, Radiograph]]:
    shapes = load_shape_model()
    for seed in range(first, first + count):
        patient = make_patient(seed, shapes)
        for kind in KINDS:
            rng, of_device = np.random.default_rng([seed, 8]), np.random.default_rng([seed, 9])
            geometry = draw_geometry(rng, view, (1300, 1000), 0.18, replace(FILM_SPREAD, shift_mm=15.0))
            settings = draw_settings(rng, "film", field_half_size=(0.35, 0.7), field_centre=geometry.origin_fraction)
            body = patient.body
            if kind != "plain":
                body, settings = with_device(body, settings, geometry, of_device, kind)
            pixels = expose(body, geometry.camera, geometry.camera_from_radius, rng, settings)
            distance_mm = geometry.camera.sdd_mm - OBJECT_TO_DETECTOR_MM
            yield f"virtual-{seed}", kind, Radiograph(pixels, geometry.camera, "right", view, distance_mm)


def measure(arguments: argparse.Namespace) -> None:
    model = load_model(None)
    with arguments.out.open("a", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        if file.tell() == 0:
            table.writerow(COLUMNS)
        for name, kind, film in virtual_films(arguments.first, arguments.count, arguments.view):
            quality = reconstruct([film], model).quality
            severities = [flag.severity for flag in quality.flags]
            told = [check.flag is not None for check in quality.checks if check.name.startswith(SAYS_SO)]
            table.writerow(
                [
                    name,
                    film.view,
                    kind,
                    f"{quality.score:.3f}",
                    severities.count("severe"),
                    severities.count("warning"),
                    any(told),
                ]
            )
            file.flush()


def real_rows(batch: Path) -> list[RealRow]:
    """Children of the batch, with what metadata.csv says of casts and fractures, and the adults."""
    with (Path(os.environ["BONELIFT_DATA"]) / "radiographs" / "metadata.csv").open(newline="") as table:
        known = {row["filestem"]: row for row in csv.DictReader(table)}
    rows: list[RealRow] = []
    with batch.open(newline="") as table:
        for row in csv.DictReader(table):
            stem = row["case"].removeprefix("mdciri_")
            child = known.get(stem)
            if child is None:
                continue
            kinds = [
                "child",
                *(["cast"] if child["cast"] else []),
                *(["fracture"] if child["fracture_visible"] else []),
            ]
            severe, flagged = row["verdict"] in ("not usable", "no wrist found"), row["verdict"] != "no objection"
            rows.append((row["view"], kinds, float(row["score"] or 0), severe, flagged))
    with ADULTS.open(newline="") as table:
        for row in csv.DictReader(table):
            if row["patient"] != "specimen":
                view = "pa" if row["view"] == "pa" else "lateral"
                flagged = row["unflagged"] != "True"
                rows.append((view, ["adult"], float(row["score"]), int(row["severe"]) > 0, flagged))
    return rows


def share(hits: int, count: int) -> str:
    if count == 0:
        return "-"
    low, high = binomtest(hits, count).proportion_ci(method="wilson")
    return f"{hits} of {count} ({100 * low:.0f} to {100 * high:.0f} %)"


def roc_area(positive: Sequence[float], negative: Sequence[float]) -> float:
    """Chance that a film that has to be flagged scores below one that need not; ties count half."""
    if not positive or not negative:
        return float("nan")
    difference = np.subtract.outer(np.asarray(negative), np.asarray(positive))
    return float((difference > 0).mean() + (difference == 0).mean() / 2)


def show(arguments: argparse.Namespace) -> str:
    lines = [
        "| films | number | not usable | flagged at all | metal or cast named | median score | area under ROC |",
        "|---|---|---|---|---|---|---|",
    ]

    def line(name: str, rows: Sequence[tuple[float, bool, bool]], clean: Sequence[float], says_so: str = "-") -> None:
        scores = [score for score, _, _ in rows]
        severe, flagged = sum(row[1] for row in rows), sum(row[2] for row in rows)
        area = roc_area(scores, clean) if clean else float("nan")
        lines.append(
            f"| {name} | {len(rows)} | {share(severe, len(rows))} | {share(flagged, len(rows))} | {says_so} | "
            f"{np.median(scores) if scores else float('nan'):.2f} | {'-' if np.isnan(area) else f'{area:.2f}'} |"
        )

    if arguments.out.exists():
        with arguments.out.open(newline="") as table:
            made = list(csv.DictReader(table))
        for view in dict.fromkeys(row["view"] for row in made):
            here = [row for row in made if row["view"] == view]
            plain = [float(row["score"]) for row in here if row["kind"] == "plain"]
            for kind in KINDS:
                of_kind = [row for row in here if row["kind"] == kind]
                rows = [
                    (float(row["score"]), int(row["severe"]) > 0, int(row["severe"]) + int(row["warnings"]) > 0)
                    for row in of_kind
                ]
                says_so = sum(row["says_so"] == "True" for row in of_kind)
                line(f"virtual {view}, {kind}", rows, [] if kind == "plain" else plain, f"{says_so} of {len(of_kind)}")
    if arguments.batch is not None:
        real = real_rows(arguments.batch)
        for view in ("pa", "lateral"):
            groups = {
                kind: [row[2:] for row in real if row[0] == view and kind in row[1]]
                for kind in ("adult", "child", "fracture", "cast")
            }
            clean = [score for score, _, _ in groups["adult"]]
            for kind, rows in groups.items():
                line(f"real {view}, {kind}", rows, [] if kind == "adult" else clean)
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["virtual", "table"])
    parser.add_argument("--first", type=int, default=960000, help="seed of the first virtual patient")
    parser.add_argument("--count", type=int, default=3)
    parser.add_argument("--view", choices=["pa", "lateral"], default="pa")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--batch", type=Path, help="results.csv of the batch of all real films")
    arguments = parser.parse_args()
    if arguments.what == "table":
        print(show(arguments))
    else:
        measure(arguments)


if __name__ == "__main__":
    main()
