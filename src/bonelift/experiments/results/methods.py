"""The methods side by side: table, statistics, figure and page, from a run folder alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bonelift.errors import InputError
from bonelift.experiments.folds import Folds, read_folds
from bonelift.experiments.methods.builtin import METHODS
from bonelift.experiments.results.figures import pyplot
from bonelift.experiments.results.statistics import (
    Comparison,
    GroupSummary,
    Omnibus,
    friedman,
    normal_differences,
    paired_comparisons,
    paired_ranks,
    repeated_measures_anova,
    summarise,
    terciles,
)
from bonelift.experiments.results.tables import by_shape, collect_scores, input_of
from bonelift.experiments.run.cost import COST_FILE, LEARNED_FILE
from bonelift.experiments.run.folder import RunPaths, read_run, write_json, write_text, writing
from bonelift.experiments.scores import MEAN_BONE, CaseRow
from bonelift.experiments.training import DONE_FILE
from bonelift.experiments.true_size import TRUE_SIZE
from bonelift.reconstruction.bones import BONES
from bonelift.storage.input_files import read_json, understood
from bonelift.storage.json_values import without_nan

METRIC = "asd_surface_mm"
PAGE_FILE, STATISTICS_FILE, FIGURE_FILE = "methods.md", "methods.json", "methods.png"
NO_SKILL = {MEAN_BONE: "no skill: mean bone", TRUE_SIZE: f"no skill: {TRUE_SIZE}"}
_IDEAL = "its bones are cut out along the true outline, as by an ideal hand; pairs only"
OURS = {
    "GAN-DRR": ("TL net on the GAN-DRR (Shiode 2021)", ""),
    by_shape("GAN-DRR"): ("shape regressor on the GAN-DRR (ours)", ""),
    "histogram-matched": ("TL net on the histogram-matched film (Shiode 2021)", _IDEAL),
    by_shape("histogram-matched"): ("shape regressor on the histogram-matched film", _IDEAL),
}
"""What was made of a film by our own networks: ``input_of`` its rows -> title, note."""
Values = dict[str, dict[str, float]]
"""method (``input_of`` its rows) -> patient -> mm, NaN where it failed."""


@dataclass(frozen=True)
class MethodCost:
    """seconds: of the processor, of the training. each_s: of one case, to read it and to score it. peak_mib: of the
    process that trained. updates: of one fold's networks. NaN where it was not measured."""

    seconds: float = float("nan")
    each_s: float = float("nan")
    peak_mib: float = float("nan")
    updates: int = 0


@dataclass(frozen=True)
class MethodRow:
    """One method over all patients. summaries: (bone, alignment) -> of patients' means. failed: films of ``films``."""

    name: str
    title: str
    note: str
    summaries: Mapping[tuple[str, str], GroupSummary]
    skill: float
    films: int
    failed: int
    reasons: tuple[tuple[str, int], ...]
    cost: MethodCost


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
    table.sort(key=lambda row: _mean(row, "radius", "rigid"))
    tests = {bone: compared(values_of(rows, bone, "rigid")) for bone in BONES}
    with writing(paths.figures):
        paths.figures.mkdir(parents=True, exist_ok=True)
        draw(paths.figures / FIGURE_FILE, table, values_of(rows, "radius", "rigid"))
    write_json(run / STATISTICS_FILE, without_nan({bone: asdict(test) for bone, test in tests.items()}))
    write_text(run / PAGE_FILE, page(content, table, rows, tests, f"{paths.figures.name}/{FIGURE_FILE}"))
    return run / PAGE_FILE


def rows_of_films(rows: Sequence[CaseRow]) -> list[CaseRow]:
    """Rows of methods that could be used in a clinic, and of what looks at no image, of cases that have a film."""
    with_film = {row.case for row in rows if row.source in ("GAN-DRR", "film")}
    kept = [row for row in rows if input_of(row) in (*OURS, *NO_SKILL) or _brought_name(row)]
    return [row for row in kept if row.case in with_film and row.source not in ("CT-DRR", "registration-DRR")]


def _brought_name(row: CaseRow) -> str:
    """The name of the method that somebody brought, or ""."""
    known = ("model", "shape regressor", MEAN_BONE, TRUE_SIZE, "grid floor")
    return "" if row.method in known else row.method


def values_of(rows: Sequence[CaseRow], bone: str, alignment: str, metric: str = METRIC) -> Values:
    """Mean over each patient's films, in the order of patients; every method has every patient."""
    patients = sorted({row.patient for row in rows})
    found: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        if (row.bone, row.alignment) == (bone, alignment):
            found.setdefault(input_of(row), {}).setdefault(row.patient, []).append(getattr(row, metric))
    return {
        method: {patient: _finite_mean(of.get(patient, [])) for patient in patients} for method, of in found.items()
    }


def _finite_mean(values: Sequence[float]) -> float:
    kept = [value for value in values if np.isfinite(value)]
    return float(np.mean(kept)) if kept else float("nan")


