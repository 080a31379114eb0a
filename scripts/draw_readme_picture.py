"""The README's picture from a result of `bonelift demo`: its overlay, its GAN-DRR and the bones in 3D.

bonelift demo --out demo-result && python scripts/draw_readme_picture.py demo-result docs/images/demo.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from bonelift.geometry.patient_frame import patient_from_radius
from bonelift.report.bone_views import BoneView, beside, render_view
from bonelift.surface.files import read_mesh

HEIGHT_PX = 420
VIEWS: tuple[BoneView, ...] = ("palmar", "dorsal", "radial", "distal")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("result", type=Path, help="folder that `bonelift demo` wrote; a right wrist")
    parser.add_argument("picture", type=Path)
    arguments = parser.parse_args()
    radius_from_patient = np.linalg.inv(patient_from_radius("right"))
    bones = {
        name: read_mesh(arguments.result / f"{name}.stl").transformed(radius_from_patient)
        for name in ("radius", "ulna")
    }
    films = [Image.open(arguments.result / f"{name}.png").convert("RGB") for name in ("overlay", "gan_drr")]
    films = [film.resize((round(film.width * HEIGHT_PX / film.height), HEIGHT_PX)) for film in films]
    arguments.picture.parent.mkdir(parents=True, exist_ok=True)
    beside([*films, *(render_view(bones, "right", view, px_per_mm=5.0) for view in VIEWS)]).save(arguments.picture)


if __name__ == "__main__":
    main()
