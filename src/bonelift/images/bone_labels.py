"""Radius and ulna out of whatever a lab's segmentation calls them: names in ``.seg.nrrd``, values elsewhere."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonelift.errors import InputError
from bonelift.images.nrrd_files import NrrdImage
from bonelift.images.volume import LABEL_NAMES, LabelMap
from bonelift.images.volume_reading import MAX_OVERLAP, read_label_file, slicer_segments

Mask = NDArray[np.bool_]

_PARTS_OF_BONES = {"head", "styloid", "cartilage", "plate", "screw", "marrow", "cortex", "cortical", "notch"}
"""A segment named "ulnar head" or "radius cortex" is not the bone."""


@dataclass(frozen=True)
class BoneLabels:
    """How a segmentation marks the bones.

    radius, ulna: a segment's name, or a label's value; None: the one segment with the bone in its name ("Radius",
    "distal_radius_L", "DistalUlna"), or 1 and 2 in formats without names.
    drop_others: further values are background; False refuses them where no name explains them.
    """

    radius: str | int | None = None
    ulna: str | int | None = None
    drop_others: bool = False


def read_bone_labels(path: str | os.PathLike[str], bones: BoneLabels | None = None) -> LabelMap:
    """A label map with 1 for the radius, 2 for the ulna and nothing else.

    Slicer segments that are neither bone (the carpus) are left out. Raises InputError, one line: a bone is missing or
    there twice, values that nothing explains, segments that overlap by more than 1 %.
    """
    path, bones = Path(path), bones or BoneLabels()
    image = read_label_file(path)
    if any(key.startswith("Segment0_") for key in image.keys):
        masks = _from_segments(image, bones, path.name)
    elif image.values.ndim == 3:
        masks = _from_values(image, bones, path.name)
    else:
        raise InputError(f"{path.name}: holds several layers but no Slicer segments; expected one label volume")
    labels = np.zeros(next(iter(masks.values())).shape, dtype=np.uint8)
    for value, name in LABEL_NAMES.items():
        taken = masks[name] & (labels != 0)
        if not masks[name].any():
            raise InputError(f"{path.name}: its {name} has no voxel; segment radius and ulna first")
        if taken.sum() > MAX_OVERLAP * masks[name].sum():
            raise InputError(f"{path.name}: radius and ulna overlap by {int(taken.sum())} voxels; expected bones apart")
        labels[masks[name] & ~taken] = value
    return LabelMap(labels, image.world_from_voxel, dict(LABEL_NAMES))


def _from_segments(image: NrrdImage, bones: BoneLabels, name: str) -> dict[str, Mask]:
    layers = image.values if image.values.ndim == 4 else image.values[None]
    segments = slicer_segments(image.keys, len(layers), name)
    listing = ", ".join(f"{segment!r:.40} ({value})" for segment, value, _ in segments[:8])
    masks = {}
    for bone, choice in (("radius", bones.radius), ("ulna", bones.ulna)):
        matches = [s for s in segments if _chosen(bone, choice, s[0], s[1])]
        if len(matches) != 1:
            found = "no segment is" if not matches else f"{len(matches)} segments are"
            raise InputError(
                f"{name}: {found} the {bone}; its segments are {listing}; state --{bone}-label, one of these"
            )
        _, value, layer = matches[0]
        masks[bone] = layers[layer] == value
    return masks


def _chosen(bone: str, choice: str | int | None, segment: str, value: int) -> bool:
    if isinstance(choice, int):
        return value == choice
    if choice is not None:
        return segment.lower() == choice.strip().lower()
    words = {word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", segment)}
    return bone in words and not words & _PARTS_OF_BONES


def _from_values(image: NrrdImage, bones: BoneLabels, name: str) -> dict[str, Mask]:
    present = [int(v) for v in np.unique(image.values) if v]
    chosen = {}
    for value, bone in LABEL_NAMES.items():
        choice = bones.radius if bone == "radius" else bones.ulna
        if isinstance(choice, str):
            raise InputError(
                f"{name}: has label values and no names; state --{bone}-label as a number, not {choice!r:.40}"
            )
        chosen[bone] = value if choice is None else choice
    listing = ", ".join(map(str, present[:8])) or "none"
    missing = [f"{bone} ({value})" for bone, value in chosen.items() if value not in present]
    if missing:
        raise InputError(
            f"{name}: no {' and no '.join(missing)} in it; its values are {listing}; state --radius-label, --ulna-label"
        )
    unknown = sorted(set(present) - set(chosen.values()))
    if unknown and not bones.drop_others:
        raise InputError(
            f"{name}: holds label values {', '.join(map(str, unknown[:6]))} beside {chosen['radius']} (radius) and "
            f"{chosen['ulna']} (ulna); state --radius-label and --ulna-label, or pass --drop-other-labels"
        )
    return {bone: image.values == value for bone, value in chosen.items()}