def method_row(paths: RunPaths, folds: Folds, name: str, rows: Sequence[CaseRow]) -> MethodRow:
    """name: ``input_of`` its rows."""
    own = [row for row in rows if input_of(row) == name]
    brought = _brought_name(own[0])
    title, note = OURS.get(name, (NO_SKILL.get(name, name), ""))
    if brought:
        built_in = METHODS.get(brought)
        title = built_in.title if built_in else name
        note = _note(paths, brought) or (built_in.note if built_in else "one's own")
    summaries = {}
    for bone in BONES:
        for alignment in ("as predicted", "rigid"):
            values = values_of(own, bone, alignment).get(name, {})
            summaries[bone, alignment] = summarise(name, list(values.values()))
    skill = values_of(own, "radius", "rigid", "skill_surface").get(name, {})
    films = {(row.case, row.image): "" for row in own}
    films |= {(row.case, row.image): row.note for row in own if row.note}
    reasons = Counter(note_of for note_of in films.values() if note_of)
    cost = _brought_cost(paths, brought) if brought else _own_cost(paths, folds, name)
    return MethodRow(
        name, title, note, summaries, _finite_mean(list(skill.values())), len(films), sum(reasons.values()),
        tuple(reasons.most_common()), cost,
    )  # fmt: skip


def _note(paths: RunPaths, method: str) -> str:
    """What the method itself said of its row when it learned."""
    learned = sorted((paths.methods / method).glob(f"*/{LEARNED_FILE}"))
    said = [str(read_json(path, "what a method learned").get("note", "")) for path in learned]
    return next(filter(None, said), "").replace("|", "/").replace("\n", " ")


def _brought_cost(paths: RunPaths, method: str) -> MethodCost:
    home = paths.methods / method
    learned = [_noted(path) for path in sorted(home.glob(f"*/{LEARNED_FILE}"))]
    scored = [_noted(path)["seconds"] for path in sorted(home.glob(f"scores/*/{COST_FILE}"))]
    return _cost(learned, _finite_mean(scored))


def _own_cost(paths: RunPaths, folds: Folds, name: str) -> MethodCost:
    """Of the TL net or S of all folds; without pix2pix, which all share that read a GAN-DRR."""
    if name in NO_SKILL:
        return MethodCost()
    network = "shape" if name.startswith("shape regressor") else "tl"
    done = [paths.network(fold) / f"{network}-{DONE_FILE}" for fold in folds.names]
    trainings = read_run(paths)["preset"]["networks"]
    stages = ("shape",) if network == "shape" else ("autoencoder", "predictor", "finetune")
    updates = sum(int(trainings[f"{stage}_training"]["loop"]["updates"]) for stage in stages)
    return replace(_cost([_noted(path) for path in done if path.is_file()], float("nan")), updates=updates)


def _cost(learned: Sequence[Mapping[str, float]], each_s: float) -> MethodCost:
    seconds = sum(noted["seconds"] for noted in learned) if learned else float("nan")
    return MethodCost(
        seconds,
        each_s,
        max((noted["peak_mib"] for noted in learned), default=float("nan")),
        int(max((noted["updates"] for noted in learned), default=0)),
    )


def _noted(path: Path) -> Mapping[str, float]:
    noted = read_json(path, f"what a method cost ({path}); delete its folder and run again", nan=True)
    with understood(str(path), "does not say what a method cost; delete its folder and run again"):
        return {name: float(noted.get(name, 0.0)) for name in ("seconds", "peak_mib", "updates")}


@dataclass(frozen=True)
class MethodTests:
    """normal: whether Shapiro-Wilk rejected for no paired difference. omnibus, pairs: t and F, or ranks, accordingly;
    of the methods that have at least three patients in common."""

    normal: bool
    omnibus: Omnibus | None
    pairs: tuple[Comparison, ...]


def compared(values: Values) -> MethodTests:
    """Over the methods; those that failed on every patient are left out."""
    groups = {method: list(of.values()) for method, of in values.items() if np.isfinite(list(of.values())).sum() >= 3}
    normal = normal_differences(groups)
    if normal:
        return MethodTests(True, repeated_measures_anova(groups), tuple(paired_comparisons(groups)))
    return MethodTests(False, friedman(groups), tuple(paired_ranks(groups)))


def _mean(row: MethodRow, bone: str, alignment: str) -> float:
    mean = row.summaries[bone, alignment].mean
    return mean if np.isfinite(mean) else np.inf


