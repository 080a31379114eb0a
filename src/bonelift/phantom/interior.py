"""What is inside the radius and the ulna: cortical wall, subchondral plate, trabecular bone and marrow.

The mineral density is a function of depth below the surface, distance from the joint, side of the bone and a random
field of each patient. Walls are thinner than two voxels, so the depth profile is integrated over each voxel: the wall
keeps its mass on any grid.

Everything here is drawn independently of the bone's surface, and more widely than adults are thought to differ: a
network that learns from these bones is to trust only what holds whatever is inside.

Sources: the mean levels of wall and spongiosa follow one adult CT, whose levels count from the styloid's tip, some 9 mm
distal of the joint (docs/results/phantom.md has what comes out); the loss of spongiosa with age follows Khosla et al.
2006, doi:10.1359/JBMR.050916 (a quarter of it between 20 and 90 years), with more spread and somewhat more loss, so
that osteoporotic wrists occur. Which sides are thicker is our assumption, and so are all spreads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numba
import numpy as np
from numpy.typing import NDArray

from bonelift.phantom.texture import lookup, periodic_noise

Float = NDArray[np.float64]
Bone = Literal["radius", "ulna"]

CORTICAL_G_CM3 = 1.12
"""Mean hydroxyapatite density of adult compact bone."""
WATER_PER_MINERAL = -0.19
"""Change of the water-equivalent density (g/cm3) of what is not mineral, per g/cm3 of mineral: cortex of 1.15 g/cm3
leaves 0.70 for collagen and water where marrow had 0.92."""
TABLE_STEP_MM = 1.0
TABLE_ANGLES = 48
FINE_TILE_MM = 0.3
"""Sample pitch of the trabecular texture tile; the tile is (64, 64, 96) samples."""
COARSE_TILE_MM = 2.0

# Distance proximal of the joint (mm) -> mean wall (mm), for an adult of mean size aged 20 to 50.
_WALL = {
    "radius": (
        [-12, 0, 5, 9, 13, 18, 23, 28, 36, 51, 100],
        [0.55, 0.6, 0.64, 0.75, 1.0, 1.4, 1.75, 2.0, 2.25, 2.6, 2.95],
    ),
    "ulna": ([-8, 0, 4, 9, 15, 24, 38, 52, 100], [0.5, 0.58, 0.72, 0.95, 1.18, 1.48, 1.72, 1.92, 2.35]),
}
# Distance proximal of the joint (mm) -> trabecular density over its value in the metaphysis.
_TRABECULAR = {
    "radius": ([-14, -4, 1, 6, 11, 17, 24, 33, 48, 72], [1.1, 1.3, 1.25, 1.0, 0.82, 0.58, 0.3, 0.11, 0.03, 0.015]),
    "ulna": ([-8, -1, 4, 9, 14, 23, 34, 54], [1.1, 1.25, 1.1, 0.85, 0.6, 0.3, 0.1, 0.02]),
}


@dataclass(frozen=True)
class BoneQuality:
    """One patient's bone tissue.

    wall_scale: cortical thickness over the population's mean at that place.
    cortical_g_cm3, trabecular_g_cm3: mineral of compact bone and of the metaphyseal spongiosa.
    endosteal_blend_mm: width over which the wall dissolves into spongiosa.
    marrow_g_cm3: water-equivalent density of marrow (0.90 to 0.96: -100 to -40 HU).
    texture: SD of the trabecular density over its local mean.
    subchondral_extra_mm: by how much the plate under the joint is thicker than the wall.
    scar_g_cm3: mineral of the physeal scar, 0 for none; scar_mm: its distance from the joint.
    level_shift_mm: by how much further up the shaft the wall thickens and the spongiosa thins than on average.
    near_wall: by how much denser spongiosa is at the wall than inside, 0.9 for nearly twice; near_wall_mm: how deep.
    sclerosis: by how much denser it is under the joint.
    """

    wall_scale: float
    cortical_g_cm3: float
    trabecular_g_cm3: float
    endosteal_blend_mm: float
    marrow_g_cm3: float
    texture: float
    subchondral_extra_mm: float
    scar_g_cm3: float
    scar_mm: float
    level_shift_mm: float
    near_wall: float
    near_wall_mm: float
    sclerosis: float


@dataclass(frozen=True)
class BoneInterior:
    """Tables of one bone.

    z_first_mm: radius-frame z of the first row of the tables, which then step by TABLE_STEP_MM.
    axis_mm: (Z, 2) x and y of the centre of the bone's section.
    wall_mm: (Z, TABLE_ANGLES) cortical thickness; angle from +x towards +y.
    trabecular_g_cm3: (Z,) mean mineral of the spongiosa; joint_z_mm: height of the joint surface.
    slope: (2,) relative change of the spongiosa from the axis to 10 mm along x and y.
    """

    quality: BoneQuality
    z_first_mm: float
    joint_z_mm: float
    axis_mm: Float
    wall_mm: Float
    trabecular_g_cm3: Float
    slope: Float


@dataclass(frozen=True)
class TrabecularTexture:
    """Periodic tiles: struts along the shaft (FINE_TILE_MM) and patches of centimetres (COARSE_TILE_MM), SD 1."""

    fine: NDArray[np.float32]
    coarse: NDArray[np.float32]


def draw_texture(rng: np.random.Generator) -> TrabecularTexture:
    """Struts about 1 mm apart and 3 mm long with cross links, and patches of about 4 mm."""
    along = periodic_noise(rng, (64, 64, 96), (1.2, 1.2, 5.5))
    across = periodic_noise(rng, (64, 64, 96), (1.8, 1.8, 1.1))
    fine = 0.8 * along + 0.6 * across
    return TrabecularTexture(fine.astype(np.float32), periodic_noise(rng, (32, 32, 64), (1.8, 1.8, 2.5)))


def draw_bone_quality(rng: np.random.Generator, sex: str, age_years: float) -> BoneQuality:
    """From dense youth to osteopenia.

    Loss with age after 50: wall 0.6 % a year in women and 0.3 % in men, spongiosa 0.9 and 0.6 %.
    """
    female = sex == "female"
    late = max(0.0, age_years - 50.0)
    wall = np.exp(rng.normal(0.0, 0.18)) * (1 - (0.006 if female else 0.003) * late)
    density = np.exp(rng.normal(0.0, 0.4)) * (1 - (0.009 if female else 0.006) * late) * (0.94 if female else 1.04)
    scar = rng.uniform(0.06, 0.28) if rng.random() < (0.7 if age_years < 30 else 0.35) else 0.0
    return BoneQuality(
        wall_scale=float(np.clip(wall, 0.5, 1.6)),
        cortical_g_cm3=float(np.clip(rng.normal(CORTICAL_G_CM3, 0.08) - 0.0015 * late, 0.85, 1.3)),
        trabecular_g_cm3=float(np.clip(0.155 * density, 0.03, 0.42)),
        endosteal_blend_mm=float(rng.uniform(0.15, 0.9) + 0.008 * late),
        marrow_g_cm3=float(rng.uniform(0.90, 0.95)),
        texture=float(rng.uniform(0.3, 1.2)),
        subchondral_extra_mm=float(rng.uniform(0.05, 0.9)),
        scar_g_cm3=float(scar),
        scar_mm=float(rng.uniform(5.0, 15.0)),
        level_shift_mm=float(np.clip(rng.normal(0.0, 4.0), -9.0, 9.0)),
        near_wall=float(rng.uniform(0.2, 1.6)),
        near_wall_mm=float(rng.uniform(0.8, 2.5)),
        sclerosis=float(rng.uniform(0.0, 1.1)),
    )


def draw_interior(
    rng: np.random.Generator, bone: Bone, quality: BoneQuality, z_first_mm: float, axis_mm: Float, joint_z_mm: float
) -> BoneInterior:
    """Tables of wall and spongiosa for one bone, from the population's curves and this patient's deviations.

    axis_mm: (Z, 2) centre of the section at z_first_mm + TABLE_STEP_MM * row.
    """
    rows = len(axis_mm)
    depth = joint_z_mm - (z_first_mm + TABLE_STEP_MM * np.arange(rows))
    angle = 2 * np.pi * np.arange(TABLE_ANGLES) / TABLE_ANGLES
    # Wall and spongiosa change along the bone each at a place of its own.
    wall_depth, spongy_depth = (
        (depth - quality.level_shift_mm - rng.normal(0.0, 1.5)) * rng.normal(1.0, 0.1) for _ in range(2)
    )
    shaft = np.clip((wall_depth - 12) / 22, 0, 1)[:, None]
    own_scale = np.exp(rng.normal(0.0, 0.1))
    mean = np.interp(wall_depth, *_WALL[bone]) * quality.wall_scale * own_scale
    tile_rows = 2 * int(np.ceil(rows / 2)) + 64
    patches = periodic_noise(rng, (tile_rows, TABLE_ANGLES), (7.0, 3.5))[:rows]
    streaks = periodic_noise(rng, (tile_rows, TABLE_ANGLES), (22.0, 5.0))[:rows]
    along = periodic_noise(rng, (tile_rows,), (12.0,))[:rows, None]
    factor = (1 + _thicker_sides(rng, bone, angle, shaft)) * np.exp(0.13 * patches + 0.11 * streaks + 0.08 * along)
    wall = np.clip(mean[:, None] * np.maximum(factor, 0.2), 0.25, 3.6)
    drift = np.exp(0.15 * periodic_noise(rng, (tile_rows,), (9.0,))[:rows] + rng.normal(0, 0.15))
    trabecular = quality.trabecular_g_cm3 * np.interp(spongy_depth, *_TRABECULAR[bone]) * drift
    return BoneInterior(quality, z_first_mm, joint_z_mm, axis_mm, wall, trabecular, rng.normal(0.0, 0.2, 2))


def _thicker_sides(rng: np.random.Generator, bone: Bone, angle: Float, shaft: Float) -> Float:
    """(Z, TABLE_ANGLES) relative excess of the wall around the bone. shaft: (Z, 1), metaphysis 0 to shaft 1.

    On average the interosseous border, which faces the other bone, is thicker in the shaft, and the palmar side in the
    metaphysis, which carries more load than the dorsal; single bones differ, down to the opposite.
    """
    border = 0.0 if bone == "radius" else np.pi
    palmar = np.pi / 2 if bone == "radius" else -np.pi / 2
    in_shaft = rng.normal(0.2, 0.14) * np.cos(angle - border - rng.normal(0, 0.6))
    in_metaphysis = rng.normal(0.18, 0.16) * np.cos(angle - palmar - rng.normal(0, 0.7))
    oval = rng.normal(0, 0.1) * np.cos(2 * (angle - rng.uniform(0, np.pi)))
    return shaft * in_shaft + (1 - shaft) * in_metaphysis + oval


def fill_bone(
    mineral_g_cm3: NDArray[np.float32],
    soft_g_cm3: NDArray[np.float32],
    labels: NDArray[np.uint8],
    label: int,
    distance_mm: NDArray[np.float32],
    first_index: tuple[int, int, int],
    radius_from_voxel: Float,
    interior: BoneInterior,
    texture: TrabecularTexture,
) -> None:
    """Lay one bone into the body, in place.

    mineral_g_cm3, soft_g_cm3, labels: (I, J, K); distance_mm: signed distance of the bone on the part of that grid
    that starts at first_index; radius_from_voxel: of the whole grid, isotropic and parallel to the radius frame.
    """
    quality = interior.quality
    scalars = np.array(
        [
            radius_from_voxel[0, 0],
            *radius_from_voxel[:3, 3],
            interior.z_first_mm,
            interior.joint_z_mm,
            quality.cortical_g_cm3,
            quality.endosteal_blend_mm,
            quality.marrow_g_cm3,
            quality.texture,
            quality.subchondral_extra_mm * (1.0 if label == 1 else 0.5),
            quality.scar_g_cm3 * (1.0 if label == 1 else 0.6),
            quality.scar_mm * (1.0 if label == 1 else 0.7),
            quality.near_wall,
            quality.near_wall_mm,
            quality.sclerosis,
            *interior.slope,
        ]
    )
    _fill(
        mineral_g_cm3,
        soft_g_cm3,
        labels,
        label,
        distance_mm,
        np.asarray(first_index, dtype=np.int64),
        scalars,
        interior.axis_mm,
        interior.wall_mm,
        interior.trabecular_g_cm3,
        texture.fine,
        texture.coarse,
    )


@numba.njit(cache=True, inline="always")
def wall_share(depth, voxel, wall, blend):  # pragma: no cover - compiled
    """Mean over a voxel of the wall's profile: 1 from the surface inwards, falling to 0 around ``wall``.

    depth: of the voxel's centre (mm, positive inside). The voxel's spread in depth is taken as a box of width
    ``voxel``: a cube has variance voxel^2 / 12 in every direction. The profile's integral is ``wall`` exactly.
    """
    high = depth + 0.5 * voxel
    if high <= 0.0:
        return 0.0
    low = max(depth - 0.5 * voxel, 0.0)
    start, end = wall - 0.5 * blend, wall + 0.5 * blend
    if start < 0.0:
        start, end = 0.0, 2.0 * wall
    total = 0.0
    for sign, x in ((1.0, high), (-1.0, low)):
        if x <= start:
            total += sign * x
        elif x >= end:
            total += sign * wall
        else:
            total += sign * (x - 0.5 * (x - start) ** 2 / (end - start))
    return total / voxel


@numba.njit(cache=True, inline="always")
def _step(x, low, high):  # pragma: no cover - compiled
    u = min(max((x - low) / (high - low), 0.0), 1.0)
    return u * u * (3.0 - 2.0 * u)


@numba.njit(cache=True, fastmath=True)
def _fill(
    mineral, soft, labels, label, distance, first, scalars, axis, walls, spongy, fine, coarse
):  # pragma: no cover - compiled
    h, x0, y0, z0 = scalars[0], scalars[1], scalars[2], scalars[3]
    z_first, joint_z, cortical, blend, marrow = scalars[4], scalars[5], scalars[6], scalars[7], scalars[8]
    texture, plate, scar, scar_depth = scalars[9], scalars[10], scalars[11], scalars[12]
    near_wall, near_wall_mm, sclerosis, slope_x, slope_y = (
        scalars[13],
        scalars[14],
        scalars[15],
        scalars[16],
        scalars[17],
    )
    rows, angles = walls.shape
    ni, nj, nk = distance.shape
    for i in range(ni):
        x = x0 + h * (i + first[0])
        for j in range(nj):
            y = y0 + h * (j + first[1])
            for k in range(nk):
                depth = -distance[i, j, k]
                if depth <= -0.5 * h:
                    continue
                z = z0 + h * (k + first[2])
                row = min(max((z - z_first) / TABLE_STEP_MM, 0.0), rows - 1.001)
                r0 = int(row)
                fr = row - r0
                ax = axis[r0, 0] * (1 - fr) + axis[r0 + 1, 0] * fr
                ay = axis[r0, 1] * (1 - fr) + axis[r0 + 1, 1] * fr
                turn = np.arctan2(y - ay, x - ax) / (2 * np.pi) * angles
                if turn < 0.0:
                    turn += angles
                a0 = int(turn)
                fa = turn - a0
                a0 %= angles
                a1 = (a0 + 1) % angles
                wall = (walls[r0, a0] * (1 - fa) + walls[r0, a1] * fa) * (1 - fr) + (
                    walls[r0 + 1, a0] * (1 - fa) + walls[r0 + 1, a1] * fa
                ) * fr
                from_joint = joint_z - z
                # The joint surface: faces distally, near the joint.
                im, ip = max(i - 1, 0), min(i + 1, ni - 1)
                jm, jp = max(j - 1, 0), min(j + 1, nj - 1)
                km, kp = max(k - 1, 0), min(k + 1, nk - 1)
                gx = distance[ip, j, k] - distance[im, j, k]
                gy = distance[i, jp, k] - distance[i, jm, k]
                gz = distance[i, j, kp] - distance[i, j, km]
                facing = gz / max(np.sqrt(gx * gx + gy * gy + gz * gz), 1e-6)
                joint = _step(facing, 0.3, 0.8) * (1.0 - _step(from_joint, 3.0, 9.0))
                wall += plate * joint

                density = spongy[r0] * (1 - fr) + spongy[r0 + 1] * fr
                density *= 1.0 + near_wall * np.exp(-depth / near_wall_mm) + sclerosis * joint * np.exp(-depth / 2.0)
                density *= max(1.0 + 0.1 * (slope_x * (x - ax) + slope_y * (y - ay)), 0.2)
                patch = lookup(coarse, x / COARSE_TILE_MM, y / COARSE_TILE_MM, z / COARSE_TILE_MM)
                grain = lookup(fine, x / FINE_TILE_MM, y / FINE_TILE_MM, z / FINE_TILE_MM)
                density *= max(1.0 + 0.18 * patch + texture * grain, 0.15)
                if scar > 0.0:
                    off = from_joint - scar_depth - 1.2 * patch
                    density += scar * np.exp(-0.5 * (off / 0.45) ** 2)
                density = min(density, 0.7 * cortical)
                compact = cortical * (1.0 + 0.03 * patch)
                inside = min(depth / h + 0.5, 1.0)
                filled = density * inside + (compact - density) * wall_share(depth, h, wall, blend)
                ii, jj, kk = i + first[0], j + first[1], k + first[2]
                mineral[ii, jj, kk] += filled
                soft[ii, jj, kk] += inside * (marrow - soft[ii, jj, kk]) + WATER_PER_MINERAL * filled
                if depth > 0.0 and labels[ii, jj, kk] == 0:
                    labels[ii, jj, kk] = label
