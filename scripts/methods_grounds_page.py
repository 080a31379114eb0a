"""The tables of methods on real bones and on adult films, from the rows that the two measuring scripts wrote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from adult_films_page import RANKS, TOTALS, Row, identity_lines, read_rows, table, totals_lines
from measure_packaged_methods import FILE as PACKAGED
from measure_packaged_methods import PackagedRow

from bonelift.experiments.methods.grounds import MEAN, METHODS, SIZED
from bonelift.experiments.methods.on_real_bones import CT_DRR, FILM, NO_IMAGE, MethodOnBone
from bonelift.experiments.results import tables
from bonelift.experiments.results.method_rows import MethodTests, Values, compared, finite_mean
from bonelift.experiments.results.statistics import summarise
from bonelift.experiments.results.tables import ROWS_FILE
from bonelift.experiments.scores import CaseRow
from bonelift.experiments.surface_scores import ALIGNMENTS
from bonelift.reconstruction.bones import BONES

FOLDER = Path("docs/results/methods")
REAL_BONES, ADULT_FILMS, IDENTITY = "real-bones.csv", "adult-films.csv", "adult-films-identity.csv"
OURS = "shape"
WITHOUT_SKILL = (MEAN, SIZED)
SHORT = {OURS: "ours", "tl": "TL net", "render-and-compare": "rendered shape model"}
"""What the tests call a method; the mean bones have their own names."""
VIEWS = {"pa": "PA", "lat": "lateral"}
COMPARED = {"radius_mean_mm": "radius", "radius_whole_mm": "radius, whole outline", "ulna_mean_mm": "ulna"}


def real_bones(folder: Path) -> str:
    """Markdown, from ``folder``/real-bones.csv."""
    rows = tables.read_rows(folder / REAL_BONES, MethodOnBone)
    parts = [_bests(rows), _means(rows)]
    for source in (CT_DRR, FILM):
        for bone in BONES:
            values = values_on_bones(rows, source, bone, "rigid")
            parts.append(f"- **{source}, {bone}, rigid:** {tested(values)}")
    return "\n\n".join([parts[0], parts[1], "\n".join(parts[2:]), failures(bone_failures(rows)), made(rows)])


def bone_failures(rows: Sequence[MethodOnBone]) -> Iterable[tuple[str, str, str]]:
    """(method, image, reason) of each image of which a method made nothing, once an image."""
    seen = {(row.method, row.source, row.subject, row.interior): row.note for row in rows if row.note}
    return ((method, source, note) for (method, source, *_), note in seen.items())


def values_on_bones(rows: Sequence[MethodOnBone], source: str, bone: str, alignment: str) -> Values:
    """Method -> subject -> mm, mean over drawn insides; every method has every subject, NaN where it failed."""
    return by_subject(
        [
            (row.method, row.subject, row.asd_surface_mm)
            for row in rows
            if (row.bone, row.alignment) == (bone, alignment) and row.source in (source, NO_IMAGE)
        ]
    )


def by_subject(rows: Sequence[tuple[str, str, float]]) -> Values:
    """(method, subject, mm) -> mean of a subject's, methods in the order of METHODS. NaN where none is finite."""
    subjects = sorted({subject for _, subject, _ in rows})
    found: dict[tuple[str, str], list[float]] = {}
    for method, subject, value in rows:
        found.setdefault((method, subject), []).append(value)
    methods = [name for name in METHODS if any(method == name for method, _, _ in rows)]
    return {name: {who: finite_mean(found.get((name, who), [])) for who in subjects} for name in methods}


def _mean(values: Mapping[str, float]) -> float:
    return finite_mean(list(values.values()))


def _bests(rows: Sequence[MethodOnBone]) -> str:
    head = ["image", "by the mean, mm", "the best", "ours", "mean bone", "mean bone at the true size"]
    lines = []
    for source in (CT_DRR, FILM):
        for bone in BONES:
            for alignment in reversed(ALIGNMENTS):
                means = {m: _mean(of) for m, of in values_on_bones(rows, source, bone, alignment).items()}
                reading = {m: mean for m, mean in means.items() if m not in WITHOUT_SKILL}
                best = min(reading, key=lambda m: reading[m])
                place = sorted(reading.values()).index(reading[OURS]) + 1
                lines.append(
                    [source, f"{bone}, {alignment}", f"{METHODS[best]}: {reading[best]:.2f}"]
                    + [f"{reading[OURS]:.2f} ({place} of {len(reading)})"]
                    + [f"{means[name]:.2f}" for name in WITHOUT_SKILL]
                )
    return table(head, lines)


