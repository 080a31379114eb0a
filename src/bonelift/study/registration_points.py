"""Landmarks for a start, from the packaged locator network. Imported only where it is needed: torch takes seconds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonelift.errors import InputError
from bonelift.images import Radiograph
from bonelift.networks.bundle import ModelBundle, load_bundle
from bonelift.networks.inference import locate

Float = NDArray[np.float64]

LEAST_CONFIDENCE = 0.5


def locator(model: Path | None = None, device: str = "cpu") -> Callable[[Radiograph], tuple[Float, Float]]:
    """A function from a radiograph to (column, row) of the radial origin and shaft point."""
    return partial(points_of, bundle=load_bundle(model, device))


def points_of(radiograph: Radiograph, bundle: ModelBundle) -> tuple[Float, Float]:
    """Raises InputError where no wrist is seen."""
    located = locate(radiograph, bundle)
    if located.confidence < LEAST_CONFIDENCE:
        raise InputError(
            f"no wrist was seen in the image (confidence {located.confidence:.2f}); draw a mask or give a start"
        )
    return located.origin_px, located.shaft_px
