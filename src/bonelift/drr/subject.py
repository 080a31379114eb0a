"""From a CT and its labels to the attenuation volumes that are projected."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bonelift.drr.attenuation import MU_WATER_PER_MM, mu_from_hu
from bonelift.errors import InputError
from bonelift.images import BACKGROUND, RADIUS, ULNA, LabelMap, Volume

Content = Literal["bones", "each bone", "arm", "bones and rest"]
"""Radius and ulna as one volume; as two; everything in the CT as one; radius, ulna and all else as three."""


def attenuation_stack(
    ct: Volume, labels: LabelMap, content: Content = "bones", mu_water_per_mm: float = MU_WATER_PER_MM
) -> NDArray[np.float32]:
    """(C, I, J, K) attenuation in 1/mm, one channel for each part that ``content`` names, ready for ``project``.

    ct: HU, finite. labels: the same grid as ``ct``; radius and ulna present.
    Voxels of a part keep their full attenuation and all others are 0, as in the bone-only CT of Shiode et al. 2021.
    Errors: InputError where the grids differ, the CT holds NaN, or a bone is missing.
    """
    same_shape = ct.values.shape == labels.labels.shape
    if not same_shape or not np.allclose(ct.world_from_voxel, labels.world_from_voxel, atol=1e-3):
        raise InputError(
            f"drr: CT grid {ct.values.shape} and label grid {labels.labels.shape} differ in shape or position; "
            "resample the labels onto the CT"
        )
    if not np.isfinite(ct.values).all():
        raise InputError("drr: the CT holds NaN or infinite voxels; replace them (air is -1000 HU) before projecting")
    missing = [labels.names.get(bone, str(bone)) for bone in (RADIUS, ULNA) if not (labels.labels == bone).any()]
    if missing and content != "arm":
        raise InputError(f"drr: the label map has no voxel of {' or '.join(missing)}; segment both bones first")
    mu = mu_from_hu(ct.values, mu_water_per_mm)
    parts = {
        "bones": [(labels.labels == RADIUS) | (labels.labels == ULNA)],
        "each bone": [labels.labels == RADIUS, labels.labels == ULNA],
        "arm": [np.ones(labels.labels.shape, dtype=bool)],
        "bones and rest": [labels.labels == part for part in (RADIUS, ULNA, BACKGROUND)],
    }[content]
    return np.stack([np.where(part, mu, np.float32(0)) for part in parts])
