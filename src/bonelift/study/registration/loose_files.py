"""``bonelift register`` on files that stand in no study."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bonelift.errors import InputError
from bonelift.images import Side, View
from bonelift.images.reading import Invert
from bonelift.storage.json_values import without_nan
from bonelift.storage.output_folder import output_folder
from bonelift.study.folder import StudyCase, StudyRadiograph, read_pose
from bonelift.study.registration.case import (
    FilmInput,
    LocatePoints,
    RegistrationOptions,
    read_case_ct,
    read_film,
    register_case,
)
from bonelift.study.registration.film_files import RecordRow, write_films
from bonelift.study.registration.whole_study import RECORD_FILE, write_table
from bonelift.study.results import MadeFrom, made_from_files


@dataclass(frozen=True)
class LooseFiles:
    """radiographs, cameras, masks, views: one for each radiograph, in order; masks may be left away, and cameras where
    the images' headers hold the geometry. start: a pose file for the first radiograph, or None."""

    ct: Path | None
    labels: Path | None
    radiographs: tuple[Path, ...]
    cameras: tuple[Path, ...]
    masks: tuple[Path, ...]
    side: Side | None
    views: tuple[View, ...]
    invert: Invert = "auto"
    start: Path | None = None

    def __post_init__(self) -> None:
        if self.ct is None or self.labels is None or not self.radiographs or self.side is None:
            raise InputError("loose files: --ct, --labels, --radiograph, --view and --side are all needed")
        for option, given in (("--camera", self.cameras), ("--mask", self.masks), ("--view", self.views)):
            if len(given) != len(self.radiographs) and (given or option == "--view"):
                raise InputError(
                    f"{option} was given {len(given)} times for {len(self.radiographs)} radiographs; expected it once "
                    "for each, in order"
                )


def register_files(
    files: LooseFiles,
    out: Path,
    options: RegistrationOptions,
    locate_points: LocatePoints,
    model_sha256: str = "",
) -> list[RecordRow]:
    """Register and write ``out``, whole or not at all. Raises InputError where a file cannot be used.

    The result is called by number and view, never like the films: their names may be a patient's.
    """
    here = Path()
    entries = _entries(files)
    case = StudyCase("files", "", files.side or "right", str(files.ct), str(files.labels), "", tuple(entries))
    ct, labels = read_case_ct(here, case)
    names = [f"radiograph-{number}-{entry.view}" for number, entry in enumerate(entries, start=1)]
    films = [read_film(here, case, entry, name) for entry, name in zip(entries, names, strict=True)]
    if files.start is not None:
        first = films[0]
        films[0] = FilmInput(first.name, first.radiograph, first.mask, read_pose(files.start))
    with output_folder(out, _made_from(files, options, model_sha256).as_json()) as folder:
        found = register_case(ct, labels, case.side, films, options, locate_points)
        for film in found:
            if not film.bones:
                raise InputError(f"{film.film.name}: {film.reason}")
        rows = write_films(folder, case.case, ct, labels, found)
        content = {"rows": [asdict(row) for row in rows]}
        (folder / RECORD_FILE).write_text(json.dumps(without_nan(content), indent=1) + "\n", encoding="utf-8")
        write_table(folder, rows)
    return rows


def _made_from(files: LooseFiles, options: RegistrationOptions, model_sha256: str) -> MadeFrom:
    named: dict[str, Path | None] = {"ct": files.ct, "labels": files.labels, "start": files.start}
    for what, paths in (("radiograph", files.radiographs), ("camera", files.cameras), ("mask", files.masks)):
        named |= {f"{what} {number}": path for number, path in enumerate(paths, start=1)}
    settings = {**asdict(options), "model_sha256": model_sha256, "side": files.side, "views": files.views}
    return made_from_files("register", settings | {"invert": files.invert}, named)


def _entries(files: LooseFiles) -> Sequence[StudyRadiograph]:
    cameras = [str(path) for path in files.cameras] or [None] * len(files.radiographs)
    masks = [str(path) for path in files.masks] or [None] * len(files.radiographs)
    return [
        StudyRadiograph(str(path), view, camera, None, files.invert, mask)
        for path, view, camera, mask in zip(files.radiographs, files.views, cameras, masks, strict=True)
    ]
