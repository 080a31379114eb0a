"""How far both rules of the projector are from the exact integral when the volume is turned against the rays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

import numpy as np

from bonelift.bench.scenes import Content, disagreement_percent, make_scene, reference_sample
from bonelift.drr import prepare, project

ROTATIONS_DEG = ((6.0, 11.0, 6.0), (25.0, 30.0, 0.0), (40.0, 20.0, 10.0), (0.0, 44.0, 0.0))
"""The pose of the speed tables, then tilts to and beyond the 30 degrees an axis of random CT-DRRs."""


@dataclass(frozen=True)
class TiltRow:
    """slope: voxels across for each voxel along the march on the central ray, the steeper direction, at most 1.
    joseph, simpson: (mean, largest) error, % of the largest integral."""

    content: Content
    rotation_deg: tuple[float, float, float]
    slope: float
    joseph: tuple[float, float]
    simpson: tuple[float, float]


def tilt_errors(voxels: int, rays: int, seed: int, threads: int) -> list[TiltRow]:
    """Errors of both rules at ROTATIONS_DEG, on random rays against the float64 reference; 625 rows over 250 mm."""
    found = []
    for content in get_args(Content):
        for rotation_deg in ROTATIONS_DEG:
            scene = make_scene(content, voxels, (625, 500), 0.4, seed, rotation_deg)
            pixels, truth = reference_sample(scene, rays, seed)
            camera, volume = scene.camera, prepare(scene.values[None], threads=threads)
            call = (volume, camera.image_from_camera, scene.camera_from_voxel, camera.shape_px, None, threads)
            joseph, simpson = (
                disagreement_percent(image[0], pixels, truth)
                for image in (project(*call), project(*call, rule="simpson"))
            )
            direction = np.sort(np.abs(np.linalg.inv(scene.camera_from_voxel[:3, :3]) @ [0.0, 0.0, 1.0]))
            found.append(TiltRow(content, rotation_deg, float(direction[1] / direction[2]), joseph, simpson))
    return found
