"""Where uploads and results lie: uploads in a temporary folder that goes with the server; results there, or kept."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bonelift.errors import InputError
from bonelift.storage.whole import is_alive

_PREFIX = "bonelift-serve-"
_OURS = re.compile(_PREFIX + r"(?P<pid>[0-9]{1,18})-[a-z0-9_]+")


@dataclass(frozen=True)
class Places:
    """uploads: temporary, readable by this user alone. results: where finished results lie; kept: whether they stay."""

    uploads: Path
    results: Path
    kept: bool


@contextmanager
def places(keep: Path | None) -> Iterator[Places]:
    """The folders of one server; the temporary one is removed at the end, and what killed servers left of theirs.

    Raises InputError where ``keep`` is no folder that can be written.
    """
    _remove_leftovers()
    if keep is not None:
        try:
            keep.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"--keep {keep}: no folder can be made there ({error.strerror})") from error
        if not os.access(keep, os.W_OK | os.X_OK):
            raise InputError(f"--keep {keep}: cannot be written; pass another folder")
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
    try:
        yield Places(folder, keep if keep is not None else folder / "results", keep is not None)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_leftovers() -> None:
    """Uploads of servers of this user that were killed."""
    for path in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        found = _OURS.fullmatch(path.name)
        mine = not hasattr(os, "getuid") or path.lstat().st_uid == os.getuid()
        if found and mine and not path.is_symlink() and not is_alive(int(found["pid"])):
            shutil.rmtree(path, ignore_errors=True)
