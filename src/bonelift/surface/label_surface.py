"""The surface of a segmented bone."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from bonelift.errors import InputError
from bonelift.images import LabelMap
from bonelift.surface.isosurface import extract_surface, largest_piece
from bonelift.surface.mesh import TriangleMesh


def label_surface(labels: LabelMap, label: int) -> TriangleMesh:
    """Closed surface of one label, in the labels' world: the half level of the mask, blurred by 0.7 voxels.

    Raises InputError where no voxel has it."""
    mask = labels.labels == label
    if not mask.any():
        raise InputError(f"labels hold no {labels.names.get(label, f'label {label}')}; expected radius and ulna")
    soft = ndimage.gaussian_filter(np.pad(mask, 2).astype(np.float32), 0.7)
    world_from_padded = labels.world_from_voxel.copy()
    world_from_padded[:3, 3] -= 2 * labels.world_from_voxel[:3, :3].sum(axis=1)
    return largest_piece(extract_surface(soft, world_from_padded, 0.5, inside="above"))
