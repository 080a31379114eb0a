"""How far the measurements of a model are expected to be off: a table measured on virtual patients it never saw.

``measurement_errors.json`` beside this file names the model, seeds and commit; scripts/measure_measurements.py makes it
(docs/results/measurements.md). It speaks for that model alone: of any other one the errors are not known.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from bonelift.images import View

TABLE_FILE = Path(__file__).with_name("measurement_errors.json")
TABLE_FORMAT = 1


@dataclass(frozen=True)
class MeasurementError:
    """What one measurement is off by, in its own unit.

    cases: virtual patients in which the truth and the reconstruction have it. mean_abs: mean absolute error. bias: mean
    of measured minus true. no_skill: mean absolute error of answering with the mean of the other patients. skill:
    1 - mean_abs / no_skill, and the ends of its 95 % interval. correlation: of measured and true (Pearson).
    """

    cases: int
    mean_abs: float
    bias: float
    no_skill: float
    skill: float
    skill_low: float
    skill_high: float
    correlation: float

    @property
    def has_skill(self) -> bool:
        """Whether the whole interval of the skill lies above 0."""
        return self.skill_low > 0


@dataclass(frozen=True)
class ErrorTable:
    """Errors by measurement key of one model and one kind of input. input: "pa", "lateral" or "pa and lateral".
    patients: how many virtual ones; seeds, commit: of the measuring."""

    model_name: str
    input: str
    patients: int
    seeds: str
    commit: str
    measurements: Mapping[str, MeasurementError]

    @property
    def said(self) -> str:
        """Where the errors come from, in one sentence."""
        films = {"pa": "one PA film", "lateral": "one lateral film"}.get(self.input, "a PA and a lateral film")
        return (
            f"Expected errors are mean absolute errors of {self.model_name} on {self.patients} virtual patients "
            f"that it never saw, {films} each; on real films they may be larger."
        )


@dataclass(frozen=True)
class KnownErrors:
    """table: None where nothing is known, and then ``reason`` says why in one sentence."""

    table: ErrorTable | None
    reason: str = ""

    @property
    def said(self) -> str:
        return self.reason if self.table is None else self.table.said


def known_errors(model_sha256: str, method: str, views: Sequence[View], shared_cameras: bool = False) -> KnownErrors:
    """What is known of the errors of a reconstruction's measurements.

    model_sha256: of the weights in use. method: that made the bones. views: of the films that were read.
    shared_cameras: whether the films' cameras are calibrated in one world, which has not been measured.
    """
    told = packaged_table()
    if told is None:
        return KnownErrors(None, "The errors of the measurements are not known: no table of them is packaged.")
    if told["model"]["weights_sha256"] != model_sha256:
        return KnownErrors(
            None,
            "The errors of the measurements are not known: they were measured with the model "
            f"{told['model']['name']}, and another one is in use.",
        )
    if told["method"] != method:
        return KnownErrors(None, f"The errors of the measurements are not known for the method {method!r}.")
    chosen = " and ".join(sorted(views, key=["pa", "lateral"].index))
    if shared_cameras or chosen not in told["inputs"]:
        films = "two films of calibrated cameras" if shared_cameras else f"the views {chosen}"
        return KnownErrors(None, f"The errors of the measurements are not known for {films}: they were not measured.")
    part = told["inputs"][chosen]
    return KnownErrors(
        ErrorTable(
            told["model"]["name"],
            chosen,
            part["patients"],
            told["seeds"],
            told["commit"],
            {key: MeasurementError(**numbers) for key, numbers in part["measurements"].items()},
        )
    )


@cache
def packaged_table() -> dict[str, Any] | None:
    """The packaged table; None where there is none, or one of another format."""
    if not TABLE_FILE.exists():
        return None
    told = json.loads(TABLE_FILE.read_text(encoding="utf-8"))
    return told if told.get("format") == TABLE_FORMAT else None
