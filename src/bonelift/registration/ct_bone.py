"""Bones of a CT made ready for registration to radiographs.

What is projected is the attenuation of a bone above that of the soft tissue it replaces: to the X-ray a limb is soft
tissue throughout, and bone is what is added to it. Marrow, which is fat, then adds about nothing, as it does on a film.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonelift.drr.attenuation import MU_WATER_PER_MM
from bonelift.drr.subject import check_same_grid
from bonelift.errors import InputError
from bonelift.images import LABEL_NAMES, RADIUS, ULNA, LabelMap, Volume
from bonelift.images.volume import occupied_box
from bonelift.registration.views import MovingBone, moving_bone

Float = NDArray[np.float64]
Part = Literal["both", "radius", "ulna"]

PART_LABELS: dict[Part, tuple[int, ...]] = {"both": (RADIUS, ULNA), "radius": (RADIUS,), "ulna": (ULNA,)}
SOFT_TISSUE_HU = 50.0
"""Muscle, blood and tendon: what a bone takes the place of."""
_CUT_SPAN_MM = 2.0
"""A bone whose voxels come this near to the border of the CT is taken to go on beyond it."""
_LEAST_VOXELS = 200


@dataclass(frozen=True)
class CutEnd:
    """Where a bone leaves the CT.

    centre_mm: (3,) middle of the cut. inward: (3,) unit vector from it along the bone; both in the CT's world.
    length_mm: of the bone along ``inward``.
    """

    centre_mm: Float
    inward: Float
    length_mm: float


@dataclass(frozen=True)
class CtBone:
    """A bone, or radius and ulna as one rigid object, cut out of a CT. All in the CT's world (LPS, mm).

    fine, coarse: for projection at full and at half resolution. cuts: its ends at the border of the CT.
    points_mm: (N, 3) voxels spread evenly over it: where distances between poses are measured.
    """

    part: Part
    fine: MovingBone
    coarse: MovingBone
    cuts: tuple[CutEnd, ...]
    points_mm: Float


def ct_bone(ct: Volume, labels: LabelMap, part: Part = "both") -> CtBone:
    """Cut ``part`` out of a CT.

    ct: HU, finite. labels: on the same grid.
    Errors: InputError where the grids differ, the CT holds NaN, or the labels lack a bone.
    """
    check_ct(ct, labels, part)
    mask = np.isin(labels.labels, PART_LABELS[part])
    first, last = occupied_box(mask)
    box = tuple(slice(max(low - 2, 0), high + 2) for low, high in zip(first, last, strict=True))
    mask, others = mask[box], (labels.labels[box] != 0) & ~mask[box]
    # One voxel more than the label: half of an edge's blur lies outside it. There soft tissue counts as nothing.
    around = ndimage.binary_dilation(mask) & ~others
    excess_hu = np.where(around, np.asarray(ct.values[box], dtype=np.float32) - SOFT_TISSUE_HU, 0)
    values = (np.maximum(excess_hu, 0) * (MU_WATER_PER_MM / 1000)).astype(np.float32)
    world_from_voxel = ct.world_from_voxel.copy()
    world_from_voxel[:3, 3] += ct.world_from_voxel[:3, :3] @ [axis.start for axis in box]
    cuts = tuple(cut for label in PART_LABELS[part] for cut in _cuts(labels.labels == label, labels))
    indices = np.argwhere(mask)
    points = indices[:: max(1, len(indices) // 2000)] @ world_from_voxel[:3, :3].T + world_from_voxel[:3, 3]
    return CtBone(part, moving_bone(values, world_from_voxel), _halved(values, world_from_voxel), cuts, points)


def check_ct(ct: Volume, labels: LabelMap, part: Part = "both") -> None:
    """Raises InputError, one line, for what cannot be registered."""
    check_same_grid(ct, labels)
    if ct.values.dtype.kind == "f" and not np.isfinite(ct.values).all():
        raise InputError("the CT holds NaN or infinite voxels; replace them (air is -1000 HU)")
    for label in PART_LABELS[part]:
        count = int((labels.labels == label).sum())
        if count < _LEAST_VOXELS:
            raise InputError(
                f"labels hold {count} voxels of the {LABEL_NAMES[label]}; expected it segmented as label {label}"
            )


def _halved(values: NDArray[np.float32], world_from_voxel: Float) -> MovingBone:
    """The mean over blocks that make voxels of about 1.5 mm."""
    spacing = np.linalg.norm(world_from_voxel[:3, :3], axis=0)
    factor = np.maximum(np.rint(1.5 / spacing), 1).astype(int)
    padding = [(0, int(-n % f)) for n, f in zip(values.shape, factor, strict=True)]
    blocks = np.pad(values, padding)
    i, j, k = (n // f for n, f in zip(blocks.shape, factor, strict=True))
    pooled = blocks.reshape(i, factor[0], j, factor[1], k, factor[2]).mean(axis=(1, 3, 5))
    world_from_block = world_from_voxel.copy()
    world_from_block[:3, :3] = world_from_voxel[:3, :3] * factor
    world_from_block[:3, 3] += world_from_voxel[:3, :3] @ ((factor - 1) / 2)
    return moving_bone(pooled, world_from_block)


def _cuts(mask: NDArray[np.bool_], labels: LabelMap) -> list[CutEnd]:
    """The ends of one bone on the six faces of the grid. Only faces that the bone meets across its long axis count."""
    found = []
    indices = np.argwhere(mask)
    points = indices @ labels.world_from_voxel[:3, :3].T + labels.world_from_voxel[:3, 3]
    middle = points.mean(axis=0)
    for axis in range(3):
        span = max(1, round(_CUT_SPAN_MM / float(labels.spacing_mm[axis])))
        for at_face in (indices[:, axis] < span, indices[:, axis] >= mask.shape[axis] - span):
            if at_face.sum() < 10:
                continue
            centre = points[at_face].mean(axis=0)
            inward = middle - centre
            distance = np.linalg.norm(inward)
            if distance > 1:
                along = (points - centre) @ (inward / distance)
                found.append(CutEnd(centre, inward / distance, float(along.max())))
    return found
