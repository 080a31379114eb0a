"""Which lengths can be true of a wrist and its images: everything that is read is held to them, once.

A length out of its range was nearly always given in another unit; the message says which one would fit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bonelift.errors import InputError

MAX_PIXELS = 100_000_000
"""More than any detector has (43 cm at 0.1 mm: 18 million); keeps a decompression bomb out of memory."""
FARTHEST_MM = 1e5
"""No coordinate of a patient lies farther from the origin of a scanner's world."""
_UNITS = (("metres", 1000.0), ("centimetres", 10.0), ("micrometres", 0.001), ("inches", 25.4))


@dataclass(frozen=True)
class LengthRange:
    """low_mm, high_mm: what can be true, both included."""

    low_mm: float
    high_mm: float

    def holds(self, length_mm: float) -> bool:
        return math.isfinite(length_mm) and self.low_mm <= length_mm <= self.high_mm


PIXEL = LengthRange(0.02, 2.0)
"""Side of a radiograph's pixel, on the detector or at the wrist; 0 and other placeholders fall outside."""
SOURCE_TO_DETECTOR = LengthRange(300.0, 5000.0)
SOURCE_TO_OBJECT = LengthRange(200.0, 5000.0)
VOXEL = LengthRange(0.02, 20.0)
"""Edge of a voxel: from a micro-CT's to a localiser's."""
MESH = LengthRange(1.0, 2000.0)
"""Longest side of a bone's mesh."""


def check_length(length_mm: float, allowed: LengthRange, what: str) -> float:
    """``length_mm`` where it lies in the range, else InputError; ``what`` starts the message."""
    if not allowed.holds(length_mm):
        raise InputError(
            f"{what} is {length_mm:g} mm; expected {allowed.low_mm:g} to {allowed.high_mm:g} mm"
            f"{probable_unit(length_mm, allowed)}"
        )
    return length_mm


def probable_unit(length: float, allowed: LengthRange) -> str:
    """ "; check the unit: in metres it would be 970 mm" for 0.97, or ""."""
    for unit, mm in _UNITS:
        if allowed.holds(length * mm):
            return f"; check the unit: taken as {unit} it would be {length * mm:g} mm"
    return ""
