"""Landmarks for a start, from the packaged locator network. Imported only where it is needed: torch takes seconds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from bonelift.errors import InputError
from bonelift.images import Radiograph
from bonelift.networks.inference import WRIST_FOUND, locate
from bonelift.networks.model import WristModel, load_model
from bonelift.registration.starts import ShaftPoints


def locator(model: Path | None = None, device: str = "cpu") -> Callable[[Radiograph], ShaftPoints]:
    """A function from a radiograph to the radial origin and shaft point, and the side that a lateral shows."""
    return partial(points_of, model=load_model(model, device))


def points_of(radiograph: Radiograph, model: WristModel) -> ShaftPoints:
    """Raises InputError where no wrist is seen."""
    located = locate(radiograph, model)
    if located.confidence < WRIST_FOUND:
        raise InputError(
            f"no wrist was seen in the image (confidence {located.confidence:.2f}); draw a mask or give a start"
        )
    return ShaftPoints(located.origin_px, located.shaft_px, located.from_ulnar)
