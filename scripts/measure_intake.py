"""How often what ``reconstruct`` says of a film that was given with a wrong fact is right, and how often it is wrong.

    python scripts/measure_intake.py virtual --first 950000 --count 10 --out rows.csv
    BONELIFT_DATA=... python scripts/measure_intake.py adult_films --out rows.csv
    BONELIFT_DATA=... python scripts/measure_intake.py radiographs --out rows.csv
    python scripts/measure_intake.py table --out rows.csv

Each film is given as it is, as the other view, with dark and bright exchanged, and (PA) as the other side while its
hanging is stated. Every claim is judged as ``suggest`` judges it, as if the answer were doubtful: the job itself asks
only where it is. Rows are added to the table as they come; films that are in it are not done again.
"""

from __future__ import annotations

import argparse
import csv
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from bonelift.anatomy.shape_model import load_shape_model
from bonelift.images import Radiograph
from bonelift.images.radiograph import Side, View
from bonelift.images.reading import RadiographOptions, read_radiograph
from bonelift.networks.model import WristModel, load_model
from bonelift.origin import Origin
from bonelift.phantom.patient import make_patient
from bonelift.phantom.whole_film import simulated_film
from bonelift.reconstruction.settings import JobSettings
from bonelift.reconstruction.suggest import Supposed, clearly_better, doubted, fitted, inverted, suppositions

STATED = Origin("option", "option --hanging")
CLAIMS = ("as it is", "other view", "inverted", "other side")
RIGHT_ANSWER = {"as it is": "", "other view": "view", "inverted": "polarity", "other side": "side"}
OTHER_VIEW: dict[View, View] = {"pa": "lateral", "lateral": "pa"}
OTHER_SIDE: dict[Side, Side] = {"left": "right", "right": "left"}
SIDES: dict[str, Side] = {"L": "left", "R": "right"}


@dataclass(frozen=True)
class Row:
    """One film under one claim. said: facts that were told to fit better, "" where none. as_given, best: agreement."""

    films: str
    film: str
    view: str
    claim: str
    said: str
    as_given: float
    best: float

    @property
    def outcome(self) -> str:
        right = RIGHT_ANSWER[self.claim]
        return "silent" if not self.said else "right" if self.said == right else "wrong"


class Variants:
    """One film with other facts, each fitted once. A variant is (view, whether inverted, side, whether the hanging is
    stated)."""

    def __init__(self, film: Radiograph, mirrored: bool, model: WristModel, how: JobSettings) -> None:
        self.film, self.how, self.model = film, how, model
        self.stated = film.hung("mirrored" if mirrored else "as recorded", STATED)
        self._known: dict[tuple[View, bool, Side, bool], Supposed] = {}

    def fit(self, view: View, is_inverted: bool, side: Side, stated: bool) -> Supposed:
        key = (view, is_inverted, side, stated)
        if key not in self._known:
            film = replace(self.stated if stated else self.film, view=view, side=side)
            self._known[key] = fitted((), inverted(film) if is_inverted else film, self.model, self.how)
        return self._known[key]

    def judged(self, claim: str) -> tuple[Supposed, list[Supposed]]:
        """As it is given under the claim, and the facts that are then tried (:func:`suppositions`)."""
        film = self.film
        view = OTHER_VIEW[film.view] if claim == "other view" else film.view
        side = OTHER_SIDE[film.side] if claim == "other side" else film.side
        is_inverted, stated = claim == "inverted", claim == "other side"
        given = self.fit(view, is_inverted, side, stated)
        tried = []
        for facts, _ in suppositions(replace(self.stated if stated else film, view=view, side=side)):
            found = self.fit(
                OTHER_VIEW[view] if "view" in facts else view,
                is_inverted != ("polarity" in facts),
                OTHER_SIDE[side] if "side" in facts else side,
                stated,
            )
            tried.append(replace(found, facts=facts))
        return given, tried


def rows_of(
    films: str, name: str, film: Radiograph, mirrored: bool, model: WristModel, how: JobSettings
) -> Iterator[Row]:
    """mirrored: whether the picture is shown so, which nobody states but with the other side."""
    variants = Variants(film, mirrored, model, how)
    for claim in CLAIMS:
        if claim == "other side" and film.view == "lateral":
            continue
        given, tried = variants.judged(claim)
        seen = None if given.fit is None else given.fit.sighting
        better = None
        if doubted(given.agreement, seen, how.suggest):
            better = clearly_better(tried, given.agreement, seen, how.suggest)
        said = "" if better is None else "+".join(better.facts)
        yield Row(films, name, film.view, claim, said, given.agreement, max(one.agreement for one in tried))


