"""``bonelift register`` on a study folder: every case to a folder of its own, and one table of convergence records.

Interrupted, the same call goes on with the cases that are not there yet; cases that could not be read are tried again.
"""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from bonelift.errors import InputError
from bonelift.storage.json_values import without_nan
from bonelift.storage.output_folder import claim_folder
from bonelift.storage.whole import whole_folder, write_whole
from bonelift.study.folder import Study, StudyCase, read_study, write_study
from bonelift.study.registration.case import (
    FilmInput,
    LocatePoints,
    RegisteredFilm,
    RegistrationOptions,
    read_ct,
    read_film,
    register_case,
)
from bonelift.study.registration.film_files import NUMBERS, RecordRow, failed_row, write_films

SETTINGS_FILE = "registration.json"
RECORD_FILE = "record.json"
TABLE = "records"


def register_study(
    study_folder: Path,
    out: Path,
    options: RegistrationOptions,
    locate_points: LocatePoints,
    cases: Sequence[str] = (),
    on_case: Callable[[str], None] = lambda _: None,
) -> list[RecordRow]:
    """Register the named cases (all where none is named) into ``out``; returns the rows of its whole table.

    on_case: called with each case's name when it is done.
    Raises InputError for a study that cannot be read, a case that is not in it, or an ``out`` of other settings.
    """
    study = read_study(study_folder)
    chosen = chosen_cases(study, cases)
    if out.resolve().is_relative_to(study_folder.resolve()):
        raise InputError(f"{out}: lies inside the study; pass another --out, so that the study stays as it is")
    claim_folder(out, SETTINGS_FILE, asdict(options), "registrations of a study")
    for case in chosen:
        if not _is_done(out / case.case):
            register_one(study_folder, case, out, options, locate_points)
        on_case(case.case)
    rows = [row for case in study.cases for row in read_rows(out / case.case)]
    write_table(out, rows)
    return rows


def chosen_cases(study: Study, names: Sequence[str]) -> list[StudyCase]:
    """The cases of these names, or all. Raises InputError for a name that is not there."""
    known = {case.case: case for case in study.cases}
    for name in names:
        if name not in known:
            raise InputError(f"no case {name!r} in the study; expected one of {', '.join(list(known)[:5])}, ...")
    return [known[name] for name in names] if names else list(study.cases)


def register_one(
    study_folder: Path, case: StudyCase, out: Path, options: RegistrationOptions, locate_points: LocatePoints
) -> None:
    """Register one case; its folder appears whole. What cannot be read or found becomes a row with its reason."""
    shutil.rmtree(out / case.case, ignore_errors=True)
    with whole_folder(out / case.case) as staging:
        try:
            rows = _registered(study_folder, case, staging, options, locate_points)
        except InputError as error:
            names = [(Path(r.file).stem, r.view) for r in case.radiographs] or [("", "")]
            rows = [failed_row(case.case, name, view, str(error)) for name, view in names]
        content = {"rows": [asdict(row) for row in rows]}
        (staging / RECORD_FILE).write_text(json.dumps(without_nan(content), indent=1) + "\n", encoding="utf-8")


def _registered(
    study_folder: Path, case: StudyCase, folder: Path, options: RegistrationOptions, locate_points: LocatePoints
) -> list[RecordRow]:
    if not case.radiographs:
        raise InputError("the case lists no radiograph; expected one or more")
    ct, labels = read_ct(study_folder, case)
    films: list[FilmInput] = []
    unread: list[RecordRow] = []
    for entry in case.radiographs:
        try:
            films.append(read_film(study_folder, case, entry))
        except InputError as error:
            unread.append(failed_row(case.case, Path(entry.file).stem, entry.view, str(error)))
    found: list[RegisteredFilm] = []
    if films:
        found = register_case(ct, labels, case.side, films, options, locate_points)
    return write_films(folder, case.case, ct, labels, found) + unread


def _is_done(folder: Path) -> bool:
    """Whether the case is there and nothing in it was unreadable."""
    rows = read_rows(folder)
    return bool(rows) and all(row.pose_file for row in rows)


def read_rows(folder: Path) -> list[RecordRow]:
    """The rows of a case's record; none where it is not there or damaged."""
    try:
        content = json.loads((folder / RECORD_FILE).read_text(encoding="utf-8"))
        return [_row(entry) for entry in content["rows"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _row(entry: dict[str, Any]) -> RecordRow:
    numbers = {name: _number(entry["numbers"][name]) for name in NUMBERS}
    return RecordRow(**{**entry, "numbers": numbers, "drr_full_scale": _number(entry["drr_full_scale"])})


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def write_table(out: Path, rows: Sequence[RecordRow]) -> None:
    """``records.csv`` and ``records.json``, each replaced whole."""
    flat = [row.flat() for row in rows]
    table = io.StringIO()
    writer = csv.DictWriter(table, list(flat[0]) if flat else ["case"], lineterminator="\n")
    writer.writeheader()
    for row in flat:
        writer.writerow(
            {k: ("" if math.isnan(v) else f"{v:.6g}") if isinstance(v, float) else v for k, v in row.items()}
        )
    write_whole(out / f"{TABLE}.csv", table.getvalue())
    write_whole(out / f"{TABLE}.json", json.dumps({"rows": without_nan(flat)}, indent=1) + "\n")


def adopt_poses(study_folder: Path, out: Path, rows: Sequence[RecordRow]) -> int:
    """Copy the trusted poses into the study, for radiographs that list none, and list them. Returns how many."""
    study = read_study(study_folder)
    trusted = {(row.case, row.radiograph): row.pose_file for row in reversed(rows) if row.verdict == "ok"}
    count, cases = 0, []
    for case in study.cases:
        entries = []
        for entry in case.radiographs:
            pose_file = trusted.get((case.case, Path(entry.file).stem))
            if entry.pose_file is None and pose_file is not None:
                target = str(Path(entry.file).with_name(f"{Path(entry.file).stem}-pose.json").as_posix())
                shutil.copyfile(out / case.case / pose_file, study_folder / target)
                entry, count = replace(entry, pose_file=target), count + 1
            entries.append(entry)
        cases.append(replace(case, radiographs=tuple(entries)))
    if count:
        write_study(study_folder, Study(tuple(cases), study.origin))
    return count
