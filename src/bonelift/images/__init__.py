"""Volumes, label maps and radiographs as frozen data, and readers and writers of clinical formats."""

from bonelift.images.output_folder import output_folder
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
    "output_folder",
    "read_radiograph",
    "write_png",
]
