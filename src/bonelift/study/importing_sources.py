"""What ``bonelift import`` is told of a lab's files: one case from options, or many from a table."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_args

from bonelift.errors import InputError
from bonelift.images import Side, View
from bonelift.images.bone_labels import BoneLabels
from bonelift.images.reading import Invert
from bonelift.storage.input_files import read_bytes
from bonelift.study.case_names import check_name

COLUMNS: dict[str, str] = {
    "case": "name of the wrist's folder in the study",
    "patient": "study number; the same for all wrists and scans of a patient",
    "side": "left or right",
    "ct": "DICOM folder, NIfTI, NRRD or MHA",
    "ct_series": "SeriesNumber, where the folder holds several",
    "labels": ".seg.nrrd, NIfTI, NRRD or MHA",
    "radius_label": "segment name or label value",
    "ulna_label": "segment name or label value",
    "landmarks": ".mrk.json",
    "radiograph": "DICOM CR, DX or XA, PNG or TIFF",
    "view": "pa or lateral",
    "pixel_spacing_mm": "on the detector",
    "sdd_mm": "source to detector",
    "source_to_object_mm": "source to wrist",
    "camera": "camera file (JSON or XMALab)",
    "pose": "pose file: camera_from_world",
    "mask": "bones drawn on the radiograph: PNG, TIFF or one-slice NRRD of its size",
    "frame": "of a multi-frame file, from 1",
    "invert": "auto, yes (bones dark) or no",
}
_CASE_COLUMNS = ("patient", "side", "ct", "ct_series", "labels", "radius_label", "ulna_label", "landmarks")
_MAX_TABLE_BYTES = 10_000_000


@dataclass(frozen=True)
class RadiographSource:
    """One X-ray of a lab; None: the file's header says it, or a default that is recorded (images.reading)."""

    file: Path
    view: View | None = None
    pixel_spacing_mm: float | None = None
    sdd_mm: float | None = None
    source_to_object_mm: float | None = None
    camera: Path | None = None
    pose: Path | None = None
    frame: int | None = None
    invert: Invert = "auto"
    mask: Path | None = None


@dataclass(frozen=True)
class CaseSource:
    """One wrist of a lab. landmarks: None where they are to be found automatically.

    Raises InputError for names that are no plain file names, and for another side than left or right.
    """

    case: str
    patient: str
    side: Side
    ct: Path
    labels: Path
    landmarks: Path | None = None
    radiographs: tuple[RadiographSource, ...] = ()
    ct_series: int | None = None
    bones: BoneLabels = field(default_factory=BoneLabels)
    styloid_label: str | None = None
    notch_label: str | None = None

    def __post_init__(self) -> None:
        check_name("case", self.case)
        check_name("patient", self.patient)
        if self.side not in get_args(Side):
            raise InputError(f"case {self.case}: side is {self.side!r:.20}; expected left or right")


def read_table(path: Path, bones: BoneLabels | None = None) -> tuple[CaseSource, ...]:
    """Cases from a CSV file: one row a radiograph, or a case without one; paths relative to the table's folder.

    Rows of one case repeat what is said of the case or leave it empty. bones: how segmentations mark the bones, where a
    row does not say. Raises InputError naming the line.
    """
    cases: dict[str, CaseSource] = {}
    told: dict[str, dict[str, str]] = {}
    for line, row in _rows(path):
        where = f"{path.name} line {line}"
        name = row.get("case", "")
        if not name:
            raise InputError(f"{where}: no case; every row names one")
        case_cells = {column: row.get(column, "") for column in _CASE_COLUMNS}
        radiograph = _radiograph(row, path.parent, where)
        if name not in cases:
            cases[name] = _case(name, row, path.parent, bones or BoneLabels(), where)
            told[name] = case_cells
        for column, cell in case_cells.items():
            if cell and cell != told[name][column]:
                raise InputError(
                    f"{where}: case {name} has {column} {cell!r:.40} and, in an earlier row, {told[name][column]!r:.40}"
                )
        if radiograph is not None:
            cases[name] = replace(cases[name], radiographs=(*cases[name].radiographs, radiograph))
    if not cases:
        raise InputError(f"{path.name}: holds no rows; expected one a radiograph below the header")
    return tuple(cases.values())


