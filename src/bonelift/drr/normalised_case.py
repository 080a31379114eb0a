"""A CT in the radius frame of a right wrist, and the radiographs whose pose against that CT is known.

Left wrists are mirrored on the way. Source of the normalisation: Shiode et al. 2021, Methods.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonelift.anatomy.frame import radius_from_mesh
from bonelift.anatomy.side import mirror_transform
from bonelift.drr.subject import bone_attenuation
from bonelift.errors import InputError
from bonelift.geometry import apply_transform
from bonelift.images import RADIUS, ULNA, LabelGrid, LabelMap, Radiograph, Side, Volume
from bonelift.surface.label_surface import label_surface
from bonelift.surface.mesh import TriangleMesh
from bonelift.surface.voxelize import soft_label

Float = NDArray[np.float64]

STYLOID, NOTCH_VOLAR, ULNAR_HEAD = "radial_styloid_tip", "sigmoid_notch_volar", "ulnar_head_centre"
"""Landmarks a case must have; without the last one the locator's third landmark is taken from the ulna's mesh."""
STYLOID_ABOVE_JOINT_MM = 9.0


@dataclass(frozen=True, eq=False)
class NormalisedCase:
    """A CT in the radius frame of a right wrist.

    radius, ulna: surfaces, mm. bones: attenuation (1/mm) of both, zero elsewhere. ulnar_head_mm: (3,).
    right_from_world: (4, 4) from the CT's world; determinant -1 for a left wrist.
    """

    radius: TriangleMesh
    ulna: TriangleMesh
    bones: Volume
    ulnar_head_mm: Float
    right_from_world: Float


@dataclass(frozen=True, eq=False)
class PosedRadiograph:
    """A radiograph and camera_from_world (4, 4): where the CT's world lies in the frame of its camera."""

    radiograph: Radiograph
    camera_from_world: Float


def normalise_case(ct: Volume, labels: LabelMap, landmarks: Mapping[str, Float], side: Side) -> NormalisedCase:
    """Bring a case into the radius frame. landmarks: (3,) mm in the CT's world, by name.

    Raises InputError: a landmark or a bone is missing, grids differ, or the bones do not make a radius frame.
    """
    missing = [name for name in (STYLOID, NOTCH_VOLAR) if name not in landmarks]
    if missing:
        raise InputError(f"landmarks lack {missing[0]!r}; expected {STYLOID!r} and {NOTCH_VOLAR!r}")
    mirror = mirror_transform() if side == "left" else np.eye(4)
    meshes = {label: label_surface(labels, label).transformed(mirror) for label in (RADIUS, ULNA)}
    tip, notch = (apply_transform(mirror, landmarks[name]) for name in (STYLOID, NOTCH_VOLAR))
    rough = _rough_frame(meshes[RADIUS], tip, notch)
    tip, notch = apply_transform(rough, np.stack([tip, notch]))
    right_from_world = radius_from_mesh(meshes[RADIUS].transformed(rough), tip, notch) @ rough @ mirror
    bones = bone_attenuation(ct, labels)
    ulna = label_surface(labels, ULNA).transformed(right_from_world)
    head = landmarks.get(ULNAR_HEAD)
    distal = ulna.vertices[ulna.vertices[:, 2] > ulna.vertices[:, 2].max() - 12.0]
    return NormalisedCase(
        label_surface(labels, RADIUS).transformed(right_from_world),
        ulna,
        Volume(bones.values, right_from_world @ bones.world_from_voxel),
        distal.mean(axis=0) if head is None else apply_transform(right_from_world, head),
        right_from_world,
    )


def _rough_frame(radius: TriangleMesh, tip: Float, notch: Float) -> Float:
    """(4, 4) within some degrees and mm of the radius frame: shaft by principal axis, joint from the styloid."""
    centre = radius.vertices.mean(axis=0)
    z = np.linalg.svd(radius.vertices - centre, full_matrices=False)[2][0]
    z = z if (tip - centre) @ z > 0 else -z
    x = notch - tip - ((notch - tip) @ z) * z
    x = x / max(np.linalg.norm(x), 1e-9)
    rough = np.eye(4)
    rough[:3, :3] = np.stack([x, np.cross(z, x), z])
    origin = centre + ((tip - centre) @ z - STYLOID_ABOVE_JOINT_MM) * z
    rough[:3, 3] = -rough[:3, :3] @ origin
    return rough


def case_occupancy(case: NormalisedCase, grid: LabelGrid) -> NDArray[np.uint8]:
    """(2, I, J, K) partial-volume labels of radius and ulna on ``grid``, 0 to 255."""
    return np.round(255 * np.stack([soft_label(bone, grid) for bone in (case.radius, case.ulna)])).astype(np.uint8)
