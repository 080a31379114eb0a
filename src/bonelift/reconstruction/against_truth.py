"""A surface beside the known answer, as predicted and after rigid alignment, the two never mixed: the one scorer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from bonelift.anatomy.frame import SHOWN_ABOVE_MM
from bonelift.report.content import TruthComparison
from bonelift.surface.align import rigid_align
from bonelift.surface.clip import clip_below
from bonelift.surface.distance import SurfaceDistances, surface_distances
from bonelift.surface.mesh import TriangleMesh

Alignment = Literal["as predicted", "rigid"]
"""as predicted: in the radius frame, nothing moved. rigid: each bone laid on its truth by itself."""
ALIGNMENTS: tuple[Alignment, ...] = ("as predicted", "rigid")


def distances_from_truth(
    surface: TriangleMesh, truth: TriangleMesh, alignment: Alignment, above_mm: float = SHOWN_ABOVE_MM
) -> SurfaceDistances:
    """Distances between the parts at and above ``above_mm`` of the radius frame; NaN for an empty surface.

    truth runs on below the cut. It is laid on the surface, which is cut already: then one plane cuts both.
    """
    shown = _cut(surface, above_mm)
    if alignment == "rigid" and not shown.is_empty:
        truth = truth.transformed(rigid_align(_cut(truth, above_mm), shown))
    return surface_distances(shown, _cut(truth, above_mm))


def compare_with_truth(
    surfaces: Mapping[str, TriangleMesh], truth: Mapping[str, TriangleMesh], mean_bone: Mapping[str, TriangleMesh]
) -> TruthComparison:
    """Distances of each bone, and of the mean bone that any patient would have been given.

    All meshes: right bones in the radius frame, mm, as :func:`distances_from_truth` takes them.
    """

    def each(found: Mapping[str, TriangleMesh], alignment: Alignment) -> dict[str, SurfaceDistances]:
        return {name: distances_from_truth(found[name], truth[name], alignment) for name in truth}

    return TruthComparison(
        {name: clip_below(mesh, SHOWN_ABOVE_MM) for name, mesh in truth.items()},
        each(surfaces, "as predicted"),
        each(surfaces, "rigid"),
        each(mean_bone, "as predicted"),
        each(mean_bone, "rigid"),
    )


def _cut(mesh: TriangleMesh, above_mm: float) -> TriangleMesh:
    return mesh if mesh.is_empty else clip_below(mesh, above_mm)
