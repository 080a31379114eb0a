"""The picture of docs/output-files.md: what 3D Slicer's letters say of written files, and how the GLB opens.

The packaged virtual wrist is written as a left and as a right one, and read back by trimesh, not by bonelift.

    python scripts/draw_patient_frame.py docs/images/patient-frame.png
"""

from __future__ import annotations

import argparse
import io
import tempfile
from pathlib import Path

import matplotlib
import numpy as np
import trimesh
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from numpy.typing import NDArray
from PIL import Image

from bonelift.anatomy.frame import SHOWN_ABOVE_MM
from bonelift.images.radiograph import Side
from bonelift.images.volume import BONE_COLOURS
from bonelift.reconstruction.bone_files import bone_labels, patient_surfaces, write_bones
from bonelift.reconstruction.demo_case import load_demo_case
from bonelift.surface.clip import clip_below

matplotlib.use("Agg")
import matplotlib.pyplot as plt

Float = NDArray[np.float64]
L, P, S = np.eye(3)
LPS_LETTERS = {"L": L, "R": -L, "P": P, "A": -P, "S": S, "I": -S}
GLTF_LETTERS = {"+X": L, "+Y": P, "+Z": S}
# Title, image right, image up, letters, metres. The viewer looks against right x up.
VIEWS = (
    ("STL in Slicer, from the front (A)", L, S, LPS_LETTERS),
    ("STL in Slicer, from the right (R)", -P, S, LPS_LETTERS),
    ("STL in Slicer, from below (I)", L, -P, LPS_LETTERS),
    ("GLB as a viewer opens it", L, P, GLTF_LETTERS),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path)
    picture = parser.parse_args().picture
    figure, axes = plt.subplots(2, len(VIEWS), figsize=(13, 7.2), dpi=90)
    sides: tuple[Side, Side] = ("right", "left")
    with tempfile.TemporaryDirectory() as folder:
        for row, side in zip(axes, sides, strict=True):
            write(side, Path(folder))
            for place, (title, right, up, letters) in zip(row, VIEWS, strict=True):
                meshes = read(side, Path(folder), from_glb=letters is GLTF_LETTERS)
                draw(place, meshes, right, up)
                write_letters(place, right, up, letters)
                place.set_title(f"{side} wrist\n{title}", fontsize=10)
    figure.tight_layout()
    picture.parent.mkdir(parents=True, exist_ok=True)
    drawn = io.BytesIO()
    figure.savefig(drawn)
    Image.open(drawn).convert("RGB").quantize(128).save(picture, optimize=True)


def write(side: Side, folder: Path) -> None:
    bones = {name: clip_below(mesh, SHOWN_ABOVE_MM) for name, mesh in load_demo_case().truth.items()}
    surfaces = patient_surfaces(bones, side)
    write_bones(surfaces, bone_labels(surfaces), side, folder, ("stl", "glb"))


def read(side: Side, folder: Path, from_glb: bool) -> dict[str, trimesh.Trimesh]:
    """Bone -> mesh in the file's own axes, mm."""
    if not from_glb:
        return {bone: trimesh.load_mesh(folder / f"{bone}.stl") for bone in BONE_COLOURS}
    scene = trimesh.load_scene(folder / "bones.glb")
    meshes = {bone: scene.geometry[f"{side} {bone}"].copy() for bone in BONE_COLOURS}
    for mesh in meshes.values():
        mesh.apply_scale(1000)
    return meshes


def draw(place: Axes, meshes: dict[str, trimesh.Trimesh], right: Float, up: Float) -> None:
    """Shaded triangles, the far ones first."""
    viewer = np.cross(right, up)
    light = (0.4 * -right + 0.5 * up + 0.75 * viewer) / np.linalg.norm([0.4, 0.5, 0.75])
    triangles, colours = [], []
    for bone, mesh in meshes.items():
        shade = 0.35 + 0.65 * np.clip(mesh.face_normals @ light, 0, 1)
        triangles.append(np.asarray(mesh.triangles))
        colours.append(np.clip(shade[:, None] * (0.45 * np.array(BONE_COLOURS[bone]) / 255 + 0.5), 0, 1))
    corners, colour = np.concatenate(triangles), np.concatenate(colours)
    order = np.argsort(corners.mean(axis=1) @ viewer)
    flat = np.stack([corners @ right, corners @ up], axis=-1)[order]
    place.add_collection(PolyCollection(list(flat), facecolors=colour[order], edgecolors=colour[order], linewidths=0.3))
    low, high = flat.reshape(-1, 2).min(axis=0), flat.reshape(-1, 2).max(axis=0)
    middle, half = (low + high) / 2, 0.5 * (high - low).max() + 9
    place.set_xlim(middle[0] - half, middle[0] + half)
    place.set_ylim(middle[1] - half, middle[1] + half)
    place.set_aspect("equal")
    place.set_xticks([])
    place.set_yticks([])


def write_letters(place: Axes, right: Float, up: Float, letters: dict[str, Float]) -> None:
    """What the directions of the picture are called; of glTF's three axes those that lie in it."""
    style = {"transform": place.transAxes, "fontsize": 13, "fontweight": "bold", "ha": "center", "va": "center"}
    for spot, direction in (((0.94, 0.5), right), ((0.05, 0.5), -right), ((0.5, 0.95), up), ((0.5, 0.05), -up)):
        for letter, axis in letters.items():
            if axis @ direction > 0.9:
                place.text(*spot, letter, **style)


if __name__ == "__main__":
    main()
