"""The files that hold the bones: surfaces and labels, all in the patient frame of the patient's own side."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from bonelift.geometry.patient_frame import patient_from_radius
from bonelift.images.nifti_files import write_labels_nifti
from bonelift.images.nrrd_files import write_labels_seg_nrrd
from bonelift.images.radiograph import Side
from bonelift.images.volume import BONE_COLOURS, LabelMap
from bonelift.reconstruction.file_kinds import FileKind
from bonelift.surface.closing import closed_ends
from bonelift.surface.files import write_stl
from bonelift.surface.glb import write_glb
from bonelift.surface.mesh import TriangleMesh
from bonelift.surface.voxelize import label_surfaces

LABEL_SPACING_MM = 0.5
"""Side of a voxel of the written labels: a surface lies within a quarter of it on average."""


def write_bones(
    surfaces: Mapping[str, TriangleMesh],
    labels: LabelMap | None,
    side: Side,
    folder: Path,
    kinds: Collection[FileKind],
) -> None:
    """The surfaces and labels among ``kinds``.

    surfaces: of :func:`patient_surfaces`; where there is none nothing is written. STL: closed where the bone was cut.
        GLB: open there. labels: of :func:`bone_labels`.
    """
    if not surfaces:
        return
    if "stl" in kinds:
        for name, mesh in surfaces.items():
            write_stl(folder / f"{name}.stl", *closed_ends(mesh))
    if "glb" in kinds:
        nodes = {f"{side} {name}": mesh for name, mesh in surfaces.items()}
        write_glb(folder / "bones.glb", nodes, {f"{side} {name}": BONE_COLOURS[name] for name in surfaces})
    if "seg" in kinds and labels is not None:
        write_labels_seg_nrrd(folder / "labels.seg.nrrd", labels, side)
    if "nifti" in kinds and labels is not None:
        write_labels_nifti(folder / "labels.nii.gz", labels)


def bone_labels(surfaces: Mapping[str, TriangleMesh]) -> LabelMap:
    """The inside of the surfaces, up to the cut, on voxels that carry them; in the patient frame as they are."""
    return label_surfaces(surfaces, LABEL_SPACING_MM)


def patient_surfaces(surfaces: Mapping[str, TriangleMesh], side: Side) -> dict[str, TriangleMesh]:
    """The bones as the patient has them, in the patient frame (:mod:`bonelift.geometry.patient_frame`), mm.

    surfaces: name -> right bone in the radius frame, mm, open where it was cut. Empty ones are left out.
    """
    patient = patient_from_radius(side)
    return {name: mesh.transformed(patient) for name, mesh in surfaces.items() if not mesh.is_empty}
