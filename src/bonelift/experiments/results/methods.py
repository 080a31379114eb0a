"""The methods side by side: page, statistics and figure, from a run folder alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from bonelift.errors import InputError
from bonelift.experiments.folds import read_folds
from bonelift.experiments.results.figures import pyplot, save_figure
from bonelift.experiments.results.method_rows import (
    KNOWS_TRUTH,
    NO_SKILL,
    OUR_READING,
    MethodCost,
    MethodRow,
    MethodTests,
    Values,
    compared,
    finite_mean,
    mean_of,
    method_row,
    rows_of_films,
    translator_cost,
    values_of,
)
from bonelift.experiments.results.statistics import GroupSummary, terciles
from bonelift.experiments.results.tables import collect_scores, input_of
from bonelift.experiments.run.folder import RunPaths, read_run, write_json, write_text, writing
from bonelift.experiments.scores import MEAN_BONE, CaseRow
from bonelift.experiments.true_size import TRUE_SIZE
from bonelift.reconstruction.bones import BONES
from bonelift.storage.json_values import without_nan

PAGE_FILE, STATISTICS_FILE, FIGURE_FILE = "methods.md", "methods.json", "methods.png"
OURS_COLOUR, OTHERS_COLOUR, NO_SKILL_COLOUR = "#c8553d", "#3b6ea8", "#8a8a8a"
ELSEWHERE_COLOUR = "#3f8f5b"


def write_methods(run: Path) -> Path:
    """Tables, statistics, figure and page of what was made of films so far, by every method; returns the page.

    Raises InputError where ``run`` is no run folder, holds no scores yet, or matplotlib is missing.
    """
    paths = RunPaths(run)
    content, folds = read_run(paths), read_folds(paths.folds)
    rows = rows_of_films(collect_scores(paths)[0])
    if not rows:
        raise InputError(f"{run}: nothing has been scored; run evaluate first")
    table = [method_row(paths, folds, name, rows) for name in dict.fromkeys(input_of(row) for row in rows)]
    table.sort(key=lambda row: mean_of(row, "radius", "rigid"))
    tests = {bone: compared(values_of(rows, bone, "rigid")) for bone in BONES}
    with writing(paths.figures):
        paths.figures.mkdir(parents=True, exist_ok=True)
        draw(paths.figures / FIGURE_FILE, table, values_of(rows, "radius", "rigid"))
    write_json(run / STATISTICS_FILE, without_nan({bone: asdict(test) for bone, test in tests.items()}))
    write_text(run / PAGE_FILE, page(content, table, rows, tests, translator_cost(paths, folds)))
    return run / PAGE_FILE


def draw(path: Path, table: Sequence[MethodRow], values: Values) -> None:
    """A line a method, best on top: a dot a patient, a bar the interval of the mean, a stroke the mean; where it is
    grey, it is no better than knowing nothing."""
    plt = pyplot()
    shown = [row for row in table if np.isfinite(mean_of(row, "radius", "rigid"))]
    figure, axes = plt.subplots(figsize=(10.0, 1.5 + 0.48 * len(shown)), layout="constrained")
    for place, row in enumerate(shown):
        summary = row.summaries["radius", "rigid"]
        of_patients = np.array(list(values[row.name].values()))
        colour = OURS_COLOUR if row.name == OUR_READING else OTHERS_COLOUR
        if row.name in NO_SKILL or row.name in KNOWS_TRUTH:
            colour = NO_SKILL_COLOUR
        elif row.elsewhere:
            colour = ELSEWHERE_COLOUR
        axes.plot(of_patients, np.full(len(of_patients), place), "o", color=colour, alpha=0.35, markersize=5)
        axes.plot([summary.ci_low, summary.ci_high], [place, place], color=colour, linewidth=3)
        axes.plot(summary.mean, place, "|", color="black", markersize=15, markeredgewidth=2)
        failed = f" ({row.failed} failed)" if row.failed else ""
        axes.annotate(f"{summary.mean:.2f}{failed}", (1.01, place), xycoords=("axes fraction", "data"), va="center",
                      fontweight="bold" if row.name == OUR_READING else "normal")  # fmt: skip
    reach = max((float(np.nanmax(list(values[row.name].values()))) for row in shown), default=1.0) * 1.05
    for row in shown:
        if row.name == MEAN_BONE:
            level = mean_of(row, "radius", "rigid")
            axes.axvspan(level, max(reach, level), color="#f0f0f0", zorder=0)
            axes.annotate("worse than the mean bone", (level, -0.65), (4, 0), textcoords="offset points", fontsize=9,
                          color="#606870", va="center")  # fmt: skip
    axes.set_yticks(range(len(shown)), [_label(row) for row in shown])
    axes.set_ylim(len(shown) - 0.4, -1.0)
    axes.set_xlim(0, reach)
    patients = max((row.summaries["radius", "rigid"].count for row in shown), default=0)
    axes.set_title(f"Radius from one film, {patients} patients: the nearer to the left, the better", loc="left")
    axes.set_xlabel("distance from the true radius after rigid alignment, mm")
    green = "; green: learned from other patients" if any(row.elsewhere for row in shown) else ""
    key = f"dot: patient; bar: 95 % of the mean; red: ours; grey: knows the truth, or no image{green}"
    figure.supxlabel(key, fontsize=9, color="#606870")
    axes.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path)
    plt.close(figure)


def _label(row: MethodRow) -> str:
    """Its title, marked where it is no comparison."""
    if row.elsewhere:
        return f"{row.title} +"
    return f"{row.title} *" if row.name in KNOWS_TRUTH and row.name != TRUE_SIZE else row.title


def page(
    run: Mapping[str, Any],
    table: Sequence[MethodRow],
    rows: Sequence[CaseRow],
    tests: Mapping[str, MethodTests],
    translator: MethodCost,
) -> str:
    """methods.md: what was compared, the best said plainly, the figure, the tables."""
    titles = {row.name: row.title for row in table}
    figure = f"![Distance by method](figures/{FIGURE_FILE})\n"
    parts = [_head(run, table, rows), figure, _table(table, translator), _failures(table)]
    parts += [_by_difficulty(table, rows), *(_tests(bone, test, titles) for bone, test in tests.items())]
    return "\n".join(part for part in parts if part)


def _head(run: Mapping[str, Any], table: Sequence[MethodRow], rows: Sequence[CaseRow]) -> str:
    patients, folds = len({row.patient for row in rows}), sorted({row.fold for row in rows})
    return (
        f"{_verdict(table)}\n\n{patients} patients that no method had seen, {', '.join(folds)} of {run['folds']}; "
        f"preset {run['preset']['networks']['name']}, seed {run['seed']}. Distances are mean surface distances in mm, "
        "mean and SD over patients. Every method had the same training patients, the same films and the same "
        "translator, but where its row says otherwise. A * marks what no clinic could have: it knows the true bone's "
        "outline."
        + (" A + marks what learned from other patients, and more of them." if any(r.elsewhere for r in table) else "")
        + "\n"
    )


def _verdict(table: Sequence[MethodRow]) -> str:
    """Who is best in each bone and alignment, of what a clinic could have and what learned the fold; ours and the mean
    bone beside it."""
    fair = [row for row in table if row.name not in (*NO_SKILL, *KNOWS_TRUTH) and not row.elsewhere]
    found = [row for row in fair if np.isfinite(mean_of(row, "radius", "rigid"))]
    if not found:
        return "No method gave a bone."
    best = found[0]
    named = {row.name: row for row in table}
    known = mean_of(named[MEAN_BONE], "radius", "rigid")
    lines = [
        f"Best on the radius after rigid alignment: **{best.title}**, {mean_of(best, 'radius', 'rigid'):.2f} mm; the "
        f"mean bone, which looks at nothing, {known:.2f} mm."
        + ("" if mean_of(best, "radius", "rigid") < known else " So no method knows more than the mean bone here."),
        "",
        "| by the mean, mm | the best from a film | ours | mean bone | mean bone at the true size |",
        "|---|---|---|---|---|",
    ]
    for bone in BONES:
        for how in ("rigid", "as predicted"):
            ranked = sorted(fair, key=lambda row: mean_of(row, bone, how))
            ours = [f"{place} of {len(ranked)}" for place, row in enumerate(ranked, 1) if row.name == OUR_READING]
            least, known = mean_of(ranked[0], bone, how), mean_of(named[MEAN_BONE], bone, how)
            cells = [
                f"{ranked[0].title}: {_number(least, 2)}{'' if least < known else ', no better than the mean bone'}",
                *(
                    _number(mean_of(named[name], bone, how), 2) if name in named else ""
                    for name in (OUR_READING, MEAN_BONE, TRUE_SIZE)
                ),
            ]
            if ours:
                cells[1] += f" ({ours[0]})"
            lines.append(f"| {bone}, {how} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _table(table: Sequence[MethodRow], translator: MethodCost) -> str:
    lines = [
        "| method | patients | radius, rigid | radius, as predicted | ulna, rigid | ulna, as predicted | skill | "
        "failed | training, s | an image, s | MiB | updates | note |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in table:
        cells = [_summary(row.summaries[bone, how]) for bone in BONES for how in ("rigid", "as predicted")]
        cost = row.cost
        costs = ["", "", "", ""]
        if row.name not in NO_SKILL:
            costs = [_number(cost.seconds, 0), _number(cost.each_s, 2), _number(cost.peak_mib, 0), f"{cost.updates}"]
        skill = _number(row.skill, 2)
        count = f"{row.summaries['radius', 'rigid'].count}"
        lines.append(
            f"| {' | '.join([_label(row), count, *cells, skill, f'{row.failed} of {row.films}', *costs, row.note])} |"
        )
    return "\n".join(lines) + (
        "\n\nSkill: of the radius after rigid alignment, 1 - distance / distance of the mean bone of the same patient, "
        "mean over patients. Patients: those with a bone. Seconds: of the processor, of the training, and to make the "
        "bones of one image (median). MiB: most memory of the process that trained. Updates: of one fold's networks. "
        f"Before every method that reads a GAN-DRR stands pix2pix: {translator.updates} updates, "
        f"{_number(translator.seconds, 0)} s, {_number(translator.peak_mib, 0)} MiB.\n"
    )


def _summary(summary: GroupSummary) -> str:
    return "none" if not summary.count else f"{summary.mean:.2f} ± {_number(summary.sd, 2)}"


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if np.isfinite(value) else ""


def _failures(table: Sequence[MethodRow]) -> str:
    lines = [f"| {row.title} | {count} | {reason} |" for row in table for reason, count in row.reasons]
    if not lines:
        return "No film failed.\n"
    return "\n".join(["## What failed", "", "| method | films | reason |", "|---|---|---|", *lines, ""])


def _by_difficulty(table: Sequence[MethodRow], rows: Sequence[CaseRow]) -> str:
    values = values_of(rows, "radius", "rigid")
    thirds = terciles(values.get(MEAN_BONE, {}))
    if min((len(names) for names in thirds.values()), default=0) == 0:
        return ""
    lines = [
        "## By difficulty",
        "",
        "Patients in thirds by how far their radius lies from the mean bone (rigid, mm).",
        "",
    ]
    lines += [f"| method | {' | '.join(f'{name}, {len(of)}' for name, of in thirds.items())} |", "|---|---|---|---|"]
    for row in table:
        of = values.get(row.name, {})
        means = [_number(finite_mean([of[p] for p in names if p in of]), 2) for names in thirds.values()]
        lines.append(f"| {row.title} | {' | '.join(means)} |")
    return "\n".join([*lines, ""])


def _tests(bone: str, tests: MethodTests, titles: Mapping[str, str]) -> str:
    if tests.omnibus is None:
        return ""
    kind = "paired t-tests" if tests.normal else "signed ranks (Shapiro-Wilk rejects for some differences)"
    omnibus = tests.omnibus
    lines = [
        f"## {bone.capitalize()}, rigid: who differs from whom",
        "",
        f"{omnibus.test}: {omnibus.statistic:.2f}, p {_p(omnibus.p)}. Pairs by {kind}, p adjusted by Holm; those under "
        "0.05:",
        "",
        "| first | second | difference, mm | 95 % interval | p |",
        "|---|---|---|---|---|",
    ]
    found = [
        f"| {titles[pair.first]} | {titles[pair.second]} | {pair.difference:+.2f} | "
        f"{pair.ci_low:+.2f} to {pair.ci_high:+.2f} | {_p(pair.p)} |"
        for pair in tests.pairs
        if pair.p < 0.05
    ]
    too_few = f"With {tests.patients} patients and {len(tests.pairs)} pairs this test cannot find one.\n"
    rest = [""] if tests.can_find else ["", too_few]
    return "\n".join([*lines, *(found or ["| none | | | | |"]), *rest])


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