def _rows(path: Path) -> Sequence[tuple[int, dict[str, str]]]:
    """(line number, cells by column without blanks) of each row that holds something."""
    content = read_bytes(path, "a CSV table of cases", _MAX_TABLE_BYTES)
    try:
        text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path.name}: cannot be read as UTF-8 text; save it as CSV UTF-8") from error
    lines = text.splitlines()
    told = re.fullmatch(r"sep=(.)", lines[0].strip()) if lines else None  # Excel's own first line
    skipped = 0 if told is None else 1
    first = lines[skipped] if len(lines) > skipped else ""
    delimiter = told[1] if told else max(",;\t|", key=first.count)
    try:
        return _cells(csv.reader(lines[skipped:], delimiter=delimiter), path.name, skipped)
    except csv.Error as error:
        raise InputError(f"{path.name}: is no CSV table ({error!s:.80}); save it as CSV UTF-8") from error


def _cells(reader: Any, name: str, skipped: int) -> Sequence[tuple[int, dict[str, str]]]:
    """reader: csv.reader at the line of headings; skipped: lines before it."""
    columns = [column.strip().lower() for column in next(reader, [])]
    while columns and not columns[-1]:
        columns.pop()
    unknown = [column for column in columns if column not in COLUMNS]
    twice = [column for column in columns if columns.count(column) > 1]
    missing = [column for column in ("case", "patient", "side", "ct", "labels") if column not in columns]
    if unknown or missing or twice:
        what = f"no column {missing[0]!r}" if missing else f"column {twice[0]!r} twice" if twice else ""
        what = f"unknown column {unknown[0]!r:.40}" if unknown else what
        raise InputError(f"{name}: {what}; expected some of {', '.join(COLUMNS)}")
    rows = []
    for row in reader:
        cells = [cell.strip() for cell in row]
        if any(cells[len(columns) :]):
            raise InputError(f"{name} line {reader.line_num + skipped}: has more cells than the header has columns")
        if any(cells):
            cells += [""] * (len(columns) - len(cells))
            rows.append((reader.line_num + skipped, dict(zip(columns, cells, strict=False))))
    return rows


def _case(name: str, row: Mapping[str, str], folder: Path, bones: BoneLabels, where: str) -> CaseSource:
    for column in ("patient", "side", "ct", "labels"):
        if not row.get(column):
            raise InputError(f"{where}: case {name} has no {column}; its first row must say it")
    labels = {
        bone: int(cell) if _is_whole(cell) else cell
        for bone in ("radius", "ulna")
        if (cell := row.get(f"{bone}_label", ""))
    }
    side: Any = {"l": "left", "r": "right"}.get(row["side"].lower(), row["side"].lower())
    try:
        return CaseSource(
            name,
            row["patient"],
            side,
            folder / row["ct"],
            folder / row["labels"],
            _path(row, "landmarks", folder),
            ct_series=_whole(row, "ct_series", where),
            bones=replace(bones, **labels),
        )
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def _radiograph(row: Mapping[str, str], folder: Path, where: str) -> RadiographSource | None:
    given = [f.name for f in fields(RadiographSource) if f.name != "file" and row.get(f.name)]
    if not row.get("radiograph"):
        if given:
            raise InputError(f"{where}: has {given[0]} but no radiograph")
        return None
    # Checked against the words that they may be right below.
    view: Any = row.get("view", "").lower() or None
    invert: Any = row.get("invert", "").lower() or "auto"
    if view not in (None, *get_args(View)) or invert not in get_args(Invert):
        raise InputError(f"{where}: view {view!r}, invert {invert!r}; expected pa or lateral, and auto, yes or no")
    return RadiographSource(
        folder / row["radiograph"],
        view,
        _number(row, "pixel_spacing_mm", where),
        _number(row, "sdd_mm", where),
        _number(row, "source_to_object_mm", where),
        _path(row, "camera", folder),
        _path(row, "pose", folder),
        _whole(row, "frame", where),
        invert,
        _path(row, "mask", folder),
    )


def _is_whole(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 10


def _path(row: Mapping[str, str], column: str, folder: Path) -> Path | None:
    return folder / row[column] if row.get(column) else None


def _number(row: Mapping[str, str], column: str, where: str) -> float | None:
    cell = row.get(column, "")
    try:
        number = float(cell.replace(",", ".")) if cell else None
    except ValueError:
        number = math.nan
    if number is not None and not math.isfinite(number):
        raise InputError(f"{where}: {column} is {cell!r:.40}; expected a number in mm")
    return number


def _whole(row: Mapping[str, str], column: str, where: str) -> int | None:
    cell = row.get(column, "")
    if cell and not _is_whole(cell):
        raise InputError(f"{where}: {column} is {cell!r:.40}; expected a whole number")
    return int(cell) if cell else None
