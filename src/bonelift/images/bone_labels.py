"""Radius and ulna out of whatever a lab's segmentation calls them: names where the format has them, else values.

Slicer's ``.seg.nrrd``, NIfTI, NRRD and MetaImage, DICOM SEG and RTSTRUCT, and a folder with one file a bone, as
TotalSegmentator writes it.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonelift.errors import InputError
from bonelift.images.bone_names import BoneLabels, is_bone, the_bone
from bonelift.images.dicom_file import HEAD_BYTES, is_dicom
from bonelift.images.dicom_labels import VoxelGrid, read_dicom_bones
from bonelift.images.nifti_files import is_nifti
from bonelift.images.nifti_label_names import nifti_label_names
from bonelift.images.nrrd_files import NrrdImage
from bonelift.images.volume import LABEL_NAMES, LabelMap
from bonelift.images.volume_reading import MAX_OVERLAP, read_label_file, slicer_segments
from bonelift.storage.input_files import read_head

__all__ = ["BoneLabels", "read_bone_labels"]

Mask = NDArray[np.bool_]
Float = NDArray[np.float64]

_EXPECTED = "a segmentation (.seg.nrrd, NIfTI, NRRD, MHA, DICOM SEG or RTSTRUCT, or a folder of TotalSegmentator)"
_VOXEL_FILE_ENDS = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
TOTALSEGMENTATOR = {"radius": 8, "ulna": 7}
"""The values of its task appendicular_bones in one file (``--ml``); other values there are other bones."""
_TOTALSEGMENTATOR_VALUES = range(7, 12)
"""Ulna, radius, carpus, metacarpus, phalanges of the hand."""


def read_bone_labels(
    path: str | os.PathLike[str], bones: BoneLabels | None = None, grid: VoxelGrid | None = None
) -> LabelMap:
    """A label map with 1 for the radius, 2 for the ulna and nothing else.

    grid: of the CT that the labels belong to; RTSTRUCT holds outlines and no voxels, and needs it.

    Segments with names that are neither bone (the carpus) are left out. Raises InputError, one line: a bone is missing
    or there twice, values that nothing explains, segments that overlap by more than 1 %.
    """
    path, bones = Path(path), bones or BoneLabels()
    if path.is_dir():
        masks, world_from_voxel = _from_folder(path, bones, grid)
    else:
        masks, world_from_voxel = _from_file(path, bones, grid)
    labels = np.zeros(next(iter(masks.values())).shape, dtype=np.uint8)
    for value, name in LABEL_NAMES.items():
        taken = masks[name] & (labels != 0)
        if not masks[name].any():
            raise InputError(f"{path.name}: its {name} has no voxel; segment radius and ulna first")
        if taken.sum() > MAX_OVERLAP * masks[name].sum():
            raise InputError(f"{path.name}: radius and ulna overlap by {int(taken.sum())} voxels; expected bones apart")
        labels[masks[name] & ~taken] = value
    return LabelMap(labels, world_from_voxel, dict(LABEL_NAMES))


def _from_file(path: Path, bones: BoneLabels, grid: VoxelGrid | None) -> tuple[dict[str, Mask], Float]:
    head = read_head(path, _EXPECTED, 1024)
    if is_dicom(head):
        return read_dicom_bones(path, bones, grid)
    image = read_label_file(path)
    if any(key.startswith("Segment0_") for key in image.keys):
        return _from_segments(image, bones, path.name), image.world_from_voxel
    if image.values.ndim != 3:
        raise InputError(f"{path.name}: holds several layers but no Slicer segments; expected one label volume")
    names = nifti_label_names(path) if is_nifti(head) else {}
    return _from_values(image, bones, path.name, names), image.world_from_voxel


def _from_folder(folder: Path, bones: BoneLabels, grid: VoxelGrid | None) -> tuple[dict[str, Mask], Float]:
    """One file a bone, by name (TotalSegmentator: radius.nii.gz, ulna.nii.gz); or one DICOM file alone."""
    files = sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith("."))
    volumes = [(p, _stem(p.name)) for p in files if p.name.lower().endswith(_VOXEL_FILE_ENDS)]
    if not volumes:
        dicom = [p for p in files if is_dicom(read_head(p, _EXPECTED, HEAD_BYTES))]
        if len(dicom) == 1:
            return read_dicom_bones(dicom[0], bones, grid)
        raise InputError(
            f"{folder.name}: is a folder without segmentation; expected radius.nii.gz and ulna.nii.gz in it, as "
            "TotalSegmentator writes them, or the name of one file"
        )
    if any(isinstance(choice, int) for _, choice in bones.choices):
        raise InputError(
            f"{folder.name}: is a folder with one file a bone, which has no label values; state --radius-label and "
            "--ulna-label as file names without their end, or not at all"
        )
    listing = [(stem, number) for number, (_, stem) in enumerate(volumes, start=1)]
    masks, frames = {}, []
    for bone, choice in bones.choices:
        path = volumes[the_bone(bone, choice, listing, folder.name, "file")][0]
        image = read_label_file(path)
        if image.values.ndim != 3:
            raise InputError(f"{path.name}: holds several layers; expected one mask")
        masks[bone] = image.values != 0
        frames.append(image.world_from_voxel)
    if masks["radius"].shape != masks["ulna"].shape or not np.allclose(*frames, atol=1e-3):
        raise InputError(f"{folder.name}: its radius and ulna lie on different grids; expected two masks of one CT")
    return masks, frames[0]


def _stem(name: str) -> str:
    return next(name[: -len(end)] for end in _VOXEL_FILE_ENDS if name.lower().endswith(end))


def _from_segments(image: NrrdImage, bones: BoneLabels, name: str) -> dict[str, Mask]:
    layers = image.values if image.values.ndim == 4 else image.values[None]
    segments = slicer_segments(image.keys, len(layers), name)
    masks = {}
    for bone, choice in bones.choices:
        _, value, layer = segments[the_bone(bone, choice, [s[:2] for s in segments], name)]
        masks[bone] = layers[layer] == value
    return masks


def _from_values(image: NrrdImage, bones: BoneLabels, name: str, names: dict[int, str]) -> dict[str, Mask]:
    """names: of the values, where the file holds any."""
    present = [int(v) for v in np.unique(image.values) if v]
    named = [(names[value], value) for value in present if value in names]
    if any(is_bone(bone, None, *entry) for entry in named for bone in LABEL_NAMES.values()) or any(
        isinstance(choice, str) for _, choice in bones.choices if named
    ):
        chosen = {bone: named[the_bone(bone, choice, named, name, "label")][1] for bone, choice in bones.choices}
        return {bone: image.values == value for bone, value in chosen.items()}
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
            f"{name}: no {' and no '.join(missing)} in it; its values are {listing}; state --radius-label and "
            f"--ulna-label{_totalsegmentator(present)}"
        )
    unknown = sorted(set(present) - set(chosen.values()))
    both_stated = None not in (bones.radius, bones.ulna)
    if unknown and not (bones.drop_others or both_stated):
        raise InputError(
            f"{name}: holds label values {', '.join(map(str, unknown[:6]))} beside {chosen['radius']} (radius) and "
            f"{chosen['ulna']} (ulna); state --radius-label and --ulna-label, or pass --drop-other-labels"
        )
    return {bone: image.values == value for bone, value in chosen.items()}


def _totalsegmentator(present: list[int]) -> str:
    """A hint where the values can be TotalSegmentator's: it is not taken for granted that they are."""
    if not set(TOTALSEGMENTATOR.values()) <= set(present) or not set(present) <= set(_TOTALSEGMENTATOR_VALUES):
        return ""
    return "; if TotalSegmentator's task appendicular_bones wrote it, the radius is 8 and the ulna 7"