def draw(path: Path, table: Sequence[MethodRow], values: Values) -> None:
    """A line a method, best on top: a dot a patient, a bar over the mean; left of the grey line is better than knowing
    nothing."""
    plt = pyplot()
    shown = [row for row in table if np.isfinite(_mean(row, "radius", "rigid"))]
    figure, axes = plt.subplots(figsize=(9.0, 1.2 + 0.42 * len(shown)), layout="constrained")
    for place, row in enumerate(shown):
        summary = row.summaries["radius", "rigid"]
        of_patients = np.array(list(values[row.name].values()))
        colour = "#8a8a8a" if row.name in NO_SKILL else "#3b6ea8"
        axes.plot(of_patients, np.full(len(of_patients), place), "o", color=colour, alpha=0.35, markersize=5)
        axes.plot([summary.ci_low, summary.ci_high], [place, place], color=colour, linewidth=2.5)
        axes.plot(summary.mean, place, "|", color="black", markersize=16, markeredgewidth=2)
        axes.annotate(f"{summary.mean:.2f}", (summary.mean, place), (0, 9), textcoords="offset points", ha="center",
                      fontsize=9)  # fmt: skip
    for row in shown:
        if row.name == MEAN_BONE:
            axes.axvline(_mean(row, "radius", "rigid"), color="#8a8a8a", linestyle="--", linewidth=1)
    axes.set_yticks(range(len(shown)), [row.title for row in shown])
    axes.set_ylim(len(shown) - 0.4, -0.8)
    axes.set_xlim(left=0)
    axes.set_xlabel("distance of the radius from the true one after rigid alignment, mm (a dot a patient)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110, facecolor="white", metadata={"Software": None})
    plt.close(figure)


def page(
    run: Mapping[str, Any],
    table: Sequence[MethodRow],
    rows: Sequence[CaseRow],
    tests: Mapping[str, MethodTests],
    figure: str,
) -> str:
    """methods.md: what was compared, the best said plainly, the figure, the tables."""
    parts = [_head(run, table, rows), f"![Distance by method]({figure})\n", _table(table), _failures(table)]
    parts += [_by_difficulty(table, rows), *(_tests(bone, test) for bone, test in tests.items())]
    return "\n".join(part for part in parts if part)


def _head(run: Mapping[str, Any], table: Sequence[MethodRow], rows: Sequence[CaseRow]) -> str:
    patients, folds = len({row.patient for row in rows}), sorted({row.fold for row in rows})
    skilled = [row for row in table if row.name not in NO_SKILL and np.isfinite(_mean(row, "radius", "rigid"))]
    verdict = "No method gave a bone."
    if skilled:
        best = skilled[0]
        mean = next(row for row in table if row.name == MEAN_BONE)
        better = _mean(best, "radius", "rigid") < _mean(mean, "radius", "rigid")
        verdict = (
            f"Best on the radius after rigid alignment: **{best.title}**, {_mean(best, 'radius', 'rigid'):.2f} mm; the "
            f"mean bone, which looks at nothing, {_mean(mean, 'radius', 'rigid'):.2f} mm."
            + ("" if better else " So no method knows more than the mean bone here.")
        )
    return (
        f"{verdict}\n\n{patients} patients that no method had seen, {', '.join(folds)} of {run['folds']}; preset "
        f"{run['preset']['networks']['name']}, seed {run['seed']}. Distances are mean surface distances in mm, mean "
        "and SD over patients. Every method had the same training patients, the same films and the same translator, "
        "but where its row says otherwise.\n"
    )


def _table(table: Sequence[MethodRow]) -> str:
    lines = [
        "| method | patients | radius, rigid | radius, as predicted | ulna, rigid | ulna, as predicted | skill | "
        "failed | training, s | a case, s | MiB | updates | note |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in table:
        cells = [_summary(row.summaries[bone, how]) for bone in BONES for how in ("rigid", "as predicted")]
        cost = row.cost
        costs = ["", "", "", ""]
        if row.name not in NO_SKILL:
            costs = [_number(cost.seconds, 0), _number(cost.each_s, 1), _number(cost.peak_mib, 0), f"{cost.updates}"]
        skill = _number(row.skill, 2)
        count = f"{row.summaries['radius', 'rigid'].count}"
        lines.append(
            f"| {' | '.join([row.title, count, *cells, skill, f'{row.failed} of {row.films}', *costs, row.note])} |"
        )
    return "\n".join(lines) + (
        "\n\nSkill: of the radius after rigid alignment, 1 - distance / distance of the mean bone of the same patient, "
        "mean over patients. Patients: those with a bone. Seconds: of the processor, of the training (without pix2pix, "
        "which all share that read a GAN-DRR), and of a case to read and to score. MiB: most memory of the process "
        "that trained. Updates: of one fold's networks.\n"
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
        means = [_number(_finite_mean([of[p] for p in names if p in of]), 2) for names in thirds.values()]
        lines.append(f"| {row.title} | {' | '.join(means)} |")
    return "\n".join([*lines, ""])


def _tests(bone: str, tests: MethodTests) -> str:
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
        f"| {pair.first} | {pair.second} | {pair.difference:+.2f} | {pair.ci_low:+.2f} to {pair.ci_high:+.2f} | "
        f"{_p(pair.p)} |"
        for pair in tests.pairs
        if pair.p < 0.05
    ]
    return "\n".join([*lines, *(found or ["| none | | | | |"]), ""])


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
