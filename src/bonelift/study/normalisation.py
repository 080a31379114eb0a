"""``bonelift normalize``: the cases of a study in the radius frame of a right wrist, on a label grid, with pictures.

Source of the frame: Shiode et al. 2021, Methods. Landmarks are the study's or found automatically
(:mod:`bonelift.anatomy.automatic_landmarks`); either way both frames are compared in ``frame.json``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bonelift.anatomy.automatic_landmarks import FoundFrame, find_frame
from bonelift.anatomy.landmark_names import NOTCH_VOLAR, STYLOID
from bonelift.drr.normalised_case import NormalisedCase, case_occupancy, normalise_case
from bonelift.errors import InputError, OutputPlaceError
from bonelift.geometry import apply_transform, invert_rigid, rotation_angle
from bonelift.geometry.patient_frame import patient_from_radius
from bonelift.images import LAPTOP_GRID, PAPER_GRID, RADIUS, ULNA, LabelGrid, LabelMap, Volume
from bonelift.images.markups import read_landmarks, write_landmarks
from bonelift.images.nrrd_files import write_labels_seg_nrrd, write_volume_nrrd
from bonelift.images.resampling import resample_volume
from bonelift.images.volume_reading import read_ct, read_labels
from bonelift.report.contact_sheet import Tile, contact_sheet
from bonelift.report.palette import png_bytes
from bonelift.storage.input_files import read_json
from bonelift.storage.whole import write_whole, writing
from bonelift.study.folder import StudyCase, read_study
from bonelift.study.normalisation_picture import frame_picture
from bonelift.study.results import MadeFrom, check_same_study, is_made, made_from_case, made_result, study_results
from bonelift.surface.files import write_stl
from bonelift.surface.label_surface import label_surface

Float = NDArray[np.float64]
LandmarkOrigin = Literal["study", "automatic"]

GRIDS: dict[str, LabelGrid] = {"laptop": LAPTOP_GRID, "paper": PAPER_GRID}
FRAME_FILE = "frame.json"
SETTINGS_FILE = "normalisation.json"
OVERLAY_FILE, SHEET_FILE = "overlay.png", "sheet.png"
SAME_MM = 0.05
"""Landmarks that lie as near to the found ones are those: no person meets both by chance."""
FAR_MM, FAR_DEG = 1.0, 4.0
"""A frame found without landmarks that lies farther from the one used wants a look at the landmarks."""
_HALF = 128


@dataclass(frozen=True)
class NormaliseSettings:
    """grid: preset of the label grid. landmarks: whose frame is used."""

    grid: str = "laptop"
    landmarks: LandmarkOrigin = "study"

    def recorded(self) -> dict[str, str]:
        """What a folder of results says of how it was made; files of another frame are not mixed with these."""
        return {**asdict(self), "files": "patient frame"}


@dataclass(frozen=True)
class NormaliseReport:
    """frames: case -> content of its frame.json. failed: case -> reason."""

    frames: dict[str, dict[str, Any]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def normalise_study(
    folder: Path,
    out: Path,
    settings: NormaliseSettings,
    chosen: str | None = None,
    on_case: Callable[[str], None] = lambda _: None,
) -> NormaliseReport:
    """Write ``out/CASE`` for every case (or the ``chosen`` one); those that are there are kept (study.results).

    A case that fails is reported with its reason, the others are written. Raises InputError: no such case, ``out``
    holds something else or was made with other settings.
    """
    cases = [case for case in read_study(folder).cases if chosen in (None, case.case)]
    if not cases:
        raise InputError(f"{folder}: has no case {chosen!r}; expected one of its study.json")
    report = NormaliseReport()
    with study_results(folder, out, SETTINGS_FILE, settings.recorded(), "a normalised study"):
        made = [
            (
                case,
                made_from_case("normalize", folder, case, settings.recorded(), landmarks=settings.landmarks == "study"),
            )
            for case in cases
        ]
        check_same_study(out, [(case.case, made_from) for case, made_from in made])
        for case, made_from in made:
            try:
                report.frames[case.case] = normalised_folder(folder, out, case, settings, made_from)
            except OutputPlaceError:
                raise
            except InputError as error:
                report.failed[case.case] = " ".join(f"case {case.case}: {error}".split())
            on_case(case.case)
        write_sheet(out, settings, read_study(folder).cases, report)
    return report


def write_sheet(out: Path, settings: NormaliseSettings, cases: Sequence[StudyCase], report: NormaliseReport) -> None:
    """One picture of all cases in ``out``, and of those that failed: their overlays, and how far the frame that
    is found without landmarks lies from the one used. Raises InputError where it cannot be written."""
    tiles = []
    for case in cases:
        if case.case not in report.failed and not (out / case.case / OVERLAY_FILE).is_file():
            continue  # this call was for other cases
        title = f"{case.case} ({case.patient}, {case.side})"
        if case.case in report.failed:
            tiles.append(Tile(title, (), [report.failed[case.case]], "error"))
            continue
        facts = report.frames.get(case.case)
        if facts is None:
            facts = read_json(out / case.case / FRAME_FILE, "the frame of a normalised case")
        automatic = facts["automatic"]
        far = "failed" in automatic or automatic["origin_mm"] > FAR_MM or automatic["rotation_deg"] > FAR_DEG
        lines = [f"frame found without landmarks: {beside_automatic(automatic)}"]
        with Image.open(out / case.case / OVERLAY_FILE) as overlay:
            tiles.append(Tile(title, [overlay.convert("RGB")], lines, "warning" if far else "ok"))
    sheet = contact_sheet(f"bonelift normalize: {len(tiles)} cases, landmarks: {settings.landmarks}", tiles)
    with writing(out):
        write_whole(out / SHEET_FILE, png_bytes(sheet))


def beside_automatic(automatic: Mapping[str, Any]) -> str:
    """What frame.json says of the frame found without landmarks, in words."""
    if "failed" in automatic:
        return f"none: {automatic['failed']}"
    if automatic.get("same_landmarks"):
        return "the same, since these landmarks were found automatically; look at the picture"
    return f"{automatic['origin_mm']:.2f} mm, {automatic['rotation_deg']:.2f} deg away"


def normalised_folder(
    folder: Path, out: Path, case: StudyCase, settings: NormaliseSettings, made_from: MadeFrom
) -> dict[str, Any]:
    """Write one case's folder, whole or not at all, where it is not there; returns what its frame.json says."""
    final = out / case.case
    if is_made(final, made_from):
        facts = read_json(final / FRAME_FILE, "the frame of a normalised case")
        if not isinstance(facts, dict) or not isinstance(facts.get("automatic"), dict):
            raise InputError(f"{final.name}: is damaged; remove it and run again")
        return facts
    ct, labels = read_ct(folder / case.ct), read_labels(folder / case.labels)
    found = found_frame(labels, case)
    landmarks = chosen_landmarks(folder, case, settings.landmarks, found)
    normalised = normalise_case(ct, labels, landmarks, case.side)
    facts = frame_facts(case, settings, normalised, found, landmarks)
    with made_result(final, made_from) as staging:
        _write(staging, ct, normalised, landmarks, GRIDS[settings.grid], case, facts)
    return facts


