"""Rigid alignment of two surfaces (never a mirror, never a scale).

Iterative closest point, point to plane, in both directions: samples of each surface look for the nearest point of the
other, matches to an open end are dropped, far ones weigh little, and a Gauss-Newton step
(:mod:`bonelift.surface.point_to_plane`) moves the source.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bonelift.geometry import apply_transform, compose, invert_rigid, translation
from bonelift.surface.mesh import TriangleMesh
from bonelift.surface.nearest import Nearest, SurfaceTree, build_tree, find_nearest
from bonelift.surface.point_to_plane import point_to_plane_step

Float = NDArray[np.float64]
Starts = Literal["near", "anywhere"]

_COARSE_SAMPLES, _COARSE_STEPS = 300, 20
_FINE_SAMPLES, _FINE_STEPS = 2000, 25
"""Different shapes come to rest within 10 to 15 fine steps. After that they shiver by 0.01 to 0.04 mm, because samples
change their partners; the mean distance then moves by less than 0.001 mm (14 pairs of virtual bones)."""
_SAME_WITHIN_MM = 0.1
"""Two coarse poses that put no sample farther apart than this come to rest at the same place."""


@dataclass(frozen=True, eq=False)
class _Surface:
    """A mesh as the iteration needs it: samples (N, 3), unit face normals (F, 3), tree."""

    samples: Float
    normals: Float
    tree: SurfaceTree


def rigid_align(source: TriangleMesh, target: TriangleMesh, starts: Starts = "near") -> Float:
    """target_from_source (4, 4), rigid with det +1, that lays ``source`` on ``target`` (both mm).

    starts: "near" tries the pose as given and the one with matching centroids: right where both are in one frame, such
        as the radius frame. "anywhere" also tries 16 rotations, for files of unknown frame: the long principal axes
        laid on each other either way round, in eight steps about them.

    Identical shapes come out within 0.01 mm, also where one of them was cut shorter. Different shapes come out where
    the robust distance is locally least; a shape that can slide or spin on itself (a plain shaft, a ball) stays where
    the start put it along that direction. Raises ValueError where a mesh is empty.
    """
    coarse = _prepare(source, _COARSE_SAMPLES), _prepare(target, _COARSE_SAMPLES)
    poses = [_iterate(pose, *coarse, _COARSE_STEPS) for pose in _start_poses(source, target, starts)]
    poses.sort(key=lambda pose: _score(pose, *coarse))
    poses = [poses[0], *(pose for pose in poses[1:2] if _apart_mm(pose, poses[0], coarse[0]) > _SAME_WITHIN_MM)]
    fine = _prepare(source, _FINE_SAMPLES, coarse[0].tree), _prepare(target, _FINE_SAMPLES, coarse[1].tree)
    poses = [_iterate(pose, *fine, _FINE_STEPS) for pose in poses]
    return min(poses, key=lambda pose: _score(pose, *fine))


def _prepare(mesh: TriangleMesh, count: int, tree: SurfaceTree | None = None) -> _Surface:
    normals = mesh.area_normals_mm2
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    unit = np.divide(normals, length, out=np.zeros_like(normals), where=length > 0)
    return _Surface(_even_samples(mesh, count), unit, build_tree(mesh) if tree is None else tree)


def _even_samples(mesh: TriangleMesh, count: int) -> Float:
    """(count, 3) points spread evenly over the area; the same on every call."""
    cumulative = np.cumsum(mesh.face_areas_mm2)
    steps = (np.arange(count) + 0.5) / count
    face = np.searchsorted(cumulative, steps * cumulative[-1]).clip(max=len(cumulative) - 1)
    # Kronecker sequence on the plastic number: low-discrepancy places within the triangles.
    s, t = np.modf(np.outer([0.7548776662466927, 0.5698402909980532], np.arange(count)))[0]
    outside = s + t > 1
    s, t = np.where(outside, 1 - s, s)[:, None], np.where(outside, 1 - t, t)[:, None]
    corners = mesh.triangles[face]
    return corners[:, 0] * (1 - s - t) + corners[:, 1] * s + corners[:, 2] * t


def _start_poses(source: TriangleMesh, target: TriangleMesh, starts: Starts) -> list[Float]:
    source_centre, source_axes = _principal_frame(source)
    target_centre, target_axes = _principal_frame(target)
    poses = [np.eye(4), translation(target_centre - source_centre)]
    if starts == "near":
        return poses
    for turn in np.arange(8) * np.pi / 4:
        about_long = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
        for flip in (1.0, -1.0):
            rotation = np.eye(4)
            rotation[:3, :3] = target_axes @ about_long @ np.diag([1.0, flip, flip]) @ source_axes.T
            poses.append(compose(translation(target_centre), rotation, translation(-source_centre)))
    return poses


def _principal_frame(mesh: TriangleMesh) -> tuple[Float, Float]:
    """Centroid (3,) of the area and its principal axes as the columns of a rotation (3, 3), the longest last."""
    points = _even_samples(mesh, 2000)
    centre = points.mean(axis=0)
    axes = np.linalg.eigh(np.cov((points - centre).T))[1]
    axes[:, 0] *= np.sign(np.linalg.det(axes))
    return centre, axes


def _matches(target_from_source: Float, source: _Surface, target: _Surface) -> tuple[Float, Nearest, Nearest]:
    """Source samples in the target's frame, their nearest points there, and the way back in the source's frame."""
    moved = apply_transform(target_from_source, source.samples)
    pulled = apply_transform(invert_rigid(target_from_source), target.samples)
    return moved, find_nearest(moved, target.tree), find_nearest(pulled, source.tree)


def _iterate(target_from_source: Float, source: _Surface, target: _Surface, steps: int) -> Float:
    """Up to ``steps`` Gauss-Newton steps; stops when a step moves the surface by less than a nanometre or so."""
    for _ in range(steps):
        moved, there, back = _matches(target_from_source, source, target)
        # Moving points, the points they should lie on, and the normals of the planes between, in the target's frame.
        moving = np.concatenate([moved, apply_transform(target_from_source, back.points)])
        fixed = np.concatenate([there.points, target.samples])
        normals = np.concatenate(
            [target.normals[there.faces], source.normals[back.faces] @ target_from_source[:3, :3].T]
        )
        step = point_to_plane_step(moving, fixed, normals, ~np.concatenate([there.on_border, back.on_border]))
        target_from_source = step.motion @ target_from_source
        if step.largest < 1e-6:
            break
    return target_from_source


def _apart_mm(pose: Float, other: Float, surface: _Surface) -> float:
    """The largest distance between the places where two poses put the samples of a surface."""
    return float(
        np.linalg.norm(apply_transform(pose, surface.samples) - apply_transform(other, surface.samples), axis=1).max()
    )


def _score(target_from_source: Float, source: _Surface, target: _Surface) -> float:
    """Mean distance (mm) of the matches that are not at an open end, over the fraction of such matches: low overlap
    must not win."""
    _, there, back = _matches(target_from_source, source, target)
    distances = np.concatenate([there.distance_mm, back.distance_mm])
    kept = ~np.concatenate([there.on_border, back.on_border])
    return float(distances[kept].mean() / kept.mean()) if kept.any() else np.inf
