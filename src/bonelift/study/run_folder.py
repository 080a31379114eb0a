"""The run folder of a study: what it was begun with, and where everything lies in it.

``run.json`` holds preset, seed, versions and a hash of every file of the study, so that a study that changed under a
run is refused by name. No path of the machine and nothing of a patient but the lab's own identifier is in it.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bonelift import __version__
from bonelift.errors import InputError
from bonelift.study.experiment_presets import StudyPreset
from bonelift.study.folder import STUDY_FILE, Study
from bonelift.study.folds import FOLDS_FILE

RUN_FILE = "run.json"
SCHEMA_VERSION = 1
_PACKAGES = ("numpy", "scipy", "torch", "scikit-image", "matplotlib")


@dataclass(frozen=True)
class RunPaths:
    """Where things lie in a run folder."""

    run: Path

    @property
    def settings(self) -> Path:
        return self.run / RUN_FILE

    @property
    def folds(self) -> Path:
        return self.run / FOLDS_FILE

    def images(self, case: str) -> Path:
        return self.run / "images" / case

    def network(self, group: str) -> Path:
        """Folder of one fold's networks, or of the pix2pix of all pairs."""
        return self.run / group

    def scores(self, case: str) -> Path:
        return self.run / "scores" / case

    @property
    def figures(self) -> Path:
        return self.run / "figures"


def file_hash(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def study_files(study: Study) -> list[str]:
    """Every file that a run reads, relative to the study folder; the truth of virtual cases is not read."""
    names = [STUDY_FILE]
    for case in study.cases:
        names += [case.ct, case.labels, case.landmarks]
        for radiograph in case.radiographs:
            names += [n for n in (radiograph.file, radiograph.camera_file, radiograph.pose_file) if n is not None]
    return names


def fingerprint(folder: Path, name: str) -> dict[str, Any]:
    """Size, time of change and hash of a file or, for a DICOM series, of the files of its folder."""
    path = folder / name
    try:
        if path.is_dir():
            parts = [fingerprint(path, part.name) for part in sorted(path.iterdir()) if part.is_file()]
            joined = hashlib.sha256("".join(part["sha256"] for part in parts).encode()).hexdigest()
            return {
                "bytes": sum(part["bytes"] for part in parts),
                "changed_ns": max((part["changed_ns"] for part in parts), default=0),
                "sha256": joined,
            }
        status = path.stat()
        return {"bytes": status.st_size, "changed_ns": status.st_mtime_ns, "sha256": file_hash(path)}
    except OSError:
        # A case whose file is missing fails by itself, with its reason in the table; it must stay missing, though.
        return {"bytes": -1, "changed_ns": 0, "sha256": "missing"}


def claim_run(
    paths: RunPaths,
    study_folder: Path,
    study: Study,
    preset: StudyPreset,
    seed: int,
    folds: int,
    on_file: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Begin a run, or check that this is the study, preset and seed that it was begun with.

    Files whose size and time of change are as noted are taken as unchanged; all others are hashed again. Returns the
    content of run.json. Raises InputError where something differs, naming it.
    """
    settings = {"preset": json.loads(json.dumps(asdict(preset))), "seed": seed, "folds": folds}
    if paths.settings.is_file():
        content = read_run(paths)
        for name in settings:
            if not _same_setting(name, content[name], settings[name]):
                raise InputError(f"{paths.run}: was begun with another {name}; pass another --run")
        _check_unchanged(paths, content, study_folder, study, on_file)
        return content
    if paths.run.exists() and (not paths.run.is_dir() or any(paths.run.iterdir())):
        raise InputError(f"{paths.run}: is not empty and no run of evaluate; pass a new folder as --run")
    files = {}
    for name in study_files(study):
        files[name] = fingerprint(study_folder, name)
        on_file()
    content = {"schema_version": SCHEMA_VERSION, **settings, "origin": study.origin, "versions": versions(),
               "files": files}  # fmt: skip
    paths.run.mkdir(parents=True, exist_ok=True)
    write_json(paths.settings, content)
    return content


def read_run(paths: RunPaths) -> dict[str, Any]:
    """Content of run.json. Raises InputError where it is missing, broken or of another version."""
    try:
        content = json.loads(paths.settings.read_text(encoding="utf-8"))
        if content["schema_version"] != SCHEMA_VERSION or not {"preset", "seed", "folds", "files"} <= content.keys():
            raise KeyError("schema_version")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{paths.settings}: is no run of this version ({error}); pass another --run") from error
    return content


def _same_setting(name: str, held: Any, now: Any) -> bool:
    if name != "preset":
        return held == now
    return _without_device(held) == _without_device(now)


def _without_device(value: Any) -> Any:
    """A run may go on on another device."""
    if isinstance(value, dict):
        return {key: _without_device(part) for key, part in value.items() if key != "device"}
    return value


def _check_unchanged(
    paths: RunPaths, content: dict[str, Any], study_folder: Path, study: Study, on_file: Callable[[], None]
) -> None:
    held = content["files"]
    names = study_files(study)
    odd = set(names) ^ set(held)
    if odd:
        raise InputError(f"{paths.run}: the study changed under the run: {min(odd)} came or went; pass another --run")
    for name in names:
        now = _quick(study_folder / name)
        if now is None or now != (held[name]["bytes"], held[name]["changed_ns"]):
            if fingerprint(study_folder, name)["sha256"] != held[name]["sha256"]:
                raise InputError(
                    f"{paths.run}: the study changed under the run: {name} is not what it was; pass another --run, or "
                    "put the file back"
                )
        on_file()


def _quick(path: Path) -> tuple[int, int] | None:
    """(bytes, time of change) of a plain file."""
    if not path.is_file():
        return None
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def versions() -> dict[str, str]:
    found = {"bonelift": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def write_json(path: Path, content: Any) -> None:
    """Write JSON that appears whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise InputError(f"{path}: cannot be written ({error.strerror}); free some space and run again") from error
