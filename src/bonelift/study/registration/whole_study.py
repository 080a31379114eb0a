"""``bonelift register`` on a study folder: every case to a folder of its own, and one table of convergence records.

Interrupted, the same call goes on with the cases that are not there yet; cases that could not be read are tried again.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from PIL import Image

from bonelift.errors import InputError, OutputPlaceError
from bonelift.report.contact_sheet import Level, Tile, contact_sheet
from bonelift.report.palette import png_bytes
from bonelift.storage.folder_lock import folder_lock
from bonelift.storage.input_files import plain_text, read_json, read_text, understood
from bonelift.storage.json_values import without_nan
from bonelift.storage.whole import write_whole, writing
from bonelift.study.folder import MAX_POSE_BYTES, Study, StudyCase, film_names, read_study, write_study
from bonelift.study.registration.case import (
    FilmInput,
    LocatePoints,
    RegisteredFilm,
    RegistrationOptions,
    read_case_ct,
    read_film,
    register_case,
)
from bonelift.study.registration.film_files import NUMBERS, RecordRow, failed_row, write_films
from bonelift.study.results import MadeFrom, check_same_study, is_made, made_from_case, made_result, study_results

SETTINGS_FILE = "registration.json"
RECORD_FILE = "record.json"
TABLE = "records"
SHEET_FILE = "sheet.png"


def register_study(
    study_folder: Path,
    out: Path,
    options: RegistrationOptions,
    locate_points: LocatePoints,
    cases: Sequence[str] = (),
    on_case: Callable[[str], None] = lambda _: None,
    model_sha256: str = "",
) -> list[RecordRow]:
    """Register the named cases (all where none is named) into ``out``; returns the rows of its whole table.

    A case is kept where the same call would make the same of it (study.results); cases that failed are tried again.
    on_case: called with each case's name when it is done. model_sha256: of the model that ``locate_points`` uses.
    Raises InputError for a study that cannot be read, a case that is not in it, or an ``out`` of other settings or of
    another study.
    """
    study = read_study(study_folder)
    chosen = chosen_cases(study, cases)
    settings = asdict(options) | {"model_sha256": model_sha256 if options.start in ("auto", "landmarks") else ""}
    with study_results(study_folder, out, SETTINGS_FILE, settings, "registrations of a study"):
        with_poses = options.start == "pose"
        made = {
            case.case: made_from_case("register", study_folder, case, settings, films=True, poses=with_poses)
            for case in study.cases
        }
        check_same_study(out, list(made.items()))
        for case in chosen:
            if not (is_made(out / case.case, made[case.case]) and _is_done(out / case.case)):
                register_one(study_folder, case, out, options, locate_points, made[case.case])
            on_case(case.case)
        current = [name for name, made_from in made.items() if is_made(out / name, made_from)]
        rows = [row for name in current for row in read_rows(out / name)]
        with writing(out):
            write_table(out, rows)
            write_sheet(out, rows)
    return rows


def chosen_cases(study: Study, names: Sequence[str]) -> list[StudyCase]:
    """The cases of these names, or all. Raises InputError for a name that is not there."""
    known = {case.case: case for case in study.cases}
    for name in names:
        if name not in known:
            raise InputError(f"no case {name!r} in the study; expected one of {', '.join(list(known)[:5])}, ...")
    return [known[name] for name in names] if names else list(study.cases)


def register_one(
    study_folder: Path,
    case: StudyCase,
    out: Path,
    options: RegistrationOptions,
    locate_points: LocatePoints,
    made_from: MadeFrom,
) -> None:
    """Register one case; its folder appears whole. What cannot be read or found becomes a row with its reason."""
    with made_result(out / case.case, made_from) as staging:
        try:
            rows = _registered(study_folder, case, staging, options, locate_points)
        except OutputPlaceError:
            raise
        except InputError as error:
            views = [entry.view for entry in case.radiographs]
            names = list(zip(film_names(case), views, strict=True)) or [("", "")]
            rows = [failed_row(case.case, name, view, str(error)) for name, view in names]
        content = {"rows": [asdict(row) for row in rows]}
        (staging / RECORD_FILE).write_text(json.dumps(without_nan(content), indent=1) + "\n", encoding="utf-8")


def _registered(
    study_folder: Path, case: StudyCase, folder: Path, options: RegistrationOptions, locate_points: LocatePoints
) -> list[RecordRow]:
    if not case.radiographs:
        raise InputError("the case lists no radiograph; expected one or more")
    ct, labels = read_case_ct(study_folder, case)
    films: list[FilmInput] = []
    unread: list[RecordRow] = []
    for entry, name in zip(case.radiographs, film_names(case), strict=True):
        try:
            films.append(read_film(study_folder, case, entry, name))
        except InputError as error:
            unread.append(failed_row(case.case, name, entry.view, str(error)))
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
        content = read_json(folder / RECORD_FILE, "the record of a registration")
        with understood(RECORD_FILE, "is damaged"):
            return [_row(entry) for entry in content["rows"]]
    except InputError:
        return []


def _row(entry: dict[str, Any]) -> RecordRow:
    numbers = {name: _number(entry["numbers"][name]) for name in NUMBERS}
    row = RecordRow(**{**entry, "numbers": numbers, "drr_full_scale": _number(entry["drr_full_scale"])})
    for name in ("case", "radiograph", "view", "bones", "verdict", "reason", "start", "pose_file"):
        plain_text(getattr(row, name), name, longest=2000)
    if row.pose_file != PurePath(row.pose_file).name:
        raise InputError(f"{row.pose_file!r:.80}: expected a file beside the record")
    return row


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


def write_sheet(out: Path, rows: Sequence[RecordRow]) -> None:
    """One picture of all films: their overlays with the verdict. A film whose bones were registered one by one has one
    tile, with the worst verdict."""
    by_film: dict[tuple[str, str, str], list[RecordRow]] = {}
    for row in rows:
        by_film.setdefault((row.case, row.radiograph, row.view), []).append(row)
    tiles = []
    for (case, radiograph, view), own in by_film.items():
        overlay = out / case / f"{radiograph}-overlay.png"
        pictures = []
        if radiograph and overlay.is_file():
            with Image.open(overlay) as picture:
                pictures.append(picture.convert("RGB"))
        kinds = {row.verdict for row in own}
        level: Level = "error" if "failed" in kinds else "ok" if kinds == {"ok"} else "warning"
        lines = [f"{row.bones or 'no bones'}: {row.verdict} {row.reason}".strip() for row in own]
        tiles.append(Tile(f"{case} {radiograph} {view}", pictures, lines, level))
    trusted = sum(row.verdict == "ok" for row in rows)
    sheet = contact_sheet(f"bonelift register: {trusted} of {len(rows)} registrations trusted", tiles)
    write_whole(out / SHEET_FILE, png_bytes(sheet))


def adopt_poses(study_folder: Path, out: Path, rows: Sequence[RecordRow]) -> int:
    """Copy the trusted poses into the study, for radiographs that list none, and list them. Returns how many.

    rows: of ``register_study``, which returns none that was made from other files than the study's. Raises InputError:
    another process writes into the study, or its disk takes no more.
    """
    with folder_lock(study_folder), writing(study_folder):
        study = read_study(study_folder)
        trusted = {(row.case, row.radiograph): row.pose_file for row in reversed(rows) if row.verdict == "ok"}
        count, cases = 0, []
        for case in study.cases:
            entries = []
            for entry, name in zip(case.radiographs, film_names(case), strict=True):
                pose_file = trusted.get((case.case, name))
                if entry.pose_file is None and pose_file is not None:
                    target = str(PurePosixPath(entry.file).with_name(f"{name}-pose.json"))
                    write_whole(study_folder / target, read_text(out / case.case / pose_file, "a pose", MAX_POSE_BYTES))
                    entry, count = replace(entry, pose_file=target), count + 1
                entries.append(entry)
            cases.append(replace(case, radiographs=tuple(entries)))
        if count:
            write_study(study_folder, Study(tuple(cases), study.origin))
    return count
