"""The run folder of a study: what it was begun with, and where everything lies in it.

``run.json`` holds preset, seed, versions and what study.json says of each case. No path of the machine and nothing of a
patient but the lab's own identifier is in it.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from bonelift import __version__
from bonelift.errors import InputError
from bonelift.experiments.folds import FOLDS_FILE
from bonelift.experiments.presets import StudyPreset
from bonelift.storage import whole
from bonelift.storage.input_files import read_json, understood
from bonelift.storage.json_values import as_json_gives_it
from bonelift.storage.output_folder import beside_settings
from bonelift.storage.whole import whole_folder, write_whole
from bonelift.study.folder import Study

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
    def methods(self) -> Path:
        """Folder with one for each method that somebody brought."""
        return self.run / "methods"

    def learned(self, method: str, fold: str) -> Path:
        """Folder of what a method that somebody brought learned of a fold."""
        return self.methods / method / fold

    def shared(self, fold: str) -> Path:
        """Folder of what several methods learned alike of a fold."""
        return self.methods / ".shared" / fold

    def method_scores(self, method: str, case: str) -> Path:
        return self.methods / method / "scores" / case

    @property
    def figures(self) -> Path:
        return self.run / "figures"


def claim_run(paths: RunPaths, study: Study, preset: StudyPreset, seed: int, folds: int) -> dict[str, Any]:
    """Begin a run, or check that this is the study, preset and seed that it was begun with; returns run.json.

    Raises InputError where something differs, naming it. The files of the study are looked at case by case: see
    :mod:`bonelift.experiments.run.case_records`.
    """
    settings = as_json_gives_it({"preset": asdict(preset), "seed": seed, "folds": folds})
    cases = {case.case: as_json_gives_it(asdict(case)) for case in study.cases}
    if paths.settings.is_file():
        content = read_run(paths)
        for name, value in settings.items():
            if _settled(content[name]) != _settled(value):
                raise InputError(f"{paths.run}: was begun with another {name}; pass another --run")
        if odd := sorted(name for name in {*cases, *content["cases"]} if cases.get(name) != content["cases"].get(name)):
            raise InputError(
                f"{paths.run}: the study changed under the run: case {odd[0]} is not listed in study.json as it was; "
                "pass another --run"
            )
        return content
    if paths.run.exists() and (not paths.run.is_dir() or beside_settings(paths.run, paths.settings.name)):
        raise InputError(f"{paths.run}: is not empty and no run of evaluate; pass a new folder as --run")
    content = {"schema_version": SCHEMA_VERSION, **settings, "origin": study.origin, "versions": versions(),
               "cases": cases}  # fmt: skip
    with writing(paths.run):
        paths.run.mkdir(parents=True, exist_ok=True)
    write_json(paths.settings, content)
    return content


def read_run(paths: RunPaths) -> dict[str, Any]:
    """Content of run.json. Raises InputError where it is missing, broken or of another version."""
    content = read_json(paths.settings, f"the settings of a run ({paths.settings}); pass another --run", nan=True)
    with understood(str(paths.settings), "is no run of this version; pass another --run"):
        if content["schema_version"] != SCHEMA_VERSION or not {"preset", "seed", "folds", "cases"} <= content.keys():
            raise KeyError("schema_version")
        if not isinstance(content["cases"], dict):
            raise TypeError("cases")
    return content


_OPEN = ("device", "outline_training")
"""Settings that may change under a run: it may go on on another device, and outlines are learned when a model is
written, anew each time; ``evaluate`` learns none."""


def _settled(value: Any) -> Any:
    """The settings without what may change under a run."""
    if isinstance(value, dict):
        return {key: _settled(part) for key, part in value.items() if key not in _OPEN}
    return value


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """A disk that takes no more becomes an InputError that says so."""
    with whole.writing(folder, "make room and run the same command again, nothing is lost"):
        yield


@contextmanager
def written_once(folder: Path) -> Iterator[Path]:
    """Yields an empty folder that becomes ``folder`` when the block ends without an exception, and is gone otherwise.

    Where another worker was faster with the same piece, its result stands. Raises InputError: see ``writing``.
    """
    with writing(folder), whole_folder(folder, existing="keep") as staging:
        yield staging


def versions() -> dict[str, str]:
    found = {"bonelift": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def write_json(path: Path, content: Any) -> None:
    """JSON that appears whole or not at all."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """UTF-8 that appears whole or not at all."""
    with writing(path):
        write_whole(path, text)