def virtual_films(first: int, count: int) -> Iterator[tuple[str, Radiograph, bool]]:
    """A PA and a lateral film of each patient; of every second pair of patients shown mirrored."""
    for seed in range(first, first + count):
        patient = make_patient(seed, load_shape_model())
        side: Side = "left" if seed % 2 else "right"
        views: tuple[View, View] = ("pa", "lateral")
        for index, view in enumerate(views):
            film, _ = simulated_film(patient, np.random.default_rng([seed, 7, index]), view, side)
            mirrored = bool((seed // 2) % 2)
            if mirrored:
                film = replace(film, pixels=np.ascontiguousarray(film.pixels[:, ::-1]))
            yield f"{seed}-{view}", film, mirrored


def real_films(films: str) -> Iterator[tuple[str, Radiograph, bool]]:
    root = Path(os.environ["BONELIFT_DATA"]) / films
    with (root / "metadata.csv").open(newline="") as table:
        for row in csv.DictReader(table):
            if films == "adult_films":
                path, side = root / row["file"], SIDES[row["side"]]
                view, spacing_mm = ("pa" if row["view"] == "pa" else "lateral"), 0.125
            else:
                found = [p for p in root.glob(f"{row['filestem']}.*") if p.suffix in (".png", ".jpg")]
                if not found:
                    continue
                path, side = found[0], SIDES[row["laterality"]]
                view, spacing_mm = ("pa" if row["projection"] == "1" else "lateral"), float(row["pixel_spacing"])
            film = read_radiograph(path, RadiographOptions(side=side, view=view, pixel_spacing_mm=spacing_mm))
            yield path.stem, film, films == "adult_films"  # that clinic shows all its films mirrored


def read_rows(path: Path) -> list[Row]:
    if not path.exists():
        return []
    with path.open(newline="") as table:
        return [
            Row(r["films"], r["film"], r["view"], r["claim"], r["said"], float(r["as_given"]), float(r["best"]))
            for r in csv.DictReader(table)
        ]


def films_asked_for(arguments: argparse.Namespace) -> Iterator[tuple[str, Radiograph, bool]]:
    films = arguments.films
    return virtual_films(arguments.first, arguments.count) if films == "virtual" else real_films(films)


def append_rows(path: Path, row_type: type, rows: Iterable[Any]) -> None:
    """Each row of the dataclass at the end of a table, which is begun with the names of the columns."""
    with path.open("a", newline="") as file:
        table = csv.DictWriter(file, [f.name for f in fields(row_type)], lineterminator="\n")
        if file.tell() == 0:
            table.writeheader()
        for row in rows:
            table.writerow({k: f"{v:.3f}" if isinstance(v, float) else v for k, v in asdict(row).items()})


def measure(arguments: argparse.Namespace) -> None:
    model, how = load_model(None), JobSettings()
    done = {(row.films, row.film) for row in read_rows(arguments.out)}
    made = 0
    for name, film, mirrored in films_asked_for(arguments):
        if (arguments.films, name) in done:
            continue
        append_rows(arguments.out, Row, rows_of(arguments.films, name, film, mirrored, model, how))
        made += 1
        if arguments.most and made >= arguments.most:
            return


def show(rows: list[Row]) -> str:
    """Confusion table: films x view x claim -> right, silent, wrong."""
    lines = [
        "| films | view | given | films | right | silent | wrong | said wrongly |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for films in dict.fromkeys(row.films for row in rows):
        for view in ("pa", "lateral"):
            for claim in CLAIMS:
                here = [row for row in rows if (row.films, row.view, row.claim) == (films, view, claim)]
                if here:
                    counts = Counter(row.outcome for row in here)
                    wrong = ", ".join(sorted(row.said for row in here if row.outcome == "wrong")) or "-"
                    numbers = " | ".join(str(counts[name]) for name in ("right", "silent", "wrong"))
                    lines.append(f"| {films} | {view} | {claim} | {len(here)} | {numbers} | {wrong} |")
    return "\n".join(lines)


def films_parser(description: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("films", choices=["virtual", "adult_films", "radiographs", "table"])
    parser.add_argument("--first", type=int, default=950000, help="seed of the first virtual patient")
    parser.add_argument("--count", type=int, default=10)
    parser.add_argument("--out", type=Path, required=True)
    return parser


def main() -> None:
    parser = films_parser(__doc__)
    parser.add_argument("--most", type=int, help="stop after so many films; the same command goes on")
    arguments = parser.parse_args()
    if arguments.films == "table":
        print(show(read_rows(arguments.out)))
    else:
        measure(arguments)


if __name__ == "__main__":
    main()
