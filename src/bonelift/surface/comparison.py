"""Two surfaces of one bone beside each other: the one way that ``bonelift compare`` and the page compare them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from bonelift.errors import InputError
from bonelift.surface.align import rigid_align
from bonelift.surface.distance import SurfaceDistances, surface_distances
from bonelift.surface.mesh import TriangleMesh

MOST_RATIO = 6.0
"""A clipped bone beside a whole one is not as much shorter; one in cm or inches is."""
Align = Literal["none", "rigid"]


@dataclass(frozen=True, eq=False)
class SurfaceComparison:
    """distances: mm. first: the first surface as it was compared, laid on the second where that was asked for."""

    distances: SurfaceDistances
    first: TriangleMesh


def compare_surfaces(
    first: TriangleMesh, second: TriangleMesh, align: Align = "none", names: tuple[str, str] = ("first", "second")
) -> SurfaceComparison:
    """Distances between two meshes, mm; with ``align`` "rigid" the first is laid on the second, from any frame, and
    what is nearest to an open end of the other is left out.

    names: of the two in messages. Raises InputError: not one unit, or no part of one lies opposite the other.
    """
    lengths = [float(np.ptp(mesh.vertices, axis=0).max()) for mesh in (first, second)]
    if max(lengths) > MOST_RATIO * min(lengths):
        sizes = f"{names[0]} is {lengths[0]:.3g} mm long, {names[1]} {lengths[1]:.3g} mm"
        raise InputError(f"{sizes}: not one bone, or not one unit; expected mm in both")
    aligned = align == "rigid"
    if aligned:
        first = first.transformed(rigid_align(first, second, starts="anywhere"))
    distances = surface_distances(first, second, exclude_open_ends=aligned)
    if distances.compared_fraction == 0:
        raise InputError(
            f"{names[0]}, {names[1]}: no part of one lies opposite the other; check that both show the same bone"
        )
    return SurfaceComparison(distances, first)