def _means(rows: Sequence[MethodOnBone]) -> str:
    head = ["image", "method", "radius, rigid (n)", "skill", "as predicted", "ulna, rigid (n)", "skill", "as predicted",
            "failed", "an image, s", "MiB"]  # fmt: skip
    lines = []
    for source in (CT_DRR, FILM, NO_IMAGE):
        own = {name for name in METHODS if any(r.source == source and r.method == name for r in rows)}
        for name in (m for m in METHODS if m in own):
            of = [row for row in rows if (row.source, row.method) == (source, name)]
            cells: list[str] = []
            for bone in BONES:
                values = values_on_bones(rows, source if source != NO_IMAGE else FILM, bone, "rigid")
                reached = {who: mm for who, mm in values[name].items() if np.isfinite(mm)}
                skill = 1 - _mean(reached) / _mean({who: values[MEAN][who] for who in reached})
                predicted = values_on_bones(of, source, bone, "as predicted")[name]
                cells += [
                    f"{_mean(reached):.2f} ({len(reached)})",
                    "" if name == MEAN else f"{round(100 * skill) + 0} %",
                ]
                cells.append(f"{_mean(predicted):.2f}")
            images = {(row.subject, row.interior): row.note for row in of}
            failed = sum(bool(note) for note in images.values())
            lines.append([source, METHODS[name], *cells, f"{failed} of {len(images)}", *_cost(of)])
    return table(head, lines)


def _cost(rows: Sequence[MethodOnBone] | Sequence[PackagedRow]) -> list[str]:
    seconds = [row.read_s for row in rows if np.isfinite(row.read_s)]
    mib = [row.read_mib for row in rows if np.isfinite(row.read_mib)]
    return [f"{np.median(seconds):.2f}", f"{max(mib):.0f}"] if seconds and mib else ["", ""]


def adult_films(folder: Path) -> str:
    """Markdown, from ``folder``/adult-films.csv and adult-films-identity.csv."""
    rows, ranks = read_rows(folder / ADULT_FILMS), read_rows(folder / IDENTITY)
    methods = [name for name in METHODS if any(row["method"] == name for row in rows)]
    lines = []
    for name in methods:
        of = [row for row in rows if row["method"] == name]
        for line in totals_lines(METHODS[name], of):
            view = next(key for key, shown in VIEWS.items() if f" {shown}" in str(line[1]))
            lines.append([*line, *_film_cost([row for row in of if row["view"] == view])])
    lines.sort(key=lambda line: "lateral" in str(line[1]))
    tests = [
        f"- **{VIEWS[view]}, {shown}:** {tested(values_on_films(rows, view, column))}"
        for view in VIEWS
        for column, shown in COMPARED.items()
    ]
    known = [
        line
        for name in methods
        for line in identity_lines(METHODS[name], [row for row in ranks if row["method"] == name])
    ]
    failed = [(row["method"], row["view"], row["flags"] or row["answer"]) for row in rows if row["answer"] != "bones"]
    parts = [
        table(("method", *TOTALS[1:], "an image, s", "MiB"), lines),
        "\n".join(tests),
        *(["### Whose bone is it?", table(("method", *RANKS[1:]), known)] if known else []),
        failures([(method, VIEWS[view], reason) for method, view, reason in failed]),
        made_of({(row["model"], row["made"]) for row in rows}),
    ]
    return "\n\n".join(parts)


def _film_cost(rows: Sequence[Row]) -> list[str]:
    seconds = [float(row["seconds"]) for row in rows if np.isfinite(float(row["seconds"]))]
    mib = [float(row["read_mib"]) for row in rows if np.isfinite(float(row["read_mib"]))]
    return [f"{np.median(seconds):.2f}", f"{max(mib):.0f}"] if seconds and mib else ["", ""]


def values_on_films(rows: Sequence[Row], view: str, column: str) -> Values:
    """Method -> patient -> mm, mean over the patient's films of this view."""
    return by_subject([(row["method"], row["patient"], float(row[column])) for row in rows if row["view"] == view])


