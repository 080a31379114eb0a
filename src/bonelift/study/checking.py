"""``bonelift check``: every case of a study folder looked over, nothing changed.

An error would spoil an experiment: a file that does not read, a mirrored wrist, labels beside the bone, one CT under
two patients. A warning wants a look.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from bonelift.errors import InputError
from bonelift.geometry.camera_files import camera_from_file
from bonelift.images.dicom_series import AIR_HU
from bonelift.images.radiograph import Radiograph
from bonelift.images.reading import read_radiograph
from bonelift.images.volume import LabelMap, Volume
from bonelift.images.volume_reading import read_ct, read_labels
from bonelift.storage.input_files import read_json
from bonelift.study.case_names import spelled_alike
from bonelift.study.checking_bones import check_bones
from bonelift.study.findings import Finding, Level
from bonelift.study.folder import CASE_FILE, StudyCase, StudyRadiograph, radiograph_options, read_pose, read_study

FINEST_MM, COARSEST_MM, COARSE_MM = 0.15, 2.0, 1.3
LARGEST_ANISOTROPY = 2.6
AIR_BELOW_HU, BONE_ABOVE_HU, METAL_BELOW_HU = -300, 700, 8000
_SHEAR_TOLERANCE = 1e-3


@dataclass(frozen=True)
class CaseCheck:
    """One case: numbers for the table, and what was found, errors first."""

    case: str
    patient: str
    side: str
    facts: dict[str, Any] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    def count(self, level: Level) -> int:
        return sum(finding.level == level for finding in self.findings)


@dataclass(frozen=True)
class StudyCheck:
    """All cases, in the study's order."""

    cases: tuple[CaseCheck, ...]

    def count(self, level: Level) -> int:
        return sum(case.count(level) for case in self.cases)


class Looker(Protocol):
    """What is shown every scan and film that the check reads, such as a picture of the study (study.checking_sheet)."""

    def scan(self, case: StudyCase, ct: Volume | None, labels: LabelMap | None) -> None: ...

    def film(self, case: StudyCase, radiograph: Radiograph) -> None: ...


def check_study(
    folder: Path, on_case: Callable[[str], None] = lambda _: None, looker: Looker | None = None
) -> StudyCheck:
    """Look over every case; ``on_case`` is called with its name when it is done.

    Raises InputError only where ``study.json`` itself cannot be used.
    """
    study = read_study(folder)
    if not study.cases:
        raise InputError(f"{folder}: its study lists no case; bonelift import adds some")
    checks, hashes = [], {}
    for case in study.cases:
        check, hashes[case.case] = check_case(folder, case, looker)
        checks.append(check)
        on_case(case.case)
    return StudyCheck(with_comparisons(checks, hashes))


def check_case(folder: Path, case: StudyCase, looker: Looker | None = None) -> tuple[CaseCheck, str | None]:
    """One case by itself, and the SHA-256 of its CT's voxels (None where it does not read)."""
    findings: list[Finding] = []
    facts: dict[str, Any] = {"radiographs": len(case.radiographs), "poses": 0}
    ct = _tried(findings, "ct", lambda: read_ct(folder / case.ct))
    labels = _tried(findings, "labels", lambda: read_labels(folder / case.labels))
    if ct is not None:
        facts["voxels_mm"] = [round(float(edge), 4) for edge in ct.spacing_mm]
        findings += check_ct(ct) + check_padding(folder, case)
    if labels is not None:
        findings += check_label_values(labels)
    if ct is not None and labels is not None:
        findings += check_grids(ct, labels)
    if not any(finding.level == "error" for finding in findings) and ct is not None and labels is not None:
        found, measured = check_bones(folder, case, ct, labels)
        findings += found
        facts |= measured
    if looker is not None:
        looker.scan(case, ct, labels)
    for radiograph in case.radiographs:
        findings += check_radiograph(folder, case, radiograph, labels, looker)
        facts["poses"] += radiograph.pose_file is not None
    if not case.radiographs:
        facts["poses"] = None
    findings.sort(key=lambda finding: finding.level)
    digest = None if ct is None else hashlib.sha256(np.ascontiguousarray(ct.values).tobytes()).hexdigest()
    return CaseCheck(case.case, case.patient, case.side, facts, tuple(findings)), digest


