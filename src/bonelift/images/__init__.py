"""Volumes, label maps and radiographs as frozen data, and readers and writers of clinical formats."""

from bonelift.images.radiograph import Radiograph, Side, View
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
    "Side",
    "View",
    "Volume",
]
