"""A reconstruction beside the known answer, as predicted and after rigid alignment, the two kept apart."""

from __future__ import annotations

from collections.abc import Mapping

from bonelift.reconstruct.bones import SHOWN_ABOVE_MM
from bonelift.report.content import TruthComparison
from bonelift.surface.align import rigid_align
from bonelift.surface.clip import clip_below
from bonelift.surface.distance import SurfaceDistances, surface_distances
from bonelift.surface.mesh import TriangleMesh


def compare_with_truth(
    surfaces: Mapping[str, TriangleMesh], truth: Mapping[str, TriangleMesh], mean_bone: Mapping[str, TriangleMesh]
) -> TruthComparison:
    """Distances of each bone, and of the mean bone that any patient would have been given.

    All meshes: right bones in the radius frame, mm. ``truth`` runs on below SHOWN_ABOVE_MM, so that after an alignment
    one plane can cut both again. Empty surfaces give NaN.
    """
    return TruthComparison(
        {name: clip_below(mesh, SHOWN_ABOVE_MM) for name, mesh in truth.items()},
        {name: as_predicted(surfaces[name], truth[name]) for name in truth},
        {name: after_rigid_alignment(surfaces[name], truth[name]) for name in truth},
        {name: as_predicted(mean_bone[name], truth[name]) for name in truth},
        {name: after_rigid_alignment(mean_bone[name], truth[name]) for name in truth},
    )


def as_predicted(surface: TriangleMesh, truth: TriangleMesh) -> SurfaceDistances:
    """In the radius frame, nothing moved; both cut at SHOWN_ABOVE_MM."""
    return surface_distances(_cut(surface), _cut(truth))


def after_rigid_alignment(surface: TriangleMesh, truth: TriangleMesh) -> SurfaceDistances:
    """The truth is laid on the surface, which is cut already, and then cut by the same plane."""
    shown = _cut(surface)
    if shown.is_empty:
        return surface_distances(shown, truth)
    return surface_distances(shown, _cut(truth.transformed(rigid_align(_cut(truth), shown))))


def _cut(mesh: TriangleMesh) -> TriangleMesh:
    return mesh if mesh.is_empty else clip_below(mesh, SHOWN_ABOVE_MM)
