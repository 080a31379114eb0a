"""``measurements.csv``: one row a measurement, for spreadsheets and statistics programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from bonelift.reconstruction.measured import MeasuredValue, measurement_rows


def write_measurements_csv(path: Path, measurements: Sequence[MeasuredValue]) -> None:
    """UTF-8, commas, the columns of :func:`measured.measurement_rows`; what is not known is left empty. Without any
    measurement no file is written."""
    rows = measurement_rows(measurements)
    if not rows:
        return
    text = io.StringIO()
    table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    table.writeheader()
    for row in rows:
        table.writerow({key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()})
    path.write_text(text.getvalue(), encoding="utf-8")