def found_frame(labels: LabelMap, case: StudyCase) -> FoundFrame | str:
    """The frame found without landmarks, or why there is none."""
    try:
        return find_frame(label_surface(labels, RADIUS), label_surface(labels, ULNA), case.side)
    except InputError as error:
        return " ".join(str(error).split())


def chosen_landmarks(
    folder: Path, case: StudyCase, origin: LandmarkOrigin, found: FoundFrame | str
) -> Mapping[str, Float]:
    """The study's landmarks, or the found ones. Raises InputError where these were asked for and not found."""
    if origin == "study":
        return read_landmarks(folder / case.landmarks)
    if isinstance(found, str):
        raise InputError(found)
    return found.landmarks


def frame_facts(
    case: StudyCase,
    settings: NormaliseSettings,
    normalised: NormalisedCase,
    found: FoundFrame | str,
    landmarks: Mapping[str, Float],
) -> dict[str, Any]:
    """Content of frame.json."""
    facts: dict[str, Any] = {
        "schema_version": 2,
        "case": case.case,
        "patient": case.patient,
        "side": case.side,
        "landmarks": settings.landmarks,
        "grid": settings.grid,
        "patient_from_right": patient_from_radius("right").tolist(),
        "right_from_world": normalised.right_from_world.tolist(),
        # The older name of the same matrix, which programs of others read.
        "radius_from_world": normalised.right_from_world.tolist(),
    }
    if isinstance(found, str):
        return facts | {"automatic": {"failed": found}}
    step = found.right_from_world @ np.linalg.inv(normalised.right_from_world)
    same = all(np.linalg.norm(found.landmarks[name] - landmarks[name]) < SAME_MM for name in (STYLOID, NOTCH_VOLAR))
    difference = {"residual_mm": round(found.residual_mm, 3), **frame_difference(step), "same_landmarks": same}
    return facts | {"automatic": difference}


