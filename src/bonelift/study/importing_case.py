"""One case of ``bonelift import``: a lab's files read, checked and written anew.

Volumes become NRRD, films PNG beside a camera file. So nothing of a DICOM header reaches the study but geometry, side
and view.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonelift.anatomy.automatic_landmarks import find_frame, side_evidence
from bonelift.anatomy.landmark_names import STYLOID, named_landmarks, without_identity
from bonelift.errors import InputError
from bonelift.geometry.camera_files import camera_from_file, write_camera_json
from bonelift.images import RADIUS, ULNA, LabelMap, Volume
from bonelift.images.bone_labels import read_bone_labels
from bonelift.images.dicom_identity import identifying_element
from bonelift.images.dicom_labels import VoxelGrid
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
from bonelift.images.volume import LABEL_NAMES
from bonelift.images.volume_reading import read_noted_ct
from bonelift.study.checking_bones import LEAST_CONTRAST_HU, landmark_findings, rim_contrast
from bonelift.study.fingerprint import file_sha256
from bonelift.study.folder import StudyCase, StudyRadiograph, read_pose, write_pose
from bonelift.study.importing_sources import CaseSource, RadiographSource
from bonelift.surface.label_surface import label_surface
from bonelift.surface.mesh import TriangleMesh

PAPER_SPACING_MM = 0.625
LOWEST_HU, HIGHEST_HU = -1024, 32767
_INSIDE_SHARE = 0.99
_SHORTEST_CT_VOXELS = 16
UNLIKE_MM = 2.5
"""Mean distance from the mean radius, moved and scaled onto it, beyond which a bone is no distal radius: virtual wrists
lie 0.4 to 0.7 mm from it, the mean ulna and a plain shaft 1.5 mm, a bone as thick as a tibia 3 mm."""
_SECOND_PIECE, _APART_MM = 0.3, 15.0
"""A second piece of a bone, of this part of the largest and so far from it, is another arm's."""


@dataclass(frozen=True)
class ImportSettings:
    """spacing_mm: isotropic voxel side of every CT and label map; None keeps the scanner's voxels.

    interpolation: of CTs (labels: images.resampling.resample_labels). find_landmarks: find the landmarks of cases that
    bring none (anatomy.automatic_landmarks); False refuses such a case.
    """

    spacing_mm: float | None = PAPER_SPACING_MM
    interpolation: Interpolation = "linear"
    find_landmarks: bool = True

    def __post_init__(self) -> None:
        if self.spacing_mm is not None and not 0.2 <= self.spacing_mm <= 1.5:
            raise InputError(f"--spacing-mm is {self.spacing_mm:g}; expected 0.2 to 1.5 mm")


class FilmError(InputError):
    """What is wrong with one radiograph of a case. line: of the table, or None."""

    def __init__(self, line: int | None, text: str) -> None:
        super().__init__(text)
        self.line = line


def ct_digest(source: CaseSource) -> str:
    """SHA-256 over the content of the CT's files."""
    digest = hashlib.sha256()
    _add_files(digest, source.ct)
    return digest.hexdigest()


def source_digest(source: CaseSource, settings: ImportSettings) -> str:
    """SHA-256 over the content of the case's files and options; file names do not count (they may name a patient)."""
    digest = hashlib.sha256()
    paths = [source.ct, source.labels, source.landmarks]
    paths += [path for film in source.radiographs for path in (film.file, film.camera, film.pose, film.mask)]
    for path in paths:
        _add_files(digest, path)
    films = [film.without_places() for film in source.radiographs]
    digest.update(repr((source.without_places(), films, settings)).encode())
    return digest.hexdigest()


def _add_files(digest: Any, path: Path | None) -> None:
    files = [path] if path is None or not path.is_dir() else sorted(p for p in path.iterdir() if p.is_file())
    for file in files:
        digest.update(b"-" if file is None else file_sha256(file))


def write_case(staging: Path, source: CaseSource, settings: ImportSettings) -> tuple[StudyCase, dict[str, Any]]:
    """Write one case's files into the empty folder ``staging``. Returns how the study lists it, and what was done."""
    _check_anonymous(source)
    # The quick files first: a wrong film or landmark need not wait for the scan.
    films = []
    for number, film in enumerate(source.radiographs, start=1):
        try:
            films.append(_write_radiograph(staging, source, film, number))
        except InputError as error:
            raise FilmError(film.line, str(error)) from error
    given = _given_landmarks(source, settings)
    ct, labels, facts = read_scan(source, settings)
    _check_on_bone(source, ct, labels)
    radius, ulna = label_surface(labels, RADIUS), label_surface(labels, ULNA)
    doubts = [_shape_doubt(radius, ulna)]
    if given is not None:
        doubts.append(_landmark_doubt(source, radius, ulna, given))
    elif doubts[0]:
        raise InputError(f"{source.labels.name}: {doubts[0]}")
    write_volume_nrrd(staging / "ct.nrrd", ct)
    write_labels_seg_nrrd(staging / "labels.seg.nrrd", labels)
    landmarks, facts["landmarks"] = (given, {"origin": "given"}) if given else _found_landmarks(source, radius, ulna)
    write_landmarks(staging / "landmarks.mrk.json", landmarks)
    # Whoever marked the landmarks has seen the bone: it is taken, and the doubt is said. No file is named: names may be
    # a patient's, and this stays in the study.
    facts["doubts"] = [doubt for doubt in doubts if doubt]
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
    i, j, k = ct.values.shape
    labels = read_bone_labels(source.labels, source.bones, VoxelGrid((i, j, k), ct.world_from_voxel))
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


