"""Volumes, label maps and radiographs as frozen data, and readers and writers of clinical formats."""

from bonelift.images.markups import read_landmarks
from bonelift.images.nifti_files import write_labels_nifti, write_volume_nifti
from bonelift.images.nrrd_files import write_labels_seg_nrrd, write_volume_nrrd
from bonelift.images.radiograph import Radiograph, Side, View
from bonelift.images.raster import write_png
from bonelift.images.reading import RadiographOptions, read_radiograph
from bonelift.images.volume import (
    BACKGROUND,
    LABEL_NAMES,
    LAPTOP_GRID,
    PAPER_GRID,
    RADIUS,
    ULNA,
    LabelGrid,
    LabelMap,
    Volume,
)
from bonelift.images.volume_reading import read_ct, read_labels, read_volume

__all__ = [
    "BACKGROUND",
    "LABEL_NAMES",
    "LAPTOP_GRID",
    "PAPER_GRID",
    "RADIUS",
    "ULNA",
    "LabelGrid",
    "LabelMap",
    "Radiograph",
    "RadiographOptions",
    "Side",
    "View",
    "Volume",
    "read_ct",
    "read_labels",
    "read_landmarks",
    "read_radiograph",
    "read_volume",
    "write_labels_nifti",
    "write_labels_seg_nrrd",
    "write_png",
    "write_volume_nifti",
    "write_volume_nrrd",
]
