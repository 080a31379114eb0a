"""Results appear whole or not at all: a folder is written beside its place and moved there on success."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bonelift.errors import InputError
from bonelift.storage.folder_lock import LOCK_NAME, held_folder
from bonelift.storage.input_files import read_json
from bonelift.storage.json_values import as_json_gives_it
from bonelift.storage.whole import (
    remove_leftovers,
    staging_place,
    swap,
    sync_folder,
    whole_folder,
    write_whole,
    writing,
)

MANIFEST_NAME = "bonelift-files.json"
"""Lists what bonelift wrote into a folder, so that nothing else is ever removed from it, and what it was made from."""


@contextmanager
def output_folder(target: str | os.PathLike[str], made_from: Mapping[str, Any] | None = None) -> Iterator[Path]:
    """``with output_folder("result") as folder:`` write into ``folder``; it becomes ``result`` when the block ends.

    Yields a new, empty folder beside ``target``. When the block ends without an exception, a manifest of the files in
    it is added, with ``made_from``, and it replaces ``target`` whole. When the block raises (Ctrl-C included), nothing
    is left behind and an earlier result stays as it was. What a killed run left beside ``target`` is removed.

    Raises InputError before the block runs: ``target`` is a file; is not empty and no earlier result; holds files that
    bonelift did not write; is the working directory or above it; cannot be written. And after it: the disk is full.
    """
    place = Path(target)
    final = _resolved(place)
    check_replaceable(place, final)
    made_parents, staging = _make_staging(place, final)
    try:
        with writing(place, "make room or pass another --out"):
            yield staging
            _write_manifest(staging, made_from)
            sync_folder(staging)
            check_replaceable(place, final)
            swap(staging, final)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        _remove_if_empty(made_parents)
        raise


@contextmanager
def claimed_folder(folder: Path, settings_file: str, settings: Mapping[str, Any], what: str) -> Iterator[None]:
    """``claim_folder`` and hold it for this process while the block runs (folder_lock). Raises InputError, as both."""
    with held_folder(folder, "--out"):
        claim_folder(folder, settings_file, settings, what)
        yield


def claim_folder(
    folder: Path, settings_file: str, settings: Mapping[str, Any], what: str, option: str = "--out"
) -> None:
    """Take a folder that grows case by case: new, empty, or begun with the same ``settings``.

    settings_file: name of the file in it that keeps them. what: what the folder holds, and option: by which it was
    asked for, for messages.
    Raises InputError: begun with other settings; is not empty and no such folder; cannot be written.
    """
    known = folder / settings_file
    with writing(folder, f"pass another {option}"):
        others = beside_settings(folder, settings_file)
        if known.exists():
            try:
                begun = read_json(known, f"the settings of {what}")
            except InputError as error:
                # A run that was killed while it began has left nothing else.
                if any(not p.name.startswith(".") for p in others):
                    raise InputError(f"{known}: is damaged; pass another {option}") from error
                begun = None
            if begun is not None and begun != as_json_gives_it(dict(settings)):
                odd = _difference(begun, as_json_gives_it(dict(settings)))
                raise InputError(f"{folder}: holds {what} of other settings ({odd}); pass another {option}")
            if begun is not None:
                return
        elif folder.exists() and (not folder.is_dir() or others):
            raise InputError(f"{folder}: is not empty and holds no {what}; pass a new folder as {option}")
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(known, json.dumps(settings, indent=1) + "\n")


def beside_settings(folder: Path, settings_file: str) -> list[Path]:
    """What lies in ``folder`` beside its lock and settings; what a killed process left half of these is removed.
    Raises OSError."""
    if not folder.is_dir():
        return []
    remove_leftovers(folder / settings_file)
    own = (LOCK_NAME, settings_file)
    return [p for p in folder.iterdir() if p.name not in own and not p.name.startswith(f".{settings_file}.")]


def _difference(begun: Any, now: Mapping[str, Any]) -> str:
    """The first setting that is not what it was, in words."""
    if not isinstance(begun, dict):
        return "unreadable ones"
    name = next(name for name in {**now, **begun} if (name in begun, begun.get(name)) != (name in now, now.get(name)))
    return f"{name!s:.40} was {begun.get(name)!r:.60}, now {now.get(name)!r:.60}"


@contextmanager
def result_folder(final: Path, made_from: Mapping[str, Any]) -> Iterator[Path]:
    """``whole_folder`` with a manifest that says what the result was made from. An earlier result gives way at the end.

    Raises InputError: the disk takes no more; ``final`` holds files that bonelift did not write.
    """
    check_replaceable(final, final)
    with whole_folder(final, existing="replace") as staging:
        yield staging
        _write_manifest(staging, made_from)


def read_made_from(folder: Path) -> dict[str, Any] | None:
    """What the manifest of a result says that it was made from; None where there is none, or it is damaged."""
    try:
        made_from = read_json(folder / MANIFEST_NAME, "what bonelift wrote")["made_from"]
    except (InputError, LookupError, TypeError):
        return None
    return made_from if isinstance(made_from, dict) else None


def _resolved(place: Path) -> Path:
    """``place`` as an absolute path. Raises InputError: names that no file can have, a working directory that is gone,
    links in a circle."""
    try:
        return place.resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise InputError(f"{str(place)!r:.80}: no folder can be there ({error!s:.60}); pass another --out") from error


def check_replaceable(place: Path, final: Path) -> None:
    """Raise InputError where ``final``, which the user called ``place``, may not be replaced by a result."""
    try:
        if not final.exists():
            return
        if not final.is_dir():
            raise InputError(f"{place}: is a file; expected a folder to write the result into; pass another --out")
        if _is_working_directory(final):
            raise InputError(f"{place}: is the working directory or above it; pass a folder inside it as --out")
        present = {p.relative_to(final).as_posix() for p in final.rglob("*") if p.is_symlink() or not p.is_dir()}
        empty = not any(final.iterdir())
    except OSError as error:
        raise InputError(f"{place}: cannot be read ({error.strerror}); pass another --out") from error
    if not present and empty:
        return
    foreign = sorted(present - _files_in_manifest(final))
    if MANIFEST_NAME not in present:
        raise InputError(f"{place}: is not empty and not an earlier bonelift result; pass a new folder as --out")
    if foreign:
        raise InputError(
            f"{place}: holds {foreign[0]!r}, which bonelift did not write, so it is not replaced; move it or pass "
            "another --out"
        )


def _is_working_directory(final: Path) -> bool:
    try:
        return Path.cwd().resolve().is_relative_to(final)
    except FileNotFoundError:  # it was deleted
        return False


def _files_in_manifest(folder: Path) -> set[str]:
    try:
        manifest = read_json(folder / MANIFEST_NAME, "what bonelift wrote")
        return {MANIFEST_NAME, *(str(name) for name in manifest["files"])}
    except (InputError, KeyError, TypeError):
        return {MANIFEST_NAME}


def _write_manifest(folder: Path, made_from: Mapping[str, Any] | None) -> None:
    files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir())
    content: dict[str, Any] = {"written_by": "bonelift", "files": files}
    if made_from is not None:
        content["made_from"] = dict(made_from)
    (folder / MANIFEST_NAME).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _make_staging(place: Path, final: Path) -> tuple[list[Path], Path]:
    """Create missing parents (returned, innermost first) and the empty folder to write into."""
    missing: list[Path] = []
    parent = final.parent
    try:
        while not parent.exists():
            missing.append(parent)
            parent = parent.parent
        remove_leftovers(final)
        staging = staging_place(final)
        final.parent.mkdir(parents=True, exist_ok=True)
        staging.mkdir()
        if final.exists() and not os.access(final, os.W_OK):
            staging.rmdir()
            raise PermissionError(13, "permission denied")
    except OSError as error:
        _remove_if_empty(missing)
        raise InputError(f"{place}: cannot be written ({error.strerror}); pass another --out") from error
    return missing, staging


def _remove_if_empty(folders: list[Path]) -> None:
    for folder in folders:
        try:
            folder.rmdir()
        except OSError:
            return
