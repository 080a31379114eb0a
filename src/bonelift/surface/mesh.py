"""A triangle mesh as frozen data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bonelift.errors import InputError
from bonelift.geometry import apply_transform

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TriangleMesh:
    """A surface of triangles, closed or open.

    vertices: (V, 3) float64, mm, in the frame that the variable's name or docstring says.
    faces: (F, 3) int32 vertex indices, counter-clockwise seen from outside (normals point out of the bone).

    Raises InputError for other shapes, non-finite vertices or indices outside 0..V-1.
    """

    vertices: Float
    faces: NDArray[np.int32]

    def __post_init__(self) -> None:
        vertices = np.ascontiguousarray(_rows_of_three(self.vertices, "vertices", "numbers (mm)"), dtype=np.float64)
        faces = _rows_of_three(self.faces, "faces", "vertex indices")
        if faces.size and faces.dtype.kind not in "iu":
            raise InputError(f"mesh has faces of type {faces.dtype}; expected (F, 3) whole numbers, 0 to V-1")
        if not np.isfinite(vertices).all():
            raise InputError("mesh has NaN or infinite vertices; expected finite mm")
        if faces.size and (faces.min() < 0 or faces.max() >= len(vertices)):
            raise InputError(
                f"mesh has face indices {faces.min()}..{faces.max()} but {len(vertices)} vertices; expected 0..V-1"
            )
        object.__setattr__(self, "vertices", vertices)
        object.__setattr__(self, "faces", np.ascontiguousarray(faces, dtype=np.int32))

    def transformed(self, target_from_source: ArrayLike) -> TriangleMesh:
        """The mesh moved by an affine (4, 4); a mirror (det < 0) also reverses the faces, so normals stay outward."""
        matrix = np.asarray(target_from_source, dtype=np.float64)
        faces = self.faces[:, ::-1] if np.linalg.det(matrix[:3, :3]) < 0 else self.faces
        return TriangleMesh(apply_transform(matrix, self.vertices), faces)

    @property
    def is_empty(self) -> bool:
        return len(self.faces) == 0

    @property
    def triangles(self) -> Float:
        """(F, 3, 3) corner positions, mm."""
        return self.vertices[self.faces]

    @property
    def area_normals_mm2(self) -> Float:
        """(F, 3) outward face normals of length twice the face's area (mm^2)."""
        corners = self.triangles
        return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])

    @property
    def face_areas_mm2(self) -> Float:
        """(F,) mm^2."""
        return 0.5 * np.linalg.norm(self.area_normals_mm2, axis=1)

    @property
    def vertex_normals(self) -> Float:
        """(V, 3) outward unit normals, faces weighted by area; zero where a vertex has no area around it."""
        face_normals = np.repeat(self.area_normals_mm2, 3, axis=0)
        corner = self.faces.ravel()
        summed = np.stack(
            [np.bincount(corner, face_normals[:, axis], minlength=len(self.vertices)) for axis in range(3)], axis=1
        )
        summed = summed.astype(np.float64)  # counts, where there is no face
        length = np.linalg.norm(summed, axis=1, keepdims=True)
        return np.divide(summed, length, out=np.zeros_like(summed), where=length > 0)

    @property
    def area_mm2(self) -> float:
        return float(self.face_areas_mm2.sum())

    @property
    def volume_mm3(self) -> float:
        """Enclosed volume by the divergence theorem; meaningful for closed meshes only."""
        if self.is_empty:
            return 0.0
        corners = self.triangles - self.vertices[self.faces].reshape(-1, 3).mean(axis=0)
        return float(np.einsum("fi,fi->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6)

    def turned_outward(self) -> TriangleMesh:
        """A closed mesh whose triangles wind inward (its volume is negative) with their order reversed; any other as
        it is."""
        inward = self.volume_mm3 < 0 and not self.border_edges().any()
        return TriangleMesh(self.vertices, self.faces[:, ::-1]) if inward else self

    def border_edges(self) -> NDArray[np.bool_]:
        """(F, 3) True where edge AB, BC, CA of a face is open: no other face uses it."""
        edges = np.sort(self.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1).astype(np.int64)
        keys = edges[:, 0] * len(self.vertices) + edges[:, 1]
        _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
        return (counts[inverse] == 1).reshape(-1, 3)

    def border_vertices(self) -> NDArray[np.bool_]:
        """(V,) True where a vertex lies on an open edge."""
        open_edges = self.border_edges()
        on_border = np.zeros(len(self.vertices), dtype=bool)
        on_border[self.faces[open_edges]] = True
        on_border[np.roll(self.faces, -1, axis=1)[open_edges]] = True
        return on_border

    def welded(self) -> TriangleMesh:
        """Vertices at exactly the same place become one, degenerate faces and unused vertices go."""
        if self.is_empty:
            return TriangleMesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int32))
        unique, inverse = np.unique(self.vertices, axis=0, return_inverse=True)
        faces = inverse.reshape(-1)[self.faces]
        degenerate = (faces[:, 0] == faces[:, 1]) | (faces[:, 1] == faces[:, 2]) | (faces[:, 2] == faces[:, 0])
        used, faces = np.unique(faces[~degenerate], return_inverse=True)
        return TriangleMesh(unique[used], faces.reshape(-1, 3).astype(np.int32))


def _rows_of_three(given: object, what: str, expected: str) -> NDArray[np.generic]:
    """(N, 3), which an empty list is, too; a flat list and
    triangles (N, 3, 3) are taken apart. Raises InputError."""
    try:
        array = np.asarray(given)
    except (TypeError, ValueError) as error:
        raise InputError(f"mesh has {what} that make no array ({error}); expected (N, 3) {expected}") from error
    if array.size == 0:
        return array.reshape(0, 3).astype(np.int32)
    flat = array.ndim == 1 and array.size % 3 == 0
    if not (flat or (array.ndim > 1 and array.shape[-1] == 3)) or array.dtype.kind not in "iuf":
        raise InputError(f"mesh has {what} of shape {array.shape} {array.dtype}; expected (N, 3) {expected}")
    return array.reshape(-1, 3)
