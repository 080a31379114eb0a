"""The image of one bone of a shape code, and its change by everything that may be fitted: made of surface elements.

A bone is its outer surface filled with cortex, less an inner surface that lies a wall deeper and takes out what the
spongiosa lacks. Density, spongiosa and wall may differ from the nominal ones along the bone, at KNOTS_MM.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonelift.anatomy.shape_basis import BoneBasis
from bonelift.geometry import XrayCamera, apply_transform
from bonelift.registration.nominal_bone import CORTEX_PER_MM, wall_and_inside
from bonelift.registration.splat import Splats, SurfaceElements, cut_into_elements, splat

Float = NDArray[np.float64]

KNOTS_MM = np.array([-44.0, -30.0, -18.0, -8.0, 0.0, 12.0])
"""Heights of the radius frame between which the inside varies linearly."""
INSIDE = 3 * len(KNOTS_MM)
"""Numbers of an inside: log density, change of the spongiosa's share, log wall, each at KNOTS_MM."""
_LEAST_SHARE, _MOST_SHARE = 0.0, 0.9
_LOWEST_MM = -56.0
"""The shaft is cut off here, and compared above -40 mm: no ray that counts sees the cut."""
_IMAGE_PARTS, _CHANGE_PARTS = 2, 1
"""Squared, elements of a face: for the image, and for its change, which need not be as exact."""


@dataclass(frozen=True, eq=False)
class BoneElements:
    """A bone's basis with its surface cut into elements, once."""

    basis: BoneBasis
    fine: SurfaceElements
    coarse: SurfaceElements


def bone_elements(basis: BoneBasis) -> BoneElements:
    """The elements of ``basis`` that can be seen above the cut of the shaft."""
    fine, coarse = (
        cut_into_elements(basis.reference, basis.faces, _LOWEST_MM, parts) for parts in (_IMAGE_PARTS, _CHANGE_PARTS)
    )
    return BoneElements(basis, fine, coarse)


@dataclass(frozen=True, eq=False)
class PosedBone:
    """What is projected. code: of the basis. inside: (3, knots). camera_from_radius: (4, 4)."""

    elements: BoneElements
    code: Float
    inside: Float
    camera_from_radius: Float


def bone_image(bone: PosedBone, camera: XrayCamera, sigma_px: float) -> Float:
    """(rows, columns) line integrals, blurred by ``sigma_px``."""
    image = np.zeros(camera.shape_px)
    for surface in _surfaces(bone):
        splats = _splats(surface, bone.elements.fine, camera, sigma_px)
        added = splats.path_mm3 * (bone.elements.fine.corner_weights @ surface.attenuation)
        image += splats.image_of(added[:, None])[:, :, 0]
    return image


def bone_change(bone: PosedBone, camera: XrayCamera, sigma_px: float, centre_mm: Float) -> NDArray[np.float32]:
    """(rows, columns, 6 + length + INSIDE) derivatives of :func:`bone_image`.

    By a turn (rad) about ``centre_mm`` (camera frame) and a shift (mm) of the wrist in the camera frame; by the numbers
    of the code, its placement turned and shifted about the placed bone; by the inside.
    """
    basis = bone.elements.basis
    total = np.zeros((*camera.shape_px, 6 + basis.length + INSIDE), dtype=np.float32)
    for surface in _surfaces(bone):
        splats = _splats(surface, bone.elements.coarse, camera, sigma_px)
        total += splats.image_of(_volumes(bone, surface, splats, centre_mm))
    return total


@dataclass(frozen=True, eq=False)
class _Surface:
    """Outer or inner surface. posed: (V, 3) camera frame, mm. attenuation: (V,) of what it bounds, 1/mm, negative where
    it takes out. normal: (V, 3) bone frame. hats: (V, knots). density, wall: (V,), inner surface only."""

    posed: Float
    attenuation: Float
    normal: Float
    hats: Float
    density: Float
    wall: Float
    is_inner: bool


def _surfaces(bone: PosedBone) -> list[_Surface]:
    basis = bone.elements.basis
    mesh = basis.shape(bone.code)
    heights, normal = mesh.vertices[:, 2], mesh.vertex_normals
    hats = np.stack([np.interp(heights, KNOTS_MM, row) for row in np.eye(len(KNOTS_MM))], axis=1)
    log_density, more_share, log_wall = (hats @ numbers for numbers in bone.inside)
    wall_mm, share = wall_and_inside(heights)
    density = CORTEX_PER_MM * np.exp(log_density)
    share = np.clip(share + more_share, _LEAST_SHARE, _MOST_SHARE)
    wall = wall_mm * np.exp(log_wall)
    camera_from_reference = bone.camera_from_radius @ basis.radius_from_reference(bone.code)
    made = []
    bounds = ((False, np.zeros_like(density), density), (True, np.asarray(wall), -density * (1 - share)))
    for is_inner, depth, attenuation in bounds:
        posed = apply_transform(camera_from_reference, mesh.vertices - depth[:, None] * normal)
        made.append(_Surface(posed, attenuation, normal, hats, density, wall, is_inner))
    return made


def _splats(surface: _Surface, elements: SurfaceElements, camera: XrayCamera, sigma_px: float) -> Splats:
    return splat(elements, surface.posed, camera.image_from_camera, camera.shape_px, sigma_px)


def _volumes(bone: PosedBone, surface: _Surface, splats: Splats, centre_mm: Float) -> Float:
    """(N, 6 + length + INSIDE): attenuation times mm^3 that each element adds by each number."""
    basis, weights = bone.elements.basis, bone.elements.coarse.corner_weights
    attenuation = weights @ surface.attenuation
    outward = splats.area * attenuation[:, None]
    moved = np.linalg.norm(splats.area, axis=1) * attenuation
    hats = weights @ surface.hats

    def motion(about: Float, frame: Float) -> Float:
        """(N, 6) by a turn about a point and a shift, along the axes of ``frame`` (3, 3)."""
        return np.concatenate([np.cross(splats.points - about, outward) @ frame, outward @ frame], axis=1)

    modes = weights @ np.einsum("kvx,vx->vk", basis.modes, surface.normal)
    at = bone.camera_from_radius
    placed = motion(apply_transform(at, basis.centre_mm), at[:3, :3]) * basis.placement_sd
    inside = np.zeros((len(moved), 3, len(KNOTS_MM)))
    inside[:, 0] = hats * (splats.path_mm3 * attenuation)[:, None]
    if surface.is_inner:
        inside[:, 1] = hats * (splats.path_mm3 * (weights @ surface.density))[:, None]
        inside[:, 2] = -hats * (moved * (weights @ surface.wall))[:, None]
    whole = motion(centre_mm, np.eye(3))
    return np.concatenate([whole, modes * moved[:, None], placed, inside.reshape(len(moved), -1)], axis=1)
