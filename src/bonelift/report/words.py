"""What the page and the PDF say alike."""

from __future__ import annotations

from collections.abc import Iterable

from bonelift.report.content import Flag, Severity

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
    "right on average, but it does not tell a good result from a bad one."
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
