"""GLB out: upright, named and coloured, by trimesh."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from numpy.typing import NDArray
from trimesh.exchange.gltf import export_glb
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from bonelift import RESEARCH_NOTICE, __version__
from bonelift.geometry import apply_transform
from bonelift.geometry.patient_frame import GLTF_FROM_PATIENT, PATIENT_FRAME_NOTE
from bonelift.surface.mesh import TriangleMesh
from bonelift.surface.mesh_claims import GLTF_AXES

_GREY = (190, 190, 190)


def write_glb(
    path: str | Path,
    meshes: Mapping[str, TriangleMesh],
    colours: Mapping[str, tuple[int, int, int]] | None = None,
) -> None:
    """Binary glTF 2.0 with one named node and material per mesh, in metres, fingers up, as a PA film hangs.

    meshes: node name ("left radius") -> mesh in the patient frame, mm; empty meshes are left out.
    colours: node name -> sRGB 0..255; grey where not given.
    Raises ValueError where every mesh is empty.
    """
    shown = {name: mesh for name, mesh in meshes.items() if not mesh.is_empty}
    if not shown:
        raise ValueError("no mesh to write: all are empty")
    scene = trimesh.Scene()
    for name, mesh in shown.items():
        upright = trimesh.Trimesh(
            apply_transform(GLTF_FROM_PATIENT, mesh.vertices),
            mesh.faces,
            vertex_normals=mesh.vertex_normals @ (1000 * GLTF_FROM_PATIENT[:3, :3]).T,
            visual=TextureVisuals(material=_material(name, (colours or {}).get(name, _GREY))),
            process=False,
        )
        scene.add_geometry(upright, node_name=name, geom_name=name)
    Path(path).write_bytes(export_glb(scene, include_normals=True, tree_postprocessor=_say_what_it_is))


def _say_what_it_is(tree: dict[str, Any]) -> None:
    tree["asset"] = {
        "version": "2.0",
        "generator": f"bonelift {__version__}",
        "extras": {
            "notice": RESEARCH_NOTICE,
            "axes": GLTF_AXES,
            "gltf_from_patient": GLTF_FROM_PATIENT.tolist(),
            "patient": PATIENT_FRAME_NOTE,
        },
    }


def _material(name: str, colour: tuple[int, int, int]) -> PBRMaterial:
    return PBRMaterial(
        name=name,
        baseColorFactor=[*np.round(_linear(colour), 5).tolist(), 1.0],
        metallicFactor=0.0,
        roughnessFactor=0.6,
        doubleSided=True,  # clipped bones are open: the inside shows
    )


def _linear(colour: tuple[int, int, int]) -> NDArray[np.float64]:
    """sRGB 0..255 to the linear 0..1 that glTF's factors are in."""
    srgb = np.asarray(colour, dtype=np.float64) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
