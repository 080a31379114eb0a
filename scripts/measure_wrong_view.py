"""Whether `reconstruct` flags a film that is given as the other view, and leaves the same film alone as what it is.

    python scripts/measure_wrong_view.py virtual --first 950000 --count 10 --out rows.csv
    BONELIFT_DATA=... python scripts/measure_wrong_view.py adult_films --out rows.csv
    python scripts/measure_wrong_view.py table --out rows.csv

Rows are added to the table as they come; films that are in it are not done again. The thresholds of the two signs
(judge.OUTLINE_STEP, judge.ULNA_ACROSS_MM) were set on the virtual patients 957000 to 957019.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from measure_intake import OTHER_VIEW, append_rows, films_asked_for, films_parser

from bonelift.images import Radiograph
from bonelift.networks.model import WristModel, load_model
from bonelift.reconstruction.job import reconstruct
from bonelift.reconstruction.judge import Verdict, view_name

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


@dataclass(frozen=True)
class Row:
    """One film as one view. given: "as it is" or "other view". outline_step, ulna_across_mm: what the two signs see,
    NaN where no bones were read."""

    films: str
    film: str
    view: str
    given: str
    verdict: Verdict
    score: float
    outline_step: float
    ulna_across_mm: float


def rows_of(films: str, name: str, film: Radiograph, model: WristModel) -> Iterator[Row]:
    for given in ("as it is", "other view"):
        view = film.view if given == "as it is" else OTHER_VIEW[film.view]
        quality = reconstruct([replace(film, view=view)], model).quality
        seen = {check.name: check.value for check in quality.checks}
        step = seen.get(f"outlines, {view_name(view)}", float("nan"))
        across = seen.get(f"ulnar head from the axis (mm), {view_name(view)}", float("nan"))
        yield Row(films, name, film.view, given, quality.verdict, quality.score, step, across)


def read_rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as table:
        return list(csv.DictReader(table))


def measure(arguments: argparse.Namespace) -> None:
    model = load_model(None)
    done = {(row["films"], row["film"]) for row in read_rows(arguments.out)}
    for name, film, _ in films_asked_for(arguments):
        if (arguments.films, name) not in done:
            append_rows(arguments.out, Row, rows_of(arguments.films, name, film, model))


def show(rows: list[dict[str, str]]) -> str:
    lines = [f"| films | view | given | films | {' | '.join(VERDICTS)} |", "|---|---|---|---|---|---|---|"]
    groups = dict.fromkeys((row["films"], row["view"], row["given"]) for row in rows)
    for group in groups:
        verdicts = Counter(row["verdict"] for row in rows if (row["films"], row["view"], row["given"]) == group)
        lines.append(
            f"| {' | '.join(group)} | {verdicts.total()} | {' | '.join(str(verdicts[name]) for name in VERDICTS)} |"
        )
    return "\n".join(lines)


def main() -> None:
    arguments = films_parser(__doc__).parse_args()
    if arguments.films == "table":
        print(show(read_rows(arguments.out)))
    else:
        measure(arguments)


if __name__ == "__main__":
    main()
