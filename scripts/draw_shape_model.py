"""Draw the shape model: the mean, its first modes and random wrists, as shaded views, into docs/results."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bonelift.anatomy.shape_model import ShapeModel, load_shape_model, sample_wrist
from bonelift.anatomy.surface_fit import surface_cloud
from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]
Picture = NDArray[np.uint8]

BONE, BLUE = (235.0, 225.0, 200.0), (170.0, 200.0, 235.0)
# View: image right, image up, towards the viewer, in the radius frame.
VIEWS = {
    "palmar": ([-1, 0, 0], [0, 0, 1], [0, 1, 0]),
    "dorsal": ([1, 0, 0], [0, 0, 1], [0, -1, 0]),
    "ulnar": ([0, 1, 0], [0, 0, 1], [1, 0, 0]),
    "distal": ([1, 0, 0], [0, -1, 0], [0, 0, 1]),
}


def shaded(meshes: list[tuple[TriangleMesh, tuple[float, float, float]]], view: str, pixel_mm: float = 0.35) -> Picture:
    """(H, W, 3): points with a depth buffer and Lambert shading; z from -55 to 16 mm, 84 mm wide."""
    right, up, near = (np.asarray(axis, dtype=float) for axis in VIEWS[view])
    bottom, top = (-36.0, 35.0) if view == "distal" else (-55.0, 16.0)
    width, height = int(84 / pixel_mm), int((top - bottom) / pixel_mm)
    light = 0.4 * right + 0.5 * up + 0.8 * near
    light /= np.linalg.norm(light)
    colours, depths = np.full((height * width, 3), 255, dtype=np.uint8), np.full(height * width, -np.inf)
    for mesh, colour in meshes:
        cloud = surface_cloud(mesh, pixel_mm * 0.6)
        middle = 8.0 * (right @ [1, 0, 0])
        column = ((cloud.points @ right - middle + 42) / pixel_mm).astype(int)
        row = ((top - cloud.points @ up) / pixel_mm).astype(int)
        visible = (column >= 0) & (column < width) & (row >= 0) & (row < height) & (cloud.normals @ near > 0)
        index, depth = (row * width + column)[visible], (cloud.points @ near)[visible]
        order = np.argsort(depth)
        front = np.full(height * width, -1)
        front[index[order]] = order
        seen = np.flatnonzero(front >= 0)
        seen = seen[depth[front[seen]] > depths[seen]]
        depths[seen] = depth[front[seen]]
        lit = np.clip(cloud.normals[visible][front[seen]] @ light, 0, 1)
        colours[seen] = (np.asarray(colour) * (0.15 + 0.85 * lit[:, None])).astype(np.uint8)
    return colours.reshape(height, width, 3)


def sheet(rows: list[tuple[str, TriangleMesh, TriangleMesh]], path: Path) -> None:
    """One row a wrist, one column a view, captioned."""
    pictures = [np.hstack([shaded([(radius, BONE), (ulna, BLUE)], view) for view in VIEWS]) for _, radius, ulna in rows]
    image = Image.fromarray(np.vstack(pictures))
    pen = ImageDraw.Draw(image)
    for number, (caption, _, _) in enumerate(rows):
        pen.text((4, number * pictures[0].shape[0] + 2), caption, fill=(40, 40, 40))
    image.quantize(96).save(path, optimize=True)


def mode_rows(model: ShapeModel, count: int) -> list[tuple[str, TriangleMesh, TriangleMesh]]:
    """The mean, then the first modes of both bones at two standard deviations either way."""

    def moved(mode: int, sign: float) -> tuple[TriangleMesh, TriangleMesh]:
        return tuple(  # pyright: ignore[reportReturnType]
            TriangleMesh(bone.mean.vertices + sign * bone.modes[mode], bone.mean.faces)
            for bone in (model.radius, model.ulna)
        )

    rows = [("mean", model.radius.mean, model.ulna.mean)]
    return rows + [
        (f"mode {mode + 1}, {sign:+.0f} SD", *moved(mode, sign)) for mode in range(count) for sign in (-2.0, 2.0)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "results")
    folder = parser.parse_args().out
    model = load_shape_model()
    sheet(mode_rows(model, 2), folder / "shape-model-modes.png")
    wrists = [(seed, sample_wrist(model, np.random.default_rng(2_000_000 + seed))) for seed in range(6)]
    rows = [
        (f"{w.sex}, {w.age_years:.0f} y, rotation {w.description['forearm_rotation_deg']:.0f} deg", w.radius, w.ulna)
        for _, w in wrists
    ]
    sheet(rows, folder / "shape-model-samples.png")


if __name__ == "__main__":
    main()
