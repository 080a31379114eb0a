"""A file or a folder appears whole or not at all: written under another name, brought to the disk, then renamed.

Neither kill -9 nor a power cut leaves half of one under its name.
"""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

Existing = Literal["refuse", "keep", "replace"]


@contextmanager
def whole_file(final: Path) -> Iterator[Path]:
    """Yields a name beside ``final`` to write a file under; it replaces ``final`` when the block ends without an
    exception, and is removed when not. Raises OSError."""
    partial = final.with_name(f".{final.name}.{os.getpid()}.partial")
    try:
        yield partial
        sync(partial)
        os.replace(partial, final)
        sync(final.parent)
    finally:
        partial.unlink(missing_ok=True)


def clear_partials(final: Path) -> None:
    """Remove what killed processes left of a file that only one process writes at a time."""
    for orphan in final.parent.glob(f".{final.name}.*.partial"):
        orphan.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write bytes, or text as UTF-8 just as it is; an earlier file at ``path`` is replaced only whole. Raises
    OSError."""
    with whole_file(path) as partial:
        partial.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def whole_folder(final: Path, existing: Existing = "refuse") -> Iterator[Path]:
    """Yields an empty hidden folder beside ``final``; it becomes ``final`` when the block ends without an exception,
    and is removed when not. Raises OSError.

    existing: what becomes of a ``final`` that is there when the block ends. "refuse": it is an error, unless empty;
    "keep": it stays, for processes that may make the same one at the same time; "replace": it is removed first.
    """
    own = f".{platform.node()}-{os.getpid()}" if existing == "keep" else ""
    staging = final.with_name(f".{final.name}{own}.partial")
    try:
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=existing != "refuse")
        yield staging
        sync_folder(staging)
        if existing == "replace" and final.exists():
            shutil.rmtree(final)
        try:
            os.replace(staging, final)
        except OSError:
            if existing != "keep" or not final.is_dir():
                raise
        sync(final.parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def sync_folder(folder: Path) -> None:
    """Bring a folder and all files in it to the disk."""
    for path in sorted(folder.rglob("*")):
        sync(path)
    sync(folder)


def sync(path: Path) -> None:
    """Bring a file, or the list of names in a folder, to the disk. Systems that cannot open a folder do without."""
    if path.is_dir() and not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