def packaged(folder: Path) -> str:
    """Markdown, from ``folder``/packaged.csv and the rows of the run of all methods beside it."""
    new, old = tables.read_rows(folder / PACKAGED, PackagedRow), tables.read_rows(folder / ROWS_FILE, CaseRow)
    head = ["method", "patients", "radius, rigid", "radius, as predicted", "ulna, rigid", "ulna, as predicted", "skill",
            "failed", "an image, s", "MiB"]  # fmt: skip
    lines, compared_values = [], {bone: {} for bone in BONES}
    for name in dict.fromkeys(row.method for row in new):
        of = [row for row in new if row.method == name]
        lines.append([METHODS[name], *_case_cells(of), *_cost(of)])
        for bone in BONES:
            compared_values[bone][name] = _by_patient(of, bone, "rigid")
    tested_cases = {row.case for row in new}
    for name in (MEAN, SIZED):
        of = [row for row in old if row.method == name and row.case in tested_cases]
        lines.append([METHODS[name], *_case_cells(of), "", ""])
        for bone in BONES:
            compared_values[bone][name] = _by_patient(of, bone, "rigid")
    tests = [f"- **{bone}, rigid:** {tested(compared_values[bone])}" for bone in BONES]
    failed = {(row.method, row.source, row.case, row.image): row.note for row in new if row.note}
    told = failures((method, source, note) for (method, source, *_), note in failed.items())
    return "\n\n".join([table(head, lines), "\n".join(tests), told, made_of({(row.model, row.made) for row in new})])


def _case_cells(rows: Sequence[CaseRow]) -> list[object]:
    """Patients, mean and SD by bone and alignment, skill, failures."""
    cells: list[object] = []
    for bone in BONES:
        for alignment in ("rigid", "as predicted"):
            summary = summarise("", list(_by_patient(rows, bone, alignment).values()))
            cells.append(f"{summary.mean:.2f} ± {summary.sd:.2f}")
    of = [row for row in rows if (row.bone, row.alignment) == ("radius", "rigid")]
    skill = finite_mean([row.skill_surface for row in of])
    known = f"{skill:.2f}" if np.isfinite(skill) else ""
    return [len({row.patient for row in of}), *cells, known, f"{sum(bool(row.note) for row in of)} of {len(of)}"]


def _by_patient(rows: Sequence[CaseRow], bone: str, alignment: str) -> dict[str, float]:
    """Patient -> mm, in the order of their names."""
    of = [row for row in rows if (row.bone, row.alignment) == (bone, alignment)]
    patients = sorted({row.patient for row in of})
    return {who: finite_mean([row.asd_surface_mm for row in of if row.patient == who]) for who in patients}


def tested(values: Values) -> str:
    """The tests between methods in a sentence or two, and in how many subjects ours is nearer than each other one."""
    return f"{_told(compared(values))} {nearer(values)}".strip()


def nearer(values: Values) -> str:
    """In how many of the subjects that both have ours is nearer than another method."""
    ours, told = values[OURS], []
    for name, of in values.items():
        both = [who for who in ours if np.isfinite(ours[who]) and np.isfinite(of[who])]
        if name != OURS and both:
            told.append(f"{sum(ours[who] < of[who] for who in both)} of {len(both)} ({_short(name)})")
    return f"Ours is nearer in {', '.join(told)}." if told else ""


def _told(tests: MethodTests) -> str:
    kind = "paired t" if tests.normal else "signed ranks (Shapiro-Wilk rejects)"
    found = [
        f"{_short(pair.first)} - {_short(pair.second)} {pair.difference:+.2f} mm (p {_p(pair.p)})"
        for pair in sorted(tests.pairs, key=lambda pair: pair.p)
        if pair.p < 0.05
    ]
    if not tests.omnibus:
        return "no test."
    told = ", ".join(found) or "no pair differs"
    few = "" if tests.can_find else f" With {tests.patients} subjects and {len(tests.pairs)} pairs it cannot find one."
    return f"{tests.omnibus.test}: p {_p(tests.omnibus.p)}; {kind}, Holm: {told}.{few}"


def _short(method: str) -> str:
    return SHORT.get(method, method)


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def failures(found: Iterable[tuple[str, str, str]]) -> str:
    """(method, image, reason) counted."""
    counted = Counter((METHODS[method], image, " ".join(reason.split())) for method, image, reason in found)
    if not counted:
        return "No method failed on any image."
    lines = [[method, image, count, reason] for (method, image, reason), count in counted.items()]
    return table(("method", "image", "failed", "reason"), lines)


def made(rows: Sequence[MethodOnBone]) -> str:
    """Models, commits, dates."""
    return made_of({(row.model, row.made) for row in rows if row.model})


def made_of(known: set[tuple[str, str]]) -> str:
    """(model, what made the row) in a sentence."""
    return "Rows of " + "; ".join(f"model `{model}`, commit {by}" for model, by in sorted(known)) + "."
