"""A file or a folder appears whole or not at all: written under another name, brought to the disk, then renamed.

Neither kill -9 nor a power cut leaves half of one under its name.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from bonelift.errors import OutputPlaceError

_ADVICE = "make room and run the same command again, or pass another folder"
Existing = Literal["refuse", "keep", "replace"]


@contextmanager
def whole_file(final: Path) -> Iterator[Path]:
    """Yields a name beside ``final`` to write a file under; it replaces ``final`` when the block ends without an
    exception, and is removed when not, as is what killed processes left of it. Raises OSError."""
    remove_leftovers(final)
    partial = staging_place(final)
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
def writing(
    place: Path, advice: str = "make room and run the same command again, or pass another folder"
) -> Iterator[None]:
    """A disk that takes no more, or no file at all, or a folder that was removed meanwhile, becomes an InputError
    (OutputPlaceError) that says so.

    For blocks that only write: whatever they read raises InputError by itself (storage.input_files).
    """
    try:
        yield
    except FileNotFoundError as error:
        if not _is_gone(error.filename):
            raise
        raise OutputPlaceError(f"{place}: was removed while it was written; run the same command again") from error
    except OSError as error:
        # numpy reports a disk that is full without an error number: "4096 requested and 512 written".
        full = "No space left on device" if re.search(r"requested and \d+ written", str(error)) else ""
        reason = error.strerror or full or str(error) or type(error).__name__
        raise OutputPlaceError(f"{place}: cannot be written ({reason:.80}); {advice}") from error


def _is_gone(name: str | bytes | None) -> bool:
    """Whether the folder that holds, or should hold, a file is not there. Where the working folder itself is gone, the
    command line says so."""
    try:
        return name is not None and not os.path.isdir(os.path.dirname(os.path.abspath(name)))
    except FileNotFoundError:
        return False


@contextmanager
def whole_folder(final: Path, existing: Existing = "refuse") -> Iterator[Path]:
    """Yields an empty hidden folder beside ``final``; it becomes ``final`` when the block ends without an exception,
    and is removed when not, as is what killed processes left of it. Raises InputError: see ``writing``.

    existing: what becomes of a ``final`` that is there when the block ends. "refuse": it is an error, unless empty;
    "keep": it stays, for processes that may make the same one at the same time; "replace": it is removed.
    """
    with writing(final):
        if existing != "refuse":
            final.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(final)
        staging = staging_place(final)
        try:
            staging.mkdir()
            yield staging
            sync_folder(staging)
            if existing == "replace":
                swap(staging, final)
            else:
                try:
                    os.replace(staging, final)
                except OSError:
                    if existing != "keep" or not final.is_dir():
                        raise
            sync(final.parent)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def swap(staging: Path, final: Path) -> None:
    """Put the folder ``staging`` at ``final``, and remove what was there; where that fails, it is put back. Raises
    OSError."""
    earlier = staging_place(final, "earlier")
    had_earlier = final.exists()
    if had_earlier:
        final.rename(earlier)
    try:
        staging.rename(final)
    except BaseException:
        if had_earlier:
            earlier.rename(final)
        raise
    shutil.rmtree(earlier, ignore_errors=True)


def staging_place(final: Path, kind: str = "partial") -> Path:
    """A hidden place beside ``final`` whose name tells which process writes there."""
    return final.with_name(f".{final.name}.{_node()}-{os.getpid()}-{uuid.uuid4().hex[:12]}.{kind}")


def remove_leftovers(final: Path) -> None:
    """Remove what processes that were killed, on this machine, left beside a file or folder ``final``; an earlier
    result that one of them had moved away is put back. Raises OSError."""
    if not final.parent.is_dir():
        return
    prefix = f".{final.name}."
    shutil.rmtree(final.with_name(f"{prefix}partial"), ignore_errors=True)  # as versions before this one called it
    for path in sorted(final.parent.iterdir()):
        found = _STAGED.fullmatch(path.name.removeprefix(prefix)) if path.name.startswith(prefix) else None
        if found is None or found["node"] != _node() or is_alive(int(found["pid"])):
            continue
        if found["kind"] == "earlier" and not final.exists():
            path.rename(final)
        elif path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


_STAGED = re.compile(r"(?P<node>.*)-(?P<pid>[0-9]{1,18})-[0-9a-f]{12}\.(?P<kind>partial|earlier)")


def _node() -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "", platform.node())[:60]


def is_alive(pid: int) -> bool:
    """Whether a process of this machine runs under that number."""
    if os.name != "posix":
        return True  # signal 0 would end the process there
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


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
