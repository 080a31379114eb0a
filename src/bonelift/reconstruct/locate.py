"""Where the wrist is in a whole radiograph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bonelift.images import Radiograph
from bonelift.networks.inference import WRIST_FOUND, LocatedWrist, locate
from bonelift.networks.model import WristModel


@dataclass(frozen=True)
class LocateSettings:
    """found_above: confidence of the locator below which no wrist is reported and no bone is written.
    shaft_point_mm: plausible distances, in the image, of the two landmarks on the radius: 40 mm in adults, less in a
    child; anything else is no wrist."""

    found_above: float = WRIST_FOUND
    shaft_point_mm: tuple[float, float] = (12.0, 80.0)


@dataclass(frozen=True, eq=False)
class Sighting:
    """A radiograph and where a wrist was seen in it.

    presence: 0 to 1, confidence that a wrist was found; 0 where the landmarks cannot be those of a wrist.
    found: whether that is enough.
    """

    radiograph: Radiograph
    located: LocatedWrist
    presence: float
    found: bool


def locate_wrist(radiograph: Radiograph, model: WristModel, settings: LocateSettings) -> Sighting:
    """Find the wrist, in whichever of four quarter turns it lies and to whichever side the palm of a lateral points."""
    located = locate(radiograph, model)
    length_mm = float(np.linalg.norm(located.shaft_px - located.origin_px)) * radiograph.spacing_at_wrist_mm
    shortest, longest = settings.shaft_point_mm
    presence = located.confidence if shortest <= length_mm <= longest else 0.0
    return Sighting(radiograph, located, presence, presence >= settings.found_above)
