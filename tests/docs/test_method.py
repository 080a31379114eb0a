"""docs/method.md names the place of every step; each place that it names is there."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "method.md"
SOURCE = ROOT / "src" / "bonelift"


def places() -> list[str]:
    """What stands in backquotes in the columns that are headed "where", and every `folder/file.py` of the page."""
    found: list[str] = []
    column = None
    text = PAGE.read_text(encoding="utf-8")
    for line in text.splitlines():
        if not line.startswith("|"):
            column = None
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if column is None:
            column = cells.index("where") if "where" in cells else -1
        elif column >= 0:
            found += re.findall(r"`([^`]+)`", cells[column])
    found += re.findall(r"`((?:\w+/)+\w+\.py(?::\w+)?)`", text)
    return sorted(set(found) - {"---"})


def test_the_page_names_places():
    assert len(places()) > 30


@pytest.mark.parametrize("place", places())
def test_the_place_is_there(place):
    """`package/`, `package/file.py`, or `package/file.py:name` for what the file defines."""
    path, _, name = place.partition(":")
    assert (SOURCE / path).exists(), f"docs/method.md names {path}"
    if name:
        module = importlib.import_module("bonelift." + path.removesuffix(".py").replace("/", "."))
        assert hasattr(module, name), f"docs/method.md names {name} of {path}"
