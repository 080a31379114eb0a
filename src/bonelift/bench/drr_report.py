"""The result of ``bonelift bench drr`` as Markdown, JSON and a figure."""

from __future__ import annotations

import json
import math
from pathlib import Path

from bonelift.bench.drr import GRADIENT, OURS, PREPARED, BenchResult, BenchRow, result_as_json

_COLOURS = {OURS: "#1b6ca8", PREPARED: "#5aa9e6", GRADIENT: "#0b3954"}
PEER_COLOUR = "#e07a1f"


def write_drr_report(result: BenchResult, folder: Path) -> None:
    """Write bench-drr.md, bench-drr.json and, where curves were measured, bench-drr.png."""
    (folder / "bench-drr.json").write_text(json.dumps(_without_nan(result_as_json(result)), indent=1) + "\n")
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
        "`prepared` keeps that between images, as the others keep their volume.",
    ]
    for task in dict.fromkeys(row.task for row in result.rows):
        lines += [
            "",
            f"## {task}",
            "",
            "| engine | version | model | ms an image | CPU ms | times bonelift | mean err. % | max err. % |",
            "|---|---|---|---:|---:|---:|---:|---:|",
        ]
        lines += [_line(row) for row in result.rows if row.task == task]
    if any(row.fraction < 1 for row in result.rows):
        lines += ["", "(*) rendered on the middle rows only, the time scaled up to the whole image."]
    if result.absent:
        lines += ["", "Not measured:", *(f"- {reason}" for reason in dict.fromkeys(result.absent))]
    if result.curves:
        lines += ["", "![Cost against volume size, image size and batch](bench-drr.png)"]
    return "\n".join(lines) + "\n"


def _line(row: BenchRow) -> str:
    star = " (*)" if row.fraction < 1 else ""
    cpu = "" if math.isnan(row.cpu_ms) else f"{row.cpu_ms:.2f}"
    errors = " | ".join("" if math.isnan(error) else f"{error:.3f}" for error in (row.error_mean, row.error_max))
    times = f"{row.median_ms:.2f} | {cpu} | {row.ratio:.2f}"
    return f"| {row.engine}{star} | {row.version} | {row.model} | {times} | {errors} |"


def _without_nan(value):
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, dict):
        return {key: _without_nan(part) for key, part in value.items()}
    return [_without_nan(part) for part in value] if isinstance(value, list) else value


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
