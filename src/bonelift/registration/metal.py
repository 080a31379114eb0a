"""Metal implants made ready for registration to radiographs: solid bodies from surfaces, and what a film shows of them.

    body = metal_body(read_mesh("tray.stl"))
    found = register_to_films(body, [film], world_from_start, METAL)

How well that works on real fluoroscopy: docs/results/registration-real.md.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bonelift.errors import InputError
from bonelift.registration.ct_bone import CtBone
from bonelift.registration.film_response import FilmResponse
from bonelift.registration.films import FilmSettings
from bonelift.registration.views import MovingBone, moving_bone
from bonelift.surface.mesh import TriangleMesh
from bonelift.surface.voxelize import occupancy, signed_distance_grid

TITANIUM_PER_MM = 0.33
"""Attenuation of titanium alloy at 60 keV. Of the values from 0.1 to 5 tried on films of knee implants, this and
0.2 matched them best, at the poses that an operator set."""
METAL = FilmSettings(pose=replace(FilmSettings().pose, response=FilmResponse(TITANIUM_PER_MM)))
"""For bodies of :func:`metal_body`. The verdict knows bones only."""
FINE_MM, COARSE_MM = 0.3, 0.8
"""Voxels. An opaque body comes out too wide by a part of a voxel, because its edge is blurred over two: with 0.8 mm
the trays of docs/results/registration-real.md ended 8 mm further off in depth."""


def metal_body(mesh: TriangleMesh, fine_mm: float = FINE_MM, coarse_mm: float = COARSE_MM) -> CtBone:
    """A closed surface as solid metal, in the frame of its vertices (mm).

    fine_mm, coarse_mm: voxels for the refinement and for the search; the volume is the share of a voxel that is metal.
    Errors: InputError for a surface that encloses nothing.
    """
    if mesh.is_empty or mesh.volume_mm3 <= 0:
        raise InputError(
            f"implant: the surface encloses {mesh.volume_mm3:.0f} mm3; expected a closed one, wound outward"
        )
    points = mesh.vertices[:: max(1, len(mesh.vertices) // 2000)]
    return CtBone("both", _solid(mesh, fine_mm), _solid(mesh, coarse_mm), (), points)


def _solid(mesh: TriangleMesh, spacing_mm: float) -> MovingBone:
    first = mesh.vertices.min(axis=0) - 2 * spacing_mm
    i, j, k = np.ceil((mesh.vertices.max(axis=0) - first) / spacing_mm).astype(int) + 3
    body_from_voxel = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    body_from_voxel[:3, 3] = first
    distance = signed_distance_grid(mesh, (int(i), int(j), int(k)), body_from_voxel, band_mm=2 * spacing_mm)
    return moving_bone(occupancy(distance, spacing_mm), body_from_voxel)
