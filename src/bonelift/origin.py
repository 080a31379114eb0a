"""Where a fact came from, as a value: what decides anything is the kind, never the words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

OriginKind = Literal["recorded", "option", "assumed", "inferred", "from rays"]
"""recorded: the file, or a calibration, says so. option: the user says so. assumed: nobody says so. inferred: read from
the image. from rays: where the rays of several calibrated cameras meet."""


@dataclass(frozen=True)
class Origin:
    """Where one fact came from.

    text: the same in words, for a person: "option --sdd-mm". value: the fact's number where it has one, in the unit
    of the fact (lengths in mm).
    """

    kind: OriginKind
    text: str
    value: float | None = None

    @property
    def assumed(self) -> bool:
        return self.kind == "assumed"
