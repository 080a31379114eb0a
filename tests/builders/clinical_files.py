"""A virtual wrist in the files a hospital would have: DICOM CT slices and CR films with an identity, Slicer files."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from pydicom.uid import generate_uid

from bonelift.anatomy.side import mirror_transform, mirrored_pose
from bonelift.geometry import apply_transform, invert_rigid, rigid_from_vector
from bonelift.images import LabelMap, Side, View, Volume
from bonelift.images.nrrd_files import write_labels_seg_nrrd
from bonelift.phantom.ct import ScanSettings, scan
from bonelift.phantom.patient import VirtualPatient, make_patient
from bonelift.phantom.xray import expose
from bonelift.phantom.xray_geometry import FILM_SPREAD, draw_geometry
from bonelift.study.folder import write_pose
from builders.radiograph_files import CR, CT, dicom_radiograph, save

IDENTITY = {
    "PatientName": "Rontgen^Anna",
    "PatientID": "HOSP-4711",
    "PatientBirthDate": "19010327",
    "InstitutionName": "Charite Nowhere",
    "ReferringPhysicianName": "Virchow^Rudolf",
    "AccessionNumber": "ACC99881",
    "StudyDescription": "Handgelenk rechts Rontgen",
}
IDENTIFYING_WORDS = ("rontgen", "anna", "4711", "19010327", "charite", "virchow", "rudolf", "acc99881", "handgelenk")
UID_ROOT = "1.2.826.0.1.3680043.8.498"
SPACING_MM = (0.7, 0.7, 1.25)
"""As a routine wrist CT: slices of 1.25 mm, which import makes 0.625 mm isotropic."""
FOREARM_MM = -66.0
"""Slices begin here, radius frame: enough shaft for its axis, and a small CT."""


@dataclass(frozen=True)
class ClinicalWrist:
    """Where its files lie, and the truth: world_from_radius (4, 4), mirrored for a left wrist."""

    folder: Path
    side: Side
    patient: VirtualPatient
    world_from_right: np.ndarray

    @property
    def truth(self) -> dict[str, np.ndarray]:
        return {n: apply_transform(self.world_from_right, p) for n, p in self.patient.shape.landmarks.items()}


@lru_cache(maxsize=4)
def scanned(seed: int) -> tuple[VirtualPatient, Volume, LabelMap]:
    """Patient, CT and labels in the radius frame, cut to the wrist."""
    patient = make_patient(seed)
    settings = ScanSettings(SPACING_MM, (0.8, 1.2), 15.0)
    volume, labels = scan(patient.body, np.random.default_rng(seed), settings)
    z = volume.world_from_voxel[2, 3] + SPACING_MM[2] * np.arange(volume.values.shape[2])
    first, last = np.searchsorted(z, [FOREARM_MM, 24.0])
    world = volume.world_from_voxel.copy()
    world[:3, 3] += world[:3, 2] * first
    return (
        patient,
        Volume(np.rint(volume.values[:, :, first:last]).astype(np.int16), world),
        LabelMap(labels.labels[:, :, first:last], world),
    )


def write_wrist(folder: Path, seed: int, side: Side = "right", views: tuple[View, ...] = ("pa",)) -> ClinicalWrist:
    """``ct/`` with slices, ``bones.seg.nrrd``, ``points.mrk.json``, ``film-pa.dcm`` and its pose, in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    patient, volume, labels = scanned(seed)
    world_from_radius = rigid_from_vector([0.1, -0.15, 0.2, 12.0, -80.0, 300.0])
    world_from_right = world_from_radius @ mirror_transform() if side == "left" else world_from_radius
    write_ct_series(folder / "ct", Volume(volume.values, world_from_right @ volume.world_from_voxel), seed)
    write_slicer_labels(folder / "bones.seg.nrrd", labels, world_from_right)
    wrist = ClinicalWrist(folder, side, patient, world_from_right)
    write_slicer_points(folder / "points.mrk.json", wrist.truth)
    for view in views:
        write_cr_film(folder, patient, side, view, seed, world_from_radius)
    return wrist


