"""A bone made from its outline alone: what its projection should look like before anyone has seen its inside.

A predicted bone is a soft label without density. Its projection needs a wall and a filling, or its edges come out too
soft and its middle too bright. The wall thickens and the spongiosa thins out from the joint to the shaft, as in the
mean adult of the virtual population (:mod:`bonelift.phantom.interior`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonelift.errors import InputError
from bonelift.images import LabelGrid
from bonelift.images.volume import occupied_box
from bonelift.surface.mesh import TriangleMesh
from bonelift.surface.voxelize import occupancy, signed_distance_grid

Float = NDArray[np.float64]

# Distance proximal of the joint (mm) -> cortical wall (mm); -> density of the inside as a fraction of the cortex's.
_WALL = ([0.0, 10, 20, 30, 45, 60], [0.6, 0.65, 0.9, 1.5, 2.0, 2.3])
_INSIDE = ([0.0, 10, 20, 30, 40, 60], [0.19, 0.15, 0.10, 0.045, 0.015, 0.0])
CORTEX_PER_MM = 0.055
"""Attenuation of compact bone at about 60 keV, 1/mm. Gradient correlation ignores it; the size check does not."""
FINENESS = 2
"""Voxels of the result along one voxel of the label grid: a wall of 0.6 mm needs more than 1.25 mm voxels."""


def nominal_attenuation(
    field: NDArray[np.floating], grid: LabelGrid, extension_mm: float = 12.0
) -> tuple[Float, Float]:
    """Attenuation of one bone from its soft label.

    field: (I, J, K) soft label in [0, 1] on ``grid`` (radius frame, k distal).
    extension_mm: the shaft is continued so far beyond the proximal end of the grid by its last section, because the
        image shows it there and a cut end would make an edge that no image has.
    Returns (FINENESS I, FINENESS J, ...) 1/mm and radius_from_voxel (4, 4).
    """
    extra = int(np.ceil(extension_mm / grid.spacing_mm))
    longer = np.concatenate([np.repeat(field[:, :, :1], extra, axis=2), field], axis=2)
    fine = np.asarray(ndimage.zoom(longer, FINENESS, order=1, mode="nearest", grid_mode=True), dtype=np.float64)
    spacing_mm = grid.spacing_mm / FINENESS
    radius_from_voxel = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    first_mm = np.array(grid.first_centre_mm) - (grid.spacing_mm - spacing_mm) / 2
    first_mm[2] -= extra * grid.spacing_mm
    radius_from_voxel[:3, 3] = first_mm

    # Sharpened back to the partial volume of the finer voxels.
    label = np.clip((fine - 0.5) * FINENESS + 0.5, 0, 1)
    depth_mm = _depth_voxels(fine > 0.5) * spacing_mm
    wall_mm, inside = wall_and_inside(first_mm[2] + spacing_mm * np.arange(fine.shape[2]))
    cortex = np.clip((wall_mm - depth_mm) / spacing_mm + 0.5, 0, 1)
    return CORTEX_PER_MM * label * (inside + (1 - inside) * cortex), radius_from_voxel


@dataclass(frozen=True, eq=False)
class NominalSolid:
    """A bone of nominal density, and what changes where its surface moves.

    values: (I, J, K) float32 attenuation, 1/mm. by_outward: (I, J, K) float32, its derivative by an outward move of the
    nearest surface, 1/mm per mm; not zero about the surface and at the inner face of the wall. bone_from_voxel: (4, 4).
    """

    values: NDArray[np.float32]
    by_outward: NDArray[np.float32]
    bone_from_voxel: Float


def nominal_solid(mesh: TriangleMesh, proximal_mm: float, spacing_mm: float = 0.6) -> NominalSolid:
    """A surface given its nominal wall and filling.

    mesh: closed, or open only below -``proximal_mm``; radius frame (z distal, 0 at the joint), mm.
    proximal_mm: the volume ends so far proximal of the joint, where the shaft is cut straight.
    Errors: InputError for a surface with nothing above that.
    """
    vertices = mesh.vertices
    band_mm = float(np.interp(proximal_mm, *_WALL)) + spacing_mm  # as deep as the thickest wall
    if mesh.is_empty or not (vertices[:, 2] > -proximal_mm).any():
        raise InputError(f"nominal bone: no surface within {proximal_mm:g} mm of the joint")
    near = vertices[:, 2] > -proximal_mm - band_mm
    mesh = TriangleMesh(vertices, mesh.faces[near[mesh.faces].any(axis=1)])
    # Voxels stay where they are when the surface moves a little: only what moved may change.
    first = spacing_mm * np.floor(vertices[near].min(axis=0) / spacing_mm - 2)
    first[2] = -proximal_mm + spacing_mm / 2
    i, j, k = np.ceil((vertices[near].max(axis=0) - first) / spacing_mm).astype(int) + 3
    bone_from_voxel = np.diag([spacing_mm, spacing_mm, spacing_mm, 1.0])
    bone_from_voxel[:3, 3] = first
    distance = signed_distance_grid(mesh, (int(i), int(j), int(k)), bone_from_voxel, band_mm=band_mm)

    wall_mm, inside = (part.astype(np.float32) for part in wall_and_inside(first[2] + spacing_mm * np.arange(k)))
    label = occupancy(distance, spacing_mm)
    share = (wall_mm - np.maximum(-distance, 0)) / spacing_mm + 0.5
    filling = inside + (1 - inside) * np.clip(share, 0, 1)
    edge = (np.abs(distance) < spacing_mm / 2) / spacing_mm
    inner_face = ((share > 0) & (share < 1) & (distance < 0)) / spacing_mm
    by_outward = edge * filling - label * (1 - inside) * inner_face
    scale = np.float32(CORTEX_PER_MM)
    return NominalSolid(
        (scale * label * filling).astype(np.float32), (scale * by_outward).astype(np.float32), bone_from_voxel
    )


def wall_and_inside(height_mm: Float) -> tuple[Float, Float]:
    """Wall (mm), and density of the inside as a share of the cortex's, at heights (z of the radius frame, mm)."""
    return np.interp(-height_mm, *_WALL), np.interp(-height_mm, *_INSIDE)


def _depth_voxels(inside: NDArray[np.bool_]) -> Float:
    """Distance of every voxel's centre from the surface half-way to the next voxel outside; 0 outside.

    The grid's end is no surface: a cut shaft is not closed by cortex.
    """
    depth = np.zeros(inside.shape)
    if inside.any():
        first, last = occupied_box(inside)
        # With the layer around it, where the nearest voxel outside lies.
        box = tuple(slice(max(low - 1, 0), high + 1) for low, high in zip(first, last, strict=True))
        depth[box] = np.maximum(np.asarray(ndimage.distance_transform_edt(inside[box])) - 0.5, 0)
    return depth
