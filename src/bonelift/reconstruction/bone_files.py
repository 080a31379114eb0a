"""The files that hold the bones: surfaces and labels, all in the patient frame of the patient's own side."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bonelift.geometry.patient_frame import patient_from_radius
from bonelift.images import LABEL_NAMES, LabelMap
from bonelift.images.nrrd_files import write_labels_seg_nrrd
from bonelift.images.radiograph import Side
from bonelift.reconstruction.bones import SURFACE_LEVEL, Bones
from bonelift.reconstruction.result import Reconstruction
from bonelift.surface.files import BONE_COLOURS, write_stl
from bonelift.surface.glb import write_glb
from bonelift.surface.mesh import TriangleMesh


def write_bones(result: Reconstruction, folder: Path) -> None:
    """radius.stl, ulna.stl, bones.glb and labels.seg.nrrd; a bone that came out empty has no surface file."""
    if result.bones is None:
        return
    side = result.side
    meshes = patient_surfaces(result)
    for name, mesh in meshes.items():
        write_stl(folder / f"{name}.stl", mesh)
    if meshes:
        nodes = {f"{side} {name}": mesh for name, mesh in meshes.items()}
        write_glb(folder / "bones.glb", nodes, {f"{side} {name}": BONE_COLOURS[name] for name in meshes})
    write_labels_seg_nrrd(folder / "labels.seg.nrrd", label_map(result.bones, side))


def patient_surfaces(result: Reconstruction) -> dict[str, TriangleMesh]:
    """name -> surface as the patient has it, in the patient frame (:mod:`bonelift.geometry.patient_frame`), mm; without
    the empty ones."""
    surfaces = {} if result.bones is None else result.bones.surfaces
    patient = patient_from_radius(result.side)
    return {name: mesh.transformed(patient) for name, mesh in surfaces.items() if not mesh.is_empty}


def label_map(bones: Bones, side: Side) -> LabelMap:
    """Voxels more than half bone, by the likelier bone; in the patient frame."""
    labels = np.where(bones.fields.max(axis=0) > SURFACE_LEVEL, bones.fields.argmax(axis=0) + 1, 0).astype(np.uint8)
    return LabelMap(labels, patient_from_radius(side) @ bones.grid.radius_from_voxel, dict(LABEL_NAMES))