def write_ct_series(folder: Path, volume: Volume, seed: int) -> None:
    """Single slices as a scanner sends them: rows and columns along the volume's first two axes."""
    folder.mkdir(exist_ok=True)
    axes = volume.world_from_voxel[:3, :3] / volume.spacing_mm
    step = volume.spacing_mm
    if np.linalg.det(axes) < 0:  # slices of a mirrored grid run along the other normal
        values, first = volume.values[:, :, ::-1], volume.world_from_voxel[:3, :3] @ [0, 0, volume.values.shape[2] - 1]
        axes = axes * [1, 1, -1]
    else:
        values, first = volume.values, np.zeros(3)
    origin = volume.world_from_voxel[:3, 3] + first
    series = generate_uid(prefix=UID_ROOT + ".1.", entropy_srcs=[str(seed)])[:58]
    for index in range(values.shape[2]):
        dataset = dicom_radiograph(
            (values[:, :, index].T + 1024).astype(np.uint16),
            CT,
            ImagerPixelSpacing=None,
            Laterality=None,
            ViewPosition=None,
            BitsStored=16,
            HighBit=15,
            PixelSpacing=[round(float(step[1]), 6), round(float(step[0]), 6)],
            ImageOrientationPatient=[round(float(v), 8) for v in axes[:, :2].T.ravel()],
            ImagePositionPatient=[round(float(v), 6) for v in origin + axes[:, 2] * step[2] * index],
            RescaleSlope=1,
            RescaleIntercept=-1024,
            SeriesInstanceUID=series,
            SeriesNumber=3,
            InstanceNumber=index + 1,
            SOPInstanceUID=f"{series}.{index + 1}",
            StudyInstanceUID=generate_uid(prefix=UID_ROOT + ".2.", entropy_srcs=[str(seed)]),
            FrameOfReferenceUID=generate_uid(prefix=UID_ROOT + ".3.", entropy_srcs=[str(seed)]),
            PatientSex="",
            StudyID="",
            StudyDate="",
            StudyTime="",
            SliceThickness=round(float(step[2]), 6),
            **IDENTITY,
        )
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        save(dataset, folder / f"{index:03d}.dcm")


def write_slicer_labels(path: Path, labels: LabelMap, world_from_right: np.ndarray) -> None:
    """Cut to the bones, as Slicer saves them, with values and a third segment of Slicer's own choice."""
    occupied = [np.flatnonzero(labels.labels.any(axis=tuple(b for b in range(3) if b != a))) for a in range(3)]
    box = tuple(slice(int(rows[0]), int(rows[-1]) + 1) for rows in occupied)
    world = labels.world_from_voxel.copy()
    world[:3, 3] += world[:3, :3] @ [b.start for b in box]
    cut = labels.labels[box]
    values = np.zeros_like(cut)
    values[cut == 1], values[cut == 2] = 7, 3
    values[-1, -1, -1] = 4
    names = {3: "Ulna", 4: "Carpus", 7: "Distal_Radius"}
    write_labels_seg_nrrd(path, LabelMap(values, world_from_right @ world, names))


def write_slicer_points(path: Path, truth: dict[str, np.ndarray]) -> None:
    """In RAS, under names a person would type."""
    typed = {"Radial styloid tip": "radial_styloid_tip", "sigmoid notch (volar edge)": "sigmoid_notch_volar"}
    points = [
        {"label": label, "position": (truth[name] * [-1, -1, 1]).tolist(), "positionStatus": "defined"}
        for label, name in typed.items()
    ]
    markup = {"type": "Fiducial", "coordinateSystem": "RAS", "coordinateUnits": "mm", "controlPoints": points}
    path.write_text(json.dumps({"markups": [markup]}))


def write_cr_film(
    folder: Path, patient: VirtualPatient, side: Side, view: View, seed: int, world_from_radius: np.ndarray
) -> None:
    """A CR file with spacing, side and view in its header, and the pose that a registration would find."""
    rng = np.random.default_rng([seed, 5])
    centred = replace(FILM_SPREAD, beam_offset_mm=0.0)  # a header holds no offset beam
    geometry = draw_geometry(rng, view, (400, 320), 0.4, centred)
    pixels = np.rint(expose(patient.body, geometry.camera, geometry.camera_from_radius, rng))
    camera_from_radius = geometry.camera_from_radius
    if side == "left":
        pixels, camera_from_radius = pixels[:, ::-1], mirrored_pose(camera_from_radius)
    dataset = dicom_radiograph(
        np.ascontiguousarray(pixels / max(1.0, pixels.max() / 4095)).astype(np.uint16),
        CR,
        Laterality=side[0].upper(),
        ViewPosition="PA" if view == "pa" else "LL",
        ImagerPixelSpacing=[round(geometry.camera.detector_spacing_mm, 6)] * 2,
        DistanceSourceToDetector=geometry.camera.sdd_mm,
        DistanceSourceToPatient=geometry.source_to_object_mm,
        **IDENTITY,
    )
    save(dataset, folder / f"film-{view}.dcm")
    write_pose(folder / f"film-{view}-pose.json", camera_from_radius @ invert_rigid(world_from_radius))
