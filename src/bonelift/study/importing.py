"""``bonelift import``: a lab's own files as cases of a study folder.

Everything is read, checked and written anew: volumes as NRRD, films as PNG beside a camera file. So nothing of a DICOM
header reaches the study but geometry, side and view. Each case appears whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonelift.anatomy.automatic_landmarks import find_frame
from bonelift.anatomy.landmark_names import named_landmarks, without_identity
from bonelift.errors import InputError
from bonelift.geometry.camera_files import camera_from_file, write_camera_json
from bonelift.images import RADIUS, ULNA, LabelMap, Volume
from bonelift.images.bone_labels import read_bone_labels
from bonelift.images.dicom_identity import identifying_element
from bonelift.images.markups import read_landmarks, write_landmarks
from bonelift.images.masks import read_mask
from bonelift.images.nrrd_files import write_labels_seg_nrrd, write_volume_nrrd
from bonelift.images.radiograph import View
from bonelift.images.raster import write_png
from bonelift.images.reading import RadiographOptions, read_radiograph
from bonelift.images.resampling import (
    Interpolation,
    is_isotropic,
    isotropic_grid,
    resample_labels,
    resample_volume,
    share_inside,
)
from bonelift.images.volume_reading import read_noted_ct, read_volume
from bonelift.storage.folder_lock import held_folder
from bonelift.storage.input_files import read_json, understood
from bonelift.storage.whole import whole_folder, writing
from bonelift.study.case_names import spelled_alike
from bonelift.study.fingerprint import file_sha256
from bonelift.study.folder import (
    CASE_FILE,
    STUDY_FILE,
    Study,
    StudyCase,
    StudyRadiograph,
    case_from_entry,
    read_pose,
    read_study,
    write_pose,
    write_study,
)
from bonelift.study.importing_sources import CaseSource, RadiographSource
from bonelift.surface.label_surface import label_surface

PAPER_SPACING_MM = 0.625
IMPORT_ORIGIN = "bonelift import"
LOWEST_HU, HIGHEST_HU = -1024, 32767
_INSIDE_SHARE = 0.99
_SHORTEST_CT_VOXELS = 16


@dataclass(frozen=True)
class ImportSettings:
    """spacing_mm: isotropic voxel side of every CT and label map; None keeps the scanner's voxels.

    interpolation: of CTs (labels: images.resampling.resample_labels). find_landmarks: find the landmarks of cases that
    bring none (anatomy.automatic_landmarks); without it such a case is refused.
    """

    spacing_mm: float | None = PAPER_SPACING_MM
    interpolation: Interpolation = "linear"
    find_landmarks: bool = False

    def __post_init__(self) -> None:
        if self.spacing_mm is not None and not 0.2 <= self.spacing_mm <= 1.5:
            raise InputError(f"--spacing-mm is {self.spacing_mm:g}; expected 0.2 to 1.5 mm")


@dataclass(frozen=True)
class ImportReport:
    """study: as it is now. imported, kept: case names; kept ones were there already. failed: case -> reason. notes:
    what an imported case was made without, in words."""

    study: Study
    imported: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    failed: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def import_cases(
    folder: Path,
    sources: Sequence[CaseSource],
    settings: ImportSettings,
    on_case: Callable[[str], None] = lambda _: None,
) -> ImportReport:
    """Add ``sources`` to the study in ``folder``, which is made where it does not exist.

    A case that was imported from the same files is kept, so an interrupted or corrected import goes on. A case that
    fails leaves nothing and is reported with its reason; the others are imported. Raises InputError before anything is
    written: a case named twice or already in the study under another patient or side, a folder that holds something
    else, a study of other voxels. Where no case at all could be imported, a new folder is removed again.
    """
    _study_to_extend(folder, sources, settings)
    with held_folder(folder, "--out"):
        # Again: another import may have ended in between.
        study = _study_to_extend(folder, sources, settings)
        return _import_all(folder, study, sources, settings, on_case)


def _import_all(
    folder: Path, study: Study, sources: Sequence[CaseSource], settings: ImportSettings, on_case: Callable[[str], None]
) -> ImportReport:
    imported, kept, failed, notes = [], [], {}, []
    for source in sources:
        on_case(source.case)
        try:
            case, facts = _imported_case(folder, source, settings)
        except InputError as error:
            failed[source.case] = " ".join(str(error).split())
            continue
        (kept if facts is None else imported).append(source.case)
        notes += [f"{source.case}: {note}" for note in _notes(facts or {})]
        others = tuple(c for c in study.cases if c.case != source.case)
        study = Study((*others, case), study.origin or IMPORT_ORIGIN)
        with writing(folder):
            write_study(folder, study)
    return ImportReport(study, tuple(imported), tuple(kept), failed, tuple(notes))


def _notes(facts: dict[str, Any]) -> list[str]:
    ct = facts.get("ct", {})
    notes = [f"{count} files of the CT's folder passed over: {why}" for why, count in ct.get("passed_over", {}).items()]
    if "padding_share" in ct:
        notes.append(f"{100 * ct['padding_share']:.0f} % of the CT is padding outside of the field of view, now air")
    return notes


def _study_to_extend(folder: Path, sources: Sequence[CaseSource], settings: ImportSettings) -> Study:
    """The study in ``folder``, or an empty one; every check that needs no image."""
    names = [source.case.casefold() for source in sources]
    twice = next((source.case for source in sources if names.count(source.case.casefold()) > 1), None)
    if twice is not None:
        raise InputError(f"case {twice}: is given twice; expected each case once, with all its radiographs")
    _check_spelling([source.patient for source in sources])
    if not folder.exists():
        return Study((), "")
    if not (folder / STUDY_FILE).is_file():
        # Hidden folders and whole cases are what an import that was killed leaves.
        if not folder.is_dir() or any(p.name[0] != "." and not (p / CASE_FILE).is_file() for p in folder.iterdir()):
            raise InputError(f"{folder}: is not empty and holds no {STUDY_FILE}; pass a new folder as --out")
        return Study((), "")
    study = read_study(folder)
    known = {case.case.casefold(): case for case in study.cases}
    for source in sources:
        case = known.get(source.case.casefold())
        if case is not None and case.case != source.case:
            raise InputError(f"case {source.case}: the study has {case.case}; expected names that differ by more")
        if case is not None and not (folder / source.case / CASE_FILE).is_file():
            raise InputError(f"case {source.case}: is in the study already, and not by import; choose another name")
        if case is not None and (case.patient, case.side) != (source.patient, source.side):
            raise InputError(
                f"case {source.case}: is in the study as the {case.side} wrist of {case.patient}, and is given as the "
                f"{source.side} one of {source.patient}; choose another name, or remove its folder first"
            )
    _check_spelling([*(case.patient for case in study.cases), *(source.patient for source in sources)])
    _check_spacing(folder, study, settings)
    return study


def _check_spelling(patients: Sequence[str]) -> None:
    """Two spellings of one patient would let folds divide him."""
    for one, other in spelled_alike(patients):
        raise InputError(
            f"patients {one!r} and {other!r} are spelled alike: if they are the same patient, write both alike; if "
            "not, choose numbers that differ by more than capitals, signs and leading zeros"
        )


def _check_spacing(folder: Path, study: Study, settings: ImportSettings) -> None:
    """Mixed voxel sizes are refused: every CT of a study has the voxels of its first."""
    if not study.cases or settings.spacing_mm is None:
        return
    first = study.cases[0]
    record = folder / first.case / CASE_FILE
    if record.is_file():
        content = read_json(record, "the record of an imported case")
        with understood(f"{first.case}/{CASE_FILE}", "is damaged; remove its folder to import the case again"):
            spacing = np.array(content["ct"]["voxels_mm"], dtype=np.float64)
            if spacing.shape != (3,):
                raise ValueError(f"voxels_mm of shape {spacing.shape}")
    else:
        spacing = read_volume(folder / first.ct).spacing_mm
    if np.abs(spacing / settings.spacing_mm - 1).max() > 0.01:
        voxels = " x ".join(f"{edge:.3g}" for edge in spacing)
        raise InputError(
            f"{folder}: mixed voxel sizes: its first case {first.case} has voxels of {voxels} mm, the import would add "
            f"{settings.spacing_mm:g} mm; pass another --out, that --spacing-mm, or --keep-voxels to mix them knowingly"
        )


def _imported_case(
    folder: Path, source: CaseSource, settings: ImportSettings
) -> tuple[StudyCase, dict[str, Any] | None]:
    """The case as the study lists it, and what was done to it where it was written now. Errors name the case."""
    final = folder / source.case
    try:
        digest = source_digest(source, settings)
        if final.exists():
            return _kept_case(final, digest), None
        with whole_folder(final) as staging:
            case, facts = write_case(staging, source, settings)
            content = {"case": asdict(case), "inputs_sha256": digest, **facts}
            (staging / CASE_FILE).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        return case, facts
    except InputError as error:
        raise InputError(f"case {source.case}: {error}") from error


def _kept_case(final: Path, digest: str) -> StudyCase:
    try:
        content = read_json(final / CASE_FILE, "the record of an imported case")
        with understood(CASE_FILE, "is damaged"):
            case, known = case_from_entry(content["case"]), content["inputs_sha256"]
    except InputError as error:
        raise InputError(
            f"{final.name} is there, and damaged or not imported; remove the folder to import it"
        ) from error
    if case.case != final.name:
        raise InputError(f"the folder {final.name} holds the case {case.case}; remove the folder to import it")
    if known != digest:
        raise InputError("was imported before from other files or options; remove its folder to import it again")
    return case


def source_digest(source: CaseSource, settings: ImportSettings) -> str:
    """SHA-256 over the content of the case's files and options; file names do not count (they may name a patient)."""
    digest = hashlib.sha256()
    paths = [source.ct, source.labels, source.landmarks]
    paths += [path for film in source.radiographs for path in (film.file, film.camera, film.pose, film.mask)]
    for path in paths:
        files = [path] if path is None or not path.is_dir() else sorted(p for p in path.iterdir() if p.is_file())
        for file in files:
            digest.update(b"-" if file is None else file_sha256(file))
    plain = replace(source, ct=Path(), labels=Path(), landmarks=None, radiographs=())
    films = [replace(film, file=Path(), camera=None, pose=None, mask=None) for film in source.radiographs]
    digest.update(repr((plain, films, settings)).encode())
    return digest.hexdigest()


