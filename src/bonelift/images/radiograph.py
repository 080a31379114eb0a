"""A radiograph with its geometry and the source of every fact about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bonelift.errors import InputError
from bonelift.geometry import XrayCamera
from bonelift.origin import Origin

Side = Literal["left", "right"]
View = Literal["pa", "lateral"]


@dataclass(frozen=True)
class Radiograph:
    """One X-ray image of one wrist, upright or not, as recorded.

    pixels: (rows, columns) float32, finite, bone bright (MONOCHROME and inverted films are undone by the reader);
        scale is arbitrary but monotone in attenuation.
    camera: geometry of the image as recorded, in the X-ray's world frame (mm). For a plain film that is the camera
        frame itself: origin at the source, z towards the detector.
    side, view: which wrist, and which projection. PA as seen from the source: fingers up, the thumb of a right
        hand is on the left.
    source_to_object_mm: assumed or recorded distance from the source to the wrist (mm).
    provenance: fact name -> where it came from, e.g. ``{"sdd": Origin("assumed", "assumed 1000 mm", 1000.0)}``. Never
        holds a patient's identity.
    """

    pixels: NDArray[np.float32]
    camera: XrayCamera
    side: Side
    view: View
    source_to_object_mm: float
    provenance: Mapping[str, Origin] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.pixels.ndim != 2 or self.pixels.shape != self.camera.shape_px:
            raise InputError(
                f"radiograph has {self.pixels.shape} pixels but its camera {self.camera.shape_px} (rows, columns)"
            )
        if not np.isfinite(self.pixels).all():
            raise InputError("radiograph holds NaN or infinite pixels")

    @property
    def spacing_at_wrist_mm(self) -> float:
        """Pixel side at the distance of the wrist: the detector's, without the magnification."""
        return self.camera.detector_spacing_mm * self.source_to_object_mm / self.camera.sdd_mm
