"""The X-ray camera: a point source and a flat detector.

Camera frame: origin at the source, x along image columns (right), y along image rows (down), z from the source
towards the detector. Pixel (column 0, row 0) has its centre at image coordinates (0, 0).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bonelift.errors import InputError
from bonelift.geometry.transforms import apply_transform, invert_rigid, is_rigid

Float = NDArray[np.float64]

DEFAULT_SDD_MM = 1000.0
"""Source-to-detector distance of a clinical wrist film, where none is recorded."""


def _as_matrix(given: object, name: str, expected: str) -> Float:
    try:
        return np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"camera: {name} is {type(given).__name__}; expected {expected}") from None


def _is_number(given: object) -> bool:
    return isinstance(given, int | float | np.integer | np.floating) and not isinstance(given, bool)


@dataclass(frozen=True)
class XrayCamera:
    """Projection of the world onto an image.

    image_from_camera: (3, 3), pixels from mm: ``(u w, v w, w) = image_from_camera @ (x, y, z)``. Usually the
        upper-triangular intrinsic matrix K; cropping, rotating or mirroring the image multiplies from the left,
        so any invertible matrix is allowed.
    camera_from_world: (4, 4) rigid, mm.
    width_px, height_px: image size; arrays are ``[row, column]`` = ``(height_px, width_px)``.
    sdd_mm: distance from the X-ray source to the detector plane (mm).
    """

    image_from_camera: Float
    camera_from_world: Float
    width_px: int
    height_px: int
    sdd_mm: float

    def __post_init__(self) -> None:
        intrinsics = _as_matrix(self.image_from_camera, "image_from_camera", "an invertible 3x3 matrix")
        extrinsics = _as_matrix(self.camera_from_world, "camera_from_world", "a rigid 4x4 matrix (mm)")
        if not all(_is_number(value) for value in (self.width_px, self.height_px, self.sdd_mm)):
            got = f"{self.width_px!r:.30} x {self.height_px!r:.30} px, {self.sdd_mm!r:.30} mm"
            raise InputError(f"camera: size and source-to-detector distance are {got}; expected numbers")
        if intrinsics.shape != (3, 3) or not np.isfinite(intrinsics).all() or np.linalg.det(intrinsics) == 0:
            raise InputError(f"camera: image_from_camera is not an invertible 3x3 matrix, got {intrinsics.tolist()}")
        if not is_rigid(extrinsics, tolerance=1e-4):
            raise InputError("camera: camera_from_world is not rigid (rotation with det +1 and translation expected)")
        if self.width_px < 1 or self.height_px < 1:
            raise InputError(f"camera: image size {self.width_px} x {self.height_px}; expected positive pixels")
        if not np.isfinite(self.sdd_mm) or self.sdd_mm <= 0:
            raise InputError(f"camera: source-to-detector distance {self.sdd_mm} mm; expected a positive length")
        object.__setattr__(self, "image_from_camera", intrinsics)
        object.__setattr__(self, "camera_from_world", extrinsics)

    @property
    def world_from_camera(self) -> Float:
        return invert_rigid(self.camera_from_world)

    @property
    def source_world(self) -> Float:
        """(3,) position of the X-ray source, mm."""
        return self.world_from_camera[:3, 3]

    @property
    def shape_px(self) -> tuple[int, int]:
        """(rows, columns) of the image array."""
        return self.height_px, self.width_px

    @property
    def detector_spacing_mm(self) -> float:
        """Pixel side on the detector plane, mm: the geometric mean over the two image directions."""
        determinant = abs(np.linalg.det(self.image_from_camera))
        scale = abs(self.image_from_camera[2, 2]) or 1.0
        return float(self.sdd_mm * scale**1.5 / np.sqrt(determinant))

    def project(self, points_world: ArrayLike) -> Float:
        """World points (..., 3) mm -> image points (..., 2) as (column, row) px. NaN behind the source."""
        points_camera = apply_transform(self.camera_from_world, points_world)
        homogeneous = points_camera @ self.image_from_camera.T
        in_front = points_camera[..., 2:] > 0
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(in_front, homogeneous[..., :2] / homogeneous[..., 2:], np.nan)

    def back_project(self, points_px: ArrayLike, depth_mm: float | NDArray[np.float64]) -> Float:
        """Image points (..., 2) as (column, row) px at camera depth z = ``depth_mm`` -> world points (..., 3) mm."""
        points_px = np.asarray(points_px, dtype=np.float64)
        homogeneous = np.concatenate([points_px, np.ones((*points_px.shape[:-1], 1))], axis=-1)
        rays = homogeneous @ np.linalg.inv(self.image_from_camera).T
        points_camera = rays / rays[..., 2:] * np.asarray(depth_mm)[..., None]
        return apply_transform(self.world_from_camera, points_camera)

    def viewed_through(self, new_from_image: ArrayLike, width_px: int, height_px: int) -> XrayCamera:
        """The same X-ray seen in another pixel grid: crop, rotate, scale or mirror by a (3, 3) homography."""
        return replace(
            self,
            image_from_camera=np.asarray(new_from_image, dtype=np.float64) @ self.image_from_camera,
            width_px=width_px,
            height_px=height_px,
        )


def default_film_camera(
    width_px: int, height_px: int, detector_spacing_mm: float, sdd_mm: float = DEFAULT_SDD_MM
) -> XrayCamera:
    """A clinical film: central ray through the image centre, world frame = camera frame (origin at the source)."""
    focal_px = sdd_mm / detector_spacing_mm
    intrinsics = np.array(
        [[focal_px, 0, (width_px - 1) / 2], [0, focal_px, (height_px - 1) / 2], [0, 0, 1]], dtype=np.float64
    )
    return XrayCamera(intrinsics, np.eye(4), width_px, height_px, sdd_mm)


def mirrored_camera(camera: XrayCamera) -> XrayCamera:
    """The camera that takes the mirror image (columns reversed) of the mirrored scene (camera x -> -x)."""
    flip = np.array([[-1.0, 0, camera.width_px - 1], [0, 1, 0], [0, 0, 1]])
    return replace(camera, image_from_camera=flip @ camera.image_from_camera @ np.diag([-1.0, 1, 1]))
