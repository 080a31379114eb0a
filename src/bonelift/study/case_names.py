"""Names of cases and patients: what becomes the name of a folder, and when two spellings may mean one patient."""

from __future__ import annotations

import re
from collections.abc import Iterable

from bonelift.errors import InputError

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9_-])?")
_ENDS_OF_FILES = (".json", ".csv", ".html", ".png", ".partial", ".earlier", ".lock")
"""Beside the folders of cases lie files of these kinds: no case is named like one."""

SPELLED_ALIKE = (
    "are spelled alike: if they are the same patient, write both alike; if not, choose numbers that differ by more "
    "than capitals, signs and leading zeros"
)


def check_name(what: str, name: object) -> str:
    """``name`` where it can be a folder beside the others of a study and nothing else, else InputError.

    what: "case" or "patient", for the message. A name that leads elsewhere ("..", an absolute path), an empty one and
    one that is no text are refused.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InputError(
            f"{what} {name!r:.80}: expected letters, digits, '.', '_' or '-' (64 at most), such as wrist-012"
        )
    if name.lower().endswith(_ENDS_OF_FILES):
        raise InputError(f"{what} {name!r}: ends like a file; expected a name such as wrist-012")
    return name


def spelled_alike(names: Iterable[str]) -> list[tuple[str, str]]:
    """Pairs of different names that differ only in capitals, signs or leading zeros: P1 and p1, 007 and 7, p-1 and p_1.

    Each name beside the first that it resembles.
    """
    first: dict[tuple[str, ...], str] = {}
    pairs = []
    for name in dict.fromkeys(names):
        parts = re.findall(r"[^\W\d_]+|\d+", name.casefold())
        key = tuple(part.lstrip("0") or "0" if part.isdigit() else part for part in parts)
        other = first.setdefault(key, name)
        if other != name:
            pairs.append((other, name))
    return pairs
