"""Triangles to pixels without a display: a filled mask, and a z-buffer that carries vertex attributes."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]


def fill_mask(triangles_px: Float, shape_px: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels (rows, columns) whose centre lies in the union of ``triangles_px`` (F, 3, 2) as (column, row)."""
    points = triangles_px[np.isfinite(triangles_px).all(axis=(1, 2))].reshape(-1, 2)
    faces = np.arange(len(points), dtype=np.int32).reshape(-1, 3)
    depth, _ = render_attributes(points, np.zeros(len(points)), faces, np.zeros((len(points), 1)), shape_px)
    return np.isfinite(depth)


def render_attributes(
    points_px: Float, depth: Float, faces: NDArray[np.int32], attributes: Float, shape_px: tuple[int, int]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Depth (rows, columns), inf where nothing is, and the attributes (rows, columns, C) of the nearest surface.

    points_px: (V, 2) as (column, row); depth: (V,), smaller is nearer; faces: (F, 3); attributes: (V, C).
    """
    nearest = np.full(shape_px, np.inf, dtype=np.float32)
    seen = np.zeros((*shape_px, attributes.shape[1]), dtype=np.float32)
    corners = np.column_stack([points_px, depth])
    boxes = _pixel_boxes(points_px[faces], shape_px)
    _render(np.ascontiguousarray(corners), boxes, faces, np.ascontiguousarray(attributes), nearest, seen)
    return nearest, seen


def _pixel_boxes(triangles_px: Float, shape_px: tuple[int, int]) -> NDArray[np.int64]:
    """(F, 2, 2) first column and row, last column and row inside the image of each triangle (F, 3, 2)."""
    size = np.array(shape_px[::-1], dtype=np.float64)
    first = np.ceil(triangles_px.min(axis=1).clip(0.0, size))
    last = np.floor(triangles_px.max(axis=1).clip(-1.0, size - 1))
    return np.stack([first, last], axis=1).astype(np.int64)


@numba.njit(cache=True)
def _render(corners, boxes, faces, attributes, nearest, seen):  # pragma: no cover - compiled
    for f in range(faces.shape[0]):
        a, b, c = corners[faces[f, 0]], corners[faces[f, 1]], corners[faces[f, 2]]
        area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
        if area == 0.0:
            continue
        for row in range(boxes[f, 0, 1], boxes[f, 1, 1] + 1):
            for column in range(boxes[f, 0, 0], boxes[f, 1, 0] + 1):
                u = ((b[0] - column) * (c[1] - row) - (b[1] - row) * (c[0] - column)) / area
                v = ((c[0] - column) * (a[1] - row) - (c[1] - row) * (a[0] - column)) / area
                w = 1.0 - u - v
                if u < 0.0 or v < 0.0 or u + v > 1.0:  # Not w, which rounds below 0 on an edge and leaves a crack.
                    continue
                depth = u * a[2] + v * b[2] + w * c[2]
                if depth < nearest[row, column]:
                    nearest[row, column] = depth
                    for n in range(attributes.shape[1]):
                        seen[row, column, n] = (
                            u * attributes[faces[f, 0], n]
                            + v * attributes[faces[f, 1], n]
                            + w * attributes[faces[f, 2], n]
                        )