def _check_on_bone(source: CaseSource, ct: Volume, labels: LabelMap) -> None:
    """Raise InputError where the labels are no bones of one arm on this CT."""
    for value, bone in LABEL_NAMES.items():
        _check_one_arm(source, labels, value, bone)
        rim = rim_contrast(ct, labels, value)
        if rim.here_hu < LEAST_CONTRAST_HU:
            raise InputError(
                f"{source.labels.name}: its {bone} does not lie on bone of this CT (its rim is {rim.here_hu:.0f} HU "
                "denser than its surroundings; expected several hundred); the CT may show another body part, or the "
                "labels may belong to another scan"
            )


def _shape_doubt(radius: TriangleMesh, ulna: TriangleMesh) -> str:
    """Why the radius may be no distal radius at all, or ""; bonelift check looks closer."""
    try:
        evidence = side_evidence(radius, ulna)
    except InputError as error:
        return str(error)
    distance_mm = min(evidence.as_right_mm, evidence.as_left_mm)
    if distance_mm <= UNLIKE_MM:
        return ""
    return (
        f"what is called radius has not the shape of a distal radius (it lies {distance_mm:.0f} mm from the mean bone, "
        "on average); the CT may show another body part, or radius and ulna may be exchanged"
    )


def _landmark_doubt(
    source: CaseSource, radius: TriangleMesh, ulna: TriangleMesh, landmarks: dict[str, NDArray[np.float64]]
) -> str:
    """Why the given landmarks may not be this radius's, or "". Raises InputError where they are the ulna's."""
    findings, _ = landmark_findings(radius, landmarks)
    doubt = "; ".join(finding.text for finding in findings if finding.level == "error")
    tip = landmarks[STYLOID]
    to_radius, to_ulna = (np.linalg.norm(bone.vertices - tip, axis=1).min() for bone in (radius, ulna))
    if doubt and to_ulna < to_radius:
        name = source.landmarks.name if source.landmarks else "landmarks"
        raise InputError(f"{name}: {doubt}; radius and ulna are exchanged")
    return doubt


def _check_one_arm(source: CaseSource, labels: LabelMap, value: int, bone: str) -> None:
    pieces = np.zeros(labels.labels.shape, dtype=np.int32)
    ndimage.label(labels.labels == value, output=pieces)
    counts = np.bincount(pieces.ravel())[1:]
    if len(counts) < 2:
        return
    second, largest = np.argsort(counts)[-2:]
    if counts[second] < _SECOND_PIECE * counts[largest]:
        return
    boxes = ndimage.find_objects(pieces)
    gaps = [
        max(b.start - a.stop, a.start - b.stop, 0) for a, b in zip(boxes[largest], boxes[second], strict=True)
    ] * labels.spacing_mm
    apart_mm = float(np.linalg.norm(gaps))
    if apart_mm > _APART_MM:
        raise InputError(
            f"{source.labels.name}: its {bone} is there twice, {apart_mm:.0f} mm apart; expected one wrist: crop "
            "the CT to one arm before it is segmented, or remove the other arm's bones"
        )


def _given_landmarks(source: CaseSource, settings: ImportSettings) -> dict[str, NDArray[np.float64]] | None:
    """Positions (3,) in the CT's world by name; None where they are to be found."""
    if source.landmarks is not None:
        landmarks = read_landmarks(source.landmarks)
        return without_identity(
            named_landmarks(landmarks, source.landmarks.name, source.styloid_label, source.notch_label)
        )
    if not settings.find_landmarks:
        raise InputError(
            "no landmarks, and --no-find-landmarks was passed; pass --landmarks with the .mrk.json file that holds the "
            "tip of the radial styloid and the volar edge of the sigmoid notch"
        )
    return None


def _found_landmarks(
    source: CaseSource, radius: TriangleMesh, ulna: TriangleMesh
) -> tuple[dict[str, NDArray[np.float64]], dict[str, Any]]:
    frame = find_frame(radius, ulna, source.side)
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