def write_case(staging: Path, source: CaseSource, settings: ImportSettings) -> tuple[StudyCase, dict[str, Any]]:
    """Write one case's files into the empty folder ``staging``. Returns how the study lists it, and what was done."""
    _check_anonymous(source)
    # The quick files first: a wrong film or landmark need not wait for the scan.
    films = [
        _write_radiograph(staging, source, film, number) for number, film in enumerate(source.radiographs, start=1)
    ]
    given = _given_landmarks(source, settings)
    ct, labels, facts = read_scan(source, settings)
    write_volume_nrrd(staging / "ct.nrrd", ct)
    write_labels_seg_nrrd(staging / "labels.seg.nrrd", labels)
    landmarks, facts["landmarks"] = (given, {"origin": "given"}) if given else _found_landmarks(source, labels)
    write_landmarks(staging / "landmarks.mrk.json", landmarks)
    facts["radiographs"] = [told for _, told in films]
    name = source.case
    files = (f"{name}/ct.nrrd", f"{name}/labels.seg.nrrd", f"{name}/landmarks.mrk.json")
    return StudyCase(name, source.patient, source.side, *files, tuple(listed for listed, _ in films)), facts


def _check_anonymous(source: CaseSource) -> None:
    for path in (source.ct, *(film.file for film in source.radiographs)):
        for what, name in (("case", source.case), ("patient", source.patient)):
            element = identifying_element(path, name)
            if element is not None:
                raise InputError(
                    f"the {what} is named as {element} in the DICOM header; a study holds no identity: choose a number"
                )


