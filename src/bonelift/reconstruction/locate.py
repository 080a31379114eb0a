"""Where the wrist is in a whole radiograph, and how the picture hangs: several hypotheses where the locator doubts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np

from bonelift.images.radiograph import GivenLandmarks, Hanging, Radiograph
from bonelift.networks.inference import UPRIGHT_BONUS, WRIST_FOUND, LocatedWrist, look, looks_of
from bonelift.networks.model import WristModel
from bonelift.origin import Origin


@dataclass(frozen=True)
class LocateSettings:
    """found_above: confidence of the locator below which no wrist is reported and no bone is written.
    shaft_point_mm: plausible distances, in the image, of the two landmarks on the radius: 40 mm in adults, less in a
    child; anything else is no wrist.
    turns_deg: by which a picture is turned, clockwise, to find its fingers up.
    sure_above: evidence (log odds), and sure_by: how far ahead of the other hanging, or of the other palm of a lateral,
    from which on there is no doubt.
    doubted_turns_deg: further turns that are tried where there is; last_turns_deg: and where no wrist was found still,
    so that every turn is within 15 degrees of one that was tried. within: how far behind the best (log odds) other
    hypotheses are carried on.
    """

    found_above: float = WRIST_FOUND
    shaft_point_mm: tuple[float, float] = (12.0, 80.0)
    turns_deg: tuple[float, ...] = (0.0, 90.0, 180.0, 270.0)
    sure_above: float = 3.0
    sure_by: float = 2.0
    doubted_turns_deg: tuple[float, ...] = (-40.0, -20.0, 20.0, 40.0)
    last_turns_deg: tuple[float, ...] = (60.0, 110.0, 130.0, 150.0, 165.0, 195.0, 210.0, 230.0, 250.0, 300.0)
    within: float = 4.0


@dataclass(frozen=True, eq=False)
class Sighting:
    """A radiograph, hung in one way, and where a wrist was seen in it.

    presence: 0 to 1, confidence that a wrist was found; 0 where the landmarks cannot be those of a wrist.
    found: whether that is enough. evidence: for this against other hypotheses, log odds.
    """

    radiograph: Radiograph
    located: LocatedWrist
    presence: float
    found: bool
    evidence: float

    @property
    def ulnar_head_across_mm(self) -> float:
        """How far the centre of the ulnar head is seen from the shaft axis of the radius, mm at the wrist."""
        along = self.located.shaft_px - self.located.origin_px
        across = np.array([along[1], -along[0]]) / np.linalg.norm(along)
        offset = (self.located.ulnar_head_px - self.located.origin_px) @ across
        return float(offset) * self.radiograph.spacing_at_wrist_mm


def locate_wrist(radiograph: Radiograph, model: WristModel, settings: LocateSettings) -> tuple[Sighting, ...]:
    """Hypotheses of where the wrist is and how the picture hangs, best first; one where the locator has no doubt.

    The picture is looked at in whichever of four quarter turns it may lie, to whichever side the palm of a lateral
    points, and hanging as recorded or, of a PA film whose hanging nobody states and no calibrated camera fixes,
    mirrored. (A mirrored lateral looks like one from the other side.)
    """
    if radiograph.landmarks is not None:
        return _given(radiograph, model, settings)
    known = radiograph.view == "lateral" or bool({"hanging", "camera"} & radiograph.provenance.keys())
    hung = [radiograph] if known else _hung(radiograph)
    best = _best(s for picture in hung for s in _sightings(picture, model, settings.turns_deg, settings))
    ahead = best[0].evidence - best[1].evidence if len(best) > 1 else np.inf
    if best[0].evidence >= settings.sure_above and ahead >= settings.sure_by:
        return tuple(best[:1])
    for turns_deg in (settings.doubted_turns_deg, settings.last_turns_deg):
        best = _best([*best, *(s for picture in hung for s in _sightings(picture, model, turns_deg, settings))])
        if best[0].found:
            break
    return tuple(s for s in best if s.evidence >= best[0].evidence - settings.within)


def _given(radiograph: Radiograph, model: WristModel, settings: LocateSettings) -> tuple[Sighting, ...]:
    """The landmarks that a person gave; how the picture hangs, and to which side a lateral's palm points, as the
    locator sees it in the picture turned so that the given shaft points down."""
    given = radiograph.landmarks
    assert given is not None
    down = given.shaft_px - given.origin_px
    turn_deg = float(np.rad2deg(np.arctan2(down[0], down[1])))
    known = radiograph.view == "lateral" or bool({"hanging", "camera"} & radiograph.provenance.keys())
    seen = [
        Sighting(s.radiograph, _at(s.located, given), 1.0, True, s.evidence)
        for picture in ([radiograph] if known else _hung(radiograph))
        for s in _sightings(picture, model, (turn_deg,), settings)
    ]
    best = _best(seen)
    return tuple(s for s in best if s.evidence >= best[0].evidence - settings.within)


def _at(located: LocatedWrist, given: GivenLandmarks) -> LocatedWrist:
    """The wrist as it was seen, moved to where it is given; a person has no doubt about where a landmark is."""
    moved = located.ulnar_head_px + given.origin_px - located.origin_px
    return replace(
        located,
        origin_px=given.origin_px,
        shaft_px=given.shaft_px,
        ulnar_head_px=moved,
        confidence=1.0,
        peak_share=np.ones_like(located.peak_share),
    )


def _best(sightings: Iterable[Sighting]) -> list[Sighting]:
    """The best of each way to hang the picture and to point the palm, best first."""
    found: dict[tuple[Hanging, bool], Sighting] = {}
    for sighting in sightings:
        key = (sighting.radiograph.hanging, sighting.located.from_ulnar)
        if key not in found or sighting.evidence > found[key].evidence:
            found[key] = sighting
    return sorted(found.values(), key=lambda s: -s.evidence)


def _hung(radiograph: Radiograph) -> list[Radiograph]:
    """As recorded, and mirrored."""
    how = Origin("inferred", "from the picture: how like a wrist it is, hung either way")
    return [radiograph.hung(hanging, how) for hanging in get_args(Hanging)]


def _sightings(
    radiograph: Radiograph, model: WristModel, turns_deg: Sequence[float], settings: LocateSettings
) -> list[Sighting]:
    located = look(radiograph, model, looks_of(radiograph, turns_deg))
    return [_sighting(radiograph, seen, settings) for seen in located]


def _sighting(radiograph: Radiograph, located: LocatedWrist, settings: LocateSettings) -> Sighting:
    length_mm = float(np.linalg.norm(located.shaft_px - located.origin_px)) * radiograph.spacing_at_wrist_mm
    shortest, longest = settings.shaft_point_mm
    presence = located.confidence if shortest <= length_mm <= longest else 0.0
    bonus = UPRIGHT_BONUS if located.turn_deg == 0 else 0.0
    return Sighting(radiograph, located, presence, presence >= settings.found_above, located.evidence + bonus)
