"""The table of ``bonelift import``: cases and radiographs row by row, and every complaint about a row at once."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_args

from bonelift.errors import InputError
from bonelift.images import View
from bonelift.images.bone_labels import BoneLabels
from bonelift.images.reading import Invert
from bonelift.study.case_names import SPELLED_ALIKE, spelled_alike
from bonelift.study.importing_sources import CaseSource, RadiographSource
from bonelift.study.table_rows import table_rows

COLUMNS: dict[str, str] = {
    "case": "name of the wrist's folder in the study",
    "patient": "study number; the same for all wrists and scans of a patient",
    "side": "left or right",
    "ct": "DICOM folder, NIfTI, NRRD or MHA",
    "ct_series": "SeriesNumber, where the folder holds several",
    "labels": ".seg.nrrd, NIfTI, NRRD, MHA, DICOM SEG or RTSTRUCT, or TotalSegmentator's folder",
    "radius_label": "segment name or label value",
    "ulna_label": "segment name or label value",
    "drop_other_labels": "yes or no: whether further label values are background",
    "landmarks": ".mrk.json; empty: found automatically",
    "styloid_label": "landmark: tip of the radial styloid",
    "notch_label": "landmark: volar edge of the sigmoid notch",
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
_NEEDED = ("case", "patient", "side", "ct", "labels")
_OF_THE_CASE = (
    "patient", "side", "ct", "ct_series", "labels", "radius_label", "ulna_label", "drop_other_labels", "landmarks",
    "styloid_label", "notch_label",
)  # fmt: skip
_YES_NO = {"yes": True, "no": False, "": None}


@dataclass(frozen=True)
class RowProblem:
    """What is wrong with a row. line: in the file, from 1. case: "" where the row names none."""

    line: int
    case: str
    text: str

    def __str__(self) -> str:
        case = f"case {self.case}: " if self.case else ""
        return f"line {self.line}: {case}{self.text}"


@dataclass(frozen=True)
class ImportTable:
    """cases: those without any complaint. problems: of the others, in the order of their lines."""

    cases: tuple[CaseSource, ...] = ()
    problems: tuple[RowProblem, ...] = ()

    @property
    def spoiled(self) -> int:
        """Number of cases that cannot be imported; rows that name no case count one each."""
        named = {problem.case for problem in self.problems if problem.case}
        return len(named) + sum(not problem.case for problem in self.problems)


@dataclass
class _Reading:
    """One case as far as its rows were read. lines: column -> (line, cell) of what was said of the case."""

    source: CaseSource | None = None
    told: dict[str, tuple[int, str]] = field(default_factory=dict)
    films: list[RadiographSource] = field(default_factory=list)
    first_line: int = 0


def read_table(path: Path, bones: BoneLabels | None = None, files_exist: bool = True) -> ImportTable:
    """Cases from a CSV file or an Excel workbook: one row a radiograph, or a case without one; paths relative to the
    table's folder.

    Rows of one case repeat what is said of the case or leave it empty. bones: how segmentations mark the bones, where
    a row does not say. files_exist: complain of files that are not there. Raises InputError for what spoils the whole
    table: no table, unknown, missing or double columns, no rows.
    """
    readings: dict[str, _Reading] = {}
    problems: list[RowProblem] = []
    rows = table_rows(path)
    _check_columns(path.name, rows.columns)
    for line, cells in rows.rows:
        row = dict(zip(rows.columns, cells, strict=False))
        name = row.get("case", "")
        if len(cells) > len(rows.columns):
            problems.append(RowProblem(line, name, "has more cells than the header has columns"))
        elif not name:
            problems.append(RowProblem(line, "", "names no case; every row names one"))
        else:
            reading = readings.setdefault(name, _Reading(first_line=line))
            texts = list(_read_row(reading, row, line, path.parent, bones or BoneLabels(), files_exist))
            problems += [RowProblem(line, name, text) for text in texts]
    if not readings and not problems:
        raise InputError(f"{path.name}: holds no rows; expected one a radiograph below the header")
    problems = sorted([*problems, *_between_cases(readings)], key=lambda problem: problem.line)
    spoiled = {problem.case for problem in problems}
    cases = tuple(
        replace(reading.source, radiographs=tuple(reading.films))
        for name, reading in readings.items()
        if reading.source is not None and name not in spoiled
    )
    return ImportTable(cases, tuple(problems))


def _between_cases(readings: Mapping[str, _Reading]) -> Iterator[RowProblem]:
    """Two spellings of one case, whose folders some disks do not tell apart, or of one patient, whom folds would
    divide."""
    seen: dict[str, str] = {}
    for name, reading in readings.items():
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            text = f"differs from the case {other} of line {readings[other].first_line} by capitals only; rename one"
            yield RowProblem(reading.first_line, name, text)
    first_of = {r.source.patient: name for name, r in reversed(list(readings.items())) if r.source is not None}
    for one, other in spelled_alike(r.source.patient for r in readings.values() if r.source is not None):
        text = f"its patient {other!r} and {one!r} of line {readings[first_of[one]].first_line} {SPELLED_ALIKE}"
        for name, reading in readings.items():
            if reading.source is not None and reading.source.patient == other:
                yield RowProblem(reading.first_line, name, text)


def _check_columns(name: str, columns: Sequence[str]) -> None:
    """Raise InputError, with every fault of the header at once."""
    said = []
    for column in dict.fromkeys(c for c in columns if c not in COLUMNS):
        close = difflib.get_close_matches(column, COLUMNS, 1)
        said.append(f"unknown column {column!r:.40}" + (f" (did you mean {close[0]}?)" if close else ""))
    said += [f"column {column!r:.40} twice" for column in dict.fromkeys(c for c in columns if columns.count(c) > 1)]
    said += [f"no column {column!r}" for column in _NEEDED if column not in columns]
    if said:
        raise InputError(f"{name}: {'; '.join(said[:8])}; expected some of {', '.join(COLUMNS)}")


def _read_row(
    reading: _Reading, row: Mapping[str, str], line: int, folder: Path, bones: BoneLabels, files_exist: bool
) -> Iterator[str]:
    """Take one row into ``reading``; yields what is wrong with it."""
    first = not reading.told
    yield from _contradictions(reading, row, line, first)
    if first:
        try:
            reading.source = _case(row, line, folder, bones)
        except _RowError as faults:
            yield from faults.texts
    try:
        film = _radiograph(row, line, folder)
    except _RowError as faults:
        yield from faults.texts
        film = None
    if film is not None:
        same = next((f for f in reading.films if (f.file, f.frame) == (film.file, film.frame)), None)
        if same is not None:
            yield f"the radiograph {row['radiograph']!r:.60} stands in line {same.line}, too; remove one of the rows"
        reading.films.append(film)
    elif not first and not row.get("radiograph"):
        yield f"the case stands in line {reading.first_line}, too, and this row adds no radiograph; remove one of them"
    if files_exist:
        said_before = () if first else _OF_THE_CASE
        yield from _missing_files({c: cell for c, cell in row.items() if c not in said_before}, folder)


def _contradictions(reading: _Reading, row: Mapping[str, str], line: int, first: bool) -> Iterator[str]:
    for column in _OF_THE_CASE:
        cell = row.get(column, "")
        if first:
            reading.told[column] = (line, cell)
            continue
        earlier, told = reading.told[column]
        if cell and cell != told:
            was = f"is {told!r:.40}" if told else "is empty"
            yield f"has {column} {cell!r:.40}, which {was} in line {earlier}; write both alike, or name another case"


def _missing_files(row: Mapping[str, str], folder: Path) -> Iterator[str]:
    for column in ("ct", "labels", "landmarks", "radiograph", "camera", "pose", "mask"):
        cell = row.get(column, "")
        if cell and not _exists(folder / cell):
            yield f"{column} {cell!r:.120} is not there; expected a path from the table's folder"


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that no file can have
        return False


class _RowError(Exception):
    """Everything that is wrong with what one row says."""

    def __init__(self, texts: Sequence[str]) -> None:
        super().__init__(*texts)
        self.texts = tuple(texts)


class _Cells:
    """The cells of one row as what they mean; ``faults`` gathers what they cannot mean."""

    def __init__(self, row: Mapping[str, str], folder: Path) -> None:
        self.row, self.folder, self.faults = row, folder, []

    def path(self, column: str) -> Path | None:
        return self.folder / self.row[column] if self.row.get(column) else None

    def text(self, column: str) -> str | None:
        return self.row.get(column) or None

    def number(self, column: str) -> float | None:
        cell = self.row.get(column, "")
        try:
            number = float(cell.replace(",", ".")) if cell else None
        except ValueError:
            number = math.nan
        if number is not None and not (math.isfinite(number) and number > 0):
            self.faults.append(f"{column} is {cell!r:.40}; expected a number in mm, above 0")
            return None
        return number

    def whole(self, column: str) -> int | None:
        cell = self.row.get(column, "")
        if cell and not _is_whole(cell):
            self.faults.append(f"{column} is {cell!r:.40}; expected a whole number")
            return None
        return int(cell) if cell else None

    def word(self, column: str, words: Sequence[str], default: str | None) -> Any:
        cell = self.row.get(column, "").lower()
        if cell and cell not in words:
            self.faults.append(f"{column} is {self.row[column]!r:.40}; expected {' or '.join(words)}")
        return cell if cell in words else default

    def end(self) -> None:
        if self.faults:
            raise _RowError(self.faults)


def _case(row: Mapping[str, str], line: int, folder: Path, bones: BoneLabels) -> CaseSource:
    cells = _Cells(row, folder)
    cells.faults += [f"{column} is empty; the first row of a case says it" for column in _NEEDED if not row.get(column)]
    side = {"l": "left", "r": "right"}.get(row.get("side", "").lower(), row.get("side", "").lower())
    if side and side not in ("left", "right"):
        cells.faults.append(f"side is {row['side']!r:.40}; expected left or right")
    marks: dict[str, Any] = {
        bone: int(cell) if _is_whole(cell) else cell
        for bone in ("radius", "ulna")
        if (cell := row.get(f"{bone}_label", ""))
    }
    drop = _YES_NO[cells.word("drop_other_labels", ("yes", "no"), None) or ""]
    series = cells.whole("ct_series")
    cells.end()
    try:
        return CaseSource(
            row["case"],
            row["patient"],
            "left" if side == "left" else "right",
            folder / row["ct"],
            folder / row["labels"],
            cells.path("landmarks"),
            ct_series=series,
            bones=replace(bones, **marks, **({} if drop is None else {"drop_others": drop})),
            styloid_label=cells.text("styloid_label"),
            notch_label=cells.text("notch_label"),
            line=line,
        )
    except InputError as error:
        raise _RowError([str(error)]) from error


def _radiograph(row: Mapping[str, str], line: int, folder: Path) -> RadiographSource | None:
    cells = _Cells(row, folder)
    if not row.get("radiograph"):
        given = [f.name for f in fields(RadiographSource) if row.get(f.name)]
        if given:
            raise _RowError([f"has {given[0]} but no radiograph"])
        return None
    film = RadiographSource(
        folder / row["radiograph"],
        cells.word("view", get_args(View), None),
        cells.number("pixel_spacing_mm"),
        cells.number("sdd_mm"),
        cells.number("source_to_object_mm"),
        cells.path("camera"),
        cells.path("pose"),
        cells.whole("frame"),
        cells.word("invert", get_args(Invert), "auto"),
        cells.path("mask"),
        line,
    )
    cells.end()
    return film


def _is_whole(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 10


_OPTION = re.compile(r"(?:\b(?P<verb>pass|state|give) )?--(?P<name>[a-z][a-z-]*[a-z])")


def in_columns(message: str) -> str:
    """A message of the readers, which speak of options, for a user who has a table: the column is named instead."""

    def column(found: re.Match[str]) -> str:
        name = found["name"].replace("-", "_")
        if name not in COLUMNS:
            return found[0]
        return f"fill in the column {name}" if found["verb"] else f"column {name}"

    return _OPTION.sub(column, message)
