"""From a CT and its labels to the attenuation volumes that are projected."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bonelift.drr.attenuation import MU_WATER_PER_MM, mu_from_hu
from bonelift.errors import InputError
from bonelift.geometry import translation
from bonelift.images import LABEL_NAMES, RADIUS, ULNA, LabelMap, Volume
from bonelift.images.volume import occupied_box

Content = Literal["bones", "each bone", "arm", "bones and rest"]
"""Radius and ulna as one volume; as two; everything in the CT as one; radius, ulna and all else as three."""

PARTS: dict[Content, tuple[str, ...]] = {
    "bones": ("radius and ulna",),
    "each bone": ("radius", "ulna"),
    "arm": ("arm",),
    "bones and rest": ("radius", "ulna", "rest"),
}
"""What the channels of :func:`attenuation_stack` are."""


def attenuation_stack(
    ct: Volume, labels: LabelMap | None, content: Content = "bones", mu_water_per_mm: float = MU_WATER_PER_MM
) -> NDArray[np.float32]:
    """(C, I, J, K) attenuation in 1/mm, one channel for each part that ``content`` names, ready for ``project``.

    ct: HU, finite. labels: the same grid as ``ct``; radius and ulna present. None will do for "arm".
    Voxels of a part keep their full attenuation and all others are 0, as in the bone-only CT of Shiode et al. 2021;
    "rest" is everything that is neither radius nor ulna.
    Errors: InputError where labels are missing, the grids differ, the CT holds NaN, or a bone is missing.
    """
    if not np.isfinite(ct.values).all():
        raise InputError("drr: the CT holds NaN or infinite voxels; replace them (air is -1000 HU) before projecting")
    mu = mu_from_hu(ct.values, mu_water_per_mm)
    if content == "arm":
        return mu[None]
    if labels is None:
        raise InputError(
            f"drr: a CT without labels, of which {' and '.join(PARTS[content])} cannot be cut; give labels"
        )
    check_same_grid(ct, labels)
    missing = [
        labels.names.get(bone, LABEL_NAMES[bone]) for bone in (RADIUS, ULNA) if not (labels.labels == bone).any()
    ]
    if missing:
        raise InputError(f"drr: the label map has no voxel of {' or '.join(missing)}; segment both bones first")
    radius, ulna = labels.labels == RADIUS, labels.labels == ULNA
    parts = {"bones": [radius | ulna], "each bone": [radius, ulna], "bones and rest": [radius, ulna, ~(radius | ulna)]}
    return np.stack([np.where(part, mu, np.float32(0)) for part in parts[content]])


def bone_attenuation(ct: Volume, labels: LabelMap) -> Volume:
    """Linear attenuation (1/mm, float32, at least 0) of radius and ulna alone; zero outside them: input of a CT-DRR.

    ct: HU; labels: on the same grid. Raises InputError when the grids differ.
    """
    if ct.values.shape != labels.labels.shape or not np.allclose(ct.world_from_voxel, labels.world_from_voxel):
        raise InputError(
            f"CT grid {ct.values.shape} and label grid {labels.labels.shape} differ; resample the labels onto the CT"
        )
    mu_per_mm = np.zeros(ct.values.shape, dtype=np.float32)
    bone = (labels.labels == RADIUS) | (labels.labels == ULNA)
    mu_per_mm[bone] = np.maximum(mu_from_hu(ct.values[bone]), 0.0)
    return Volume(mu_per_mm, ct.world_from_voxel)


def check_same_grid(ct: Volume, labels: LabelMap) -> None:
    """Raise InputError where CT and labels are not on one grid."""
    same_shape = ct.values.shape == labels.labels.shape
    if not same_shape or not np.allclose(ct.world_from_voxel, labels.world_from_voxel, atol=1e-3):
        raise InputError(
            f"CT grid {ct.values.shape} and label grid {labels.labels.shape} differ in shape or position; "
            "resample the labels onto the CT"
        )


def cropped_to_bones(ct: Volume, labels: LabelMap) -> tuple[Volume, LabelMap]:
    """Both cut to the box of radius and ulna, one voxel wider: what lies outside casts no shadow in a bone-only DRR."""
    marked = (labels.labels == RADIUS) | (labels.labels == ULNA)
    if ct.values.shape != labels.labels.shape or not marked.any():
        return ct, labels
    first, last = occupied_box(marked)
    first, last = np.maximum(first - 1, 0), last + 1
    box = tuple(slice(low, high) for low, high in zip(first, last, strict=True))
    shift = translation(first)
    return (
        Volume(ct.values[box], ct.world_from_voxel @ shift),
        LabelMap(labels.labels[box], labels.world_from_voxel @ shift, labels.names),
    )
