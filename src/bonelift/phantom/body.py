"""A wrist as tissue densities on a grid in the radius frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bonelift.phantom.bone_fields import (
    BoneField,
    bone_field,
    continued_fields,
    cropped,
    field_axes,
    grid_from_first_voxel,
)
from bonelift.phantom.carpus import FAR_MM, OTHER_BONE, Carpus, draw_carpus, place_carpus
from bonelift.phantom.interior import (
    TABLE_STEP_MM,
    Bone,
    BoneInterior,
    BoneQuality,
    TrabecularTexture,
    draw_bone_quality,
    draw_interior,
    draw_texture,
    fill_bone,
)
from bonelift.phantom.soft_tissue import COARSENING, Habitus, SoftTissue, draw_habitus, draw_soft_tissue, fill_soft
from bonelift.surface.mesh import TriangleMesh

if TYPE_CHECKING:
    from bonelift.anatomy.shape_model import WristShape

Float = NDArray[np.float64]

CUT_MARGIN_MM = 9.0
"""Meshes count up to this far inside their proximal ends, which may be cut askew, so that no cap of cortex closes the
canal."""
TABLE_MM = (-200.0, 25.0)
"""Heights of the tables of an inside: the same for every grid, so that one patient has one inside on all of them."""
MEAN_RADIUS_WIDTH_MM = 30.0
LAID_OUT_FACETS_MM = ((-7.0, 6.9), (5.5, 0.3))
"""x and height of the scaphoid and lunate facets under which the carpus of carpus.py sits."""


@dataclass(frozen=True)
class Extent:
    """Part of a forearm and hand, radius frame, mm: skin is looked for in x_mm and y_mm, and the grid is then cut tight
    to it. proximal_mm, distal_mm: ends along z. continued: the forearm goes on where the meshes end."""

    x_mm: tuple[float, float]
    y_mm: tuple[float, float]
    proximal_mm: float
    distal_mm: float
    continued: bool = False


WRIST = Extent((-88.0, 75.0), (-52.0, 76.0), -92.0, 75.0)
"""Wide enough for any thumb: a wrist ends in two planes across the forearm and the hand, and nowhere else."""
WHOLE_HAND = Extent((-130.0, 120.0), (-75.0, 125.0), -185.0, 222.0, continued=True)
"""Half the forearm to the finger tips."""


@dataclass(frozen=True)
class Body:
    """A wrist as density; air is 0.

    mineral_g_cm3: (I, J, K) float32, hydroxyapatite, 0 to about 1.3.
    soft_g_cm3: (I, J, K) float32, water-equivalent density of everything that is not mineral, 0 to about 1.1.
    labels: (I, J, K) uint8, by the voxel's centre: 0 none, 1 radius, 2 ulna, 3 other bone.
    radius_from_voxel: (4, 4) mm, isotropic and parallel to the radius frame.
    overview: the same patient on a coarser grid, from half the forearm to the finger tips, or None.
    """

    mineral_g_cm3: NDArray[np.float32]
    soft_g_cm3: NDArray[np.float32]
    labels: NDArray[np.uint8]
    radius_from_voxel: Float
    overview: Body | None = None

    @property
    def spacing_mm(self) -> float:
        return float(self.radius_from_voxel[0, 0])


@dataclass(frozen=True)
class Anatomy:
    """Everything that was drawn for a body, beside the shapes of its radius and ulna."""

    quality: BoneQuality
    habitus: Habitus
    carpus: Carpus
    texture: TrabecularTexture


def draw_anatomy(shape: WristShape, rng: np.random.Generator) -> Anatomy:
    """Bone tissue, soft tissue, carpus and texture for a wrist; size follows the width of the radius."""
    near_joint = shape.radius.vertices[shape.radius.vertices[:, 2] > -25.0]
    width = np.ptp(near_joint[:, 0]) if len(near_joint) else MEAN_RADIUS_WIDTH_MM
    return Anatomy(
        draw_bone_quality(rng, shape.sex, shape.age_years),
        draw_habitus(rng, shape.sex),
        draw_carpus(rng, float(width / MEAN_RADIUS_WIDTH_MM), carpal_seat(shape.radius)),
        draw_texture(rng),
    )


def carpal_seat(radius: TriangleMesh) -> Float:
    """(3,) mm: by how much this radius's joint surface lies off the one for which the carpus is laid out.

    Looks at the heights of the scaphoid and the lunate facet and at the middle of the palmar-dorsal depth.
    """
    points = radius.vertices
    distal = points[points[:, 2] > -8.0]
    middle = float(distal[:, 1].min() + distal[:, 1].max()) / 2 if len(distal) else 0.0
    offsets = []
    for x_mm, height_mm in LAID_OUT_FACETS_MM:
        near = points[(abs(points[:, 0] - x_mm) < 2.5) & (abs(points[:, 1] - middle) < 3.5)]
        if len(near):
            offsets.append(near[:, 2].max() - height_mm)
    height = float(np.clip(np.mean(offsets), -6.0, 6.0)) if offsets else 0.0
    return np.array([1.5, 0.8 * np.clip(middle, -4.0, 4.0), height])


def build_body(shape: WristShape, rng: np.random.Generator, spacing_mm: float = 0.6) -> Body:
    """Fill a wrist's surfaces with bone, add the carpus and soft tissue.

    shape: radius and ulna in the radius frame, right side. The grid runs from z = -92 mm, or just inside the
    proximal ends of the meshes, to z = 75 mm and is cut tight to the skin.
    """
    return assemble_body(shape, draw_anatomy(shape, rng), rng, spacing_mm)


def assemble_body(
    shape: WristShape, anatomy: Anatomy, rng: np.random.Generator, spacing_mm: float, extent: Extent = WRIST
) -> Body:
    """:func:`build_body` with the anatomy given, for any part of the forearm and hand."""
    meshes: dict[Bone, TriangleMesh] = {"radius": shape.radius, "ulna": shape.ulna}
    cut = max(WRIST.proximal_mm, *(mesh.vertices[:, 2].min() + CUT_MARGIN_MM for mesh in meshes.values()))
    proximal = extent.proximal_mm if extent.continued else max(cut, extent.proximal_mm)
    low = np.array([extent.x_mm[0], extent.y_mm[0], proximal])
    high = np.array([extent.x_mm[1], extent.y_mm[1], extent.distal_mm])
    whole = grid_from_first_voxel(low, spacing_mm)
    whole_shape = _shape(low, high, spacing_mm)
    fields: dict[Bone, BoneField] = {bone: bone_field(mesh, whole, whole_shape) for bone, mesh in meshes.items()}
    if proximal < cut:
        fields = continued_fields(fields, whole, whole_shape, cut)

    tissue = _skin(rng, anatomy, fields, whole, whole_shape)
    first, last = _skin_box(tissue, whole, whole_shape)
    radius_from_voxel = grid_from_first_voxel(whole[:3, 3] + spacing_mm * first, spacing_mm)
    size = (int(last[0] - first[0]), int(last[1] - first[1]), int(last[2] - first[2]))
    mineral, soft = np.zeros(size, np.float32), np.zeros(size, np.float32)
    labels = np.zeros(size, np.uint8)
    fill_soft(tissue, soft, radius_from_voxel[:3, 3], spacing_mm)

    fields = {bone: cropped(field, first, last) for bone, field in fields.items()}
    fill_bones(Body(mineral, soft, labels, radius_from_voxel), fields, anatomy, rng)
    free, free_first = _room_for_carpus(anatomy.carpus, fields, radius_from_voxel, size)
    place_carpus(
        anatomy.carpus,
        anatomy.quality,
        mineral,
        soft,
        labels,
        free,
        free_first,
        radius_from_voxel,
        anatomy.texture.fine,
        anatomy.texture.coarse,
    )
    return Body(mineral, soft, labels, radius_from_voxel)


def fill_bones(body: Body, fields: dict[Bone, BoneField], anatomy: Anatomy, rng: np.random.Generator) -> None:
    """Draw the inside of radius and ulna, in this order, and write them into the arrays of ``body``."""
    for label, (bone, field) in enumerate(fields.items(), start=1):
        interior = bone_interior(rng, bone, anatomy.quality, field, body.radius_from_voxel)
        fill_bone(
            body.mineral_g_cm3,
            body.soft_g_cm3,
            body.labels,
            label,
            field.distance_mm,
            field.first_index,
            body.radius_from_voxel,
            interior,
            anatomy.texture,
        )


def bone_interior(
    rng: np.random.Generator, bone: Bone, quality: BoneQuality, field: BoneField, radius_from_voxel: Float
) -> BoneInterior:
    """Draw the inside of one bone around the axis of its own sections."""
    spacing = radius_from_voxel[0, 0]
    x, y, z = field_axes(field, radius_from_voxel)
    inside = field.distance_mm < 0
    counts = inside.sum(axis=(0, 1)).astype(float)
    filled = counts > 0
    centre_x = (inside.sum(axis=1).T @ x)[filled] / counts[filled]
    centre_y = (inside.sum(axis=0).T @ y)[filled] / counts[filled]
    table_z = np.arange(*TABLE_MM, TABLE_STEP_MM)
    axis_mm = np.column_stack([np.interp(table_z, z[filled], centre) for centre in (centre_x, centre_y)])
    joint_z = 0.0
    if bone == "ulna":
        # The top of the head: above it only the styloid, of less than half the head's section, goes on.
        near_top = z > z[filled][-1] - 25.0
        head = np.flatnonzero(near_top & (counts >= 0.45 * counts[near_top].max()))
        joint_z = float(z[head[-1]] + spacing / 2)
    return draw_interior(rng, bone, quality, float(table_z[0]), axis_mm, joint_z)


def _shape(low: Float, high: Float, spacing_mm: float) -> tuple[int, int, int]:
    i, j, k = (np.ceil((high - low) / spacing_mm) + 1).astype(int)
    return int(i), int(j), int(k)


def _skin(
    rng: np.random.Generator,
    anatomy: Anatomy,
    fields: dict[Bone, BoneField],
    radius_from_voxel: Float,
    shape: tuple[int, int, int],
) -> SoftTissue:
    """Soft tissue on the coarse grid, fitted around the extent of radius and ulna at each height."""
    height = np.arange(radius_from_voxel[2, 3], 12.0)
    edges = []
    for field in fields.values():
        axes = field_axes(field, radius_from_voxel)
        inside = field.distance_mm < 0
        rows = [axes[2]]
        for axis in (0, 1):
            shadow = np.asarray(inside.any(axis=1 - axis))
            low = np.where(shadow.any(axis=0), axes[axis][shadow.argmax(axis=0)], np.nan)
            high = np.where(shadow.any(axis=0), axes[axis][::-1][shadow[::-1].argmax(axis=0)], np.nan)
            rows += [low, high]
        seen = np.isfinite(rows[1])
        edges.append([np.interp(height, axes[2][seen], row[seen]) for row in rows[1:]])
    radius_edges, ulna_edges = edges
    extent = np.column_stack(
        [height] + [(np.minimum, np.maximum)[n % 2](radius_edges[n], ulna_edges[n]) for n in range(4)]
    )
    coarse = radius_from_voxel.copy()
    coarse[:3, :3] *= COARSENING
    size = (shape[0] // COARSENING + 2, shape[1] // COARSENING + 2, shape[2] // COARSENING + 2)
    near_bone = np.zeros(size, dtype=bool)
    for field in fields.values():
        skip = tuple(-start % COARSENING for start in field.first_index)
        inside = field.distance_mm[skip[0] :: COARSENING, skip[1] :: COARSENING, skip[2] :: COARSENING] < 0
        i, j, k = ((start + s) // COARSENING for start, s in zip(field.first_index, skip, strict=True))
        near_bone[i : i + inside.shape[0], j : j + inside.shape[1], k : k + inside.shape[2]] |= inside
    return draw_soft_tissue(rng, anatomy.habitus, anatomy.carpus, extent, near_bone, size, coarse)


def _skin_box(tissue: SoftTissue, radius_from_voxel: Float, shape: tuple[int, int, int]) -> tuple[Float, Float]:
    """First and one-past-last index (3,), (3,) of the part of the grid that holds the skin; the whole height."""
    inside = tissue.skin_mm < tissue.radius_from_voxel[0, 0]
    first, last = np.zeros(3, int), np.array(shape)
    for axis in (0, 1):
        present = np.flatnonzero(inside.any(axis=tuple(a for a in range(3) if a != axis)))
        first[axis] = max(COARSENING * present[0] - COARSENING, 0)
        last[axis] = min(COARSENING * present[-1] + COARSENING + 1, shape[axis])
    return first, last


def _room_for_carpus(
    carpus: Carpus, fields: dict[Bone, BoneField], radius_from_voxel: Float, shape: tuple[int, int, int]
) -> tuple[NDArray[np.float32], tuple[int, int, int]]:
    """Distance to radius and ulna, less what their joints ask beyond the carpal gap, on the grid above z = -15 mm."""
    base = int(np.clip((-15.0 - radius_from_voxel[2, 3]) / radius_from_voxel[2, 2], 0, shape[2] - 1))
    free = np.full((shape[0], shape[1], shape[2] - base), FAR_MM, np.float32)
    extra = {"radius": carpus.radial_gap_mm - carpus.gap_mm, "ulna": carpus.ulnar_gap_mm - carpus.gap_mm}
    for bone, field in fields.items():
        i, j, k = field.first_index
        skip = max(base - k, 0)
        # The extra gap fades with distance, so that the field is continuous where the band ends.
        distance = field.distance_mm[:, :, skip:]
        distance = distance - np.float32(extra[bone]) * (1 - distance / np.float32(FAR_MM))
        place = free[
            i : i + distance.shape[0],
            j : j + distance.shape[1],
            max(k - base, 0) : max(k - base, 0) + distance.shape[2],
        ]
        np.minimum(place, distance, out=place)
    return free, (0, 0, base)


__all__ = [
    "OTHER_BONE",
    "WHOLE_HAND",
    "WRIST",
    "Anatomy",
    "Body",
    "BoneField",
    "Extent",
    "assemble_body",
    "bone_field",
    "bone_interior",
    "build_body",
    "draw_anatomy",
]
