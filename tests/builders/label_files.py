"""Segmentations as other programs write them: DICOM SEG, RTSTRUCT, TotalSegmentator's folder and its one file."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from skimage.measure import find_contours

from bonelift.images import LabelMap

RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"


def nifti(path: Path, values: np.ndarray, world_from_voxel: np.ndarray, names: dict[int, str] | None = None) -> None:
    """RAS, as every NIfTI; names go where TotalSegmentator writes them."""
    image = nib.Nifti1Image(values.astype(np.uint8), np.diag([-1.0, -1, 1, 1]) @ world_from_voxel)
    if names:
        rows = "".join(f'<Label Key="{v}" Red="1" Alpha="1"><![CDATA[{name}]]></Label>\n' for v, name in names.items())
        xml = f'<?xml version="1.0"?> <CaretExtension><VolumeInformation Index="0"><LabelTable>{rows}</LabelTable>'
        image.header.extensions.append(nib.nifti1.Nifti1Extension(0, xml.encode()))
    nib.save(image, path)


def write_totalsegmentator_folder(folder: Path, labels: LabelMap) -> None:
    """One mask a class, empty ones too, and its statistics."""
    folder.mkdir(parents=True)
    for name, value in {"radius": 1, "ulna": 2, "carpal": 3, "humerus": 9}.items():
        nifti(folder / f"{name}.nii.gz", labels.labels == value, labels.world_from_voxel)
    (folder / "statistics.json").write_text("{}")


def write_seg(path: Path, ct_folder: Path, labels: LabelMap, names: dict[int, str]) -> None:
    """A DICOM segmentation of a CT series by highdicom; labels lie on the series' grid, slices in its order."""
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import Segmentation, SegmentDescription
    from pydicom.sr.codedict import codes

    slices = [dcmread(file) for file in sorted(ct_folder.glob("*.dcm"))]
    described = [
        SegmentDescription(
            segment_number=number,
            segment_label=name,
            segmented_property_category=codes.SCT.AnatomicalStructure,
            segmented_property_type=codes.SCT.Bone,
            algorithm_type="MANUAL" if number == 1 else "AUTOMATIC",
            algorithm_identification=AlgorithmIdentificationSequence("net", codes.DCM.ArtificialIntelligence, "1"),
        )
        for number, name in enumerate(names.values(), start=1)
    ]
    stack = np.stack([labels.labels == value for value in names], axis=-1)
    Segmentation(
        source_images=slices,
        pixel_array=np.ascontiguousarray(stack.transpose(2, 1, 0, 3)),
        segmentation_type="BINARY",
        segment_descriptions=described,
        series_instance_uid=generate_uid(entropy_srcs=["seg"]),
        series_number=9,
        sop_instance_uid=generate_uid(entropy_srcs=["seg one"]),
        instance_number=1,
        manufacturer="nobody",
        manufacturer_model_name="none",
        software_versions="1",
        device_serial_number="1",
    ).save_as(path)


def write_rtstruct(path: Path, labels: LabelMap, names: dict[int, str]) -> None:
    """Outlines of each label on every slice, half-way between voxels in it and voxels out of it, in the CT's world."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = RTSTRUCT
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["rt"])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("rt.dcm", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = (
        RTSTRUCT,
        meta.MediaStorageSOPInstanceUID,
        "RTSTRUCT",
    )
    structures, contours = [], []
    for number, (value, name) in enumerate(names.items(), start=1):
        roi = Dataset()
        roi.ROINumber, roi.ROIName = number, name
        structures.append(roi)
        contour = Dataset()
        contour.ReferencedROINumber = number
        contour.ContourSequence = _outlines(labels, value)
        contours.append(contour)
    dataset.StructureSetROISequence, dataset.ROIContourSequence = structures, contours
    dataset.save_as(path, enforce_file_format=True)


def _outlines(labels: LabelMap, value: int) -> list[Dataset]:
    items = []
    for k in range(labels.labels.shape[2]):
        for line in find_contours((labels.labels[:, :, k] == value).astype(float), 0.5):
            voxels = np.column_stack([line[:-1], np.full(len(line) - 1, k)])
            world = voxels @ labels.world_from_voxel[:3, :3].T + labels.world_from_voxel[:3, 3]
            item = Dataset()
            item.ContourGeometricType = "CLOSED_PLANAR"
            item.NumberOfContourPoints = len(world)
            item.ContourData = [f"{x:.5f}" for x in world.ravel()]
            items.append(item)
    return items
