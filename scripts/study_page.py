"""What a study's run folder gives, as a results page: tables as Markdown, the report, its figures, rows and statistics.

    python scripts/study_page.py runs/study-run --out docs/results/study --remark remark.md
    python scripts/study_page.py --out docs/results/study

remark.md: what a person who looked at it has to say, put in front of the tables. Without a run folder, report and
statistics are made again from what the first command recorded: rows, folds, figures and ``about.json``.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from bonelift.experiments.folds import FOLDS_FILE, read_folds
from bonelift.experiments.results.figures import draw_figures
from bonelift.experiments.results.published import PAPER_ASD_MM, PAPER_MAE, PAPER_MAE_SD
from bonelift.experiments.results.report import REPORT_FILE, STATISTICS_FILE, AboutRun, write_page
from bonelift.experiments.results.statistics import GroupSummary
from bonelift.experiments.results.tables import (
    ROWS_FILE,
    TRANSLATION_FILE,
    Line,
    collect_scores,
    experiment_2,
    experiment_3,
    failures,
    read_rows,
    tests_of,
    translation_summary,
)
from bonelift.experiments.run.case_records import study_warnings
from bonelift.experiments.run.cost import Cost, run_costs
from bonelift.experiments.run.folder import RunPaths, read_run, write_json
from bonelift.experiments.scores import CaseRow, TranslationRow
from bonelift.storage.input_files import read_json

COPIED = (ROWS_FILE, TRANSLATION_FILE, FOLDS_FILE)
ABOUT_FILE = "about.json"
"""What the report says beside the rows: origin, preset, seed, versions, warnings, cost, captions of the figures."""

LEGEND = f"""\
Per case: [rows.csv](rows.csv), [translation.csv](translation.csv); all tests: [{STATISTICS_FILE}]({STATISTICS_FILE});
the report: [{REPORT_FILE}]({REPORT_FILE}).

*As predicted*: in the radius frame, nothing moved. *Rigid*: after rigid alignment of the bone by itself; never a scale.
Means +- SD over patients, of each patient's mean over images. *Skill*: 1 - ASD / ASD of the mean bone of the fold's
training patients, by the paper's ASD.
"""
TESTS = """\
Of the paper's ASD. *Tukey-Kramer* as in the paper; it takes the inputs as independent. *Paired*: t-test within
patients, Holm's correction. Differences are first minus second, mm, with 95 % intervals (Tukey-Kramer: simultaneous).
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?", help="run folder; without it the report is made again")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--remark", type=Path, help="Markdown, put in front of the tables")
    options = parser.parse_args()
    if options.run:
        record(options.run, options.out)
    about, captions = recorded(options.out)
    rows, translation = rows_in(options.out)
    figures = [(options.out / name, caption) for name, caption in captions]
    write_page(options.out, about, rows, translation, figures)
    if options.run:
        remark = options.remark.read_text(encoding="utf-8") if options.remark else ""
        text = page(options.out, remark)
        (options.out / "study.md").write_text(text, encoding="utf-8")


def record(run: Path, out: Path) -> None:
    """Everything of the run that the pages are made from, into ``out``."""
    paths = RunPaths(run)
    content = read_run(paths)
    rows, translation = collect_scores(paths)
    figures = draw_figures(paths, rows, translation, tests_of(rows, "asd_paper_mm"))
    out.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        shutil.copyfile(run / name, out / name)
    for name, _ in figures:
        shutil.copyfile(paths.figures / name, out / Path(name).name)
    about = {
        "run": {name: content[name] for name in ("origin", "preset", "seed", "versions")},
        "warnings": study_warnings(paths),
        "costs": [asdict(cost) for cost in run_costs(paths)],
        "captions": [(Path(name).name, caption) for name, caption in figures],
    }
    write_json(out / ABOUT_FILE, about)


def recorded(out: Path) -> tuple[AboutRun, list[tuple[str, str]]]:
    """What ``record`` wrote: about the run, and (file, caption) of its figures."""
    kept = read_json(out / ABOUT_FILE, "what a report says of its run")
    costs = [Cost(**cost) for cost in kept["costs"]]
    folds = len(read_folds(out / FOLDS_FILE).folds)
    return AboutRun(kept["run"], folds, kept["warnings"], costs), kept["captions"]


def rows_in(out: Path) -> tuple[list[CaseRow], list[TranslationRow]]:
    return read_rows(out / ROWS_FILE, CaseRow), read_rows(out / TRANSLATION_FILE, TranslationRow)


