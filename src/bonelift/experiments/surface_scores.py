"""Distances of a bone's surface from its truth: as predicted, and after rigid alignment; the two are never mixed."""

from __future__ import annotations

from typing import Literal

import numpy as np

from bonelift.reconstruct.bones import SHOWN_ABOVE_MM
from bonelift.surface.align import rigid_align
from bonelift.surface.clip import clip_below
from bonelift.surface.distance import surface_distances
from bonelift.surface.mesh import TriangleMesh

Alignment = Literal["as predicted", "rigid"]
ALIGNMENTS: tuple[Alignment, ...] = ("as predicted", "rigid")


def score_surface(
    predicted: TriangleMesh | None, truth: TriangleMesh, alignment: Alignment, above_mm: float = SHOWN_ABOVE_MM
) -> tuple[tuple[float, float, float, float], str]:
    """((ASD paper, ASD surface, HD95, maximum) mm, note); both surfaces in the radius frame, cut at ``above_mm``.

    truth runs on below the cut, so that after an alignment both can be cut by the same plane again.
    """
    if predicted is None or predicted.is_empty:
        return (np.nan, np.nan, np.nan, np.nan), "no surface"
    if alignment == "rigid":
        # The truth is moved onto the prediction, which was cut already: then one plane cuts both.
        seen = clip_below(predicted, above_mm)
        truth = truth.transformed(rigid_align(clip_below(truth, above_mm), seen))
    distances = surface_distances(clip_below(predicted, above_mm), clip_below(truth, above_mm))
    return (distances.asd_paper_mm, distances.asd_surface_mm, distances.hd95_mm, distances.maximum_mm), ""
