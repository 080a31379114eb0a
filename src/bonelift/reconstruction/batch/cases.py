"""Which films a batch is of, and what is known about each: from folders, files and a table of facts."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from bonelift.errors import InputError
from bonelift.images.dicom_file import HEAD_BYTES, is_dicom
from bonelift.images.dicom_identity import identifying_element
from bonelift.images.raster import is_raster
from bonelift.images.reading import RadiographOptions
from bonelift.reconstruction.inputs import MOST_IMAGES, ImageInput
from bonelift.storage.input_files import read_head, read_text, shown_name

_TABLE = "a CSV table of films with a column 'file'"
_MAX_TABLE_BYTES = 16 << 20
_MOST_FILMS = 100_000
_LONGEST_LABEL = 48
_SIDES = {"l": "left", "left": "left", "r": "right", "right": "right"}
_VIEWS = {"pa": "pa", "lat": "lateral", "lateral": "lateral"}
_HANGINGS = {"as-recorded": "as recorded", "as recorded": "as recorded", "mirrored": "mirrored"}
_WORDS: dict[str, tuple[str, Mapping[str, str]]] = {
    "side": ("side", _SIDES),
    "view": ("view", _VIEWS),
    "hanging": ("hanging", _HANGINGS),
    "invert": ("invert", {"auto": "auto", "yes": "yes", "no": "no"}),
}
_NUMBERS = {
    "pixel_spacing_mm": "pixel_spacing_mm",
    "spacing_mm": "pixel_spacing_mm",
    "sdd_mm": "sdd_mm",
    "source_to_object_mm": "source_to_object_mm",
}
COLUMNS = ("file", "case", "patient", *_WORDS, *_NUMBERS, "frame", "roi")
"""Of a table; ``file`` has to be there, other columns are passed over."""


@dataclass(frozen=True)
class BatchCase:
    """One wrist: one film, or a PA and a lateral film that the table gives the same case.

    label: what the case is called, and its folder; it holds no name or number of the patient's DICOM header. patient:
    what the table says, for the eye. problem: why it cannot even be begun, or "".
    """

    label: str
    images: tuple[ImageInput, ...]
    patient: str = ""
    problem: str = ""


@dataclass(frozen=True)
class _Entry:
    """A film and what its row of the table says. case: "" where the table does not say one."""

    path: Path
    facts: Mapping[str, Any]
    case: str = ""
    patient: str = ""
    problem: str = ""


def batch_cases(places: Sequence[Path], table: Path | None, known: RadiographOptions) -> tuple[BatchCase, ...]:
    """The cases of a batch, in order.

    places: films, and folders in which every file that is a film counts, at any depth. table: facts of films by file;
    without places its films are the batch (their paths begin at the table's folder). known: facts of all films for
    which the table does not say otherwise. Raises InputError where there is no film, or the table cannot be read.
    """
    rows = [] if table is None else read_facts(table)
    if places:
        entries = _with_facts(list(_films(places)), rows)
    else:
        folder = Path() if table is None else table.parent
        entries = [_entry(folder / row["file"], row) for row in rows]
    if not entries:
        where = ", ".join(shown_name(place) for place in places[:3]) or "the table"
        raise InputError(f"{where}: holds no film; expected DICOM, PNG, JPEG or TIFF files")
    if len(entries) > _MOST_FILMS:
        raise InputError(f"got {len(entries)} films; expected at most {_MOST_FILMS} in one batch")
    return _grouped(entries, known)


def read_facts(table: Path) -> list[dict[str, str]]:
    """Rows of a table, by COLUMNS in lower case, cells without blanks; "line" tells where. Raises InputError."""
    lines = read_text(table, _TABLE, _MAX_TABLE_BYTES).splitlines()
    first = lines[0] if lines else ""
    reader = csv.reader(lines, delimiter=max(",;\t", key=first.count))
    try:
        names = [name.strip().lower() for name in next(reader, [])]
        rows = [[cell.strip() for cell in row] for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise InputError(f"{table.name}: is no CSV table ({error!s:.80}); expected {_TABLE}") from error
    if "file" not in names or not rows:
        what = "has no column 'file'" if "file" not in names else "holds no rows"
        raise InputError(f"{table.name}: {what}; expected some of the columns {', '.join(COLUMNS)}")
    twice = [name for name in names if name in COLUMNS and names.count(name) > 1]
    if twice:
        raise InputError(f"{table.name}: has the column {twice[0]!r} twice; expected each once")
    return [
        {**dict(zip(names, row, strict=False)), "line": f"{table.name}, row {number}"}
        for number, row in enumerate(rows, start=2)
    ]


def _films(places: Sequence[Path]) -> Iterator[Path]:
    """Every file that was named, and in folders those that are films; hidden ones are passed over."""
    for place in places:
        if not place.is_dir():
            yield place
            continue
        for folder, subfolders, names in os.walk(place):
            subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
            if (Path(folder) / "reconstruction.json").is_file():
                continue  # a result, and not films
            for name in sorted(names):
                path = Path(folder) / name
                if not name.startswith(".") and _is_film(path):
                    yield path


def _is_film(path: Path) -> bool:
    try:
        head = read_head(path, "a film", HEAD_BYTES)
    except InputError:
        return False
    return is_raster(head) or is_dicom(head)


def _with_facts(films: list[Path], rows: Sequence[Mapping[str, str]]) -> list[_Entry]:
    """Each film with its row: the one whose ``file`` is the end of its path. A row without a film has failed."""
    by_file: dict[str, Mapping[str, str]] = {}
    for row in rows:
        key = Path(row["file"]).as_posix()
        if key in by_file:
            raise InputError(f"{row['line']}: names {key!r:.80} a second time; expected one row a film")
        by_file[key] = row
    entries, used = [], set()
    for path in films:
        parts = path.parts
        keys = (Path(*parts[-count:]).as_posix() for count in range(len(parts), 0, -1))
        key = next((key for key in keys if key in by_file), None)
        used.add(key)
        entries.append(_Entry(path, {}) if key is None else _entry(path, by_file[key]))
    for key, row in by_file.items():
        if key not in used:
            problem = f"{row['line']}: {key!r:.80} is not among the films; expected a file of --on"
            entries.append(replace(_entry(Path(row["file"]), row), problem=problem))
    return entries


def _entry(path: Path, row: Mapping[str, str]) -> _Entry:
    try:
        facts, problem = _facts(row), ""
    except InputError as error:
        facts, problem = {}, str(error)
    return _Entry(path, facts, row.get("case", "")[:_LONGEST_LABEL], row.get("patient", "")[:_LONGEST_LABEL], problem)


def _facts(row: Mapping[str, str]) -> dict[str, Any]:
    """Fields of RadiographOptions that the row says. Raises InputError."""
    facts: dict[str, Any] = {}
    for column, (field, words) in _WORDS.items():
        if text := row.get(column):
            if text.lower() not in words:
                raise InputError(f"{row['line']}: {column} is {text!r:.40}; expected {', '.join(words)}")
            facts[field] = words[text.lower()]
    for column, field in _NUMBERS.items():
        if text := row.get(column):
            facts[field] = _number(text.replace(",", "."), row["line"], column)
    if text := row.get("frame"):
        facts["frame"] = round(_number(text, row["line"], "frame"))
    if text := row.get("roi"):
        parts = re.split(r"[,; ]+", text)
        if len(parts) != 4 or not all(part.isdigit() for part in parts):
            raise InputError(f"{row['line']}: roi is {text!r:.40}; expected x0,y0,x1,y1 in px")
        facts["roi"] = tuple(int(part) for part in parts)
    return facts


def _number(text: str, line: str, column: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{line}: {column} is {text!r:.40}; expected a number") from None


def _grouped(entries: Sequence[_Entry], known: RadiographOptions) -> tuple[BatchCase, ...]:
    """Entries of one case together, each case under a label of its own."""
    groups: dict[str, list[_Entry]] = {}
    for number, entry in enumerate(entries):
        groups.setdefault(entry.case or f"\0{number}", []).append(entry)
    cases: list[BatchCase] = []
    taken: set[str] = set()
    for number, group in enumerate(groups.values(), start=1):
        label = _own(_label(group[0], number), taken)
        problem = next((entry.problem for entry in group if entry.problem), "")
        if len(group) > MOST_IMAGES:
            problem = f"case {label}: has {len(group)} films; expected a PA, a lateral, or both"
        images: list[ImageInput] = []
        for entry in group:
            options, wrong = _options(known, entry.facts)
            problem = problem or wrong
            images.append(ImageInput(entry.path, options))
        cases.append(BatchCase(label, tuple(images), group[0].patient, problem))
    return tuple(cases)


def _options(known: RadiographOptions, facts: Mapping[str, Any]) -> tuple[RadiographOptions, str]:
    """The facts of the table before those for all films, and what is wrong with them."""
    try:
        return replace(known, **facts), ""
    except InputError as error:
        return known, str(error)


def _label(entry: _Entry, number: int) -> str:
    """The table's case, else the file's name; neither where it repeats what identifies the patient in the header."""
    text = entry.case or entry.path.stem
    if not entry.problem and identifying_element(entry.path, text) is not None:
        return f"film-{number:04d}"
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip(".-_")[:_LONGEST_LABEL]
    return plain or f"film-{number:04d}"


def _own(label: str, taken: set[str]) -> str:
    """A label that no other case has, whatever the capitals."""
    found, count = label, 1
    while found.casefold() in taken:
        count += 1
        found = f"{label}-{count}"
    taken.add(found.casefold())
    return found


def facts_as_json(options: RadiographOptions) -> dict[str, Any]:
    """What the caller knows about a film, for the record of what a result was made from."""
    plain = {field.name: getattr(options, field.name) for field in fields(options)}
    return {name: value if isinstance(value, str | int | float | bool) else repr(value) for name, value in plain.items()
            if value is not None}  # fmt: skip
