"""The page of a study, from what was found: a pure function of frozen data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bonelift import RESEARCH_NOTICE, __version__
from bonelift.experiments.results.published import (
    PAPER_ASD_MM,
    PAPER_BEST_MAE,
    PAPER_MAE,
    PAPER_MAE_SD,
    PAPER_RANGE,
    PAPER_WORST_MAE,
)
from bonelift.experiments.results.statistics import GroupSummary
from bonelift.experiments.results.summary import failure_reasons, summary_bars, summary_sentence
from bonelift.experiments.results.tables import Line, Tests
from bonelift.experiments.scores import SOURCES
from bonelift.report.page import page_template


@dataclass(frozen=True, eq=False)
class StudyFindings:
    """What the page shows.

    run: content of run.json. folds: how many. counts: of patients, cases, pairs, rows. first: experiment 1, image ->
    metric -> summary. second, third: lines of experiments 2 and 3. failed: (case, note, rows). warnings: (case, text).
    costs: of each step. figures: (file name, caption, data URI), as :func:`draw_figures` orders them.
    """

    run: Mapping[str, Any]
    folds: int
    counts: Mapping[str, int]
    first: Mapping[str, Mapping[str, GroupSummary]]
    second: Sequence[Line]
    third: Sequence[Line]
    tests: Sequence[Tests]
    failed: Sequence[tuple[str, str, int]]
    warnings: Sequence[tuple[str, str]]
    costs: Sequence[Any]
    figures: Sequence[tuple[str, str, str]]


def render_study_page(found: StudyFindings) -> str:
    """The page as text; it needs nothing else and makes no request."""
    preset = found.run["preset"]["networks"]["name"]
    return page_template("bonelift.experiments.results", "study_report.html.j2").render(
        found=found,
        run=found.run,
        preset=preset,
        preset_json=json.dumps(found.run["preset"], indent=1),
        counts=found.counts,
        sentence=summary_sentence(found.second, preset),
        bars=summary_bars(found.second),
        order=_order(found.third),
        reasons=failure_reasons(found.failed),
        main_figures=[figure for figure in found.figures if figure[0].startswith("four-inputs")],
        other_figures=[figure for figure in found.figures if not figure[0].startswith("four-inputs")],
        paper=PAPER_ASD_MM,
        paper_mae=(PAPER_MAE, PAPER_MAE_SD, PAPER_RANGE, PAPER_BEST_MAE, PAPER_WORST_MAE),
        notice=RESEARCH_NOTICE,
        version=__version__,
    )


def _order(third: Sequence[Line]) -> list[tuple[str, str, str]]:
    """(bone, alignment, inputs from the smallest mean ASD to the largest): the paper's ordering put to the test."""
    made = []
    for bone, alignment in dict.fromkeys((line.bone, line.alignment) for line in third):
        means = {
            line.label: line.means["asd_paper_mm"].mean
            for line in third
            if (line.bone, line.alignment) == (bone, alignment) and line.label in SOURCES
        }
        ordered = sorted((name for name in means if np.isfinite(means[name])), key=means.__getitem__)
        made.append((bone, alignment, " < ".join(f"{name} ({means[name]:.2f})" for name in ordered)))
    return made
