"""index.html of a batch: a line a case with a small overlay, its verdict and the way to its report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from bonelift import RESEARCH_NOTICE, __version__
from bonelift.reconstruction.batch.rows import OUTCOMES, BatchRow
from bonelift.report.page import page_template
from bonelift.report.palette import photo_uri
from bonelift.report.words import INTENDED_FOR

_SMALL_PX = (220, 160)
_SHOWN = ("radial inclination", "palmar tilt", "ulnar variance")
"""Measurements in 3D on the page, where they tell more than the mean of all adults; results.csv holds all."""


def index_page(rows: Sequence[BatchRow], out: Path, count: int) -> str:
    """The page as text; pictures are inside it, reports are linked. count: of cases in the whole batch."""
    return page_template("bonelift.report", "batch.html.j2").render(
        rows=[(row, OUTCOMES.index(row.verdict), _small_overlay(out, row), _measured(row)) for row in rows],
        verdicts=[(verdict, sum(row.verdict == verdict for row in rows)) for verdict in OUTCOMES],
        count=count,
        severities=("severe", "warning"),
        notice=RESEARCH_NOTICE,
        intended_for=INTENDED_FOR,
        version=__version__,
    )


def _measured(row: BatchRow) -> list[tuple[str, float]]:
    """Nothing of bones that are not the patient's."""
    return (
        []
        if row.verdict == "not usable"
        else [
            (name.replace(" (3D)", ""), value)
            for name, value in row.measurements.items()
            if value is not None and name not in row.no_skill and name.startswith(_SHOWN) and "(3D)" in name
        ]
    )


def _small_overlay(out: Path, row: BatchRow) -> str | None:
    """As text that a page can hold; None where there is no picture."""
    if not row.report:
        return None
    try:
        with Image.open(out / row.case.label / "overlay.png", formats=("PNG",)) as picture:
            small = picture.convert("RGB")
            small.thumbnail(_SMALL_PX)
            return photo_uri(small, quality=80)
    except OSError:
        return None
