"""What a check finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """level: an error spoils an experiment, a warning wants a look. what: the fact checked. text: one line."""

    level: Level
    what: str
    text: str
