"""``bonelift check``: every case of a study folder looked over."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from pathlib import Path

from bonelift.cli.console import Console, console_for
from bonelift.errors import InputError
from bonelift.study.checking import CaseCheck, StudyCheck, check_study
from bonelift.study.checking_sheet import SHEET_FILE, CheckSheet
from bonelift.study.folder import read_study

EPILOG = """\
Looks at spacing, orientation, side (a mirrored wrist has the other side's shape), label values, labels
on bone, landmarks on the radius, radiographs, cameras and poses, and one CT under two patients.
Exit status 2 where there are errors; warnings alone leave it at 0.
One picture of the whole study is written beside study.json (check.png): every CT with its labels and landmarks,
and the radiographs. Nothing else is changed.

  bonelift check study"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("study", metavar="STUDY", type=Path, help="study folder")
    parser.add_argument("--sheet", metavar="FILE", type=Path, help="picture of the study (default: STUDY/check.png)")
    parser.add_argument("--no-sheet", action="store_true", help="write no picture")


def run(options: Namespace) -> int:
    console = console_for(options)
    with console.bar(len(read_study(options.study).cases), "cases") as bar:

        def on_case(name: str) -> None:
            bar.set_postfix_str(name)
            bar.update()

        sheet = None if options.no_sheet else CheckSheet(options.study)
        check = check_study(options.study, on_case, sheet)
    picture = None if sheet is None else _written(sheet, options, console, check)
    errors, warnings = check.count("error"), check.count("warning")
    values = {
        "study": str(options.study),
        "sheet": None if picture is None else str(picture),
        "errors": errors,
        "warnings": warnings,
        "cases": [asdict(case) for case in check.cases],
    }
    console.result(values, table(check) + ("" if picture is None else f"\nLook at {picture}"))
    if errors:
        spoiled = [case.case for case in check.cases if case.count("error")]
        raise InputError(
            f"{options.study}: {errors} errors in {len(spoiled)} of {len(check.cases)} cases, the first: "
            f"{spoiled[0]}: {_first_error(check)}"
        )
    return 0


def _written(sheet: CheckSheet, options: Namespace, console: Console, check: StudyCheck) -> Path | None:
    """The picture's path; None where the study is on a disk that cannot be written and no other place was asked for."""
    path = options.sheet or options.study / SHEET_FILE
    try:
        sheet.write(path, check)
    except InputError as error:
        if options.sheet is not None:
            raise
        console.say(f"No picture: {error}")
        return None
    return path


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
