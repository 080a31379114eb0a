"""DICOM encapsulated documents: an STL surface, and a PDF report."""

from __future__ import annotations

from datetime import datetime

from highdicom.sr import CodedConcept
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, EncapsulatedPDFStorage, EncapsulatedSTLStorage, ExplicitVRLittleEndian, generate_uid

from bonelift import __version__
from bonelift.reconstruction.dicom.codes import MANUFACTURER, MODEL, SERIAL, UNITS
from bonelift.reconstruction.dicom.source import ResultSeries


def encapsulated_stl(content: bytes, bone: str, series: ResultSeries, series_uid: str, instance: int) -> FileDataset:
    """content: a binary STL in the patient frame, mm. series_uid: both bones are instances of one series."""
    dataset = _document(content, series, EncapsulatedSTLStorage, series_uid, instance)
    dataset.Modality = "M3D"
    dataset.SeriesNumber = 902
    dataset.SeriesDescription = "Surfaces of distal radius and ulna (research only)"
    dataset.DocumentTitle = f"{series.side} {bone}, distal end, closed where it was cut"
    dataset.MIMETypeOfEncapsulatedDocument = "model/stl"
    dataset.FrameOfReferenceUID = series.frame_of_reference_uid
    dataset.PositionReferenceIndicator = ""
    dataset.MeasurementUnitsCodeSequence = [UNITS["mm"]]
    dataset.ModelModification = "NO"
    dataset.ModelMirroring = "NO"
    dataset.RecognizableVisualFeatures = "NO"
    dataset.ConceptNameCodeSequence = [CodedConcept("surface", "99BONELIFT", "Bone surface")]
    return dataset


def encapsulated_pdf(content: bytes, series: ResultSeries) -> FileDataset:
    """content: the report as PDF."""
    dataset = _document(content, series, EncapsulatedPDFStorage, generate_uid(prefix=None), 1)
    dataset.Modality = "DOC"
    dataset.SeriesNumber = 903
    dataset.SeriesDescription = "Report on distal radius and ulna (research only)"
    dataset.ConversionType = "WSD"
    dataset.DocumentTitle = "bonelift: distal radius and ulna, research only"
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.ConceptNameCodeSequence = [CodedConcept("report", "99BONELIFT", "Research report")]
    return dataset


def _document(content: bytes, series: ResultSeries, sop_class: UID, series_uid: str, instance: int) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = generate_uid(prefix=None)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", series.patient_and_study, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class, meta.MediaStorageSOPInstanceUID
    dataset.SeriesInstanceUID, dataset.InstanceNumber = series_uid, instance
    now = datetime.now()
    dataset.InstanceCreationDate = dataset.ContentDate = now.strftime("%Y%m%d")
    dataset.InstanceCreationTime = dataset.ContentTime = now.strftime("%H%M%S")
    dataset.AcquisitionDateTime = ""
    dataset.Manufacturer, dataset.ManufacturerModelName = MANUFACTURER, MODEL
    dataset.DeviceSerialNumber, dataset.SoftwareVersions = SERIAL, __version__
    dataset.BurnedInAnnotation = "NO"
    dataset.SourceInstanceSequence = [_source(image) for image in series.references]
    dataset.EncapsulatedDocumentLength = len(content)
    dataset.EncapsulatedDocument = content + b"\0" * (len(content) % 2)
    return dataset


def _source(image: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    return item
