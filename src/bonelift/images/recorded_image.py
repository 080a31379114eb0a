"""What a file says, before options are weighed against it: the common ground of the DICOM and raster readers."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bonelift.geometry.plausible import MAX_PIXELS as MAX_PIXELS
from bonelift.images.radiograph import Side, View

MIN_SIDE_PX = 32
MAX_FILE_BYTES = 1 << 30


@dataclass(frozen=True)
class RecordedImage:
    """One frame with the facts its file holds; None where it holds none.

    pixels: (rows, columns) float32 as a viewer shows them, larger is brighter.
    padding: (rows, columns) True where the file marks pixels as not part of the image, or None.
    detector_spacing_mm: (along rows i.e. between rows, between columns) on the detector plane.
    object_spacing_mm: the same at the wrist, where the file was calibrated there.
    magnification: source-to-detector over source-to-object distance.
    bones_bright: polarity by the header.
    no_spacing_reason: what to tell a user where no spacing is known.
    patient_under: years that the patient was below when the image was taken, where the file says so of one who was not
        grown up (:mod:`bonelift.images.patient_age`).
    provenance: fact -> where it came from.
    """

    pixels: NDArray[np.float32]
    padding: NDArray[np.bool_] | None = None
    detector_spacing_mm: tuple[float, float] | None = None
    object_spacing_mm: tuple[float, float] | None = None
    magnification: float | None = None
    sdd_mm: float | None = None
    source_to_object_mm: float | None = None
    side: Side | None = None
    view: View | None = None
    bones_bright: bool | None = None
    no_spacing_reason: str = ""
    provenance: dict[str, str] = field(default_factory=dict)
    patient_under: int | None = None
