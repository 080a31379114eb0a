"""Does a bone read from one film know its owner? Ranks of a patient's own bone among those from other films.

A reader that tells everyone the mean bone leaves the rank to chance. Nothing of the truth is needed but whose films
they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bonelift.geometry import apply_transform, invert_rigid
from bonelift.surface.distance import sample_by_area
from bonelift.surface.mesh import TriangleMesh
from bonelift.surface.nearest import Nearest, SurfaceTree, build_tree, find_nearest
from bonelift.surface.point_to_plane import StepRules, point_to_plane_step

Float = NDArray[np.float64]
Alignment = Literal["rigid", "similarity"]
ALIGNMENTS: tuple[Alignment, ...] = ("rigid", "similarity")

_SAMPLES = 1000
"""Of each bone, evenly over its area: every bone is laid on every other, and a distance changes by some 0.01 mm."""
_PART_MM = 1.0
_STEPS, _SMALLEST_STEP = 40, 1e-3


@dataclass(frozen=True, eq=False)
class ComparedBone:
    """A bone prepared to be laid on many others: samples (N, 3) of equal area, unit face normals (F, 3), tree.

    All bones of a comparison are of one kind and one side, about as they lie in the radius frame, mm.
    """

    points: Float
    area_mm2: float
    normals: Float
    tree: SurfaceTree


def compared_bone(mesh: TriangleMesh) -> ComparedBone:
    """Raises ValueError for a mesh without faces."""
    tree = build_tree(mesh)
    parts, areas = sample_by_area(mesh, _PART_MM)
    total = np.cumsum(areas)
    chosen = np.searchsorted(total, (np.arange(_SAMPLES) + 0.5) / _SAMPLES * total[-1])
    normals = mesh.area_normals_mm2
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    unit = np.divide(normals, length, out=np.zeros_like(normals), where=length > 0)
    return ComparedBone(parts[chosen.clip(max=len(parts) - 1)], float(total[-1]), unit, tree)


def lay_on(source: ComparedBone, target: ComparedBone, alignment: Alignment) -> tuple[float, Float]:
    """(scale, target_from_source rigid (4, 4)): a point x of the source comes to rest where the pose puts scale * x.

    Point to plane in both directions, as in :func:`bonelift.surface.align.rigid_align`, with the scale as one unknown
    more for "similarity"; 1 for "rigid". Matches to open ends are dropped: two cuts at one height are no sign of one
    size.
    """
    scale, pose = 1.0, np.eye(4)
    rules = StepRules(scaled=alignment == "similarity")
    for _ in range(_STEPS):
        placed, there, back = _matches(source, target, scale, pose)
        moving = np.concatenate([placed, apply_transform(pose, scale * back.points)])
        fixed = np.concatenate([there.points, target.points])
        normals = np.concatenate([target.normals[there.faces], source.normals[back.faces] @ pose[:3, :3].T])
        step = point_to_plane_step(moving, fixed, normals, ~np.concatenate([there.on_border, back.on_border]), rules)
        pose = step.motion @ pose
        pose[:3, :3] /= step.growth
        scale *= step.growth
        if step.largest < _SMALLEST_STEP:
            break
    return scale, pose


def _matches(source: ComparedBone, target: ComparedBone, scale: float, pose: Float) -> tuple[Float, Nearest, Nearest]:
    """Source samples where they lie on the target, their nearest points there, and the way back, in the source."""
    placed = apply_transform(pose, scale * source.points)
    back = apply_transform(invert_rigid(pose), target.points) / scale
    return placed, find_nearest(placed, target.tree), find_nearest(back, source.tree)


def aligned_distance(other: ComparedBone, own: ComparedBone, alignment: Alignment) -> float:
    """ASD (mm, surface to surface, both ways, by area) of ``other`` laid on ``own``, in the size of ``own``.

    What is nearest to an open end is left out, since the true partner may have been cut away there.
    """
    scale, pose = lay_on(other, own, alignment)
    _, there, back = _matches(other, own, scale, pose)
    distances = np.concatenate([there.distance_mm, scale * back.distance_mm])
    weights = np.repeat([scale**2 * other.area_mm2, own.area_mm2], [len(other.points), len(own.points)])
    kept = ~np.concatenate([there.on_border, back.on_border])
    return float(np.average(distances[kept], weights=weights[kept])) if kept.any() else np.nan


def distance_rows(
    asked: Mapping[str, ComparedBone], candidates: Mapping[str, ComparedBone], alignment: Alignment
) -> dict[str, dict[str, float]]:
    """Owner of an asked bone -> owner of a candidate -> distance, mm."""
    return {
        owner: {name: aligned_distance(other, bone, alignment) for name, other in candidates.items()}
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
