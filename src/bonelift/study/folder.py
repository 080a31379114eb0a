"""A study folder: CTs, labels, landmarks and radiographs of many patients, listed in ``study.json``.

Virtual and real cohorts look the same. Paths in the file are relative to the folder. Nothing in it names a patient: a
patient is an identifier that the lab chooses.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from bonelift.errors import InputError
from bonelift.geometry import CameraFile, is_rigid
from bonelift.geometry.camera_files import camera_from_file
from bonelift.images.radiograph import Radiograph, Side, View
from bonelift.images.reading import Invert, RadiographOptions, read_radiograph
from bonelift.storage.input_files import plain_text, read_json, understood
from bonelift.storage.whole import write_whole
from bonelift.study.case_names import check_name

STUDY_FILE = "study.json"
CASE_FILE = "import.json"
"""Beside each imported case: what was read, from which facts, and what was done to it; no path and no header."""
SCHEMA_VERSION = 1
MAX_POSE_BYTES = 1_000_000


@dataclass(frozen=True)
class StudyRadiograph:
    """One X-ray of a case.

    file: the image. camera_file: its geometry (geometry.camera_files) or None where the image's header holds it.
    pose_file: JSON with ``camera_from_world``, the pose of the CT's world in this camera's frame (known for virtual
        patients, found by registration for real ones), or None.
    invert: "yes" where bones are dark in the file, "no" where they are bright, "auto" to go by header and pixels.
    mask_file: radius and ulna drawn on the image as recorded (images.masks), or None.
    """

    file: str
    view: View
    camera_file: str | None = None
    pose_file: str | None = None
    invert: Invert = "auto"
    mask_file: str | None = None


@dataclass(frozen=True)
class StudyCase:
    """One wrist.

    patient: both wrists and all views of a patient share it, and a fold never divides it.
    ct: HU volume; labels: segmentation with radius and ulna; landmarks: Slicer markups; all in the CT's world (LPS mm).
    truth: for virtual cases, a JSON file with what was drawn and the true poses, and meshes by bone name.
    """

    case: str
    patient: str
    side: Side
    ct: str
    labels: str
    landmarks: str
    radiographs: tuple[StudyRadiograph, ...]
    truth_file: str | None = None
    truth_meshes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Study:
    """origin: what made the folder: "bonelift simulate --patients 3 --seed 1", or a lab's own words.

    Raises InputError where a case is listed twice, capitals or not: some disks keep one folder for both.
    """

    cases: tuple[StudyCase, ...]
    origin: str

    def __post_init__(self) -> None:
        names = [case.case.casefold() for case in self.cases]
        if len(set(names)) < len(names):
            twice = next(case.case for case in self.cases if names.count(case.case.casefold()) > 1)
            raise InputError(f"study: case {twice!r} is listed twice; expected each case once")


def write_study(folder: Path, study: Study) -> None:
    """Write ``study.json``; it appears whole or not at all."""
    content = {"schema_version": SCHEMA_VERSION, "origin": study.origin, "cases": [asdict(c) for c in study.cases]}
    write_whole(folder / STUDY_FILE, json.dumps(content, indent=1) + "\n")


def read_study(folder: Path) -> Study:
    """Read ``study.json``. Raises InputError, one line, for a missing, broken or foreign file."""
    path = folder / STUDY_FILE
    if not path.is_file():
        raise InputError(f"{folder}: holds no {STUDY_FILE}; expected a study folder (bonelift simulate makes one)")
    content = read_json(path, "the list of a study's cases")
    if not isinstance(content, dict) or content.get("schema_version") != SCHEMA_VERSION:
        raise InputError(f"{path.name}: is not a study of version {SCHEMA_VERSION}; make it again")
    with understood(path.name, "holds no list of cases; make the study again"):
        return Study(tuple(map(case_from_entry, content["cases"])), _text(content.get("origin", ""), "origin"))


def write_pose(path: Path, camera_from_world: NDArray[np.float64]) -> None:
    """Write a pose file: the CT's world in a camera's frame, (4, 4) rigid."""
    content = {"schema_version": SCHEMA_VERSION, "camera_from_world": camera_from_world.tolist()}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_pose(path: Path) -> NDArray[np.float64]:
    """Read camera_from_world (4, 4). Raises InputError for what is no rigid pose."""
    content = read_json(path, "a pose file (camera_from_world)", MAX_POSE_BYTES)
    with understood(path.name, "no pose could be read; expected camera_from_world, 4 x 4; register the case again"):
        pose = np.array(content["camera_from_world"], dtype=np.float64)
    if pose.shape != (4, 4) or not is_rigid(pose, tolerance=1e-4):
        raise InputError(f"{path.name}: camera_from_world is not rigid; register the case again")
    return pose


def read_case_radiograph(folder: Path, case: StudyCase, entry: StudyRadiograph, trim: bool = True) -> Radiograph:
    """A radiograph of a case with its camera file's geometry, where it has one. trim: as in RadiographOptions.

    Raises InputError where a file cannot be used.
    """
    camera = None if entry.camera_file is None else camera_from_file(folder / entry.camera_file)
    return read_radiograph(folder / entry.file, replace(radiograph_options(case, entry, camera), trim=trim))


def radiograph_options(case: StudyCase, entry: StudyRadiograph, camera: CameraFile | None) -> RadiographOptions:
    """How to read a radiograph of a case; camera: what its camera file holds, where it has one."""
    return RadiographOptions(
        side=case.side,
        view=entry.view,
        camera=camera.camera if camera else None,
        source_to_object_mm=camera.source_to_object_mm if camera else None,
        source_to_object_from=camera.distance_origin if camera else RadiographOptions.source_to_object_from,
        invert=entry.invert,
    )


def case_from_entry(entry: dict[str, Any]) -> StudyCase:
    """A case from its JSON. Raises InputError: something is missing or of another kind, a wrong side or view, a name
    that cannot be a folder's (case_names), a path that leads out of the study."""
    with understood(STUDY_FILE, f"case {_name_of(entry)} is incomplete or holds what no case does; make it again"):
        radiographs = tuple(StudyRadiograph(**radiograph) for radiograph in entry["radiographs"])
        case = StudyCase(**{**entry, "radiographs": radiographs})
        meshes = {_text(bone, "a bone's name"): name for bone, name in case.truth_meshes.items()}
    try:
        check_name("case", case.case)
        check_name("patient", case.patient)
    except InputError as error:
        raise InputError(f"{STUDY_FILE}: {error}") from error
    inverts = [entry.invert for entry in radiographs]
    if case.side not in get_args(Side) or any(r.view not in get_args(View) for r in radiographs):
        raise InputError(
            f"{STUDY_FILE}: case {case.case!r} has side {case.side!r:.40} and views "
            f"{[r.view for r in radiographs]!s:.80}; expected left or right, and pa or lateral"
        )
    if any(invert not in get_args(Invert) for invert in inverts):
        raise InputError(f"{STUDY_FILE}: case {case.case!r} has invert {inverts!r:.60}; expected auto, yes or no")
    _check_path(case, case.ct)
    _check_path(case, case.labels)
    if case.landmarks != "":
        _check_path(case, case.landmarks)
    optional = [case.truth_file, *(name for r in radiographs for name in (r.camera_file, r.pose_file, r.mask_file))]
    for name in (*(r.file for r in radiographs), *meshes.values(), *(name for name in optional if name is not None)):
        _check_path(case, name)
    return case


def _check_path(case: StudyCase, name: object) -> None:
    """A file of a case lies in the study. Raises InputError."""
    text = _text(name, f"{STUDY_FILE}: a file of case {case.case!r}", longest=1000)
    path = PurePosixPath(text)
    if not text or path.is_absolute() or ".." in path.parts or "\\" in text:
        raise InputError(
            f"{STUDY_FILE}: case {case.case!r} names {text!r:.120}; expected a path inside the study folder"
        )


def _text(value: object, what: str, longest: int = 200) -> str:
    return plain_text(value, what, longest)


def _name_of(entry: object) -> str:
    return f"{entry.get('case') if isinstance(entry, dict) else entry!r}"[:60].encode("ascii", "replace").decode()


def film_names(case: StudyCase) -> tuple[str, ...]:
    """What the files that belong to each radiograph of a case are called: its own name without the end, with its number
    in front where two films have the same."""
    stems = [PurePosixPath(entry.file).stem for entry in case.radiographs]
    return tuple(stem if stems.count(stem) == 1 else f"{number}-{stem}" for number, stem in enumerate(stems, start=1))
