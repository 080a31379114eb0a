"""CT-DRRs of a whole study folder: case by case, resumable, broken cases named and passed over."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bonelift.errors import InputError
from bonelift.geometry import XrayCamera
from bonelift.images import read_labels, read_landmarks, read_volume
from bonelift.storage.output_folder import claim_folder
from bonelift.storage.whole import whole_folder, write_whole
from bonelift.study.ct_drrs import DRR_FILE, DrrSettings, anatomical_viewpoint, render, write_drr_set
from bonelift.study.folder import StudyCase, read_study

SETTINGS_FILE = "drr-settings.json"
TABLE_FILE = "drr-cases.csv"


@dataclass(frozen=True)
class CaseRow:
    """One line of the table. images: how many were written; reason: empty, or why the case failed."""

    case: str
    patient: str
    side: str
    images: int
    least_in_view: float
    reason: str


def drrs_of_study(
    study_folder: Path,
    out: Path,
    settings: DrrSettings,
    camera: XrayCamera,
    threads: int = 1,
    on_case: Callable[[str], None] = lambda _: None,
) -> list[CaseRow]:
    """Write ``out/CASE`` for every case of the study and the table of all.

    A case's folder appears whole or not at all, and is kept when the same call is made again; failed cases are tried
    again. on_case: called with each case's name when it is done. Raises InputError for a study that cannot be read or
    an ``out`` that holds something else.
    """
    study = read_study(study_folder)
    if out.resolve().is_relative_to(study_folder.resolve()):
        raise InputError(f"{out}: lies inside the study; pass another --out, so that the study stays as it is")
    _claim(out, settings, camera)
    rows = []
    for case in study.cases:
        rows.append(_case_row(study_folder, out, case, settings, camera, threads))
        on_case(case.case)
    _write_table(out / TABLE_FILE, rows)
    return rows


def case_seed(seed: int, case: str) -> list[int]:
    """Entropy for one case's poses: the same whatever other cases the study holds."""
    return [seed, *case.encode()]


def _claim(out: Path, settings: DrrSettings, camera: XrayCamera) -> None:
    """``out`` is new, empty, or holds an earlier run of the same settings."""
    content: dict[str, Any] = {
        **asdict(settings),
        "image_size_px": [camera.width_px, camera.height_px],
        "intrinsics": camera.image_from_camera.tolist(),
        "sdd_mm": camera.sdd_mm,
    }
    claim_folder(out, SETTINGS_FILE, content, "DRRs of a study")


def _case_row(
    study_folder: Path, out: Path, case: StudyCase, settings: DrrSettings, camera: XrayCamera, threads: int
) -> CaseRow:
    done = out / case.case / DRR_FILE
    try:
        if not done.is_file():
            _write_case(study_folder, out, case, settings, camera, threads)
        images = json.loads(done.read_text(encoding="utf-8"))["images"]
    except InputError as error:
        return CaseRow(case.case, case.patient, case.side, 0, float("nan"), str(error))
    return CaseRow(case.case, case.patient, case.side, len(images), min(image["share_in_view"] for image in images), "")


def _write_case(
    study_folder: Path, out: Path, case: StudyCase, settings: DrrSettings, camera: XrayCamera, threads: int
) -> None:
    ct, labels = read_volume(study_folder / case.ct), read_labels(study_folder / case.labels)
    landmarks = read_landmarks(study_folder / case.landmarks)
    viewpoint = anatomical_viewpoint(ct, labels, landmarks, case.side, camera, settings.view)
    drrs = render(ct, labels, viewpoint, settings, np.random.default_rng(case_seed(settings.seed, case.case)), threads)
    sources: dict[str, str | None] = {
        "case": case.case,
        "patient": case.patient,
        "side": case.side,
        "ct": case.ct,
        "labels": case.labels,
        "landmarks": case.landmarks,
    }
    try:
        with whole_folder(out / case.case) as staging:
            write_drr_set(staging, drrs, settings, viewpoint, sources)
    except OSError as error:
        raise InputError(
            f"{out / case.case}: cannot be written ({error.strerror}); free the disk or pass another --out"
        ) from error


def _write_table(path: Path, rows: list[CaseRow]) -> None:
    table = io.StringIO()
    writer = csv.DictWriter(table, fieldnames=list(asdict(rows[0])) if rows else ["case"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    write_whole(path, table.getvalue())