def frame_difference(automatic_from_used: Float) -> dict[str, float]:
    """How far two radius frames lie apart: origin in mm, whole rotation, turn about Z and tilt of Z in degrees."""
    used_from_automatic = invert_rigid(automatic_from_used)
    rotation = automatic_from_used[:3, :3]
    return {
        "origin_mm": round(float(np.linalg.norm(used_from_automatic[:3, 3])), 3),
        "rotation_deg": round(float(np.rad2deg(rotation_angle(automatic_from_used))), 3),
        "about_z_deg": round(float(np.rad2deg(np.arctan2(rotation[1, 0], rotation[0, 0]))), 3),
        "z_tilt_deg": round(float(np.rad2deg(np.arccos(np.clip(rotation[2, 2], -1, 1)))), 3),
    }


def _write(
    staging: Path,
    ct: Volume,
    normalised: NormalisedCase,
    landmarks: Mapping[str, Float],
    grid: LabelGrid,
    case: StudyCase,
    facts: dict[str, Any],
) -> None:
    """CT and labels on the grid, surfaces and landmarks of the case as a right wrist; and the picture.

    The grid is the radius frame's; the files say where it lies in the patient frame of a right wrist, as all files do.
    """
    right_from_world = normalised.right_from_world
    moved = Volume(ct.values, right_from_world @ ct.world_from_voxel)
    patient_from_right = patient_from_radius("right")
    patient_from_voxel = patient_from_right @ grid.radius_from_voxel
    on_grid = resample_volume(moved, grid.shape, grid.radius_from_voxel)
    values = np.clip(np.rint(on_grid.values.astype(np.float32)), -1024, 32767).astype(np.int16)
    write_volume_nrrd(staging / "ct.nrrd", Volume(values, patient_from_voxel))
    soft = case_occupancy(normalised, grid)
    labels = np.where(soft.max(axis=0) >= _HALF, soft.argmax(axis=0) + 1, 0).astype(np.uint8)
    label_map = LabelMap(labels, patient_from_voxel)
    write_labels_seg_nrrd(staging / "labels.seg.nrrd", label_map)
    write_volume_nrrd(staging / "radius-occupancy.nrrd", Volume(soft[0], patient_from_voxel))
    write_volume_nrrd(staging / "ulna-occupancy.nrrd", Volume(soft[1], patient_from_voxel))
    for name, mesh in (("radius", normalised.radius), ("ulna", normalised.ulna)):
        write_stl(staging / f"{name}.stl", mesh.transformed(patient_from_right))
    points = {name: (right_from_world @ [*point, 1.0])[:3] for name, point in landmarks.items()}
    placed = {name: apply_transform(patient_from_right, point) for name, point in points.items()}
    write_landmarks(staging / "landmarks.mrk.json", placed)
    picture = frame_picture(case, normalised, moved, points)
    (staging / OVERLAY_FILE).write_bytes(png_bytes(picture))
    (staging / FRAME_FILE).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
