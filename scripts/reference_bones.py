"""The real reference bones as right bones in one rough frame: +Z distal, tip near z = +10 mm.

Read beside the project from BONELIFT_DATA; nothing of a single subject leaves the process that reads it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import trimesh
from numpy.typing import NDArray
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from bonelift.anatomy.side import mirror_transform
from bonelift.anatomy.surface_fit import surface_cloud
from bonelift.geometry import apply_transform, invert_rigid
from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]


@dataclass(frozen=True)
class ReferenceBone:
    """mesh: right-handed bone, mm. scan_pose: (4, 4) bone frame from the scan's (mirrored) frame."""

    subject: str
    mesh: TriangleMesh
    scan_pose: Float


# file, is it geometrically left, distal direction in the (mirrored) file frame
_PY2D3D = ("00", "02", "03", "08")
RADIUS_FILES: list[tuple[str, str, bool, tuple[float, float, float]]] = [
    ("ControlSample1", "ControlSample1_R_Radius_Mesh.ply", False, (0, 1, 0)),
    ("ControlSample2", "ControlSample2_L_Radius_Mesh.ply", True, (0, 1, 0)),
    ("InjurySample2", "InjurySample2_R_Radius_Mesh.ply", False, (0, 1, 0)),
    ("Yr4", "Yr4_Radius.stl", False, (0.33, -0.04, 0.94)),
    *[(f"Py2d3d_{k}", f"Py2d3d_R_radius_{k}.ply", True, (-0.305, 0.0, 0.95)) for k in _PY2D3D],
]
ULNA_FILES: list[tuple[str, str, bool, tuple[float, float, float]]] = [
    ("ControlSample1", "ControlSample1_R_Ulna_Mesh.ply", False, (0, 1, 0)),
    ("ControlSample2", "ControlSample2_L_Ulna_Mesh.ply", True, (0, 1, 0)),
    ("InjurySample1", "InjurySample1_R_Ulna_Mesh.ply", False, (0, 1, 0)),
    *[(f"Py2d3d_{k}", f"Py2d3d_R_ulna_{k}.ply", True, (-0.28, -0.07, 0.96)) for k in _PY2D3D],
]
CAPPED = ("Yr4",)
"""Closed where the scan ends; the cap is cut off, for it is no bone."""
CORRESPONDING = tuple(f"Py2d3d_{k}" for k in _PY2D3D)
"""Subjects whose whole bones share one triangulation."""


def read_bone(
    folder: Path, subject: str, file: str, is_left: bool, distal: tuple[float, float, float]
) -> ReferenceBone:
    """Largest component, mirrored to the right side, distal direction along +Z, tip at z = 10 mm."""
    loaded = trimesh.load(folder / file, force="mesh")
    loaded.merge_vertices()
    parts = loaded.split(only_watertight=False)
    largest = max(parts, key=lambda part: len(part.faces)) if len(parts) > 1 else loaded
    mesh = TriangleMesh(np.asarray(largest.vertices), np.asarray(largest.faces))
    mirror = mirror_transform() if is_left else np.eye(4)
    pose = np.eye(4)
    pose[:3, :3] = Rotation.align_vectors([[0, 0, 1.0]], [np.asarray(distal) / np.linalg.norm(distal)])[0].as_matrix()
    rotated = mesh.transformed(pose @ mirror)
    if subject in CAPPED:
        low = rotated.vertices[rotated.faces, 2].min(axis=1)
        mesh = TriangleMesh(mesh.vertices, mesh.faces[low > low.min() + 3.0])
    top = rotated.vertices[:, 2].max()
    end = rotated.vertices[rotated.vertices[:, 2] > top - 25].mean(axis=0)
    pose[:3, 3] = -np.array([end[0], end[1], top - 10])
    return ReferenceBone(subject, mesh.transformed(pose @ mirror), pose)


def mean_of_corresponding(bones: list[ReferenceBone], distal_mm: float = 60.0) -> TriangleMesh:
    """Rigid (Procrustes) mean of whole bones with one triangulation, aligned on the distal part, distal up +Z."""
    shapes = [bone.mesh.vertices for bone in bones if bone.subject in CORRESPONDING]
    faces = next(bone.mesh.faces for bone in bones if bone.subject in CORRESPONDING)
    mean = shapes[0]
    for _ in range(5):
        distal = mean[:, 2] > mean[:, 2].max() - distal_mm
        mean = np.mean([apply_transform(rigid_match(s[distal], mean[distal]), s) for s in shapes], axis=0)
    return TriangleMesh(mean, faces)


def rigid_match(source: Float, target: Float, weights: Float | None = None) -> Float:
    """(4, 4) least-squares rigid target_from_source of corresponding points (n, 3)."""
    w = np.ones(len(source)) if weights is None else weights
    c_source, c_target = np.average(source, axis=0, weights=w), np.average(target, axis=0, weights=w)
    rotation = Rotation.align_vectors(target - c_target, source - c_source, weights=w)[0].as_matrix()
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, c_target - rotation @ c_source
    return pose


def align_to(bone: ReferenceBone, reference: TriangleMesh, lowest_mm: float = -90.0) -> ReferenceBone:
    """The bone laid rigidly on ``reference`` (+Z distal): 12 turns about Z, trimmed point matching from each."""
    cloud = surface_cloud(reference, 0.8)
    points = cloud.points[cloud.points[:, 2] > lowest_mm - 15]
    tree = KDTree(points)
    rng = np.random.default_rng(0)
    usable = np.flatnonzero(bone.mesh.vertices[:, 2] > lowest_mm)
    few = bone.mesh.vertices[rng.permutation(usable)[:1200]]
    starts = [_turn(angle) for angle in np.arange(0, 360, 30)]
    tried = [_match_points(few, start, tree, points, 25) for start in starts]
    pose = min(tried, key=lambda result: result[1])[0]
    many = bone.mesh.vertices[rng.permutation(usable)[:4000]]
    pose, _ = _match_points(many, pose, tree, points, 60)
    return replace(bone, mesh=bone.mesh.transformed(pose), scan_pose=pose @ bone.scan_pose)


def _turn(angle_deg: float) -> Float:
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("z", angle_deg, degrees=True).as_matrix()
    return pose


def _match_points(source: Float, pose: Float, tree: KDTree, points: Float, iterations: int) -> tuple[Float, float]:
    for _ in range(iterations):
        moved = apply_transform(pose, source)
        distance, nearest = tree.query(moved)
        kept = distance <= np.quantile(distance, 0.9)
        pose = rigid_match(source[kept], points[nearest[kept]])
    distance = np.sort(tree.query(apply_transform(pose, source))[0])
    return pose, float(distance[: int(0.9 * len(distance))].mean())


def relative_pose(radius: ReferenceBone, ulna: ReferenceBone) -> Float:
    """(4, 4) radius-bone frame from ulna-bone frame, for bones of one scan."""
    return radius.scan_pose @ invert_rigid(ulna.scan_pose)
