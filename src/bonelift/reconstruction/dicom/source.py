"""The radiograph that DICOM results refer to: its header reduced to what they may carry."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import UID, generate_uid

from bonelift.errors import InputError
from bonelift.images.dicom_file import guarded, read_dataset
from bonelift.images.radiograph import Side
from bonelift.reconstruction.file_kinds import Identity
from bonelift.storage.input_files import shown_name

_PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate",
            "StudyTime", "ReferringPhysicianName")  # fmt: skip
"""What every DICOM object has to have, empty where it is not known."""
_MORE = ("IssuerOfPatientID", "StudyDescription", "PatientAge", "SpecificCharacterSet")
"""Taken over where the source has it."""
_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")


@dataclass(frozen=True, eq=False)
class ResultSeries:
    """What the DICOM files of one result share.

    references: one for each image, the first first: patient, study and the UIDs of the image, and a place in the frame
        of reference of the result, as highdicom asks of an image that a segmentation is made from. They are no images.
        A result belongs to the study of the first.
    frame_of_reference_uid: of the patient frame of this result (:mod:`bonelift.geometry.patient_frame`).
    side: of the patient.
    """

    references: tuple[Dataset, ...]
    frame_of_reference_uid: UID
    side: Side

    @property
    def patient_and_study(self) -> Dataset:
        """A new dataset with the elements of patient and study alone."""
        found = Dataset()
        for keyword in (*_PATIENT, *_MORE, "StudyInstanceUID", "PatientIdentityRemoved", "DeidentificationMethod"):
            if keyword in self.references[0]:
                found[keyword] = copy.deepcopy(self.references[0][keyword])
        return found


def result_series(sources: Sequence[Path], side: Side, identity: Identity) -> ResultSeries:
    """Read the headers of the source images.

    identity: "none" takes over no fact of patient or study and gives every UID anew, also those that stand for the
        source images, so that nothing leads back to them; "source" takes over the patient, the study and the images'
        own UIDs.
    Raises InputError for a file that is no DICOM file, or that has no UID to refer to.
    """
    frame, study = generate_uid(prefix=None), generate_uid(prefix=None)
    return ResultSeries(tuple(_reference(path, identity, study, frame) for path in sources), frame, side)


def _reference(path: Path, identity: Identity, study: UID, frame: UID) -> Dataset:
    header = read_dataset(path, stop_before_pixels=True)
    reference = Dataset()
    with guarded(shown_name(path), "its header is damaged; export it again"):
        reference.SOPClassUID = UID(str(header.SOPClassUID))
        reference.Modality = str(header.get("Modality", "OT"))
        reference.Rows, reference.Columns = int(header.Rows), int(header.Columns)
        for keyword in _PATIENT:
            setattr(reference, keyword, "")
        if identity == "source":
            _take_over(reference, header, shown_name(path))
        else:
            reference.PatientIdentityRemoved = "YES"
            reference.DeidentificationMethod = "No fact of patient or study taken over; new UIDs"
            values = (study, generate_uid(prefix=None), generate_uid(prefix=None))
            for keyword, value in zip(_UIDS, values, strict=True):
                setattr(reference, keyword, value)
    reference.FrameOfReferenceUID = frame
    reference.ImagePositionPatient, reference.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
    reference.PixelSpacing, reference.SliceThickness = [1, 1], 1
    return reference


def _take_over(reference: Dataset, header: Dataset, name: str) -> None:
    for keyword in (*_PATIENT, *_MORE):
        if header.get(keyword) not in (None, ""):
            setattr(reference, keyword, header.get(keyword))
    for keyword in _UIDS:
        if not header.get(keyword):
            raise InputError(
                f"{name}: has no {keyword}, so no DICOM result can refer to it; pass --dicom-identity none, or export "
                "it again from the archive"
            )
        setattr(reference, keyword, UID(str(header.get(keyword))))
