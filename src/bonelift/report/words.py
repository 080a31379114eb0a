"""What the page and the PDF say alike."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

from bonelift.report.content import Flag, Measurement, MeasurementKind, Severity
from bonelift.report.page import number

INTENDED_FOR = "For adults, without fracture, without cast."
VIEW_NAMES = {"pa": "PA", "lateral": "lateral"}
_SEVERITY_ORDER: dict[Severity, int] = {"severe": 0, "warning": 1, "info": 2}

STEP_WORDS = {
    "read": "read and check the file",
    "load model": "load the networks",
    "locate": "find the wrist in the picture",
    "scale": "find the size of a millimetre at the wrist",
    "cut": "cut the wrist out, upright and as a right one",
    "translate": "translate the film to an image of bone alone (GAN-DRR)",
    "predict": "predict the bones in 3D",
    "stand": "find where the bones stand in the film",
    "reconsider": "try another reading where the film was doubtful",
    "fit": "fit the bones to the films, where that was asked for",
    "place": "place each bone by itself",
    "measure": "measure the bones",
    "judge": "judge how far to trust the result",
}
"""Step of the reconstruction -> what it does."""

MEASUREMENT_KINDS: tuple[tuple[MeasurementKind, str], ...] = (
    ("3D", "On the 3D bones"),
    ("film", "Off the film, with its magnification and the turn of the wrist"),
)
"""Kind of a measurement -> heading of its rows."""

OVERLAY_WORDS = (
    "The lines are the outlines of the 3D bones, projected onto the film. Nothing else is drawn: where a line leaves "
    "the bone, the model is wrong there. A straight edge across the shaft is only the end of the model."
)
QUALITY_WORDS = (
    "The scale goes from 0 (do not use) to 1. It says how well the parts agree with each other and with the film. "
    "It is no probability."
)
EXPECTED_WORDS = (
    "The result expects this mean distance to the true surface of itself. On patients of the training population it is "
    "right on average, but it does not tell a good result from a bad one. Bones unlike that population's are farther "
    "off."
)


def by_severity(flags: Iterable[Flag]) -> list[Flag]:
    """The gravest first; those of one severity in their own order."""
    return sorted(flags, key=lambda flag: _SEVERITY_ORDER[flag.severity])


def grave_flags(flags: Iterable[Flag]) -> str | None:
    """One sentence that sends the reader to the flags, or None where there is nothing grave."""
    severities = {flag.severity for flag in flags}
    if "severe" in severities:
        return "Do not use this result before you have read the severe flags."
    return "Read the warnings before you use this result." if "warning" in severities else None


def quantity(measurement: Measurement, field: Literal["value", "expected_error", "bias", "truth"]) -> str:
    """A number of a measurement with its unit, to a tenth: ``21.1°`` or ``9.8 mm``; a dash where there is none."""
    value = getattr(measurement, field)
    if value is None or not math.isfinite(value):
        return number(None)
    return number(value, 1) + ("°" if measurement.unit == "deg" else f" {measurement.unit}")


def expected_range(measurement: Measurement) -> tuple[str, str]:
    """The expected error and the normal range in words."""
    error = "not known" if measurement.expected_error is None else f"± {quantity(measurement, 'expected_error')}"
    limits = measurement.normal_range
    return error, number(None) if limits is None else f"{number(limits[0], 1)} to {number(limits[1], 1)}"