def read_scan(source: CaseSource, settings: ImportSettings) -> tuple[Volume, LabelMap, dict[str, Any]]:
    """CT (int16 HU) and labels on one grid, of isotropic voxels unless the settings keep the scanner's; what was done.

    Raises InputError: labels that reach out of the CT, voxels that are no CT's.
    """
    ct, padding_share, passed_over = read_noted_ct(source.ct, source.ct_series)
    labels = read_bone_labels(source.labels, source.bones)
    if min(ct.values.shape) < _SHORTEST_CT_VOXELS:
        raise InputError(
            f"{source.ct.name}: has {' x '.join(map(str, ct.values.shape))} voxels; expected a whole wrist CT"
        )
    inside = share_inside(labels, ct.values.shape, ct.world_from_voxel)  # pyright: ignore[reportArgumentType]
    if inside < _INSIDE_SHARE:
        raise InputError(
            f"{source.labels.name}: {100 * (1 - inside):.0f} % of its bone lies outside of the CT; expected the labels "
            "of this scan, in its world"
        )
    facts: dict[str, Any] = {"ct": {"scanner_voxels_mm": [round(float(v), 4) for v in ct.spacing_mm]}}
    if padding_share:
        facts["ct"]["padding_share"] = round(padding_share, 4)
    if passed_over:  # not by name: names may be a patient's
        facts["ct"]["passed_over"] = dict(Counter(why for _, why in passed_over))
    i, j, k = ct.values.shape
    shape, grid = (i, j, k), ct.world_from_voxel
    if settings.spacing_mm is not None and not is_isotropic(grid, settings.spacing_mm):
        shape, grid = isotropic_grid(shape, grid, settings.spacing_mm)
        ct = resample_volume(ct, shape, grid, settings.interpolation)
        facts["ct"]["interpolation"] = settings.interpolation
    same = labels.labels.shape == shape and np.allclose(labels.world_from_voxel, grid, atol=1e-4)
    facts["labels"] = {"interpolation": "none" if same else "shape-based"}
    labels = labels if same else resample_labels(labels, shape, grid)
    facts["ct"]["voxels_mm"] = [round(float(v), 6) for v in np.linalg.norm(grid[:3, :3], axis=0)]
    values = np.clip(np.rint(np.asarray(ct.values, dtype=np.float32)), LOWEST_HU, HIGHEST_HU).astype(np.int16)
    return Volume(values, grid), replace(labels, world_from_voxel=grid), facts


