"""The cells of a table, from CSV as spreadsheets and people write it, or from an Excel workbook.

openpyxl, an extra, is imported where a workbook is read.
"""

from __future__ import annotations

import csv
import datetime
import io
import re
import warnings
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bonelift.errors import InputError
from bonelift.extras import how_to_install
from bonelift.storage.input_files import read_bytes

_MAX_TABLE_BYTES = 10_000_000
_MAX_UNPACKED_BYTES = 200_000_000
_MAX_ROWS = 100_000
_EXPECTED = "a table of cases (CSV, or an Excel workbook .xlsx)"
_OLD_EXCEL = b"\xd0\xcf\x11\xe0"


@dataclass(frozen=True)
class TableRows:
    """columns: headings in lower case. rows: (line in the file, from 1; its cells without blanks) of each row that
    holds something, with as many cells as there are columns, or more."""

    columns: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]


def table_rows(path: Path) -> TableRows:
    """Read a table. Raises InputError: no such file, no table."""
    content = read_bytes(path, _EXPECTED, _MAX_TABLE_BYTES)
    if content.startswith(b"PK\x03\x04"):
        return _arranged(_excel_rows(content, path.name))
    if content.startswith(_OLD_EXCEL):
        raise InputError(f"{path.name}: is a workbook of Excel 2003 or older; save it as .xlsx or as CSV UTF-8")
    return _arranged(_csv_rows(content, path.name))


def _arranged(rows: Iterable[tuple[int, list[str]]]) -> TableRows:
    rows = iter(rows)
    _, heads = next(rows, (1, []))
    columns = [head.strip().lower() for head in heads]
    while columns and not columns[-1]:
        columns.pop()
    kept = []
    for line, row in rows:
        cells = [cell.strip() for cell in row]
        while len(cells) > len(columns) and not cells[-1]:
            cells.pop()
        if any(cells):
            kept.append((line, tuple(cells + [""] * (len(columns) - len(cells)))))
    return TableRows(tuple(columns), tuple(kept))


def _csv_rows(content: bytes, name: str) -> list[tuple[int, list[str]]]:
    try:
        text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: cannot be read as UTF-8 text; save it as CSV UTF-8") from error
    lines = text.splitlines()
    told = re.fullmatch(r"sep=(.)", lines[0].strip()) if lines else None  # Excel's own first line
    skipped = 0 if told is None else 1
    first = lines[skipped] if len(lines) > skipped else ""
    reader = csv.reader(lines[skipped:], delimiter=told[1] if told else max(",;\t|", key=first.count))
    try:
        return [(reader.line_num + skipped, row) for row in reader]
    except csv.Error as error:
        raise InputError(f"{name}: is no CSV table ({error!s:.80}); save it as CSV UTF-8") from error


def _excel_rows(content: bytes, name: str) -> list[tuple[int, list[str]]]:
    """Of the workbook's first sheet, as it was last calculated."""
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise InputError(
            f"{name}: reading a workbook needs openpyxl; {how_to_install('excel')}, or save the table as CSV UTF-8"
        ) from error
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > _MAX_UNPACKED_BYTES:
            raise InputError(f"{name}: unpacks to more than {_MAX_UNPACKED_BYTES >> 20} MiB; expected {_EXPECTED}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and validations that do not matter here
            book = load_workbook(io.BytesIO(content), read_only=True, data_only=True)
            sheet = book.worksheets[0]
            rows = [
                (line, [_cell_text(value) for value in row])
                for line, row in enumerate(sheet.iter_rows(max_row=_MAX_ROWS, values_only=True), start=1)
            ]
            book.close()
    except InputError:
        raise
    except Exception as error:  # openpyxl raises whatever its parts raise on damaged workbooks
        raise InputError(f"{name}: is no Excel workbook that can be read; save the table as CSV UTF-8") from error
    first = next((number for number, (_, row) in enumerate(rows) if any(row)), len(rows))
    return rows[first:]


def _cell_text(value: Any) -> str:
    """A cell as a person sees it: 12 and not 12.0; yes for TRUE. A date stays one, and no column takes it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, datetime.date | datetime.time):
        return f"{value.isoformat()} (a date; format the cell as text)"
    return str(value)
