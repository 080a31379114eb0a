"""docs/results/adult-films.md from its tables; for measure_adult_films.py."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from bonelift.reconstruction.judge import HARDLY_SEEN_MM

Row = dict[str, str]

PAGE = """# A clinic's films of adults, beside outlines drawn by hand

38 films of 18 adults (one has both wrists), PA and lateral, from one clinic; all are displayed mirrored against the
dorsal view. Nothing was trained or tuned on them. There is no CT: the truth are outlines of radius and ulna, drawn by
hand before anything was scored ([outlines](outlines/README.md): how, and how sure they are). Each film went through
`reconstruct` by itself, as a user would do it: the side as the letter on the film says, the view, and
`--pixel-spacing-mm 0.125`, **which is a guess** from the plate's size. Shares of the radius' distal width in the same
wrist's PA film do not hang on the guess as the unit of what is measured, though the reconstruction itself does.

*Outline*: distance from the visible drawn points to the silhouette of each bone's projected mesh in the recorded image.
*Signed*: positive where the model lies outside of the drawn line (too large). Drawn points within 2 mm of the model's
cut, or proximal of it, are not compared (*compared*: the share that was). *Hanging right*: the model's fingers point
where the hand's do, and its ulnar (PA) or palmar (lateral) side lies where the drawing has it. *Joint off*: how far
the model's joint line lies from the drawn one; in brackets how much of that is distal. In a PA film the ulnar ends
are compared (the middle of the sigmoid notch's corners; the radial end lies under the inpainted box), in a lateral
the middle of dorsal and volar rim. Until 2026-11-30 the origin of the radius frame was compared with the middle of
the drawn line: in a lateral it lies 2.3 mm distal of the middle of both rims, which was no error of the model. A film
without bones counts as not found, not hanging right, flagged; it has no distance.

**What the visible points do not see.** In a lateral the distal end of the radius lies behind the carpus and the box, so
that most of what is visible is the shaft: a model that slid along the shaft keeps a small distance. *Whole* is the mean
distance both ways between the whole outlines, inferred parts included: less certain, but it sees that, as *joint off*
does.

**The guess.** At 0.125 mm the radius is {width} mm wide on the 19 PA films as drawn (mean, SD; largest extent across
the shaft); published for adults is 27.1 +- 1.2 mm, so the true spacing may well be smaller.

## Totals

{totals}

To be reached: PA unflagged and hanging right in 16 of 18, outline 1.0 mm; laterals 13 of 18, 1.5 mm (median of means).
Here all 19 films of a view are counted. In laterals the bar on the visible outline says little by itself: a model 6 mm
too far distal passes it (virtual-3 does). Judge laterals by *joint off*, *whole* and the ulna as well.

## How sure a film says that it is

The networks that look at an outline tell how sure they are of its place (mean SD along it, mm), and a bone whose
outline is hardly seen is remarked. The levels were set on virtual films. *Remarked*: how many of the films; *off*:
those whose outline lies more than 1 mm beside the drawn one.

{told}

## Identity

The bone from a patient's PA film against the bones from all laterals (the first PA and the first lateral of each of the
18 patients), after alignment of each pair. Rank 1: the patient's own lateral gives the nearest bone. *Rigid*: ASD after
rigid alignment. *Similarity*: the same with size taken out. A reader that tells everyone the mean bone has its own
first in 1 of 18 by chance, and a mean rank of 9.5. A patient without a bone from either film has no rank and is not
first.

{identity}

To be reached: own first in 9 of 18, in 6 with size taken out.

## Every film

{films}

The last two are the specimen's, with their cameras: millimetres at its wrist, cam01 (between PA and lateral) taken as a
lateral. Flags in words, and all numbers: [adult-films.csv](adult-films.csv). Ranks:
[adult-films-identity.csv](adult-films-identity.csv).

