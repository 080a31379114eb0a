"""Result folders: written beside their place, moved there on success, and never over what bonelift did not write."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bonelift.errors import InputError
from bonelift.storage.whole import sync_folder, write_whole

MANIFEST_NAME = "bonelift-files.json"
"""Lists what bonelift wrote into a folder, so that nothing else is ever removed from it."""


@contextmanager
def output_folder(target: str | os.PathLike[str]) -> Iterator[Path]:
    """``with output_folder("result") as folder:`` write into ``folder``; it becomes ``result`` when the block ends.

    Yields a new, empty folder beside ``target``. When the block ends without an exception, a manifest of the files in
    it is added and it replaces ``target`` whole. When the block raises (Ctrl-C included), nothing is left behind and an
    earlier result stays as it was.

    Raises InputError before the block runs: ``target`` is a file; is not empty and no earlier result; holds files that
    bonelift did not write; is the working directory or above it; cannot be written.
    """
    place = Path(target)
    final = place.resolve()
    _check_replaceable(place, final)
    made_parents, staging = _make_staging(place, final)
    try:
        yield staging
        _write_manifest(staging)
        sync_folder(staging)
        _check_replaceable(place, final)
        _swap(place, staging, final)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        _remove_if_empty(made_parents)
        raise


def claim_folder(folder: Path, settings_file: str, settings: dict[str, Any], what: str) -> None:
    """Take a folder that grows case by case: new, empty, or begun with the same ``settings``.

    settings_file: name of the file in it that keeps them. what: what the folder holds, for messages.
    Raises InputError: begun with other settings; is not empty and no such folder; cannot be written.
    """
    known = folder / settings_file
    try:
        if known.is_file():
            if json.loads(known.read_text(encoding="utf-8")) != settings:
                raise InputError(f"{folder}: holds {what} of other settings ({settings_file}); pass another --out")
            return
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"{folder}: is not empty and holds no {what}; pass a new folder as --out")
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(known, json.dumps(settings, indent=1) + "\n")
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}); pass another --out") from error
    except json.JSONDecodeError as error:
        raise InputError(f"{known}: is damaged; pass another --out") from error


def _check_replaceable(place: Path, final: Path) -> None:
    if not final.exists():
        return
    if not final.is_dir():
        raise InputError(f"{place}: is a file; expected a folder to write the result into; pass another --out")
    if Path.cwd().resolve().is_relative_to(final):
        raise InputError(f"{place}: is the working directory or above it; pass a folder inside it as --out")
    try:
        present = {p.relative_to(final).as_posix() for p in final.rglob("*") if p.is_symlink() or not p.is_dir()}
    except OSError as error:
        raise InputError(f"{place}: cannot be read ({error.strerror}); pass another --out") from error
    if not present and not any(final.iterdir()):
        return
    foreign = sorted(present - _files_in_manifest(final))
    if MANIFEST_NAME not in present:
        raise InputError(f"{place}: is not empty and not an earlier bonelift result; pass a new folder as --out")
    if foreign:
        raise InputError(
            f"{place}: holds {foreign[0]!r}, which bonelift did not write, so it is not replaced; move it or pass "
            "another --out"
        )


def _files_in_manifest(folder: Path) -> set[str]:
    try:
        manifest = json.loads((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
        return {MANIFEST_NAME, *(str(name) for name in manifest["files"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {MANIFEST_NAME}


def _write_manifest(folder: Path) -> None:
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir())
    text = json.dumps({"written_by": "bonelift", "files": files}, indent=1)
    (folder / MANIFEST_NAME).write_text(text + "\n", encoding="utf-8")


def _make_staging(place: Path, final: Path) -> tuple[list[Path], Path]:
    """Create missing parents (returned, innermost first) and the empty folder to write into."""
    missing: list[Path] = []
    parent = final.parent
    while not parent.exists():
        missing.append(parent)
        parent = parent.parent
    staging = final.parent / f".{final.name}.{uuid.uuid4().hex[:12]}.partial"
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        staging.mkdir()
        if final.exists() and not os.access(final, os.W_OK):
            staging.rmdir()
            raise PermissionError(13, "permission denied")
    except OSError as error:
        _remove_if_empty(missing)
        raise InputError(f"{place}: cannot be written ({error.strerror}); pass another --out") from error
    return missing, staging


def _swap(place: Path, staging: Path, final: Path) -> None:
    """Put ``staging`` at ``final``; a failed move puts the earlier result back."""
    earlier = final.parent / f".{final.name}.{uuid.uuid4().hex[:12]}.earlier"
    try:
        had_earlier = final.exists()
        if had_earlier:
            final.rename(earlier)
        try:
            staging.rename(final)
        except BaseException:
            if had_earlier:
                earlier.rename(final)
            raise
    except OSError as error:
        raise InputError(f"{place}: cannot be replaced ({error.strerror}); pass another --out") from error
    shutil.rmtree(earlier, ignore_errors=True)


def _remove_if_empty(folders: list[Path]) -> None:
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return
