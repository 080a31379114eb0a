"""``bonelift import``: a lab's own CTs, segmentations, landmarks and radiographs as a study folder."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from bonelift.cli.arguments import positive_float, positive_int, whole_number
from bonelift.cli.console import Console, console_for
from bonelift.errors import InputError
from bonelift.images.bone_labels import BoneLabels
from bonelift.study.folder import Study
from bonelift.study.importing import ImportReport, import_cases
from bonelift.study.importing_case import PAPER_SPACING_MM, ImportSettings
from bonelift.study.importing_sources import CaseSource, RadiographSource
from bonelift.study.importing_table import ImportTable, read_table

USAGE = "bonelift import --out STUDY (--table FILE | --case NAME ...) [options]"
EPILOG = """\
One case, or many from a table (CSV or Excel; its columns: docs/study-folder.md), added to the study. What in a
DICOM header tells who the patient is does not enter it; text that is burnt into the pixels is not removed.
All complaints about a table are shown at once (exit status 2). Mend it and run again: what is there is kept.

  bonelift import --out study --case w01 --patient p01 --side right --ct dicom/ --labels w01.seg.nrrd
  bonelift import --out study --table cases.csv"""

_CASE_OPTIONS = ("case", "patient", "side", "ct", "labels")


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--out", metavar="STUDY", type=Path, required=True, help="study folder, new or to add to")
    parser.add_argument(
        "--table", metavar="FILE", type=Path, help="CSV or Excel table of cases; its paths are relative to its folder"
    )
    _add_case(parser.add_argument_group("one case"))
    _add_films(parser.add_argument_group("radiographs of that case (each option once for each radiograph)"))
    _add_reading(parser.add_argument_group("how they are read"))


def _add_case(case: Any) -> None:
    case.add_argument("--case", metavar="NAME", help="the wrist's name in the study")
    case.add_argument("--patient", metavar="ID", help="study number, the same for all wrists of a patient")
    case.add_argument("--side", choices=["left", "right"], help="which wrist of the patient")
    case.add_argument("--ct", metavar="PATH", type=Path, help="CT in HU: DICOM folder, NIfTI, NRRD or MHA")
    case.add_argument(
        "--ct-series", metavar="N", type=whole_number, help="SeriesNumber, where the folder holds several"
    )
    formats = ".seg.nrrd, NIfTI, NRRD, MHA, DICOM SEG, RTSTRUCT, TotalSegmentator folder"
    case.add_argument("--labels", metavar="PATH", type=Path, help=formats)
    case.add_argument("--landmarks", metavar="FILE", type=Path, help="Slicer .mrk.json (default: found automatically)")


def _add_films(films: Any) -> None:
    each = partial(films.add_argument, action="append", default=[])
    each("--radiograph", metavar="FILE", type=Path, help="DICOM, PNG, TIFF or JPEG")
    each(
        "--view",
        choices=["pa", "lateral"],
        help="which projection (default: from the header)",
    )
    each(
        "--pixel-spacing-mm",
        metavar="MM",
        type=positive_float,
        help="side of a pixel on the detector (default: from the header)",
    )
    each(
        "--sdd-mm",
        metavar="MM",
        type=positive_float,
        help="distance from source to detector (default: from the header, else 1000)",
    )
    each(
        "--source-to-object-mm",
        metavar="MM",
        type=positive_float,
        help="distance from source to wrist (default: the header's, else --sdd-mm less 30)",
    )
    each(
        "--camera",
        metavar="FILE",
        type=Path,
        help="file of a calibrated camera, in the place of the three above",
    )
    each(
        "--frame",
        metavar="N",
        type=positive_int,
        help="which image of a multi-frame file, counted from 1",
    )
    each(
        "--invert",
        choices=["auto", "yes", "no"],
        help="yes: bones are dark in the file (default: auto)",
    )


def _add_reading(how: Any) -> None:
    how.add_argument("--radius-label", metavar="NAME", help="segment name or label value (default: by name, or 1)")
    how.add_argument("--ulna-label", metavar="NAME", help="the same for the ulna (default: by name, or 2)")
    how.add_argument("--drop-other-labels", action="store_true", help="take other label values as background")
    how.add_argument("--styloid-label", metavar="NAME", help="name of the landmark at the tip of the radial styloid")
    how.add_argument(
        "--notch-label", metavar="NAME", help="name of the landmark at the volar edge of the sigmoid notch"
    )
    how.add_argument("--no-find-landmarks", dest="find_landmarks", action="store_false",
                     help="refuse a case without landmarks")  # fmt: skip
    voxels = how.add_mutually_exclusive_group()
    voxels.add_argument("--spacing-mm", metavar="MM", type=positive_float, default=PAPER_SPACING_MM,
                        help="voxel side of every CT (default: 0.625)")  # fmt: skip
    voxels.add_argument("--keep-voxels", action="store_true", help="keep the scanner's voxels")
    how.add_argument(
        "--interpolation",
        choices=["linear", "cubic"],
        default="linear",
        help="how CTs are interpolated (default: linear)",
    )


def run(options: Namespace) -> int:
    console = console_for(options)
    table = _from_table(options) if options.table else ImportTable((_from_options(options),))
    settings = ImportSettings(
        None if options.keep_voxels else options.spacing_mm, options.interpolation, options.find_landmarks
    )
    report = _imported(options, console, table.cases, settings) if table.cases else ImportReport(Study((), ""))
    complaints = [str(problem) for problem in table.problems] + list(report.failed.values())
    complaints.sort(key=_line_of)
    total, spoiled = len(table.cases) + table.spoiled, table.spoiled + len(report.failed)
    values = {
        "study": str(options.out),
        "cases": len(report.study.cases),
        "imported": list(report.imported),
        "redone": list(report.redone),
        "kept": list(report.kept),
        "failed": report.failed,
        "problems": [asdict(problem) for problem in table.problems],
        "notes": list(report.notes),
    }
    if complaints and not options.table:
        raise InputError(complaints[0])
    console.result(values, _summary(options.out, report, complaints))
    if complaints:
        raise InputError(
            f"{options.table.name}: {spoiled} of {total} cases were not imported; {complaints[0]}"
            + (f"; and {len(complaints) - 1} more complaints, listed above" if len(complaints) > 1 else "")
            + "; mend the table and run the same command again: it keeps what is there"
        )
    return 0


def _imported(
    options: Namespace, console: Console, sources: Sequence[CaseSource], settings: ImportSettings
) -> ImportReport:
    with console.bar(len(sources), "cases") as bar:

        def on_case(name: str) -> None:
            bar.set_postfix_str(name)
            bar.update()

        return import_cases(options.out, sources, settings, on_case)


def _line_of(complaint: str) -> int:
    return int(complaint.split(":")[0].removeprefix("line ")) if complaint.startswith("line ") else 0


def _summary(folder: Path, report: ImportReport, complaints: Sequence[str]) -> str:
    counts = f"{len(report.imported)} imported, {len(report.redone)} made again, {len(report.kept)} kept"
    lines = [f"{folder}: {len(report.study.cases)} cases; {counts}"]
    lines += [f"  {note}" for note in report.notes]
    lines += [f"  not imported: {complaint}" for complaint in complaints]
    if report.study.cases:
        lines.append(f"Next: bonelift check {folder} looks each case over")
    return "\n".join(lines)


def _from_table(options: Namespace) -> ImportTable:
    given = [name for name in (*_CASE_OPTIONS, "landmarks") if getattr(options, name)]
    if given or options.radiograph:
        raise InputError(f"--table with --{(given or ['radiograph'])[0]}; expected a table or one case, not both")
    table = read_table(options.table, _bones(options))
    cases = [
        replace(
            source,
            styloid_label=source.styloid_label or options.styloid_label,
            notch_label=source.notch_label or options.notch_label,
        )
        for source in table.cases
    ]
    return replace(table, cases=tuple(cases))


def _from_options(options: Namespace) -> CaseSource:
    missing = [name for name in _CASE_OPTIONS if not getattr(options, name)]
    if missing:
        raise InputError(f"no --{missing[0]}; expected --{', --'.join(_CASE_OPTIONS)} of one case, or --table")
    films = [
        RadiographSource(
            file,
            _at(options.view, number, options, "view"),
            _at(options.pixel_spacing_mm, number, options, "pixel-spacing-mm"),
            _at(options.sdd_mm, number, options, "sdd-mm"),
            _at(options.source_to_object_mm, number, options, "source-to-object-mm"),
            _at(options.camera, number, options, "camera"),
            None,
            _at(options.frame, number, options, "frame"),
            _at(options.invert, number, options, "invert") or "auto",
        )
        for number, file in enumerate(options.radiograph)
    ]
    return CaseSource(
        options.case, options.patient, options.side, options.ct, options.labels, options.landmarks, tuple(films),
        options.ct_series, _bones(options), options.styloid_label, options.notch_label,
    )  # fmt: skip


def _at(values: list, number: int, options: Namespace, name: str):
    """The option's value for radiograph ``number``: None where never given, the only one where given once."""
    if len(values) not in (0, 1, len(options.radiograph)):
        raise InputError(f"--{name} is given {len(values)} times for {len(options.radiograph)} radiographs")
    return None if not values else values[number if len(values) > 1 else 0]


def _bones(options: Namespace) -> BoneLabels:
    radius, ulna = (
        int(text) if text is not None and text.isascii() and text.isdecimal() and len(text) < 10 else text
        for text in (options.radius_label, options.ulna_label)
    )
    return BoneLabels(radius, ulna, options.drop_other_labels)
