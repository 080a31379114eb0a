"""The folder ``dicom`` of a result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from bonelift.images.volume import LabelMap
from bonelift.reconstruction.dicom.encapsulated import encapsulated_pdf, encapsulated_stl
from bonelift.reconstruction.dicom.measurement_report import measurement_report
from bonelift.reconstruction.dicom.segmentation import segmentation
from bonelift.reconstruction.dicom.source import ResultSeries
from bonelift.reconstruction.measured import MeasuredValue
from bonelift.surface.closing import closed_ends
from bonelift.surface.files import stl_bytes
from bonelift.surface.mesh import TriangleMesh


def write_dicom(
    folder: Path,
    series: ResultSeries,
    surfaces: Mapping[str, TriangleMesh],
    labels: LabelMap,
    measurements: Sequence[MeasuredValue],
    pdf: bytes | None = None,
) -> None:
    """segmentation.dcm, measurements.dcm, radius.dcm, ulna.dcm and, where there is a ``pdf``, report.dcm.

    surfaces, labels: in the patient frame. Measurements without a value are left out; without any, their file is.
    """
    folder.mkdir(exist_ok=True)
    made: dict[str, Dataset | None] = {
        "segmentation": segmentation(labels, series, 900),
        "measurements": measurement_report(measurements, series, 901),
    }
    surfaces_uid = generate_uid(prefix=None)
    for number, (name, mesh) in enumerate(surfaces.items(), start=1):
        made[name] = encapsulated_stl(stl_bytes(*closed_ends(mesh)), name, series, surfaces_uid, number)
    if pdf is not None:
        made["report"] = encapsulated_pdf(pdf, series)
    for name, dataset in made.items():
        if dataset is not None:
            dataset.save_as(folder / f"{name}.dcm", enforce_file_format=True)
