"""The packaged case: a simulated radiograph of a virtual patient that no network has seen, and its truth.

Made by scripts/make_demo_data.py; synthetic, no person's data.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bonelift.geometry.camera_files import read_camera_json
from bonelift.images.reading import RadiographOptions
from bonelift.reconstruction.bones import BONES
from bonelift.reconstruction.inputs import ImageInput
from bonelift.surface.mesh import TriangleMesh

FOLDER = Path(__file__).resolve().parent.parent / "demo_data"
IMAGE_NAME, CAMERA_NAME, SHAPES_NAME, FACTS_NAME = "radiograph.png", "camera.json", "shapes.npz", "demo.json"


@dataclass(frozen=True, eq=False)
class DemoCase:
    """image: file and options. truth, mean_bone: name -> right bone in the radius frame, mm."""

    image: ImageInput
    truth: dict[str, TriangleMesh]
    mean_bone: dict[str, TriangleMesh]


def load_demo_case() -> DemoCase:
    facts = json.loads((FOLDER / FACTS_NAME).read_text(encoding="utf-8"))
    camera = read_camera_json(FOLDER / CAMERA_NAME).camera
    options = RadiographOptions(side=facts["side"], view=facts["view"], camera=camera, invert=facts["invert"])
    with np.load(FOLDER / SHAPES_NAME, allow_pickle=False) as shapes:
        meshes = {
            kind: {
                name: TriangleMesh(shapes[f"{kind}_{name}_vertices"].astype(np.float64), shapes[f"{kind}_{name}_faces"])
                for name in BONES
            }
            for kind in ("true", "mean")
        }
    return DemoCase(ImageInput(FOLDER / IMAGE_NAME, options), meshes["true"], meshes["mean"])
