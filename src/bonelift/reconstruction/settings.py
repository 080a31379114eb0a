"""Everything that can be set about the main job, in one frozen dataclass that is saved beside its result."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from bonelift.reconstruction.beyond_the_film import BeyondSettings
from bonelift.reconstruction.bones import Method
from bonelift.reconstruction.fit import FitSettings
from bonelift.reconstruction.locate import LocateSettings
from bonelift.reconstruction.place import PlaceSettings
from bonelift.reconstruction.scale import ScaleSettings
from bonelift.registration import PoseSettings

_QUICK = replace(PlaceSettings().wrist, starts=8, starts_in_doubt=0, generations=6, population=10, last_iterations=0)
"""Short searches, but from many starts: with one start the score of an infant's lateral was 0.24 (doubtful), with eight
it is 0.07 (not usable; docs/results/real-films.md)."""

_GLANCE = replace(PlaceSettings().read, starts=1, starts_in_doubt=0, generations=0, last_iterations=0)


@dataclass(frozen=True)
class ReconsiderSettings:
    """agreed_above: agreement of the film with the bones from which on nothing else is considered.
    agreement_weight: log odds that one unit of it is worth beside the locator's evidence. Of 12 virtual patients the
    right hanging agrees better by 0.22 to 0.58.
    along_shaft_mm: how far proximally of where the locator saw it the wrist is looked for; cost_of_moving: log odds
    against a wrist that is not where the locator saw it.
    search: both bones as one, for a hypothesis of which S read no pose. glance: where it read one, only refined from
    there; so many ``finalists`` whose film agrees best are then searched as a result is.
    """

    agreed_above: float = 0.6
    agreement_weight: float = 10.0
    along_shaft_mm: tuple[float, ...] = (0.0, -8.0, 8.0, 16.0)
    cost_of_moving: float = 0.5
    search: PoseSettings = _QUICK
    glance: PoseSettings = _GLANCE
    finalists: int = 2


@dataclass(frozen=True)
class SuggestSettings:
    """agreed_above: agreement of the film with the bones from which on no other facts are tried. agreed_from: agreement
    that other facts have to reach, and ahead_by: by how much more than with the given ones, to be told. (Of three
    virtual patients the right facts agree to 0.63 to 0.74 and a wrong view or polarity to 0.04 to 0.33; of children's
    films to 0.42 to 0.66, where they agree at all, and to 0.35 at most: docs/results/intake.md.)
    beside_mm: least distance of the ulnar head from the shaft axis of the radius in a PA film, behind_mm: largest in a
    lateral. (18 to 24 mm and 0 to 8 mm in the same films.)
    """

    agreed_above: float = 0.6
    agreed_from: float = 0.40
    ahead_by: float = 0.15
    beside_mm: float = 11.0
    behind_mm: float = 11.0


@dataclass(frozen=True)
class JobSettings:
    """One entry a step. method: what turns bone-only images into bones; None takes S where the model has one.
    seed: of every search for a pose."""

    method: Method | None = None
    locate: LocateSettings = field(default_factory=LocateSettings)
    scale: ScaleSettings = field(default_factory=ScaleSettings)
    place: PlaceSettings = field(default_factory=PlaceSettings)
    beyond: BeyondSettings = field(default_factory=BeyondSettings)
    reconsider: ReconsiderSettings = field(default_factory=ReconsiderSettings)
    fit: FitSettings = field(default_factory=FitSettings)
    suggest: SuggestSettings = field(default_factory=SuggestSettings)
    seed: int = 0

    def as_json(self) -> dict[str, Any]:
        """JSON-able, nested like the settings."""
        return asdict(self)
