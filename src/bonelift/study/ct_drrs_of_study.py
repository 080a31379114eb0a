"""CT-DRRs of a whole study folder: case by case, resumable, broken cases named and passed over."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bonelift.errors import InputError, OutputPlaceError
from bonelift.geometry import XrayCamera
from bonelift.images import read_ct, read_labels, read_landmarks
from bonelift.storage.input_files import read_json, understood
from bonelift.storage.whole import write_whole, writing
from bonelift.study.ct_drrs import DRR_FILE, DrrSettings, anatomical_viewpoint, render, write_drr_set
from bonelift.study.folder import StudyCase, read_study
from bonelift.study.results import (
    MadeFrom,
    check_same_study,
    is_made,
    made_from_case,
    made_result,
    study_results,
)

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

    A case's folder appears whole or not at all, and is kept where the same call would make the same; failed cases are
    tried again (study.results). on_case: called with each case's name when it is done. Raises InputError for a study
    that cannot be read or an ``out`` that holds something else.
    """
    study = read_study(study_folder)
    content = _settings(settings, camera)
    with study_results(study_folder, out, SETTINGS_FILE, content, "DRRs of a study"):
        made = [(case, made_from_case("drr", study_folder, case, content, landmarks=True)) for case in study.cases]
        check_same_study(out, [(case.case, made_from) for case, made_from in made])
        rows = []
        for case, made_from in made:
            rows.append(_case_row(study_folder, out, case, made_from, settings, camera, threads))
            on_case(case.case)
        with writing(out):
            _write_table(out / TABLE_FILE, rows)
    return rows


def case_seed(seed: int, case: str) -> list[int]:
    """Entropy for one case's poses: the same whatever other cases the study holds."""
    return [seed, *case.encode()]


def _settings(settings: DrrSettings, camera: XrayCamera) -> dict[str, Any]:
    return {
        **asdict(settings),
        "image_size_px": [camera.width_px, camera.height_px],
        "intrinsics": camera.image_from_camera.tolist(),
        "sdd_mm": camera.sdd_mm,
    }


def _case_row(
    study_folder: Path,
    out: Path,
    case: StudyCase,
    made_from: MadeFrom,
    settings: DrrSettings,
    camera: XrayCamera,
    threads: int,
) -> CaseRow:
    folder = out / case.case
    try:
        if not is_made(folder, made_from):
            _write_case(study_folder, folder, case, made_from, settings, camera, threads)
        images = read_json(folder / DRR_FILE, "the record of DRRs")["images"]
        with understood(folder.name, "is damaged; remove it and run again"):
            return CaseRow(
                case.case, case.patient, case.side, len(images), min(image["share_in_view"] for image in images), ""
            )
    except OutputPlaceError:
        raise
    except InputError as error:
        return CaseRow(case.case, case.patient, case.side, 0, float("nan"), " ".join(str(error).split()))


def _write_case(
    study_folder: Path,
    folder: Path,
    case: StudyCase,
    made_from: MadeFrom,
    settings: DrrSettings,
    camera: XrayCamera,
    threads: int,
) -> None:
    ct, labels = read_ct(study_folder / case.ct), read_labels(study_folder / case.labels)
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
    with made_result(folder, made_from) as staging:
        write_drr_set(staging, drrs, settings, viewpoint, sources)


def _write_table(path: Path, rows: list[CaseRow]) -> None:
    table = io.StringIO()
    writer = csv.DictWriter(table, fieldnames=list(asdict(rows[0])) if rows else ["case"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    write_whole(path, table.getvalue())
