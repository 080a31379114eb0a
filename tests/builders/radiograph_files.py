"""Radiograph files for tests, written here so that every fact in them is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

UID = "1.2.840.10008.5.1.4.1.1."
CR, DX, XA, CT, SECONDARY_CAPTURE = UID + "1", UID + "1.1", UID + "12.1", UID + "2", UID + "7"
PATIENT_NAME = "Rontgen^Anna"


def film_pixels(rows: int = 120, columns: int = 90) -> NDArray[np.uint16]:
    """A bone-bright 12-bit picture: dark air, a limb of soft tissue across it, two bright shafts in the limb."""
    x = np.arange(columns) / columns
    taper = 0.1 * np.linspace(0, 1, rows)[:, None]
    limb = np.where((x > 0.2 + taper) & (x < 0.85 - taper), 900.0, 100.0)
    bones = np.where((x > 0.33) & (x < 0.45) | (x > 0.6) & (x < 0.68), 1800.0, 0.0)
    noise = np.random.default_rng(7).normal(0, 8, (rows, columns))
    return np.clip(limb + bones + noise + 20 * np.linspace(0, 1, rows)[:, None], 0, 4095).astype(np.uint16)


def dicom_radiograph(pixels: NDArray[np.uint16] | None = None, sop_class: str = CR, **elements: object) -> FileDataset:
    """A valid CR of a left PA wrist at 0.15 mm; ``elements`` overrides by keyword, None removes."""
    pixels = film_pixels() if pixels is None else pixels
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["film"])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("film.dcm", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.Modality = {CR: "CR", DX: "DX", XA: "XA", CT: "CT"}.get(sop_class, "OT")
    dataset.PatientName = PATIENT_NAME
    dataset.PatientID = "4711"
    dataset.Laterality = "L"
    dataset.ViewPosition = "PA"
    dataset.ImagerPixelSpacing = [0.15, 0.15]
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    if pixels.ndim == 3:
        dataset.NumberOfFrames = len(pixels)
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = 0
    dataset.PixelData = pixels.tobytes()
    set_elements(dataset, elements)
    return dataset


def set_elements(dataset: Dataset, elements: dict[str, object]) -> None:
    """Set elements by keyword; None removes."""
    for keyword, value in elements.items():
        if value is None:
            if keyword in dataset:
                del dataset[keyword]
        else:
            setattr(dataset, keyword, value)


def save(dataset: FileDataset, path: Path) -> Path:
    """Write as a DICOM file and return its path."""
    dataset.save_as(path, enforce_file_format=True)
    return path
