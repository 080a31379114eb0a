"""What the images of a case were made from, so that a study that changes under a run is refused by name.

``record.json`` lies beside the images and holds a hash of each file that was read, what ``bonelift check`` found, and
why the case cannot be used, if so. A case that failed may be mended as long as no network was trained without it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bonelift.errors import InputError
from bonelift.experiments.run.folder import RunPaths, write_json
from bonelift.storage.input_files import plain_text, read_json, understood
from bonelift.study.checking import CaseCheck, with_comparisons
from bonelift.study.fingerprint import fingerprint
from bonelift.study.folder import Study, StudyCase

RECORD_FILE = "record.json"


@dataclass(frozen=True)
class CaseRecord:
    """files: name in the study -> bytes, changed_ns, sha256. facts: of ``check_case``; warnings: its lines.

    ct_sha256: of the CT's voxels, None where it does not read. failure: "" or why the case cannot be used.
    """

    case: str
    patient: str
    side: str
    files: Mapping[str, Mapping[str, Any]]
    facts: Mapping[str, Any]
    warnings: Sequence[str]
    ct_sha256: str | None
    failure: str = ""


def write_record(folder: Path, record: CaseRecord) -> None:
    write_json(folder / RECORD_FILE, asdict(record))


def read_record(folder: Path) -> CaseRecord:
    """Of a case's images. Raises InputError where it cannot be read."""
    content = read_json(folder / RECORD_FILE, f"the record of {folder}; delete the folder and run again", nan=True)
    with understood(str(folder), "images cannot be read; delete the folder and run again"):
        record = CaseRecord(**content)
        for text in (record.case, record.patient, record.side, record.failure, *record.warnings, *record.files):
            plain_text(text, f"{RECORD_FILE} of {folder}", longest=5000)
        for held in record.files.values():
            plain_text(held["sha256"], f"{RECORD_FILE} of {folder}")
            if not all(isinstance(held[name], int) for name in ("bytes", "changed_ns")):
                raise TypeError("bytes or changed_ns")
        if not isinstance(record.facts, dict) or not isinstance(record.ct_sha256, str | None):
            raise TypeError("facts or ct_sha256")
        return record


def failure_of(folder: Path) -> str:
    """Why the case with these images cannot be used, or ""."""
    return read_record(folder).failure


def case_files(case: StudyCase) -> list[str]:
    """Every file that a run reads of a case, relative to the study; the truth of virtual cases is not read."""
    names = [case.ct, case.labels, case.landmarks]
    for radiograph in case.radiographs:
        names += [n for n in (radiograph.file, radiograph.camera_file, radiograph.pose_file) if n is not None]
    return names


def changed_file(study_folder: Path, record: CaseRecord) -> str:
    """The first file that is not what it was, or ""; what has the size and time noted counts as unchanged."""
    for name, held in record.files.items():
        path = study_folder / name
        if path.is_file():
            status = path.stat()
            if (status.st_size, status.st_mtime_ns) == (held["bytes"], held["changed_ns"]):
                continue
        if fingerprint(path)["sha256"] != held["sha256"]:
            return name
    return ""


def check_unchanged(
    paths: RunPaths, study_folder: Path, study: Study, on_case: Callable[[str], None] = lambda _: None
) -> None:
    """Images of cases that failed and were mended since are dropped, to be made again.

    Raises InputError where a file changed that something was made from.
    """
    networks = any(paths.run.glob("*/*/checkpoint.safetensors"))
    for case in study.cases:
        folder = paths.images(case.case)
        on_case(case.case)
        if not folder.is_dir():
            continue
        record = read_record(folder)
        name = changed_file(study_folder, record)
        if not name:
            continue
        if not record.failure or networks:
            raise InputError(
                f"{paths.run}: the study changed under the run: {name} is not what it was; put the file back, or pass "
                "another --run"
            )
        shutil.rmtree(folder)


def compared(records: Sequence[CaseRecord]) -> tuple[CaseCheck, ...]:
    """What only shows between cases: one CT twice, mixed voxel sizes."""
    checks = [CaseCheck(r.case, r.patient, r.side, dict(r.facts)) for r in records]
    return with_comparisons(checks, {r.case: r.ct_sha256 for r in records})


def study_warnings(paths: RunPaths) -> list[tuple[str, str]]:
    """(case, line) of every warning about the cases whose images are there."""
    records = [read_record(path.parent) for path in sorted(paths.run.glob(f"images/[!.]*/{RECORD_FILE}"))]
    found = [(record.case, line) for record in records for line in record.warnings]
    between = [(c.case, f"{f.what}: {f.text}") for c in compared(records) for f in c.findings if f.level == "warning"]
    return between + found


def require_usable(records: Sequence[CaseRecord], allow_failed: bool) -> None:
    """Raises InputError where one CT stands under two patients and, unless ``allow_failed``, where a case failed."""
    for check in compared(records):
        if errors := [finding.text for finding in check.findings if finding.level == "error"]:
            raise InputError(f"case {check.case}: {errors[0]}")
    failed = [record for record in records if record.failure]
    if failed and not allow_failed:
        raise InputError(
            f"{len(failed)} of {len(records)} cases cannot be used, first case {failed[0].case}: {failed[0].failure}; "
            "bonelift check names all; mend them and run again, or pass --allow-failed to count them as failures"
        )
