"""Everything that can be set about the main job, in one frozen dataclass that is saved beside its result."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from bonelift.reconstruct.bones import Method
from bonelift.reconstruct.fit import FitSettings
from bonelift.reconstruct.locate import LocateSettings
from bonelift.reconstruct.place import PlaceSettings
from bonelift.reconstruct.scale import ScaleSettings


@dataclass(frozen=True)
class JobSettings:
    """One entry a step. method: what turns bone-only images into bones; None takes S where the model has one.
    seed: of every search for a pose."""

    method: Method | None = None
    locate: LocateSettings = field(default_factory=LocateSettings)
    scale: ScaleSettings = field(default_factory=ScaleSettings)
    fit: FitSettings = field(default_factory=FitSettings)
    place: PlaceSettings = field(default_factory=PlaceSettings)
    seed: int = 0

    def as_json(self) -> dict[str, Any]:
        """JSON-able, nested like the settings."""
        return asdict(self)
