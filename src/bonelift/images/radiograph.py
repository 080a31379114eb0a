"""A radiograph with its geometry and the source of every fact about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from bonelift.errors import InputError
from bonelift.geometry import XrayCamera
from bonelift.origin import Origin

Side = Literal["left", "right"]
View = Literal["pa", "lateral"]
Hanging = Literal["as recorded", "mirrored"]
"""How the picture hangs: as the source saw the wrist, or flipped left to right for display, as many clinics do."""


@dataclass(frozen=True, eq=False)
class GivenLandmarks:
    """Where a person saw the wrist, (column, row) px as (2,) float64.

    origin_px: where the axis of the radial shaft meets the distal joint surface. shaft_px: a point of that axis further
    up the forearm; 40 mm from the origin is a good one, and only its direction counts.
    """

    origin_px: NDArray[np.float64]
    shaft_px: NDArray[np.float64]

    def moved(self, new_from_image: NDArray[np.float64]) -> GivenLandmarks:
        """The same points in the pixels of another grid: an affine (3, 3)."""
        matrix = np.asarray(new_from_image, dtype=np.float64)
        return GivenLandmarks(*(matrix[:2, :2] @ point + matrix[:2, 2] for point in (self.origin_px, self.shaft_px)))


@dataclass(frozen=True)
class Radiograph:
    """One X-ray image of one wrist, upright or not, as recorded.

    pixels: (rows, columns) float32, finite, bone bright (MONOCHROME and inverted films are undone by the reader);
        scale is arbitrary but monotone in attenuation.
    camera: geometry of the image as recorded, in the X-ray's world frame (mm). For a plain film that is the camera
        frame itself: origin at the source, z towards the detector; of a mirrored picture x runs against the columns.
    side, view: which wrist, and which projection. PA as seen from the source: fingers up, the thumb of a right
        hand is on the left, unless the picture hangs mirrored.
    source_to_object_mm: assumed or recorded distance from the source to the wrist (mm).
    image_from_recorded: (3, 3) affine, (column, row) px of these pixels from those of the whole image as recorded: what
        was cut off and resampled.
    landmarks: where a person saw the wrist, in these pixels; None: to be found.
    provenance: fact name -> where it came from, e.g. ``{"sdd": Origin("assumed", "assumed 1000 mm", 1000.0)}``. Never
        holds a patient's identity.
    """

    pixels: NDArray[np.float32]
    camera: XrayCamera
    side: Side
    view: View
    source_to_object_mm: float
    provenance: Mapping[str, Origin] = field(default_factory=dict)
    hanging: Hanging = "as recorded"
    image_from_recorded: NDArray[np.float64] = field(default_factory=lambda: np.eye(3))
    landmarks: GivenLandmarks | None = None

    def __post_init__(self) -> None:
        pixels, camera = cast("object", self.pixels), cast("object", self.camera)
        if not isinstance(pixels, np.ndarray) or pixels.dtype.kind not in "iuf":
            raise InputError(f"radiograph: pixels are {type(pixels).__name__}; expected an array (rows, columns)")
        if not isinstance(camera, XrayCamera):
            raise InputError(f"radiograph: its camera is {type(camera).__name__}; expected a bonelift.XrayCamera")
        for name, value, choices in (
            ("side", self.side, get_args(Side)),
            ("view", self.view, get_args(View)),
            ("hanging", self.hanging, get_args(Hanging)),
        ):
            if not isinstance(value, str) or value not in choices:
                raise InputError(f"radiograph: {name} is {value!r:.40}; expected {' or '.join(choices)}")
        if self.pixels.ndim != 2 or self.pixels.shape != self.camera.shape_px:
            raise InputError(
                f"radiograph has {self.pixels.shape} pixels but its camera {self.camera.shape_px} (rows, columns)"
            )
        if not np.isfinite(self.pixels).all():
            raise InputError("radiograph holds NaN or infinite pixels")
        distance = cast("object", self.source_to_object_mm)
        if not isinstance(distance, int | float | np.number) or not 0 < float(distance) < np.inf:
            raise InputError(f"radiograph: source_to_object_mm is {distance!r:.40}; expected a length above 0 mm")

    @property
    def hangs_mirrored(self) -> bool:
        return self.hanging == "mirrored"

    def hung(self, hanging: Hanging, origin: Origin) -> Radiograph:
        """The same pixels, taken to hang so; ``origin`` says how that is known."""
        camera = self.camera
        if hanging != self.hanging:
            camera = replace(camera, image_from_camera=camera.image_from_camera @ np.diag([-1.0, 1, 1]))
        return replace(self, camera=camera, hanging=hanging, provenance={**self.provenance, "hanging": origin})

    @property
    def spacing_at_wrist_mm(self) -> float:
        """Pixel side at the distance of the wrist: the detector's, without the magnification."""
        return self.camera.detector_spacing_mm * self.source_to_object_mm / self.camera.sdd_mm
