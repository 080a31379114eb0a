"""Both wrists on one film, or two views of one: which half of the picture shows the wrist that was asked for.

A locator that sees two wrists takes either. So a film wide enough for two is looked at half by half, and where each
half shows one, the half is kept that fits the side and view as they were given; what was done is said.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from bonelift.images.radiograph import Radiograph
from bonelift.networks.model import WristModel
from bonelift.origin import Origin
from bonelift.reconstruction.locate import LocateSettings, Sighting, locate_wrist
from bonelift.reconstruction.settings import SuggestSettings
from bonelift.reconstruction.suggest import ulna_fits, view_word

Half = Literal["left", "right"]
HALVES: tuple[Half, Half] = ("left", "right")
APART_MM = 50.0
"""Least distance between two wrists: one that the middle of the picture cuts in two is seen twice at one place."""
WIDE_MM = 190.0
"""Width of a film, at the wrist, from which on it may hold two hands."""


@dataclass(frozen=True, eq=False)
class Chosen:
    """radiograph: the film, or the half of it that is kept. remark: what to tell of it, "" without a choice."""

    radiograph: Radiograph
    remark: str = ""


def one_wrist(radiograph: Radiograph, model: WristModel, settings: LocateSettings, views: SuggestSettings) -> Chosen:
    """The film itself, unless both its halves show a wrist: then the half that was asked for, where that can be told.

    Two hands side by side are mirror images of each other: as recorded, the right one of a PA film has its thumb on the
    left. A film whose hanging nobody states is taken as recorded, which is recorded as an assumption.
    """
    columns = radiograph.pixels.shape[1]
    wide = columns * radiograph.spacing_at_wrist_mm >= WIDE_MM
    if not wide or radiograph.landmarks is not None or "camera" in radiograph.provenance:
        return Chosen(radiograph)
    loose = _unstated(radiograph)
    seen = [locate_wrist(_half(loose, half), model, settings)[0] for half in HALVES]
    if any(not sighting.found or sighting.evidence < settings.sure_above for sighting in seen):
        return Chosen(radiograph)
    apart_px = seen[1].located.origin_px[0] + columns // 2 - seen[0].located.origin_px[0]
    if apart_px * radiograph.spacing_at_wrist_mm < APART_MM:
        return Chosen(radiograph)
    half, why = _asked_for(radiograph, seen, views)
    if half is None:
        return Chosen(radiograph, "two wrists are on the film and which one is meant cannot be told; pass --roi")
    x0, x1 = _columns(columns, half)
    kept = f"kept columns {x0} to {x1}: two wrists are on the film"
    chosen = _half(radiograph, half)
    provenance = {**chosen.provenance, "trim": Origin("inferred", kept)}
    if radiograph.view == "pa" and "hanging" not in provenance:
        provenance["hanging"] = Origin("assumed", "assumed: as recorded, since two wrists are on the film")
    remark = (
        f"two wrists are on the film; the one in the {half} half of the picture was taken: {why}; --roi takes another"
    )
    return Chosen(replace(chosen, provenance=provenance), remark)


def _asked_for(radiograph: Radiograph, seen: list[Sighting], views: SuggestSettings) -> tuple[Half | None, str]:
    """The half that shows the wrist as given, and why; None where neither or both do."""
    both: list[tuple[Half, Sighting]] = list(zip(HALVES, seen, strict=True))
    fitting: list[tuple[Half, Sighting]] = [(half, sighting) for half, sighting in both if ulna_fits(sighting, views)]
    if len(fitting) == 1:
        return fitting[0][0], f"it looks like a {view_word(radiograph.view)}"
    hanging: list[Half] = [half for half, sighting in fitting if sighting.radiograph.hanging == radiograph.hanging]
    if radiograph.view == "pa" and len(hanging) == 1:
        stated = "" if "hanging" in radiograph.provenance else ", if the film hangs as recorded"
        return hanging[0], f"it is the {radiograph.side} one{stated}"
    return None, ""


def _unstated(radiograph: Radiograph) -> Radiograph:
    """The film as if nobody had said how it hangs."""
    provenance = {fact: origin for fact, origin in radiograph.provenance.items() if fact != "hanging"}
    straight = radiograph.hung("as recorded", Origin("assumed", "")) if radiograph.hangs_mirrored else radiograph
    return replace(straight, provenance=provenance)


def _columns(columns: int, half: Half) -> tuple[int, int]:
    return (0, columns // 2) if half == "left" else (columns // 2, columns)


def _half(radiograph: Radiograph, half: Half) -> Radiograph:
    rows, columns = radiograph.pixels.shape
    x0, x1 = _columns(columns, half)
    new_from_image = np.array([[1.0, 0, -x0], [0, 1, 0], [0, 0, 1]])
    return replace(
        radiograph,
        pixels=np.ascontiguousarray(radiograph.pixels[:, x0:x1]),
        camera=radiograph.camera.viewed_through(new_from_image, x1 - x0, rows),
        image_from_recorded=new_from_image @ radiograph.image_from_recorded,
    )
