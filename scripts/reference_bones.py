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
    """mesh: right-handed bone, mm. scan_pose: (4, 4) bone frame from the scan's (mirrored) frame.

    source, noise_mm: see :class:`BoneFile`.
    """

    subject: str
    source: str
    noise_mm: float
    mesh: TriangleMesh
    scan_pose: Float


@dataclass(frozen=True)
class BoneFile:
    """subject and source (who published it); is_left: geometrically, whatever the file's name says; distal: direction
    in the file's frame, mirrored where left; noise_mm: how far its surface may lie beside the bone (steps, edges)."""

    subject: str
    source: str
    file: str
    is_left: bool
    distal: tuple[float, float, float]
    noise_mm: float = 0.15


MESH_NOISE_MM = 0.3
"""For meshes of 1.7 mm edges with step artefacts: their fine detail is the mesh's, not the bone's."""


def _manske(subject: str, file: str, is_left: bool) -> BoneFile:
    return BoneFile(subject, "Manske", file, is_left, (0, 1, 0))


def _py2d3d(row: str, bone: str, is_left: bool, distal: tuple[float, float, float]) -> BoneFile:
    return BoneFile(f"Py2d3d_{row}", "Py2d3d", f"Py2d3d_R_{bone}_{row}.ply", is_left, distal, MESH_NOISE_MM)


RADIUS_FILES = [
    _manske("ControlSample1", "ControlSample1_R_Radius_Mesh.ply", False),
    _manske("ControlSample2", "ControlSample2_L_Radius_Mesh.ply", True),
    _manske("InjurySample2", "InjurySample2_R_Radius_Mesh.ply", False),
    BoneFile("Yr4", "Yr4", "Yr4_Radius.stl", False, (0.33, -0.04, 0.94)),
    *[_py2d3d(row, "radius", True, (-0.305, 0.0, 0.95)) for row in ("00", "02", "03", "08")],
    _py2d3d("01", "radius", False, (-0.27, -0.055, 0.96)),
]
ULNA_FILES = [
    _manske("ControlSample1", "ControlSample1_R_Ulna_Mesh.ply", False),
    _manske("ControlSample2", "ControlSample2_L_Ulna_Mesh.ply", True),
    _manske("InjurySample1", "InjurySample1_R_Ulna_Mesh.ply", False),
    BoneFile("Yr4", "Yr4", "Yr4_Ulna_R.ply", False, (0.32, 0.19, 0.93), MESH_NOISE_MM),
    *[_py2d3d(row, "ulna", True, (-0.28, -0.07, 0.96)) for row in ("00", "02", "03", "08")],
    *[_py2d3d(row, "ulna", False, (-0.27, -0.06, 0.96)) for row in ("01", "04")],
]
NOT_NORMAL = {"radius": ("Py2d3d_01",), "ulna": ()}
"""Bones that no healthy model learns from, and that are only scored: this radius has no styloid to speak of and a
levelled joint surface (a healed fracture, or a failed registration at its source)."""
SOURCES = ("Manske", "Py2d3d", "Yr4")
CAPPED = ("Yr4",)
"""Subjects whose bones are closed where the scan ends; the cap is cut off, for it is no bone."""


def read_bone(folder: Path, row: BoneFile) -> ReferenceBone:
    """Largest component, mirrored to the right side, distal direction along +Z, tip at z = 10 mm."""
    loaded = trimesh.load(folder / row.file, force="mesh")
    loaded.merge_vertices()
    parts = loaded.split(only_watertight=False)
    largest = max(parts, key=lambda part: len(part.faces)) if len(parts) > 1 else loaded
    mesh = TriangleMesh(np.asarray(largest.vertices), np.asarray(largest.faces))
    mirror = mirror_transform() if row.is_left else np.eye(4)
    pose = np.eye(4)
    pose[:3, :3] = Rotation.align_vectors([[0, 0, 1.0]], [np.asarray(row.distal) / np.linalg.norm(row.distal)])[
        0
    ].as_matrix()
    rotated = mesh.transformed(pose @ mirror)
    if row.subject in CAPPED:
        low = rotated.vertices[rotated.faces, 2].min(axis=1)
        mesh = TriangleMesh(mesh.vertices, mesh.faces[low > low.min() + 3.0])
    top = rotated.vertices[:, 2].max()
    end = rotated.vertices[rotated.vertices[:, 2] > top - 25].mean(axis=0)
    pose[:3, 3] = -np.array([end[0], end[1], top - 10])
    return ReferenceBone(row.subject, row.source, row.noise_mm, mesh.transformed(pose @ mirror), pose)


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
