"""Radius and ulna out of DICOM SEG (voxels) and RTSTRUCT (outlines on the CT's slices).

highdicom, an extra, is imported where a SEG is read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from skimage.draw import polygon

from bonelift.errors import InputError
from bonelift.extras import how_to_install
from bonelift.images.bone_names import BoneLabels, the_bone
from bonelift.images.dicom_file import guarded, read_dataset, whole_number, word
from bonelift.storage.input_files import check_memory

Mask = NDArray[np.bool_]
Float = NDArray[np.float64]

SEG_CLASS = "1.2.840.10008.5.1.4.1.1.66.4"
LABELMAP_SEG_CLASS = "1.2.840.10008.5.1.4.1.1.66.7"
RTSTRUCT_CLASS = "1.2.840.10008.5.1.4.1.1.481.3"
_OFF_SLICE = 0.25
"""Of the distance between slices: an outline farther from its slice, or oblique by more, was not drawn on this CT."""


@dataclass(frozen=True)
class VoxelGrid:
    """shape (I, J, K) and world_from_voxel (4, 4), LPS mm, of the CT that labels belong to."""

    shape: tuple[int, int, int]
    world_from_voxel: Float


def read_dicom_bones(path: Path, bones: BoneLabels, grid: VoxelGrid | None) -> tuple[dict[str, Mask], Float]:
    """Masks (I, J, K) of radius and ulna by name, and their world_from_voxel. Raises InputError.

    grid: an RTSTRUCT is drawn onto it.
    """
    dataset = read_dataset(path)
    sop_class = word(dataset, "SOPClassUID")
    if sop_class in (SEG_CLASS, LABELMAP_SEG_CLASS):
        return _from_seg(dataset, bones, path.name)
    if sop_class == RTSTRUCT_CLASS:
        if grid is None:
            raise InputError(f"{path.name}: holds outlines (RTSTRUCT), which need their CT; expected it beside them")
        return _from_outlines(dataset, bones, path.name, grid), grid.world_from_voxel
    modality = word(dataset, "Modality") or "no modality"
    raise InputError(f"{path.name}: is a DICOM file ({modality!a:.20}) without segmentation; expected SEG or RTSTRUCT")


def _from_seg(dataset: Dataset, bones: BoneLabels, name: str) -> tuple[dict[str, Mask], Float]:
    try:
        from highdicom.seg import Segmentation
    except ImportError as error:
        raise InputError(
            f"{name}: reading a DICOM segmentation needs highdicom; {how_to_install('dicom')}, or save the "
            "segmentation as .seg.nrrd in 3D Slicer"
        ) from error
    with guarded(name, "is damaged, or its segments make no regular volume; save it as .seg.nrrd in 3D Slicer"):
        described = [(str(s.SegmentLabel), int(s.SegmentNumber)) for s in dataset.SegmentSequence]
        sizes = [whole_number(dataset, key) or 1 for key in ("NumberOfFrames", "Rows", "Columns")]
        check_memory(4 * math.prod(sizes), name, "its segments")
        numbers = [described[the_bone(bone, choice, described, name)][1] for bone, choice in bones.choices]
        volume = Segmentation.from_dataset(dataset, copy=False).get_volume(segment_numbers=numbers, dtype=np.uint8)
        values = np.asarray(volume.array) > 0  # (slices, rows, columns, segments)
        affine = np.asarray(volume.affine, dtype=np.float64)
    world_from_voxel = affine[:, [2, 1, 0, 3]]
    masks = {
        bone: np.ascontiguousarray(values[..., number].transpose(2, 1, 0))
        for number, bone in enumerate(("radius", "ulna"))
    }
    return masks, world_from_voxel


def _from_outlines(dataset: Dataset, bones: BoneLabels, name: str, grid: VoxelGrid) -> dict[str, Mask]:
    with guarded(name, "is a damaged RTSTRUCT; export the structure set again"):
        structures = [(str(roi.ROIName), int(roi.ROINumber)) for roi in dataset.StructureSetROISequence]
        outlines = {
            int(contour.ReferencedROINumber): [
                np.array(item.ContourData, dtype=np.float64).reshape(-1, 3)
                for item in contour.get("ContourSequence") or []
                if str(item.ContourGeometricType) in ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
            ]
            for contour in dataset.ROIContourSequence
        }
    masks = {}
    for bone, choice in bones.choices:
        number = structures[the_bone(bone, choice, structures, name, "structure")][1]
        masks[bone] = _filled(outlines.get(number, []), grid, name, bone)
    return masks


def _filled(outlines: Sequence[Float], grid: VoxelGrid, name: str, bone: str) -> Mask:
    """Voxels whose centre lies inside of the outlines ((N, 3) world mm); an outline within another is a hole."""
    if not outlines:
        raise InputError(f"{name}: its {bone} has no closed outline; draw both bones on every slice")
    voxel_from_world = np.linalg.inv(grid.world_from_voxel)
    mask = np.zeros(grid.shape, dtype=bool)
    drawn = set()
    for points in outlines:
        if len(points) < 3:
            raise InputError(f"{name}: an outline of the {bone} has {len(points)} points; expected three or more")
        voxels = points @ voxel_from_world[:3, :3].T + voxel_from_world[:3, 3]
        if not np.isfinite(voxels).all():
            raise InputError(f"{name}: an outline of the {bone} is not at finite places; export it again")
        slice_number = int(np.rint(voxels[:, 2].mean()))
        if np.abs(voxels[:, 2] - slice_number).max() > _OFF_SLICE:
            raise InputError(
                f"{name}: outlines of the {bone} do not lie on the slices of the CT; expected outlines that were drawn "
                "on this CT, not on a reformatted one"
            )
        if not 0 <= slice_number < grid.shape[2]:
            raise InputError(f"{name}: outlines of the {bone} lie outside of the CT; expected the CT they belong to")
        rows, columns = polygon(voxels[:, 0], voxels[:, 1], grid.shape[:2])
        mask[rows, columns, slice_number] ^= True
        drawn.add(slice_number)
    missing = max(drawn) - min(drawn) + 1 - len(drawn)
    if missing:
        raise InputError(
            f"{name}: {missing} slices between the first and the last outline of the {bone} have none; interpolate the "
            "outlines, then export them again"
        )
    return mask
