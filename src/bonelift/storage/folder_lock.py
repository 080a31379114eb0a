"""One process at a time writes into a folder: the second is told."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bonelift.errors import InputError, OutputPlaceError
from bonelift.storage.whole import writing

try:
    import fcntl
except ImportError:  # Windows: nothing is locked there
    fcntl = None

LOCK_NAME = ".bonelift.lock"


@contextmanager
def folder_lock(folder: Path, advice: str = "wait for it to end, or pass another folder") -> Iterator[None]:
    """Hold ``folder``, which exists, for this process while the block runs.

    The lock ends with the process, however it ends; a file system without locks is used without one. Raises InputError
    where another process holds it, or the folder cannot be written; and at the end where it was removed meanwhile.
    """
    descriptor = _locked(folder, advice)
    try:
        yield
        if descriptor is not None and not _is_same_file(descriptor, folder / LOCK_NAME):
            raise OutputPlaceError(
                f"{folder}: was removed while it was written; remove what is there now, and run the same command again"
            )
    finally:
        if descriptor is not None:
            if _is_same_file(descriptor, folder / LOCK_NAME):
                (folder / LOCK_NAME).unlink(missing_ok=True)
            os.close(descriptor)


@contextmanager
def held_folder(folder: Path, option: str) -> Iterator[None]:
    """:func:`folder_lock` of a folder that is made where it is not there, and removed again where it stays empty.

    option: of the command line that names the folder, for the messages. Raises InputError: see folder_lock; a folder
    that cannot be made.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; expected a folder to write into; pass another {option}")
    made = not folder.exists()
    with writing(folder, f"make room, or pass another {option}"):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with folder_lock(folder, f"wait for it to end, or pass another {option}"):
            yield
    finally:
        if made and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _locked(folder: Path, advice: str) -> int | None:
    """An open, locked file in ``folder``; None where locks do not exist."""
    if fcntl is None:
        return None
    path = folder / LOCK_NAME
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        except OSError as error:
            raise OutputPlaceError(f"{folder}: cannot be written ({error.strerror}); {advice}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 20).decode("ascii", errors="replace").strip()
            os.close(descriptor)
            who = f" (process {holder})" if holder.isdigit() else ""
            raise InputError(f"{folder}: another bonelift is writing into it{who}; {advice}") from error
        except OSError:  # a file system that knows no locks
            os.close(descriptor)
            path.unlink(missing_ok=True)
            return None
        if _is_same_file(descriptor, path):
            os.truncate(descriptor, 0)
            os.write(descriptor, str(os.getpid()).encode())
            return descriptor
        os.close(descriptor)  # its holder ended, and removed it, after it was opened here


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
