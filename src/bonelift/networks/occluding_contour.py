"""Where the outlines of two posed bones fall on a standard film, and how they move with the numbers of a reading.

A bone's occluding contour is where its surface turns away from the source: the points where the ray touches it. At
these points, and only there, a small change of shape or pose moves the outline on the film by what it moves the surface
point along its normal; so what an outline is off tells the numbers of a reading linearly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from bonelift.anatomy.shape_basis import PLACEMENT, SEEN_ABOVE_MM, BoneBasis
from bonelift.film.standard import standard_projection
from bonelift.geometry import apply_transform, compose, rigid_from_vector
from bonelift.images import View
from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]

POSE = 6
"""Numbers of a pose: rotation vector and translation in the radius frame, before the standard projection."""
POSE_SD = (0.15, 0.15, 0.15, 5.0, 5.0, 5.0)
"""rad and mm of one unit of each."""


@dataclass(frozen=True, eq=False)
class _Bone:
    """basis; its edges (E, 2) whose middle lies in the part that is scored."""

    basis: BoneBasis
    edges: NDArray[np.int64]

    @cached_property
    def flat_modes(self) -> NDArray[np.float32]:
        """(K, 3 V)."""
        return self.basis.modes.reshape(len(self.basis.modes), -1).astype(np.float32)

    def shape(self, code: Float) -> Float:
        """(V, 3) as ``basis.shape``, from modes of single precision."""
        offset = code[:-PLACEMENT].astype(np.float32) @ self.flat_modes
        return self.basis.reference + offset.reshape(-1, 3)


class OutlinedBones:
    """Both bones of a reading, ready to be outlined.

    bases: of radius and ulna, in this order, as a reading's code is made. The code ends with the place of the ulna.
    """

    def __init__(self, bases: Sequence[BoneBasis]) -> None:
        self.bones = [_Bone(basis, _scored_edges(basis)) for basis in bases]
        ends = np.cumsum([basis.length for basis in bases])
        self.parts = [slice(end - basis.length, end) for end, basis in zip(ends, bases, strict=True)]
        self.code_length = int(ends[-1])
        self.numbers = self.code_length + POSE
        self.ulna_place = slice(self.code_length - 3, self.code_length)

    @property
    def ulna_place_sd_mm(self) -> Float:
        """(3,) mm of one unit of the numbers ``ulna_place``: where the ulna lies, along each axis."""
        return self.bones[-1].basis.placement_sd[3:]


@dataclass(frozen=True, eq=False)
class BoneContour:
    """The occluding contour of one bone, N points.

    number: 0 radius, 1 ulna. edges: (N, 2) vertices that each point lies between, share: (N, 1) of the second.
    points_px: (N, 2) (column, row). outward_px: (N, 2) unit direction out of the bone. px_per_mm: (N, 3) by how many px
    the outline moves outwards with the surface point, along each axis of the posed radius frame. posed_mm: (N, 3).
    """

    number: int
    edges: NDArray[np.int64]
    share: Float
    points_px: Float
    outward_px: Float
    px_per_mm: Float
    posed_mm: Float

    def between(self, values: NDArray[np.floating]) -> Float:
        """(..., N, 3) values at the vertices (..., V, 3), taken at the contour's points."""
        first, second = values[..., self.edges[:, 0], :], values[..., self.edges[:, 1], :]
        return np.asarray(first * (1 - self.share) + second * self.share, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Contours:
    """Occluding contours of both bones of one reading (numbers,) on the film of a view."""

    bones: OutlinedBones
    reading: Float
    parts: tuple[BoneContour, ...]

    @cached_property
    def points_px(self) -> Float:
        """(N, 2) (column, row), radius first."""
        return np.concatenate([part.points_px for part in self.parts])

    @cached_property
    def outward_px(self) -> Float:
        """(N, 2)."""
        return np.concatenate([part.outward_px for part in self.parts])

    def change(self) -> Float:
        """(N, numbers): by how many px each point's outline moves outwards with each number of the reading."""
        pose = self.reading[self.bones.code_length :] * POSE_SD
        turn = Rotation.from_rotvec(pose[:3]).as_matrix()
        rows = []
        for part in self.parts:
            bone, of_code = self.bones.bones[part.number], self.bones.parts[part.number]
            basis, placement = bone.basis, self.reading[of_code][-PLACEMENT:] * bone.basis.placement_sd
            in_radius = part.px_per_mm @ turn
            local = in_radius @ Rotation.from_rotvec(placement[:3]).as_matrix()
            from_centre = (part.posed_mm - pose[3:]) @ turn - basis.centre_mm - placement[3:]
            row = np.zeros((len(part.points_px), self.bones.numbers))
            shape_end = of_code.stop - PLACEMENT
            row[:, of_code.start : shape_end] = np.einsum("knx,nx->nk", part.between(basis.modes), local)
            turned = np.cross(from_centre, in_radius) @ _turn_per_vector(placement[:3])
            moved = np.concatenate([turned, in_radius], axis=1)
            row[:, shape_end : of_code.stop] = moved * basis.placement_sd
            turned = np.cross(part.posed_mm - pose[3:], part.px_per_mm) @ _turn_per_vector(pose[:3])
            posed = np.concatenate([turned, part.px_per_mm], axis=1)
            row[:, self.bones.code_length :] = posed * POSE_SD
            rows.append(row)
        return np.concatenate(rows)

    def offsets(self, codes: Float, px_from_radius: Float) -> Float:
        """(N,) px by which the true surface points, of ``codes`` under ``px_from_radius`` (3, 4), lie farther out."""
        found = []
        for part in self.parts:
            bone, code = self.bones.bones[part.number], codes[self.bones.parts[part.number]]
            points = apply_transform(bone.basis.radius_from_reference(code), part.between(bone.shape(code)))
            homogeneous = points @ px_from_radius[:, :3].T + px_from_radius[:, 3]
            off = homogeneous[:, :2] / homogeneous[:, 2:] - part.points_px
            found.append((off * part.outward_px).sum(axis=1))
        return np.concatenate(found)


def outlined(
    bones: OutlinedBones, reading: Float, view: View, most: int | None = None, rng: np.random.Generator | None = None
) -> Contours:
    """The occluding contours of a reading (numbers,): codes of both bones in SD, then the pose in units of POSE_SD.

    most: points of each bone, drawn by ``rng`` where there are more; evenly taken without one.
    """
    pose = rigid_from_vector(reading[bones.code_length :] * POSE_SD)
    parts = []
    for number, (bone, part) in enumerate(zip(bones.bones, bones.parts, strict=True)):
        code = reading[part]
        posed = apply_transform(compose(pose, bone.basis.radius_from_reference(code)), bone.shape(code))
        parts.append(_contour(number, TriangleMesh(posed, bone.basis.faces), bone.edges, view, most, rng))
    return Contours(bones, reading, tuple(parts))


def _contour(
    number: int,
    mesh: TriangleMesh,
    edges: NDArray[np.int64],
    view: View,
    most: int | None,
    rng: np.random.Generator | None,
) -> BoneContour:
    projection, source = _projection(view)
    normals = mesh.vertex_normals
    rays = mesh.vertices - source
    facing = (rays * normals).sum(axis=1) / np.linalg.norm(rays, axis=1)
    edges = edges[facing[edges[:, 0]] * facing[edges[:, 1]] < 0]
    if most is not None and len(edges) > most:
        even = np.linspace(0, len(edges) - 1, most).round().astype(np.int64)
        edges = edges[even if rng is None else rng.choice(len(edges), most, replace=False)]
    share = (facing[edges[:, 0]] / (facing[edges[:, 0]] - facing[edges[:, 1]]))[:, None]
    points = mesh.vertices[edges[:, 0]] * (1 - share) + mesh.vertices[edges[:, 1]] * share
    outward = normals[edges[:, 0]] * (1 - share) + normals[edges[:, 1]] * share
    homogeneous = points @ projection[:, :3].T + projection[:, 3]
    px = homogeneous[:, :2] / homogeneous[:, 2:]
    slope = (projection[None, :2, :3] - px[:, :, None] * projection[None, 2:, :3]) / homogeneous[:, 2:, None]
    direction = np.einsum("nij,nj->ni", slope, outward)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True).clip(1e-9)
    px_per_mm = np.einsum("ni,nij->nj", direction, slope)
    return BoneContour(number, edges, share, px, direction, px_per_mm, points)


def _turn_per_vector(vector: Float) -> Float:
    """(3, 3): the small turn that comes on top when a rotation vector changes, per change (left Jacobian of SO(3))."""
    angle = float(np.linalg.norm(vector))
    x, y, z = vector
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    if angle < 1e-4:
        return np.eye(3) + cross / 2
    return np.eye(3) + (1 - np.cos(angle)) / angle**2 * cross + (angle - np.sin(angle)) / angle**3 * cross @ cross


@lru_cache
def _projection(view: View) -> tuple[Float, Float]:
    """(3, 4) of the standard film, and its source (3,) in the radius frame, mm."""
    projection = standard_projection(view)
    source = np.asarray(np.linalg.solve(projection[:, :3], -projection[:, 3]), dtype=np.float64)
    return projection, source


def _scored_edges(basis: BoneBasis) -> NDArray[np.int64]:
    corners = basis.faces.astype(np.int64)
    edges = np.unique(np.sort(corners[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1), axis=0)
    return edges[basis.reference[edges].mean(axis=1)[:, 2] > SEEN_ABOVE_MM]
