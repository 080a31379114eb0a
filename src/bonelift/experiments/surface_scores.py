"""Distances of a bone's surface from its truth as the tables of the experiments hold them."""

from __future__ import annotations

import numpy as np

from bonelift.anatomy.frame import SHOWN_ABOVE_MM
from bonelift.reconstruction.against_truth import ALIGNMENTS, Alignment, distances_from_truth
from bonelift.surface.mesh import TriangleMesh

__all__ = ["ALIGNMENTS", "Alignment", "score_surface"]


def score_surface(
    predicted: TriangleMesh | None, truth: TriangleMesh, alignment: Alignment, above_mm: float = SHOWN_ABOVE_MM
) -> tuple[tuple[float, float, float, float], str]:
    """((ASD paper, ASD surface, HD95, maximum) mm, note) of :func:`distances_from_truth`; NaN and "no surface" where
    there is none."""
    if predicted is None or predicted.is_empty:
        return (np.nan, np.nan, np.nan, np.nan), "no surface"
    found = distances_from_truth(predicted, truth, alignment, above_mm)
    return (found.asd_paper_mm, found.asd_surface_mm, found.hd95_mm, found.maximum_mm), ""
