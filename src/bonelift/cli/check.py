"""``bonelift check``: every case of a study folder looked over."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from pathlib import Path

from bonelift.cli.console import console_for
from bonelift.errors import InputError
from bonelift.study.checking import CaseCheck, StudyCheck, check_study
from bonelift.study.folder import read_study

EPILOG = """\
Looks at spacing, orientation, side (a mirrored wrist has the other side's shape), label values, labels
on bone, landmarks on the radius, radiographs, cameras and poses, and one CT under two patients.
Exit status 2 where there are errors; warnings alone leave it at 0.

  bonelift check study"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("study", metavar="STUDY", type=Path, help="study folder")


def run(options: Namespace) -> int:
    console = console_for(options)
    with console.bar(len(read_study(options.study).cases), "cases") as bar:

        def on_case(name: str) -> None:
            bar.set_postfix_str(name)
            bar.update()

        check = check_study(options.study, on_case)
    errors, warnings = check.count("error"), check.count("warning")
    values = {
        "study": str(options.study),
        "errors": errors,
        "warnings": warnings,
        "cases": [asdict(case) for case in check.cases],
    }
    console.result(values, table(check))
    if errors:
        spoiled = [case.case for case in check.cases if case.count("error")]
        raise InputError(
            f"{options.study}: {errors} errors in {len(spoiled)} of {len(check.cases)} cases, the first: "
            f"{spoiled[0]}: {_first_error(check)}"
        )
    return 0


def _first_error(check: StudyCheck) -> str:
    return next(f.text for case in check.cases for f in case.findings if f.level == "error")


def table(check: StudyCheck) -> str:
    """One line a case, the findings below it, the totals last."""
    width = max(4, *(len(case.case) for case in check.cases))
    head = "side   voxels (mm)           radius (mm)  on bone (HU)  landmarks (mm)  films  posed  result"
    lines = [f"{'case':<{width}}  {head}"]
    for case in check.cases:
        lines.append(_row(case, width))
        lines += [f"{'':<{width}}  {f.level}: {f.what}: {f.text}" for f in case.findings]
    patients = len({case.patient for case in check.cases})
    found = f"{check.count('error')} errors, {check.count('warning')} warnings"
    lines.append(f"{len(check.cases)} cases of {patients} patients: {found}")
    return "\n".join(lines)


def _row(case: CaseCheck, width: int) -> str:
    facts = case.facts
    voxels = " x ".join(f"{edge:.4g}" for edge in facts.get("voxels_mm", [])) or "-"
    bone = [facts.get("radius_contrast_hu"), facts.get("ulna_contrast_hu")]
    on_bone = "-" if None in bone else f"{bone[0]} / {bone[1]}"
    result = "error" if case.count("error") else "warning" if case.count("warning") else "ok"
    cells = [
        f"{case.side:<5}",
        f"{voxels:<20}",
        f"{_cell(facts.get('radius_mm')):>11}",
        f"{on_bone:>12}",
        f"{_cell(facts.get('landmark_reach_mm')):>14}",
        f"{facts.get('radiographs', 0):>5}",
        f"{_cell(facts.get('poses')):>5}",
        result,
    ]
    return f"{case.case:<{width}}  " + "  ".join(cells)


def _cell(value: object) -> str:
    return "-" if value is None else str(value)
