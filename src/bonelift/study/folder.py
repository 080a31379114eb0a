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
from bonelift.storage.whole import write_whole

STUDY_FILE = "study.json"
SCHEMA_VERSION = 1


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
    """origin: what made the folder: "bonelift simulate --patients 3 --seed 1", or a lab's own words."""

    cases: tuple[StudyCase, ...]
    origin: str

    def __post_init__(self) -> None:
        names = [case.case for case in self.cases]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
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
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path.name}: cannot be read as JSON ({error}); make the study again") from error
    if not isinstance(content, dict) or content.get("schema_version") != SCHEMA_VERSION:
        raise InputError(f"{path.name}: is not a study of version {SCHEMA_VERSION}; make it again")
    try:
        cases = tuple(case_from_entry(entry) for entry in content["cases"])
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path.name}: a case is incomplete ({error}); make the study again") from error
    return Study(cases, str(content.get("origin", "")))


def write_pose(path: Path, camera_from_world: NDArray[np.float64]) -> None:
    """Write a pose file: the CT's world in a camera's frame, (4, 4) rigid."""
    content = {"schema_version": SCHEMA_VERSION, "camera_from_world": camera_from_world.tolist()}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_pose(path: Path) -> NDArray[np.float64]:
    """Read camera_from_world (4, 4). Raises InputError for what is no rigid pose."""
    try:
        pose = np.array(json.loads(path.read_text(encoding="utf-8"))["camera_from_world"], dtype=np.float64)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path.name}: no pose could be read ({error}); register the case again") from error
    if not is_rigid(pose, tolerance=1e-4):
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
    """A case from its JSON. Raises InputError for a wrong side or view or a path out of the folder; KeyError, TypeError
    or AttributeError where something is missing."""
    radiographs = tuple(StudyRadiograph(**radiograph) for radiograph in entry["radiographs"])
    case = StudyCase(**{**entry, "radiographs": radiographs})
    if case.side not in get_args(Side) or any(r.view not in get_args(View) for r in radiographs):
        raise InputError(
            f"{STUDY_FILE}: case {case.case!r} has side {case.side!r} and views {[r.view for r in radiographs]}; "
            "expected left or right, and pa or lateral"
        )
    named = [case.ct, case.labels, case.landmarks, case.truth_file, *case.truth_meshes.values()]
    named += [name for r in radiographs for name in (r.file, r.camera_file, r.pose_file, r.mask_file)]
    for name in named:
        if name is not None and (PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts):
            raise InputError(
                f"{STUDY_FILE}: case {case.case!r} names {name!r}; expected a path inside the study folder"
            )
    return case
