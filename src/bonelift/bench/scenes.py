"""What the projectors are timed on: a bone-only forearm and a volume without any empty space."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from bonelift.drr import project
from bonelift.drr.reference import line_integrals
from bonelift.geometry import XrayCamera, default_film_camera
from bonelift.images import Volume

Content = Literal["bone only", "no empty space"]

SOURCE_TO_CENTRE_MM = 850.0
CORTEX_PER_MM, TRABECULAR_PER_MM = 0.06, 0.015


@dataclass(frozen=True)
class Scene:
    """One projection task. values: (I, J, K) float32, 1/mm; camera frame = world frame of ``camera``."""

    values: NDArray[np.float32]
    camera: XrayCamera
    camera_from_voxel: NDArray[np.float64]

    @property
    def volume(self) -> Volume:
        """The volume in the camera's frame."""
        return Volume(self.values, self.camera_from_voxel)

    def rows(self, first: int, count: int) -> Scene:
        """The same scene, only some rows of its image."""
        shift = np.array([[1, 0, 0], [0, 1, -first], [0, 0, 1.0]])
        return replace(self, camera=self.camera.viewed_through(shift, self.camera.width_px, count))


def make_scene(
    content: Content,
    voxels: int,
    shape_px: tuple[int, int],
    pixel_mm: float,
    seed: int,
    rotation_deg: tuple[float, float, float] = (6.0, 11.0, 6.0),
    field_mm: float = 250.0,
) -> Scene:
    """A cube of ``voxels``^3 over ``field_mm``, seen from the dorsal side (+j away from the source), k up.

    rotation_deg: rotation vector of the arm out of that position.
    """
    rng = np.random.default_rng(seed)
    spacing_mm = field_mm / voxels
    if content == "bone only":
        values = _forearm(voxels, spacing_mm, rng)
    else:
        values = rng.uniform(0.01, 0.03, (voxels, voxels, voxels)).astype(np.float32)
    camera = default_film_camera(shape_px[1], shape_px[0], pixel_mm)
    upright = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_rotvec(np.radians(rotation_deg)).as_matrix() @ upright * spacing_mm
    pose[:3, 3] = [0, 0, SOURCE_TO_CENTRE_MM] - pose[:3, :3] @ np.full(3, (voxels - 1) / 2)
    return Scene(values, camera, pose)


def _forearm(voxels: int, spacing_mm: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Radius and ulna as tubes with a cortical wall, a filled metaphysis and texture; zero everywhere else."""
    axis = ((np.arange(voxels) - (voxels - 1) / 2) * spacing_mm).astype(np.float32)
    x, y = np.meshgrid(axis, axis, indexing="ij")
    values = np.zeros((voxels, voxels, voxels), dtype=np.float32)
    for k in np.flatnonzero((axis > -100) & (axis < 20)):
        along = axis[k]
        flare = max(0.0, (along + 20) / 40)
        for centre, radius in ((-9 + 0.03 * along, 7 + 7 * flare), (11 - 0.02 * along, 6 + 2 * flare)):
            distance = np.hypot(x - centre, y)
            near = distance < radius + spacing_mm
            outside = np.clip(0.5 + (radius - distance[near]) / spacing_mm, 0, 1)
            inside = np.clip(0.5 + (radius - 2.0 - distance[near]) / spacing_mm, 0, 1)
            filled = TRABECULAR_PER_MM * rng.uniform(0.6, 1.4, outside.shape) if along > -40 else 0.0
            values[near, k] = np.maximum(values[near, k], outside * (CORTEX_PER_MM * (1 - inside) + filled * inside))
    return values


def reference_sample(scene: Scene, rays: int, seed: int) -> tuple[NDArray[np.integer], NDArray[np.floating]]:
    """(rays, 2) random pixels (row, column) in the object's shadow, and their exact line integrals (rays,)."""
    hit = np.argwhere(_shadow(scene))
    pixels = hit[np.random.default_rng(seed).integers(0, len(hit), rays)]
    return pixels, line_integrals(scene.volume, scene.camera, pixels[:, ::-1])


def disagreement_percent(
    image: NDArray[np.floating], pixels: NDArray[np.integer], truth: NDArray[np.floating]
) -> tuple[float, float]:
    """(mean, maximum) error of ``image`` at ``pixels``, % of the largest of ``truth``."""
    error = np.abs(image[pixels[:, 0], pixels[:, 1]] - truth)
    return float(100 * error.mean() / truth.max()), float(100 * error.max() / truth.max())


def _shadow(scene: Scene) -> NDArray[np.bool_]:
    image = project(scene.values[None], scene.camera.image_from_camera, scene.camera_from_voxel, scene.camera.shape_px)[
        0
    ]
    return image > 0.02 * image.max()
