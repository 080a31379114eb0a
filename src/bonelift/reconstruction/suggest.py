"""What a doubtful film looks like instead: other facts tried on it, and the ones that fit better said in words.

A film whose facts are right agrees with the bones read from it; with a wrong view, polarity or side it does not, and
with the right one it does. So each other fact is tried where the answer is doubtful, and told where the film agrees
clearly better. Bones can be bent to the outlines of a PA film that was given as a lateral, and then both views agree:
where the ulnar head lies beside the radius, farther than in laterals, the PA view is told if the film agrees with it at
all. docs/results/intake.md holds how often all this is right. Nothing is changed by it: a clinical fact is the caller's
to give.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from bonelift.images.exposure import burnt_in_surround, fill_bright_surround
from bonelift.images.radiograph import Radiograph, View
from bonelift.networks.model import WristModel
from bonelift.origin import Origin
from bonelift.reconstruction.judge import ulna_across_check
from bonelift.reconstruction.locate import Sighting, locate_wrist
from bonelift.reconstruction.reconsider import Hypothesis, carried
from bonelift.reconstruction.settings import JobSettings, SuggestSettings

Fact = Literal["side", "view", "polarity", "order"]
_SUPPOSED = Origin("inferred", "supposed, to see whether it fits the film better")


@dataclass(frozen=True)
class Suggestion:
    """Facts that fit a film better than those that were given.

    facts: which ones; "order": two films were given in the wrong order. image: index of the film, None for "order".
    changes: names of fields of ``RadiographOptions`` -> values that fit. options: the same as on the command line.
    text: in words. agreement: of the film with the bones, as the facts were given and as they fit (-1 to 1; 0 where no
    wrist was found).
    """

    facts: tuple[Fact, ...]
    image: int | None
    changes: Mapping[str, str]
    options: str
    text: str
    agreement: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Supposed:
    """A film with other facts, and how well it fits them."""

    facts: tuple[Fact, ...]
    radiograph: Radiograph
    fit: Hypothesis | None

    @property
    def agreement(self) -> float:
        return 0.0 if self.fit is None else self.fit.agreement


def suggest(
    radiographs: Sequence[Radiograph],
    agreements: Sequence[float],
    sightings: Sequence[Sighting],
    tried: Sequence[Sequence[Hypothesis]],
    model: WristModel,
    how: JobSettings,
) -> tuple[Suggestion, ...]:
    """What the films of a doubtful answer look like instead; nothing where each agrees with the bones placed on it, and
    no lateral shows the ulna beside the radius.

    radiographs: as they were given. agreements: of each film with the bones placed on it, 0 where no wrist was found.
    sightings: of the wrist in each.
    tried: hypotheses that were carried through on each film, with the facts as given.
    At most four other sets of facts are tried on a film, half a second each.
    """
    found = []
    rows = zip(radiographs, agreements, sightings, tried, strict=True)
    for index, (radiograph, agreement, sighting, hypotheses) in enumerate(rows):
        if not doubted(agreement, sighting, how.suggest):
            continue
        # Found by the same quick search as what it is compared with; 0 where no wrist was found.
        as_given = max((hypothesis.agreement for hypothesis in hypotheses), default=agreement)
        others = [fitted(facts, supposed, model, how) for facts, supposed in suppositions(radiograph)]
        better = clearly_better(others, as_given, sighting, how.suggest)
        if better is not None:
            found.append(_suggestion(index, radiograph, better, as_given, len(radiographs)))
    return _swapped(radiographs, found) or tuple(found)


def doubted(agreement: float, sighting: Sighting | None, settings: SuggestSettings) -> bool:
    """Whether other facts are tried on a film: it does not agree with the bones placed on it, or it is a lateral that
    shows the ulna beside the radius."""
    return agreement < settings.agreed_above or is_lateral_with_ulna_beside(sighting)


def clearly_better(
    tried: Sequence[Supposed], as_given: float, sighting: Sighting | None, settings: SuggestSettings
) -> Supposed | None:
    """The facts that the film agrees with best, where that is clear. as_given: its agreement with the given ones;
    sighting: of the wrist with them, None where none was found."""
    best = max(tried, key=lambda one: one.agreement)
    if best.fit is None or best.agreement < settings.agreed_from or not ulna_fits(best.fit.sighting, settings):
        return None
    ahead = best.agreement - as_given >= settings.ahead_by
    return best if ahead or (best.facts == ("view",) and is_lateral_with_ulna_beside(sighting)) else None


def is_lateral_with_ulna_beside(sighting: Sighting | None) -> bool:
    """Whether a film that was given as a lateral shows the ulnar head farther from the radius than laterals do."""
    if sighting is None or not sighting.found or sighting.radiograph.view != "lateral":
        return False
    return ulna_across_check("lateral", sighting.ulnar_head_across_mm).factor < 1


def ulna_fits(sighting: Sighting, settings: SuggestSettings) -> bool:
    """Whether the ulnar head lies where the view has it: beside the radius in a PA film, behind it in a lateral."""
    across_mm = abs(sighting.ulnar_head_across_mm)
    return across_mm >= settings.beside_mm if sighting.radiograph.view == "pa" else across_mm <= settings.behind_mm


def suppositions(radiograph: Radiograph) -> list[tuple[tuple[Fact, ...], Radiograph]]:
    """Other view, other polarity, both; and the other side, of a PA film whose hanging is known: of another one the
    other side is the same as hanging mirrored, which is tried anyhow, and a lateral's is the same from the other side.
    """
    other: View = "lateral" if radiograph.view == "pa" else "pa"
    dark = inverted(radiograph)
    found: list[tuple[tuple[Fact, ...], Radiograph]] = [
        (("view",), replace(radiograph, view=other)),
        (("polarity",), dark),
        (("view", "polarity"), replace(dark, view=other)),
    ]
    if radiograph.view == "pa" and {"hanging", "camera"} & radiograph.provenance.keys():
        found.append((("side",), replace(radiograph, side="left" if radiograph.side == "right" else "right")))
    return found


def fitted(facts: tuple[Fact, ...], radiograph: Radiograph, model: WristModel, how: JobSettings) -> Supposed:
    best = locate_wrist(radiograph, model, how.locate)[0]
    return Supposed(facts, radiograph, carried(best, 0.0, model, how)[0] if best.found else None)


def inverted(radiograph: Radiograph) -> Radiograph:
    """The same film with dark and bright exchanged."""
    pixels = radiograph.pixels.max() - radiograph.pixels
    pixels = fill_bright_surround(pixels, burnt_in_surround(pixels))
    provenance = {**radiograph.provenance, "polarity": _SUPPOSED}
    return replace(radiograph, pixels=np.ascontiguousarray(pixels), provenance=provenance)


def _suggestion(index: int, given: Radiograph, better: Supposed, agreement: float, count: int) -> Suggestion:
    changes: dict[str, str] = {}
    looks, options = [], []
    if "view" in better.facts:
        changes["view"] = better.radiograph.view
        looks.append(f"looks like a {view_word(better.radiograph.view)}")
        options.append(f"--view {better.radiograph.view}")
    if "side" in better.facts:
        changes["side"] = better.radiograph.side
        looks.append(f"looks like a {better.radiograph.side} wrist")
        options.append(f"--side {better.radiograph.side}")
    if "polarity" in better.facts:
        changes["invert"] = "no" if was_inverted(given) else "yes"
        looks.append("looks inverted, its bones dark")
        options.append(f"--invert {changes['invert']}")
    name = "this" if count == 1 else ("the first film", "the second film")[index]
    text = f"{name} {' and '.join(looks)}; pass {' '.join(options)} if that is so"
    return Suggestion(better.facts, index, changes, " ".join(options), text, (agreement, better.agreement))


def was_inverted(radiograph: Radiograph) -> bool:
    """Whether dark and bright were exchanged when the film was read."""
    origin = radiograph.provenance.get("polarity")
    return origin is not None and origin.value == 1.0


def view_word(view: View) -> str:
    return "PA film" if view == "pa" else "lateral"


def _swapped(radiographs: Sequence[Radiograph], found: Sequence[Suggestion]) -> tuple[Suggestion, ...]:
    """One suggestion instead of two, where each film looks like the view that was given for the other."""
    views: list[View] = [radiograph.view for radiograph in radiographs]
    if len(found) != 2 or views[0] == views[1] or any(one.facts != ("view",) for one in found):
        return ()
    options = f"--view {views[1]} --view {views[0]}"
    text = f"the two films look swapped: the first is a {view_word(views[1])}; pass {options}, or the films in turn"
    agreement = tuple(min(one.agreement[n] for one in found) for n in (0, 1))
    return (Suggestion(("order",), None, {}, options, text, (agreement[0], agreement[1])),)