def _tried(findings: list[Finding], what: str, read: Callable[[], Any]) -> Any:
    """What ``read`` returns; None, and an error among the findings, where it raises InputError."""
    try:
        return read()
    except InputError as error:
        findings.append(Finding("error", what, " ".join(str(error).split())))
        return None


def check_ct(ct: Volume) -> list[Finding]:
    """Spacing, orientation and HU."""
    findings = []
    spacing = ct.spacing_mm
    voxels = " x ".join(f"{edge:.3g}" for edge in spacing)
    if spacing.min() < FINEST_MM or spacing.max() > COARSEST_MM:
        findings.append(Finding("error", "spacing", f"voxels of {voxels} mm; expected {FINEST_MM} to {COARSEST_MM} mm"))
    elif spacing.max() > COARSE_MM or spacing.max() / spacing.min() > LARGEST_ANISOTROPY:
        findings.append(
            Finding("warning", "spacing", f"coarse or oblong voxels of {voxels} mm; 0.625 mm is the paper's")
        )
    directions = ct.world_from_voxel[:3, :3] / spacing
    if np.abs(directions.T @ directions - np.eye(3)).max() > _SHEAR_TOLERANCE:
        findings.append(Finding("error", "orientation", "voxel axes are not at right angles; resample the scan"))
    low, high = np.percentile(np.asarray(ct.values[::3, ::3, ::3], dtype=np.float32), [1, 99.9])
    if low > AIR_BELOW_HU or not BONE_ABOVE_HU <= high <= METAL_BELOW_HU:
        findings.append(
            Finding(
                "warning",
                "HU",
                f"values run from {low:.0f} to {high:.0f} (1st to 99.9th percentile), not air to bone: is it in HU?",
            )
        )
    return findings


def check_padding(folder: Path, case: StudyCase) -> list[Finding]:
    """What import noted of voxels outside of the scanner's field of view."""
    try:
        record = read_json(folder / case.case / CASE_FILE, "the record of an imported case")
        share = record["ct"].get("padding_share", 0)
        text = (
            f"{100 * share:.0f} % of the CT lay outside of the field of view: there it is padding, set to {AIR_HU:.0f} "
            "HU, not air to bone as it was scanned: look that the whole wrist is in view"
        )
    except (InputError, LookupError, TypeError, AttributeError, ValueError):
        return []
    return [Finding("warning", "HU", text)] if share else []


def check_label_values(labels: LabelMap) -> list[Finding]:
    """1 radius, 2 ulna, nothing else, both there."""
    present = set(np.unique(labels.labels).tolist())
    findings = []
    unknown = sorted(present - {0, 1, 2})
    if unknown:
        values = ", ".join(map(str, unknown[:6]))
        text = f"unknown values {values}; expected 1 (radius) and 2 (ulna); import the case again"
        findings.append(Finding("error", "labels", text))
    missing = [name for value, name in ((1, "radius"), (2, "ulna")) if value not in present]
    if missing:
        findings.append(Finding("error", "labels", f"no voxel of {' and '.join(missing)}; segment both bones"))
    return findings


def check_grids(ct: Volume, labels: LabelMap) -> list[Finding]:
    """CT and labels on one grid."""
    if ct.values.shape != labels.labels.shape:
        text = f"the CT has {ct.values.shape} voxels, the labels {labels.labels.shape}; import the case again"
        return [Finding("error", "grid", text)]
    corner = np.array([*ct.values.shape, 1.0])
    apart = max(
        float(np.linalg.norm((ct.world_from_voxel - labels.world_from_voxel) @ c)) for c in (corner, np.eye(4)[3])
    )
    if apart > 0.05:
        text = f"CT and labels lie {apart:.2f} mm apart in the world; import the case again"
        return [Finding("error", "grid", text)]
    return []


