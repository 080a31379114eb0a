"""Does a bone read from one film know its owner? Ranks of a patient's own bone among those from other films.

A reader that tells everyone the mean bone leaves the rank to chance. Nothing of the truth is needed but whose films
they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bonelift.geometry import apply_transform, invert_rigid, rigid_from_vector
from bonelift.surface.align import rigid_align
from bonelift.surface.distance import sample_by_area, surface_distances
from bonelift.surface.mesh import TriangleMesh
from bonelift.surface.nearest import build_tree, find_nearest

Float = NDArray[np.float64]
Alignment = Literal["rigid", "similarity"]
ALIGNMENTS: tuple[Alignment, ...] = ("rigid", "similarity")

_SAMPLE_MM = 1.5
_STEPS = 25
_TUKEY = 4.685 * 1.4826
_SAMPLES_OF_ASD_MM = 1.0


def similarity_align(source: TriangleMesh, target: TriangleMesh) -> tuple[float, Float]:
    """(scale, target_from_source rigid (4, 4)) that lays the scaled ``source`` on ``target``, both mm.

    A point x of the source comes to rest at target_from_source applied to scale * x. Point to plane in both directions,
    as :func:`rigid_align` does it and from where that ends, with one unknown more; matches to open ends are dropped,
    because two cuts at the same height are no sign of the same size. Raises ValueError where a mesh is empty.
    """
    scale, pose = 1.0, rigid_align(source, target)
    source_tree, target_tree = build_tree(source), build_tree(target)
    source_points, target_points = sample_by_area(source, _SAMPLE_MM)[0], sample_by_area(target, _SAMPLE_MM)[0]
    source_normals, target_normals = _unit_normals(source), _unit_normals(target)
    for _ in range(_STEPS):
        placed = apply_transform(pose, scale * source_points)
        there = find_nearest(placed, target_tree)
        back = find_nearest(apply_transform(invert_rigid(pose), target_points) / scale, source_tree)
        moving = np.concatenate([placed, apply_transform(pose, scale * back.points)])
        fixed = np.concatenate([there.points, target_points])
        normals = np.concatenate([target_normals[there.faces], source_normals[back.faces] @ pose[:3, :3].T])
        kept = ~np.concatenate([there.on_border, back.on_border])
        step = _step(moving, fixed, normals, kept)
        # Turn, shift and growth about the middle of what moves.
        middle = moving.mean(axis=0)
        turned = rigid_from_vector(step[:6])
        growth = float(np.exp(step[6]))
        moved = np.eye(4)
        moved[:3, :3] = turned[:3, :3] @ pose[:3, :3]
        moved[:3, 3] = turned[:3, :3] @ (growth * (pose[:3, 3] - middle)) + turned[:3, 3] + middle
        scale, pose = scale * growth, moved
        if np.abs(step).max() < 1e-6:
            break
    return scale, pose


def _step(moving: Float, fixed: Float, normals: Float, kept: NDArray[np.bool_]) -> Float:
    """(7,) Gauss-Newton step: turn (rad), shift (mm) and log of the growth, about the middle of ``moving``."""
    centred = moving - moving.mean(axis=0)
    gap = fixed - moving
    residual = np.einsum("ni,ni->n", normals, gap)
    far = np.linalg.norm(gap, axis=1)
    limit = _TUKEY * max(float(np.median(far[kept])) if kept.any() else 0.0, 1e-4)
    weight = kept * np.clip(1 - (far / limit) ** 2, 0, None) ** 2
    jacobian = np.column_stack([np.cross(centred, normals), normals, np.einsum("ni,ni->n", normals, centred)])
    hessian = jacobian.T @ (weight[:, None] * jacobian)
    hessian += 1e-6 * np.diag(np.diag(hessian)) + 1e-9 * np.eye(7)
    return np.linalg.solve(hessian, jacobian.T @ (weight * residual))


def _unit_normals(mesh: TriangleMesh) -> Float:
    normals = mesh.area_normals_mm2
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return np.divide(normals, length, out=np.zeros_like(normals), where=length > 0)


def aligned_distance(other: TriangleMesh, own: TriangleMesh, alignment: Alignment) -> float:
    """ASD (mm, surface to surface) of ``other`` laid on ``own``, in the size of ``own``; open ends left out."""
    if alignment == "similarity":
        scale, pose = similarity_align(other, own)
        laid = TriangleMesh(apply_transform(pose, scale * other.vertices), other.faces)
    else:
        laid = other.transformed(rigid_align(other, own))
    return surface_distances(laid, own, sample_mm=_SAMPLES_OF_ASD_MM, exclude_open_ends=True).asd_surface_mm


def distance_rows(
    asked: Mapping[str, TriangleMesh], candidates: Mapping[str, TriangleMesh], alignment: Alignment
) -> dict[str, dict[str, float]]:
    """owner of an asked bone -> owner of a candidate -> distance, mm; all bones are of one kind and one side."""
    return {
        owner: {name: aligned_distance(mesh, bone, alignment) for name, mesh in candidates.items()}
        for owner, bone in asked.items()
    }


def rank_of_own(distances: Mapping[str, float], owner: str) -> float:
    """1 where the owner's is nearest; the middle of the places where several are alike; NaN where it is not there.

    distances: candidate -> distance. Alike to a millionth, so that one bone for all leaves the rank to chance.
    """
    if owner not in distances or not np.isfinite(distances[owner]):
        return np.nan
    own = distances[owner]
    others = np.array([value for name, value in distances.items() if name != owner and np.isfinite(value)])
    alike = np.abs(others - own) <= 1e-6 * max(1.0, own)
    return 1.0 + float(np.sum((others < own) & ~alike)) + float(alike.sum()) / 2
