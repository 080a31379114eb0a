"""The distal radius and ulna of a virtual patient alone, in water: what a bone-only DRR needs of a body, at a tenth of
the cost of a whole wrist."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bonelift.images import RADIUS, ULNA
from bonelift.phantom.body import Anatomy, Body, fill_bones
from bonelift.phantom.bone_fields import BoneField, bone_field, grid_from_first_voxel
from bonelift.phantom.interior import Bone

if TYPE_CHECKING:
    from bonelift.anatomy.shape_model import WristShape

FORESHORTENED_END_MM = -64.0
"""The standard film ends 50 mm proximal of the joint; the rest is for tilted wrists and misplaced films."""
MARGIN_MM = 3.0
WATER_G_CM3 = 1.0


def around_bones(body: Body, proximal_mm: float = FORESHORTENED_END_MM) -> Body:
    """The part of a body that holds radius and ulna from ``proximal_mm`` on and MARGIN_MM around them: what a CT has to
    be made of where only these bones are projected, in a third of the time."""
    spacing_mm = body.spacing_mm
    base = max(int((proximal_mm - body.radius_from_voxel[2, 3]) / spacing_mm), 0)
    wanted = np.isin(body.labels[:, :, base:], (RADIUS, ULNA))
    margin = int(np.ceil(MARGIN_MM / spacing_mm))
    box, first = [], []
    for axis in range(3):
        present = np.flatnonzero(wanted.any(axis=tuple(a for a in range(3) if a != axis)))
        offset = base if axis == 2 else 0
        start = max(int(present[0]) - margin, 0) + offset
        box.append(slice(start, int(present[-1]) + margin + 1 + offset))
        first.append(start)
    part = (box[0], box[1], box[2])
    radius_from_voxel = grid_from_first_voxel(body.radius_from_voxel[:3, 3] + spacing_mm * np.array(first), spacing_mm)
    return Body(body.mineral_g_cm3[part], body.soft_g_cm3[part], body.labels[part], radius_from_voxel)


def bare_bones(
    shape: WristShape,
    anatomy: Anatomy,
    rng: np.random.Generator,
    spacing_mm: float = 0.6,
    proximal_mm: float = FORESHORTENED_END_MM,
) -> Body:
    """Radius and ulna filled as in :func:`bonelift.phantom.body.assemble_body`, from ``proximal_mm`` (radius frame z)
    to the tips; everything else is water, so that what a CT measures at the bones' edges is right.

    Interiors follow the same distributions as a whole body's but are not the same draws.
    """
    seen = [mesh.vertices[mesh.vertices[:, 2] > proximal_mm - MARGIN_MM] for mesh in (shape.radius, shape.ulna)]
    points = np.concatenate(seen)
    low, high = points.min(axis=0) - MARGIN_MM, points.max(axis=0) + MARGIN_MM
    low[2] = proximal_mm
    i, j, k = (int(n) for n in np.ceil((high - low) / spacing_mm) + 1)
    radius_from_voxel = grid_from_first_voxel(low, spacing_mm)
    body = Body(
        np.zeros((i, j, k), np.float32),
        np.full((i, j, k), WATER_G_CM3, np.float32),
        np.zeros((i, j, k), np.uint8),
        radius_from_voxel,
    )
    fields: dict[Bone, BoneField] = {
        "radius": bone_field(shape.radius, radius_from_voxel, (i, j, k)),
        "ulna": bone_field(shape.ulna, radius_from_voxel, (i, j, k)),
    }
    fill_bones(body, fields, anatomy, rng)
    return body
