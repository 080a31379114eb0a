"""Sentences of the library for the page, where what is passed on the command line is a field."""

from __future__ import annotations

import re

_FIELDS = {
    "--overrule-header": 'tick "the header is wrong"',
    "--side": "Side",
    "--view": "View",
    "--pixel-spacing-mm": "Pixel spacing",
    "--sdd-mm": "Source to detector",
    "--source-to-object-mm": "Source to wrist",
    "--hanging": "The picture hangs",
    "--invert": "Bones are",
    "--roi": "Region",
    "--frame": "Frame",
    "--landmarks": "Landmarks",
}
_OPTION = re.compile("|".join(sorted((re.escape(o) for o in _FIELDS), key=len, reverse=True)))


def for_the_page(message: str) -> str:
    """The same sentence with the names of the page's fields."""
    named = _OPTION.sub(lambda found: _FIELDS[found[0]], message)
    named = named.replace("pass tick ", "tick ")
    return re.sub(r"\bpass (?=Side|View|Pixel|Source|The picture|Bones|Region|Frame|Landmarks)", "set ", named)
