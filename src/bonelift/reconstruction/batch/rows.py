"""One row a case: what came of it, from its reconstruction.json, so that an old result gives the row of a new one."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from bonelift.reconstruction.batch.cases import BatchCase
from bonelift.reconstruction.judge import Verdict
from bonelift.storage.input_files import shown_name

Outcome = Verdict | Literal["no wrist found", "failed"]
"""What became of a case: the verdict on its bones, or why there are none. failed: no answer, and the error says why."""
OUTCOMES: tuple[Outcome, ...] = (*get_args(Verdict), "no wrist found", "failed")
FACTS = ("side", "view", "hanging", "pixel_spacing", "sdd", "source_to_object", "polarity")


@dataclass(frozen=True)
class BatchRow:
    """facts: fact -> (value, where it came from), of several films in their order, apart by "; ". measurements: name
    with its unit -> value; no_skill: names of those that tell no more than the mean of all adults.
    made: whether it was made now, and not taken from an earlier run."""

    case: BatchCase
    verdict: Outcome
    score: float | None = None
    flags: tuple[tuple[str, str], ...] = ()
    suggestions: tuple[str, ...] = ()
    facts: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    measurements: Mapping[str, float | None] = field(default_factory=dict)
    no_skill: frozenset[str] = frozenset()
    seconds: float | None = None
    error: str = ""
    ours: bool = False
    made: bool = True

    @property
    def report(self) -> str:
        """Where the report is, from the batch's folder; "" where there is none."""
        return "" if self.verdict == "failed" else f"{self.case.label}/report.html"

    @property
    def flagged(self) -> bool:
        return any(severity != "info" for severity, _ in self.flags)


def failed_row(case: BatchCase, error: str, ours: bool = False) -> BatchRow:
    """Of a case without an answer. ours: whether that is a fault of the program. The file's name gives way to the
    label, since it may say who the patient is."""
    for image in case.images:
        for name in {image.path.name, shown_name(image.path)}:
            if image.path.stem != case.label and name:
                error = error.replace(name, case.label)
    return BatchRow(case, "failed", error=error, ours=ours)


def row_of(case: BatchCase, result: Mapping[str, Any], made: bool) -> BatchRow:
    """result: the content of reconstruction.json. Raises LookupError or TypeError where it is not one."""
    quality = result["quality"]
    flags = tuple((str(flag["severity"]), str(flag["text"])) for flag in quality["flags"])
    bones = any(bone["file"] for bone in result["bones"].values())
    measured = {f"{one['name']} ({one['unit']})": one for one in result["measurements"]}
    return BatchRow(
        case,
        _known(quality["verdict"]) if bones else "no wrist found",
        float(quality["score"]),
        flags,
        tuple(str(one["options"]) for one in result.get("suggestions", ())),
        _facts(result),
        {name: one["value"] for name, one in measured.items()},
        frozenset(name for name, one in measured.items() if one.get("has_skill") is False),
        float(sum(result["timings_s"].values())),
        made=made,
    )


def _known(verdict: object) -> Verdict:
    """Raises LookupError for what is no verdict."""
    found: dict[object, Verdict] = {known: known for known in get_args(Verdict)}
    return found[verdict]


def _facts(result: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    images = result["images"]
    keys = {"pixel_spacing": "detector_spacing_mm", "sdd": "sdd_mm", "source_to_object": "source_to_object_mm"}
    found = {}
    for fact in FACTS:
        values, origins = [], []
        for image in images:
            origin = image["provenance"].get(fact)
            value = result["side"] if fact == "side" else image.get(keys.get(fact, fact), "bones bright")
            values.append(f"{value:.6g}" if isinstance(value, float | int) else str(value))
            origins.append("as recorded, not doubted" if origin is None else f"{origin['kind']}: {origin['text']}")
        found[fact] = ("; ".join(dict.fromkeys(values)) if fact != "view" else "; ".join(values),
                       "; ".join(dict.fromkeys(origins)))  # fmt: skip
    return found


def table(rows: Sequence[BatchRow]) -> str:
    """results.csv: one row a case, in order."""
    measured = list(dict.fromkeys(name for row in rows for name in row.measurements))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    facts = [column for fact in FACTS for column in (fact, f"{fact}_from")]
    head = ["case", "patient", "films", "verdict", "score", "flags", "fits_better", *facts, *measured, "seconds"]
    writer.writerow([*head, "error", "report"])
    for row in rows:
        told = [text for fact in FACTS for text in row.facts.get(fact, ("", ""))]
        values = [_number(row.measurements.get(name), 2) for name in measured]
        flags = "; ".join(f"{severity}: {text}" for severity, text in row.flags if severity != "info")
        start = [row.case.label, row.case.patient, len(row.case.images), row.verdict, _number(row.score, 3), flags]
        end = [_number(row.seconds, 2), row.error, row.report]
        writer.writerow([_plain(cell) for cell in [*start, "; ".join(row.suggestions), *told, *values, *end]])
    return text.getvalue()


def _number(value: float | None, decimals: int) -> str:
    return "" if value is None else f"{value:.{decimals}f}"


def _plain(cell: object) -> object:
    """A cell that a spreadsheet takes for text: what begins like a formula gets a quote before it."""
    text = str(cell)
    risky = text.startswith(("=", "+", "@", "-", "\t", "\r")) and not _is_number(text)
    return f"'{text}" if risky else cell


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