{made}
"""
SPECIMEN = "specimen"
TOTALS = (
    "run",
    "films",
    "bones",
    "hanging right",
    "unflagged",
    "both",
    "radius, mm: median of means (of 95th percentiles)",
    "share of width",
    "signed, mm",
    "whole, mm",
    "joint off, mm (distal)",
    "ulna, mm",
    "whole, mm",
)
TOLD = (
    "view",
    "bone",
    "films",
    "unsure by, mm: median",
    "rank correlation with the distance",
    "remarked",
    "off",
    "off and remarked",
)
RANKS = ("run", "bone", "alignment", "ranked", "own first", "mean rank of those", "candidates")
FILMS = (
    "film",
    "side",
    "answer",
    "joint off, mm (distal)",
    "hanging right",
    "score",
    "flags: severe, doubtful",
    "radius, mm: mean (95 %), signed",
    "share",
    "compared",
    "whole",
    "ulna, mm: mean (95 %), signed",
    "compared",
    "whole",
    "s",
)


def page(folder: Path, made: str) -> str:
    """Markdown. folder: holds adult-films.csv and adult-films-identity.csv, and the same of *before* where kept."""
    now, ranks = read_rows(folder / "adult-films.csv"), read_rows(folder / "adult-films-identity.csv")
    before, ranks_before = folder / "adult-films-before.csv", folder / "adult-films-before-identity.csv"
    totals, identity = totals_lines("now", now), identity_lines("now", ranks)
    if before.exists() and ranks_before.exists():
        totals = totals_lines("before", read_rows(before)) + totals
        identity = identity_lines("before", read_rows(ranks_before)) + identity
    wide = _numbers([row for row in now if row["view"] == "pa" and row["patient"] != SPECIMEN], "radius_width_mm")
    return PAGE.format(
        width=f"{wide.mean():.1f} +- {wide.std():.1f}",
        totals=table(TOTALS, totals),
        told=table(TOLD, told_lines(now)),
        identity=table(RANKS, identity),
        films=table(FILMS, _films(now)),
        made=made,
    )


def table(head: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join("| " + " | ".join(str(cell) for cell in row) + " |" for row in rows)


def read_rows(path: Path) -> list[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _numbers(rows: Sequence[Row], column: str) -> np.ndarray:
    values = np.array([float(row[column]) for row in rows], dtype=np.float64)
    return values[np.isfinite(values)]


def _median(rows: Sequence[Row], column: str, digits: int = 2) -> str:
    values = _numbers(rows, column)
    return f"{np.median(values):.{digits}f}" if len(values) else "-"


def totals_lines(run: str, rows: Sequence[Row]) -> list[list[object]]:
    lines = []
    for view, name in (("pa", "PA"), ("lat", "lateral")):
        of = [row for row in rows if row["view"] == view and row["patient"] != SPECIMEN]
        lines.append(_total(run, name, of))
        right = [row for row in of if row["hanging_right"] == "yes"]
        if right and len(right) < sum(row["answer"] == "bones" for row in of):
            lines.append(_total(run, f"{name}, of those that hang right", right))
    return lines


def _total(run: str, name: str, rows: Sequence[Row]) -> list[object]:
    right = [row["hanging_right"] == "yes" for row in rows]
    unflagged = [row["unflagged"] == "True" for row in rows]
    return [
        run,
        f"{len(rows)} {name}",
        sum(row["answer"] == "bones" for row in rows),
        sum(right),
        sum(unflagged),
        sum(a and b for a, b in zip(right, unflagged, strict=True)),
        f"{_median(rows, 'radius_mean_mm')} ({_median(rows, 'radius_p95_mm')})",
        _median(rows, "radius_share", 3),
        _median(rows, "radius_signed_mm"),
        _median(rows, "radius_whole_mm"),
        f"{_median(rows, 'joint_off_mm', 1)} ({_median(rows, 'joint_distal_mm', 1)})",
        f"{_median(rows, 'ulna_mean_mm')} ({_median(rows, 'ulna_p95_mm')})",
        _median(rows, "ulna_whole_mm"),
    ]


def told_lines(rows: Sequence[Row]) -> list[list[object]]:
    lines = []
    for view, name in (("pa", "PA"), ("lat", "lateral")):
        for bone, level_mm in HARDLY_SEEN_MM.items():
            of = [row for row in rows if row["view"] == view and row["patient"] != SPECIMEN]
            both = np.array([[float(row[f"{bone}_{n}_mm"]) for n in ("told", "mean")] for row in of])
            told, off = both[np.isfinite(both).all(axis=1)].T
            remarked, wrong = told >= level_mm, off > 1.0
            rank = f"{spearmanr(told, off).statistic:.2f}"
            counts = [int(which.sum()) for which in (remarked, wrong, remarked & wrong)]
            lines.append([name, bone, len(told), f"{np.median(told):.2f}", rank, *counts])
    return lines


def identity_lines(run: str, rows: Sequence[Row]) -> list[list[object]]:
    lines = []
    for bone in dict.fromkeys(row["bone"] for row in rows):
        for alignment in dict.fromkeys(row["alignment"] for row in rows):
            of = [row for row in rows if (row["bone"], row["alignment"]) == (bone, alignment)]
            ranks = _numbers(of, "rank")
            mean = f"{ranks.mean():.1f}" if len(ranks) else "-"
            most = max((int(row["candidates"]) for row in of), default=0)
            ranked, first = f"{len(ranks)} of {len(of)}", f"{int((ranks == 1).sum())} of {len(of)}"
            lines.append([run, bone, alignment, ranked, first, mean, most])
    return lines


def _films(rows: Sequence[Row]) -> list[list[object]]:
    lines = []
    for row in rows:
        bones = [
            f"{_cell(row, f'{bone}_mean_mm')} ({_cell(row, f'{bone}_p95_mm')}), {_cell(row, f'{bone}_signed_mm')}"
            for bone in ("radius", "ulna")
        ]
        lines.append(
            [
                row["film"],
                row["side"],
                row["answer"],
                f"{_cell(row, 'joint_off_mm', 1)} ({_cell(row, 'joint_distal_mm', 1)})",
                row["hanging_right"] or "-",
                _cell(row, "score"),
                f"{row['severe']}, {row['doubtful']}",
                bones[0],
                _cell(row, "radius_share"),
                _cell(row, "radius_compared"),
                _cell(row, "radius_whole_mm"),
                bones[1],
                _cell(row, "ulna_compared"),
                _cell(row, "ulna_whole_mm"),
                _cell(row, "seconds", 1),
            ]
        )
    return lines


def _cell(row: Row, column: str, digits: int = 2) -> str:
    value = float(row[column])
    return f"{value:.{digits}f}" if np.isfinite(value) else "-"
