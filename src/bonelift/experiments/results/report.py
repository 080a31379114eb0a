"""``report.html`` of a study: one self-contained page and ``statistics.json``, from the run folder alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bonelift.experiments.folds import read_folds
from bonelift.experiments.results.figures import draw_figures
from bonelift.experiments.results.study_page import StudyFindings, render_study_page
from bonelift.experiments.results.tables import (
    collect_scores,
    experiment_2,
    experiment_3,
    failures,
    tests_of,
    translation_summary,
)
from bonelift.experiments.run.case_records import study_warnings
from bonelift.experiments.run.cost import Cost, run_costs
from bonelift.experiments.run.folder import RunPaths, read_run, write_json, write_text, writing
from bonelift.experiments.scores import CaseRow, TranslationRow
from bonelift.report.palette import png_uri
from bonelift.storage.json_values import without_nan

REPORT_FILE, STATISTICS_FILE = "report.html", "statistics.json"


@dataclass(frozen=True, eq=False)
class AboutRun:
    """What the page says of a run beside its rows. run: origin, preset, seed and versions of run.json. folds: how many.
    warnings: (case, text). costs: of each step."""

    run: Mapping[str, Any]
    folds: int
    warnings: Sequence[tuple[str, str]]
    costs: Sequence[Cost]


def write_study_report(run: Path) -> Path:
    """Tables, statistics, figures and the page of what the run has reached; returns the page.

    Raises InputError where ``run`` is no run folder, or matplotlib is missing.
    """
    paths = RunPaths(run)
    content = read_run(paths)
    rows, translation = collect_scores(paths)
    with writing(paths.figures):
        figures = draw_figures(paths, rows, translation, tests_of(rows, "asd_paper_mm"))
    about = AboutRun(content, len(read_folds(paths.folds).folds), study_warnings(paths), run_costs(paths))
    return write_page(run, about, rows, translation, [(paths.figures / name, caption) for name, caption in figures])


def write_page(
    folder: Path,
    about: AboutRun,
    rows: Sequence[CaseRow],
    translation: Sequence[TranslationRow],
    figures: Sequence[tuple[Path, str]],
) -> Path:
    """``statistics.json`` and the page into ``folder``, from rows and drawn figures with their captions."""
    tests = [*tests_of(rows, "asd_paper_mm"), *tests_of(rows, "asd_surface_mm")]
    second, third = experiment_2(rows), experiment_3(rows)
    first = {source: translation_summary(translation, source) for source in ("GAN-DRR", "histogram-matched")}
    values = {
        "experiment_1": {name: {key: asdict(part) for key, part in entry.items()} for name, entry in first.items()},
        "experiment_2": [asdict(line) for line in second],
        "experiment_3": [asdict(line) for line in third],
        "tests": [asdict(test) for test in tests],
    }
    write_json(folder / STATISTICS_FILE, without_nan(values))
    page = render_study_page(
        StudyFindings(
            run=about.run,
            folds=about.folds,
            counts=_counts(rows, translation),
            first=first,
            second=second,
            third=third,
            tests=tests,
            failed=failures(rows, translation),
            warnings=about.warnings,
            costs=about.costs,
            figures=[(path.name, caption, png_uri(path.read_bytes())) for path, caption in figures],
        )
    )
    write_text(folder / REPORT_FILE, page)
    return folder / REPORT_FILE


def _counts(rows: Sequence[CaseRow], translation: Sequence[TranslationRow]) -> dict[str, int]:
    return {
        "patients": len({row.patient for row in rows}),
        "cases": len({row.case for row in rows}),
        "pairs": len({row.patient for row in rows if row.pair}),
        "others with a film": len({row.patient for row in rows if row.source == "GAN-DRR" and not row.pair}),
        "rows": len(rows) + len(translation),
        "failed rows": sum(bool(row.note) for row in [*rows, *translation]),
    }