def check_radiograph(
    folder: Path, case: StudyCase, entry: StudyRadiograph, labels: LabelMap | None, looker: Looker | None = None
) -> list[Finding]:
    """Image and camera read and fit each other, the pose is rigid and puts the bones on the image."""
    findings: list[Finding] = []
    name = Path(entry.file).name
    camera = None
    if entry.camera_file is not None:
        camera_file = entry.camera_file
        camera = _tried(findings, "camera", lambda: camera_from_file(folder / camera_file))
        if camera is None:
            return findings
    options = radiograph_options(case, entry, camera)
    film = _tried(findings, "radiograph", lambda: read_radiograph(folder / entry.file, options))
    if film is None:
        return findings
    if looker is not None:
        looker.film(case, film)
    if film.pixels.max() == film.pixels.min():
        findings.append(Finding("error", "radiograph", f"{name}: every pixel is the same; export the image again"))
    if not 0.05 <= film.spacing_at_wrist_mm <= 0.8:
        text = f"{name}: a pixel covers {film.spacing_at_wrist_mm:.2g} mm; expected 0.05 to 0.8 mm; check its spacing"
        findings.append(Finding("warning", "radiograph", text))
    if entry.pose_file is None:
        return findings
    pose_file = entry.pose_file
    pose = _tried(findings, "pose", lambda: read_pose(folder / pose_file))
    if pose is not None and labels is not None:
        voxels = np.argwhere(labels.labels > 0)[::97]
        world = voxels @ labels.world_from_voxel[:3, :3].T + labels.world_from_voxel[:3, 3]
        own = replace(film.camera, camera_from_world=np.eye(4))
        points = own.project(world @ pose[:3, :3].T + pose[:3, 3])
        inside = (points >= 0).all(axis=1) & (points < [own.width_px, own.height_px]).all(axis=1)
        if len(points) and not inside.any():
            findings.append(
                Finding("error", "pose", f"{name}: its pose puts the bones off the image; register the case again")
            )
    return findings


def with_comparisons(checks: Sequence[CaseCheck], hashes: dict[str, str | None]) -> tuple[CaseCheck, ...]:
    """Findings that only show between cases: one CT twice, mixed voxels, a patient's sides."""
    extra: dict[str, list[Finding]] = defaultdict(list)
    by_hash: dict[str, list[CaseCheck]] = defaultdict(list)
    for check in checks:
        if (digest := hashes[check.case]) is not None:
            by_hash[digest].append(check)
    for same in by_hash.values():
        patients = sorted({check.patient for check in same})
        names = ", ".join(check.case for check in same)
        for check in same if len(same) > 1 else ():
            if len(patients) > 1:
                text = (
                    f"the same CT stands under patients {', '.join(patients)} ({names}): folds would divide a patient"
                )
                extra[check.case].append(Finding("error", "duplicate", text))
            else:
                extra[check.case].append(
                    Finding("warning", "duplicate", f"the same CT is there {len(same)} times: {names}")
                )
    for one, other in spelled_alike(check.patient for check in checks):
        text = (
            f"patients {one!r} and {other!r} are spelled alike; if they are the same patient, folds would divide him: "
            "write both alike in study.json"
        )
        extra[next(check.case for check in checks if check.patient == other)].append(
            Finding("warning", "patient", text)
        )
    voxels = {tuple(np.round(check.facts["voxels_mm"], 2)) for check in checks if "voxels_mm" in check.facts}
    if len(voxels) > 1 and checks:
        text = f"mixed voxel sizes: {len(voxels)} in the study; the paper has 0.625 mm throughout"
        extra[checks[0].case].append(Finding("warning", "spacing", text))
    return tuple(
        replace(c, findings=tuple(sorted((*c.findings, *extra[c.case]), key=lambda finding: finding.level)))
        for c in checks
    )