def _given_landmarks(source: CaseSource, settings: ImportSettings) -> dict[str, NDArray[np.float64]] | None:
    """Positions (3,) in the CT's world by name; None where they are to be found."""
    if source.landmarks is not None:
        landmarks = read_landmarks(source.landmarks)
        return without_identity(
            named_landmarks(landmarks, source.landmarks.name, source.styloid_label, source.notch_label)
        )
    if not settings.find_landmarks:
        raise InputError(
            "no landmarks; pass --landmarks FILE.mrk.json with the radial styloid's tip and the volar edge of the "
            "sigmoid notch, or --find-landmarks to have them found"
        )
    return None


def _found_landmarks(source: CaseSource, labels: LabelMap) -> tuple[dict[str, NDArray[np.float64]], dict[str, Any]]:
    frame = find_frame(label_surface(labels, RADIUS), label_surface(labels, ULNA), source.side)
    return frame.landmarks, {"origin": "found automatically", "residual_mm": round(frame.residual_mm, 3)}


def _write_radiograph(
    staging: Path, source: CaseSource, film: RadiographSource, number: int
) -> tuple[StudyRadiograph, dict[str, Any]]:
    """PNG (16 bit, bone bright), camera file and, where given, pose file and mask of one X-ray."""
    camera = None if film.camera is None else camera_from_file(film.camera, film.pixel_spacing_mm)
    distance = film.source_to_object_mm
    mask = None if film.mask is None else read_mask(film.mask)
    options = RadiographOptions(
        side=source.side,
        view=film.view,
        pixel_spacing_mm=None if camera else film.pixel_spacing_mm,
        sdd_mm=None if camera else film.sdd_mm,
        source_to_object_mm=camera.source_to_object_mm if camera and distance is None else distance,
        source_to_object_from=camera.distance_origin if camera and distance is None else None,
        camera=camera.camera if camera else None,
        frame=film.frame,
        invert=film.invert,
        trim=mask is None,
    )
    radiograph = read_radiograph(film.file, options)
    view: View = radiograph.view
    stem = f"radiograph-{number}-{view}"
    write_png(staging / f"{stem}.png", sixteen_bit(radiograph.pixels))
    assumed = radiograph.provenance["source_to_object"].assumed
    write_camera_json(staging / f"{stem}.json", radiograph.camera, radiograph.source_to_object_mm, assumed)
    pose_file = None
    if film.pose is not None:
        write_pose(staging / f"{stem}-pose.json", read_pose(film.pose))
        pose_file = f"{source.case}/{stem}-pose.json"
    mask_file = None
    if mask is not None:
        if mask.shape != radiograph.pixels.shape:
            raise InputError(
                f"the mask has {mask.shape} (rows, columns), the image {radiograph.pixels.shape}; draw it on the image"
            )
        write_png(staging / f"{stem}-mask.png", mask)
        mask_file = f"{source.case}/{stem}-mask.png"
    place = f"{source.case}/{stem}"
    listed = StudyRadiograph(f"{place}.png", view, f"{place}.json", pose_file, "no", mask_file)
    words = {fact: origin.text for fact, origin in radiograph.provenance.items()}
    kinds = {fact: {"kind": origin.kind, "value": origin.value} for fact, origin in radiograph.provenance.items()}
    return listed, {"view": view, "provenance": words, "origins": kinds}


def sixteen_bit(pixels: NDArray[np.floating]) -> NDArray[np.uint16]:
    """Grey levels spread linearly over 0 to 65535: any scale will do, films are read in percentiles."""
    low, high = float(pixels.min()), float(pixels.max())
    return np.rint((pixels - low) / max(high - low, 1e-12) * 65535).astype(np.uint16)
