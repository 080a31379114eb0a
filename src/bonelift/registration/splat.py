"""A bone's projection from its surface alone: what its elements, splatted onto the image, sum up to.

The blurred path length of a solid along rays is, by the divergence theorem, an integral over its surface: the kernel
times depth times n . d. Its derivative by a move delta of the surface is the kernel times n . delta: no silhouette is
singular, and nothing is voxelised. The cortical wall is a second surface, moved inwards by the wall's thickness.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from bonelift.geometry import XrayCamera, apply_transform

Float = NDArray[np.float64]

REACH_SIGMA = 2.6
"""The kernel is cut off there, and sums to 1."""


@dataclass(frozen=True, eq=False)
class SurfaceElements:
    """How a triangle mesh is cut into elements: ``parts``^2 of each face.

    corner_weights: (N, V) sparse, elements from vertices. face: (N,) of each element. share: part of its face's area.
    """

    corner_weights: sparse.csr_matrix
    face: NDArray[np.int64]
    faces: NDArray[np.int32]
    share: float


def cut_into_elements(vertices: Float, faces: NDArray[np.int32], lowest_mm: float, parts: int) -> SurfaceElements:
    """Elements of the faces that reach above ``lowest_mm``; vertices (V, 3) of a mean bone say which those are."""
    kept = faces[(vertices[faces, 2] > lowest_mm).any(axis=1)]
    bary = _part_centres(parts)
    count, n = len(kept), len(bary)
    rows = np.repeat(np.arange(count * n), 3)
    columns = np.repeat(kept[:, None, :], n, axis=1).reshape(-1)
    data = np.tile(bary.reshape(-1), count)
    weights = sparse.csr_matrix((data, (rows, columns)), shape=(count * n, len(vertices)))
    return SurfaceElements(weights, np.repeat(np.arange(count), n), kept, 1.0 / n)


def _part_centres(parts: int) -> Float:
    """(parts^2, 3) barycentric centroids of equal parts of a triangle."""
    centres = []
    for i in range(parts):
        for j in range(parts - i):
            centres.append(((i + 1 / 3) / parts, (j + 1 / 3) / parts))
            if i + j < parts - 1:
                centres.append(((i + 2 / 3) / parts, (j + 2 / 3) / parts))
    first = np.array(centres)
    return np.column_stack([first, 1 - first.sum(axis=1)])


@dataclass(frozen=True, eq=False)
class Splats:
    """Elements of a posed surface on an image.

    area: (N, 3) area vectors, mm^2, in the camera frame. points: (N, 3) mm, there. path_mm3: (N,) what each adds to a
    path length. pixels: (N, 2) column, row; px2_per_mm2: (N,) how many px^2 of the image a mm^2 across the ray covers.
    """

    points: Float
    area: Float
    path_mm3: Float
    pixels: Float
    px2_per_mm2: Float
    shape_px: tuple[int, int]
    sigma_px: float

    def image_of(self, volumes: Float) -> NDArray[np.float32]:
        """(rows, columns, C) of what each element adds: volumes (N, C), mm^3, or attenuation times mm^3."""
        values = (volumes * self.px2_per_mm2[:, None]).astype(np.float32)
        image = np.zeros((*self.shape_px, values.shape[1]), dtype=np.float32)
        _add_kernels(self.pixels, values, self.sigma_px, int(np.ceil(REACH_SIGMA * self.sigma_px)), image)
        return image


def splat(
    elements: SurfaceElements,
    vertices_camera: Float,
    image_from_camera: Float,
    shape_px: tuple[int, int],
    sigma_px: float,
) -> Splats:
    """vertices_camera: (V, 3) in the camera frame, mm. sigma_px: of the Gaussian kernel."""
    corners = vertices_camera[elements.faces]
    area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[elements.face]
    area *= elements.share / 2
    points = elements.corner_weights @ vertices_camera
    distance = np.linalg.norm(points, axis=1)
    homogeneous = points @ image_from_camera.T
    pixels = homogeneous[:, :2] / homogeneous[:, 2:]
    px2_per_mm2 = abs(np.linalg.det(image_from_camera)) * distance / homogeneous[:, 2] ** 3
    path = (distance - np.median(distance)) * (area * points).sum(axis=1) / distance
    return Splats(points, area, path, pixels, px2_per_mm2, shape_px, sigma_px)


@numba.njit(cache=True, nogil=True, fastmath=True)
def _add_kernels(pixels, values, sigma, reach, image):  # pragma: no cover - compiled
    rows, columns, channels = image.shape
    width = 2 * reach + 1
    across, down = np.empty(width, np.float32), np.empty(width, np.float32)
    for n in range(len(pixels)):
        column, row = int(np.floor(pixels[n, 0] + 0.5)), int(np.floor(pixels[n, 1] + 0.5))
        if column < -reach or row < -reach or column >= columns + reach or row >= rows + reach:
            continue
        total_across, total_down = 0.0, 0.0
        for k in range(width):
            across[k] = np.exp(-0.5 * ((column + k - reach - pixels[n, 0]) / sigma) ** 2)
            down[k] = np.exp(-0.5 * ((row + k - reach - pixels[n, 1]) / sigma) ** 2)
            total_across += across[k]
            total_down += down[k]
        scale = 1.0 / (total_across * total_down)
        for i in range(width):
            r = row + i - reach
            if r < 0 or r >= rows:
                continue
            for j in range(width):
                c = column + j - reach
                if c < 0 or c >= columns:
                    continue
                weight = np.float32(scale * down[i] * across[j])
                for k in range(channels):
                    image[r, c, k] += weight * values[n, k]


def path_length(
    vertices: Float,
    faces: NDArray[np.int32],
    camera: XrayCamera,
    world_from_bone: Float,
    sigma_px: float,
    lowest_mm: float = -np.inf,
    parts: int = 3,
) -> Float:
    """(rows, columns) mm: blurred path length of rays through a closed surface (V, 3)."""
    elements = cut_into_elements(vertices, faces, lowest_mm, parts)
    posed = apply_transform(camera.camera_from_world @ world_from_bone, vertices)
    splats = splat(elements, posed, camera.image_from_camera, camera.shape_px, sigma_px)
    return splats.image_of(splats.path_mm3[:, None])[:, :, 0].astype(np.float64)
