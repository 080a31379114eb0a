"""Small films of the packaged virtual patient, made in a moment: bone in a slab of soft tissue, as a PNG."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bonelift.film.standard import FILM_ORIGIN_PX, nominal_camera_from_radius
from bonelift.geometry import default_film_camera
from bonelift.images import LAPTOP_GRID, View
from bonelift.images.raster import write_png
from bonelift.reconstruction.demo_case import load_demo_case
from bonelift.registration import moving_bone, project_bone
from bonelift.registration.nominal_bone import nominal_attenuation
from bonelift.surface.voxelize import soft_label

SPACING_MM = 0.3
SIZE_PX = (380, 440)
ORIGIN_PX = (190, 200)


def write_film(path: Path, view: View, seed: int = 0) -> Path:
    """Radius and ulna as they lie straight in the beam, right wrist, SPACING_MM on the detector, bones bright."""
    camera = default_film_camera(*SIZE_PX, SPACING_MM)
    column, row = (there - here for there, here in zip(ORIGIN_PX, FILM_ORIGIN_PX[view], strict=True))
    pose = nominal_camera_from_radius(
        camera.viewed_through(np.array([[1.0, 0, -column], [0, 1, -row], [0, 0, 1]]), *SIZE_PX), view, 970.0
    )
    integrals = sum(
        project_bone(moving_bone(*nominal_attenuation(soft_label(mesh, LAPTOP_GRID), LAPTOP_GRID)), camera, pose[None])[
            0
        ]
        for mesh in load_demo_case().truth.values()
    )
    across = np.abs(np.arange(SIZE_PX[0]) - ORIGIN_PX[0]) * SPACING_MM
    tissue = np.sqrt(np.clip(1 - (across / 35) ** 2, 0, None)) * 0.8
    noise = np.random.default_rng(seed).normal(0, 0.01, (SIZE_PX[1], SIZE_PX[0]))
    grey = np.clip((integrals + tissue + noise) / 3.0, 0, 1)
    write_png(path, (grey * 60000).astype(np.uint16))
    return path