def page(out: Path, remark: str) -> str:
    about, captions = recorded(out)
    rows, translation = rows_in(out)
    name = about.run["preset"]["networks"]["name"]
    lines = [
        "# The paper's experiments on a virtual study\n",
        remark.strip() + "\n",
        f"Preset `{name}`, seed {about.run['seed']}, {about.folds} folds by patient: "
        f"{len({row.patient for row in rows})} patients, {len({row.case for row in rows})} CTs, "
        f"{len({row.patient for row in rows if row.source == 'GAN-DRR'})} with a radiograph, "
        f"{len({row.patient for row in rows if row.pair})} pairs.\n",
        LEGEND,
        "## Experiment 1: radiograph to DRR-like image, pairs\n",
        *_table(["input", "patients", "MAE", "MAE in the bones", "range of the truth"], _first(translation)),
        f"The paper's MAE: {PAPER_MAE} +- {PAPER_MAE_SD}.\n",
        "## Experiment 2: CT-DRR and GAN-DRR, all patients\n",
        *_table(_HEAD, [_distances(line) for line in experiment_2(rows)]),
        "## Experiment 3: the four inputs, pairs\n",
        *_table([*_HEAD, "paper (mm)"], [[*_distances(line), _published(line)] for line in experiment_3(rows)]),
        "## The ordering, put to the test\n",
        TESTS,
        *_table(
            ["bone", "alignment", "inputs", "difference, Tukey-Kramer", "p", "difference, paired", "p", "d_z"],
            _comparisons(rows),
        ),
        "## Failures\n",
        *_failures(rows, translation),
        "## What it cost\n",
        *_table(
            ["step", "pieces", "hours of a process", "largest process (MiB)"],
            [[c.step, str(c.pieces), f"{c.seconds / 3600:.1f}", f"{c.peak_mib:.0f}"] for c in about.costs],
        ),
        "## Figures\n",
        *(f"![{Path(figure).stem.replace('-', ' ')}]({figure})\n" for figure, _ in captions),
    ]
    return "\n".join(lines).rstrip() + "\n"


_HEAD = [
    "input",
    "bone",
    "alignment",
    "patients",
    "ASD, paper's (mm)",
    "ASD, surface (mm)",
    "HD95 (mm)",
    "Dice",
    "skill",
]


def _distances(line: Line) -> list[str]:
    means = line.means
    count = means["asd_paper_mm"]
    failed = f" ({count.failed} failed)" if count.failed else ""
    return [
        line.label,
        line.bone,
        line.alignment,
        f"{count.count}{failed}",
        *(_spread(means[name], 2) for name in ("asd_paper_mm", "asd_surface_mm", "hd95_mm")),
        _spread(means["dice"], 3),
        f"{means['skill_paper'].mean:.0%}" if np.isfinite(means["skill_paper"].mean) else "",
    ]


def _published(line: Line) -> str:
    known = PAPER_ASD_MM.get((line.label, line.bone))
    return "" if known is None else f"{known[0]:.2f} +- {known[1]:.2f}"


def _first(translation: Sequence[TranslationRow]) -> Iterable[list[str]]:
    for source in ("GAN-DRR", "histogram-matched"):
        means = translation_summary(translation, source)
        yield [
            source,
            str(means["mae"].count),
            *(_spread(means[name], 4) for name in ("mae", "mae_in_bone")),
            _spread(means["range"], 2),
        ]


def _comparisons(rows: Sequence[CaseRow]) -> Iterable[list[str]]:
    for test in tests_of(rows, "asd_paper_mm"):
        paired = {(c.first, c.second): c for c in test.paired}
        for tukey in test.tukey:
            own = paired.get((tukey.first, tukey.second))
            yield [
                test.bone,
                test.alignment,
                f"{tukey.first} - {tukey.second}",
                f"{tukey.difference:+.3f} ({tukey.ci_low:+.3f} to {tukey.ci_high:+.3f})",
                _p(tukey.p),
                "" if own is None else f"{own.difference:+.3f} ({own.ci_low:+.3f} to {own.ci_high:+.3f})",
                "" if own is None else _p(own.p),
                "" if own is None else f"{own.effect:+.2f}",
            ]


def _failures(rows: Sequence[CaseRow], translation: Sequence[TranslationRow]) -> list[str]:
    found = failures(rows, translation)
    if not found:
        return ["None: every case gave every row.\n"]
    return [*(f"- {what}: {reason} ({count} rows)" for what, reason, count in found), ""]


def _spread(summary: GroupSummary, decimals: int) -> str:
    return f"{summary.mean:.{decimals}f} +- {summary.sd:.{decimals}f}" if np.isfinite(summary.mean) else "none"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *("| " + " | ".join(r) + " |" for r in rows), ""]


if __name__ == "__main__":
    main()
