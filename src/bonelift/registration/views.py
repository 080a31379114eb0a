"""What a registration compares: bones to move, and images with known cameras to match."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonelift.drr.joseph import project
from bonelift.drr.ray_volume import RayVolume, prepare
from bonelift.errors import InputError
from bonelift.geometry import XrayCamera
from bonelift.registration.similarity import smooth

Float = NDArray[np.float64]


@dataclass(frozen=True)
class MovingBone:
    """One rigid object, made ready for many projections.

    volume: one channel of attenuation or any density; only its pattern counts.
    bone_from_voxel: (4, 4), mm.
    centre_mm: (3,) centre of mass in the bone frame: rotations in a search turn about it.
    """

    volume: RayVolume
    bone_from_voxel: Float
    centre_mm: Float


@dataclass(frozen=True)
class FixedView:
    """An image and how it was taken.

    image: (rows, columns), finite; any gain and offset; dense bone bright.
    camera: its geometry; the poses found live in this camera's world. All views of one registration share that world.
    weights: (rows, columns) >= 0, or None: a mask or a region of interest.
    """

    image: Float
    camera: XrayCamera
    weights: Float | None = None

    def __post_init__(self) -> None:
        if self.image.shape != self.camera.shape_px:
            raise InputError(f"registration: image of {self.image.shape} px, camera of {self.camera.shape_px}")
        if not np.isfinite(self.image).all():
            raise InputError("registration: the image holds NaN or infinite pixels")
        if self.weights is not None and (
            self.weights.shape != self.image.shape or not (self.weights >= 0).all() or not (self.weights > 0).any()
        ):
            raise InputError(
                f"registration: mask of {self.weights.shape} px, empty or negative, for an image of {self.image.shape}"
            )

    @property
    def pixel_weights(self) -> Float:
        """(rows, columns): the weights, 1 everywhere where none were given."""
        return np.ones(self.image.shape) if self.weights is None else np.asarray(self.weights, dtype=np.float64)


def moving_bone(values: NDArray[np.floating], bone_from_voxel: Float) -> MovingBone:
    """values: (I, J, K), >= 0, not all zero. Errors: InputError for NaN or an empty volume."""
    volume = prepare(np.asarray(values, dtype=np.float32)[None])
    if volume.is_empty:
        raise InputError("registration: the bone is empty; expected a volume with non-zero voxels")
    indices = np.argwhere(values > 0)
    mass = values[tuple(indices.T)].astype(np.float64)
    centre_voxel = (indices * mass[:, None]).sum(axis=0) / mass.sum()
    centre_mm = bone_from_voxel[:3, :3] @ centre_voxel + bone_from_voxel[:3, 3]
    return MovingBone(volume, np.asarray(bone_from_voxel, dtype=np.float64), centre_mm)


def coarser(view: FixedView, factor: int, sigma_px: float) -> FixedView:
    """The view averaged over ``factor`` x ``factor`` px (what is left over at the edges is dropped), then smoothed."""
    rows, columns = (n // factor for n in view.image.shape)

    def pooled(image: NDArray[np.floating]) -> Float:
        blocks = image[: rows * factor, : columns * factor].reshape(rows, factor, columns, factor)
        return blocks.mean(axis=(1, 3), dtype=np.float64)

    shift = (1 / factor - 1) / 2
    new_from_image = np.array([[1 / factor, 0, shift], [0, 1 / factor, shift], [0, 0, 1]])
    camera = view.camera.viewed_through(new_from_image, columns, rows)
    weights = np.ones((rows, columns)) if view.weights is None else pooled(view.weights)
    return FixedView(smooth(pooled(view.image), sigma_px), camera, weights)


def project_bone(bone: MovingBone, camera: XrayCamera, world_from_bone: Float) -> Float:
    """(N, rows, columns) projections of ``bone`` at poses (N, 4, 4)."""
    camera_from_voxel = camera.camera_from_world @ world_from_bone @ bone.bone_from_voxel
    return project(bone.volume, camera.image_from_camera, camera_from_voxel, camera.shape_px)[:, 0].astype(np.float64)


def background(others: Sequence[tuple[MovingBone, Float]], camera: XrayCamera) -> Float:
    """(rows, columns) projection of bones that stay where they are: pairs of (bone, world_from_bone)."""
    total = np.zeros(camera.shape_px)
    for bone, world_from_bone in others:
        total += project_bone(bone, camera, world_from_bone[None])[0]
    return total
