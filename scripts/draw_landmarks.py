"""Draw the two landmarks that a study needs on the mean virtual wrist: docs/images/landmarks.png.

python scripts/draw_landmarks.py docs/images/landmarks.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import trimesh

from bonelift.anatomy.shape_model import load_shape_model
from bonelift.report.bone_views import beside, render_view
from bonelift.report.palette import surface_colour
from bonelift.surface.clip import clip_below
from bonelift.surface.mesh import TriangleMesh

MARKS = {"radial_styloid_tip": (205, 30, 40), "sigmoid_notch_volar": (20, 70, 200)}


def draw(path: Path) -> None:
    """Palmar, ulnar and distal view; a ball of 1.8 mm stands on each landmark."""
    model = load_shape_model()
    bones = {name: clip_below(bone.mean, -45.0) for name, bone in (("radius", model.radius), ("ulna", model.ulna))}
    colours = {
        name: np.tile(surface_colour(name), (len(mesh.vertices), 1)).astype(float) for name, mesh in bones.items()
    }
    for name, colour in MARKS.items():
        ball = trimesh.creation.icosphere(subdivisions=3, radius=1.8)
        bones[name] = TriangleMesh(np.asarray(ball.vertices) + model.landmarks[name], np.asarray(ball.faces))
        colours[name] = np.tile(colour, (len(ball.vertices), 1)).astype(float)
    views = [render_view(bones, "right", view, 5.0, colours) for view in ("palmar", "ulnar", "distal")]
    beside(views).save(path, optimize=True)


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
