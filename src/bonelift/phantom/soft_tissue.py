"""Skin outline and what lies between skin and bone: subcutaneous fat, muscle, tendons.

Density is water-equivalent (g/cm3): fat 0.92 to 0.94, muscle 1.05, skin and tendon 1.08 to 1.10 (ICRU 44). The fields
are smooth, so they are made on a grid three times coarser than the body's and read off by linear interpolation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonelift.geometry import apply_transform, invert_rigid
from bonelift.phantom.carpus import Carpus
from bonelift.phantom.fingers import capsule_distance, thumb_skin_mm
from bonelift.phantom.texture import periodic_noise

Float = NDArray[np.float64]
Values = NDArray[np.floating]

COARSENING = 3
SKIN_G_CM3 = 1.09
NOISE_STEP_MM = 1.8


@dataclass(frozen=True)
class Habitus:
    """One patient's soft tissue: thickness over the mean, fat layer, and densities."""

    thickness: float
    fat_mm: float
    fat_g_cm3: float
    muscle_g_cm3: float
    skin_mm: float
    streaks: float


@dataclass(frozen=True)
class SoftTissue:
    """Coarse fields: skin_mm (I, J, K) signed distance to the skin, negative inside; tissue_g_cm3 under the skin."""

    skin_mm: NDArray[np.float32]
    tissue_g_cm3: NDArray[np.float32]
    radius_from_voxel: Float
    habitus: Habitus


# Distance along the forearm or hand (radius-frame z, mm) -> margin from the bones to the skin, mm.
_FOREARM_Z = [-190.0, -150.0, -110.0, -70.0, -40.0, -15.0, 5.0, 20.0]
_MARGINS = {
    "radial": [26.0, 23.0, 17.0, 13.0, 9.0, 6.5, 6.0, 6.0],
    "ulnar": [15.0, 13.0, 10.0, 9.0, 8.0, 7.0, 7.0, 7.0],
    "palmar": [33.0, 30.0, 24.0, 20.0, 15.0, 9.5, 7.5, 8.0],
    "dorsal": [29.0, 26.0, 20.0, 15.0, 9.0, 6.0, 6.0, 6.0],
}
# Rest-frame z (mm) -> skin of the hand without the thumb: radial, ulnar, dorsal, palmar edge (mm).
_HAND_Z = [-10.0, 5.0, 20.0, 35.0, 50.0, 70.0, 95.0]
_HAND = {
    "radial": [-22.0, -24.0, -27.0, -30.0, -32.0, -33.0, -33.0],
    "ulnar": [26.0, 28.0, 30.0, 32.0, 33.5, 35.0, 36.0],
    "dorsal": [-16.0, -15.5, -15.0, -13.5, -12.5, -11.5, -11.0],
    "palmar": [19.0, 20.5, 22.0, 22.0, 21.0, 18.5, 15.0],
}


def draw_habitus(rng: np.random.Generator, sex: str) -> Habitus:
    return Habitus(
        thickness=float(np.exp(rng.normal(0.0, 0.13))),
        fat_mm=float(np.clip(np.exp(rng.normal(np.log(3.2 if sex == "female" else 2.4), 0.45)), 0.8, 9.0)),
        fat_g_cm3=float(rng.uniform(0.915, 0.94)),
        muscle_g_cm3=float(rng.normal(1.05, 0.006)),
        skin_mm=float(rng.uniform(1.0, 1.8)),
        streaks=float(rng.uniform(0.15, 0.6)),
    )


def draw_soft_tissue(
    rng: np.random.Generator,
    habitus: Habitus,
    carpus: Carpus,
    bone_extent_mm: Float,
    near_bone: NDArray[np.bool_],
    shape: tuple[int, int, int],
    radius_from_voxel: Float,
) -> SoftTissue:
    """Skin and tissue on a coarse grid.

    bone_extent_mm: (Z, 5) rows of z, x low, x high, y low, y high of radius and ulna together.
    near_bone: (I, J, K) where radius or ulna is: skin is lifted over whatever comes near it, the ulnar head first.
    """
    axes = [radius_from_voxel[a, a] * np.arange(shape[a]) + radius_from_voxel[a, 3] for a in range(3)]
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    points = np.stack(np.broadcast_arrays(x, y, z), axis=-1)
    fat_here = np.interp(z, [-110, -30, 0, 60], [1.5, 1.1, 0.8, 0.7])
    growth = habitus.thickness
    forearm = _section(x, y, *(_edge(bone_extent_mm, side, z, habitus) for side in _MARGINS), exponent=2.25)
    rest = apply_transform(invert_rigid(carpus.hand_from_rest), points) / carpus.scale
    edges = {side: np.interp(rest[..., 2], _HAND_Z, values) for side, values in _HAND.items()}
    for side in ("dorsal", "palmar"):
        edges[side] = edges[side] * (0.65 + 0.35 * growth)
    hand = _section(
        rest[..., 0],
        rest[..., 1],
        edges["radial"],
        edges["ulnar"],
        edges["palmar"],
        edges["dorsal"],
        exponent=2.6,
    )
    along = np.clip((z + 8.0) / 22.0, 0, 1)
    along = along * along * (3 - 2 * along)
    # The palm ends at the webs, further for the middle finger than at its sides.
    beyond = (
        rest[..., 2] - 106.0 + 0.45 * np.clip(rest[..., 0] - 5, 0, None) + 0.2 * np.clip(-5 - rest[..., 0], 0, None)
    )
    hand = -_smooth_union(-hand, -beyond, 6.0)
    skin = (1 - along) * forearm + along * hand * carpus.scale
    for name, (joints, radii) in _chains(carpus, growth).items():
        grid = (axes[0], axes[1], axes[2])
        skin = _smooth_union(skin, capsule_distance(grid, joints, radii), 9.0 if name == "mc1" else 5.0)
    over_bone = ndimage.distance_transform_edt(~near_bone, sampling=float(radius_from_voxel[0, 0]))
    cover_mm = 1.5 + habitus.skin_mm + 0.6 * habitus.fat_mm
    skin = _smooth_union(skin, ndimage.gaussian_filter(np.asarray(over_bone), 0.8) - cover_mm, 7.0)
    noise = _noise(rng, axes, (4.0, 4.0, 7.0))
    skin = skin + 0.5 * noise
    ripple = _noise(rng, axes, (1.3, 1.3, 7.0))
    depth = -skin
    muscle_share = _ramp(depth - habitus.fat_mm * fat_here * (1 + 0.3 * noise) - habitus.skin_mm, 1.5)
    # Tendons and vessels at the wrist lie in more fat than the muscle bellies of the forearm.
    loose = np.interp(z, [-70, -30, 0, 30, 80], [0.2, 0.45, 0.7, 0.5, 0.4])
    lean = habitus.muscle_g_cm3 + 0.02 * loose + 0.015 * ripple
    lean = lean - habitus.streaks * loose * (lean - habitus.fat_g_cm3) * _ramp(ripple - 0.4, 0.8)
    tissue = habitus.fat_g_cm3 + (lean - habitus.fat_g_cm3) * muscle_share
    return SoftTissue(skin.astype(np.float32), tissue.astype(np.float32), radius_from_voxel, habitus)


def _noise(rng: np.random.Generator, axes: list[Float], sigma_px: tuple[float, float, float]) -> Values:
    """Noise at the positions of a grid, mm; sigma_px: in steps of NOISE_STEP_MM. Of one generator, one noise, whatever
    the grid's spacing."""
    tile = periodic_noise(rng, (96, 96, 128), sigma_px)
    i, j, k = (np.round(axis / NOISE_STEP_MM).astype(int) % n for axis, n in zip(axes, tile.shape, strict=True))
    return tile[np.ix_(i, j, k)]


def _edge(extent: Float, side: str, z: Values, habitus: Habitus) -> Values:
    """Position of the skin on one side of the forearm, on the z of the grid."""
    column = {"radial": 1, "ulnar": 2, "dorsal": 3, "palmar": 4}[side]
    sign = -1.0 if column in (1, 3) else 1.0
    padded = np.pad(extent[:, column], 24, mode="edge")
    window = np.hanning(51)[1:-1]
    smooth = np.convolve(padded, window / window.sum(), mode="valid")
    margin = np.interp(z, _FOREARM_Z, _MARGINS[side]) * habitus.thickness
    bone = np.asarray(np.interp(z, extent[:, 0], smooth), dtype=np.float64)
    return bone + sign * (margin + 0.5 * (habitus.fat_mm - 2.5))


def _section(
    x: Values, y: Values, radial: Values, ulnar: Values, palmar: Values, dorsal: Values, exponent: float
) -> Values:
    """First-order distance (mm) to a superelliptic section with the given edges."""
    half_x, half_y = (ulnar - radial) / 2, (palmar - dorsal) / 2
    qx = np.abs(x - (ulnar + radial) / 2) / half_x + 1e-6
    qy = np.abs(y - (palmar + dorsal) / 2) / half_y + 1e-6
    ux, uy = qx ** (exponent - 1), qy ** (exponent - 1)
    level = (ux * qx + uy * qy) ** (1 / exponent)
    slope = np.sqrt((ux / half_x) ** 2 + (uy / half_y) ** 2) * level ** (1 - exponent)
    return (level - 1) / slope


def _chains(carpus: Carpus, growth: float) -> dict[str, tuple[Float, Float]]:
    """Joints and skin radii of each finger, and of the thumb from its ball at the wrist on."""
    chains = {}
    for name, digit in carpus.digits.items():
        joints, radii = digit.joints_mm, digit.skin_mm
        if name == "mc1":
            wrist = apply_transform(carpus.hand_from_rest, np.array([-10.0, 5.0, 12.0]) * carpus.scale)
            joints = np.vstack([wrist, carpus.thumb_foot_mm, joints])
            radii = np.concatenate([[13.0 * carpus.scale, thumb_skin_mm(carpus.scale)], radii])
        chains[name] = (joints, radii * (0.7 + 0.3 * growth))
    return chains


def _smooth_union(a: Values, b: Values, width_mm: float) -> Values:
    u = np.clip(width_mm - np.abs(a - b), 0, None) / width_mm
    return np.minimum(a, b) - 0.25 * width_mm * u * u


def _ramp(value: Values, width: float) -> Values:
    u = np.clip(value / width + 0.5, 0, 1)
    return u * u * (3 - 2 * u)


def fill_soft(tissue: SoftTissue, soft_g_cm3: NDArray[np.float32], first_mm: Float, spacing_mm: float) -> None:
    """Write the water-equivalent density into the body, in place.

    soft_g_cm3: (I, J, K), voxel (0, 0, 0) at first_mm (3,) of the radius frame, isotropic spacing.
    """
    coarse_mm = tissue.radius_from_voxel[0, 0]
    start = (np.asarray(first_mm) - tissue.radius_from_voxel[:3, 3]) / coarse_mm
    habitus = tissue.habitus
    _fill_soft(
        tissue.skin_mm, tissue.tissue_g_cm3, start, spacing_mm / coarse_mm, spacing_mm, habitus.skin_mm, soft_g_cm3
    )


@numba.njit(cache=True, fastmath=True)
def _fill_soft(skin, tissue, start, step, spacing, skin_mm, soft):  # pragma: no cover - compiled
    ni, nj, nk = soft.shape
    mk = skin.shape[2]
    skin_line = np.empty(mk, dtype=np.float32)
    tissue_line = np.empty(mk, dtype=np.float32)
    for i in range(ni):
        u = min(max(start[0] + step * i, 0.0), skin.shape[0] - 1.001)
        i0 = int(u)
        fu = u - i0
        for j in range(nj):
            v = min(max(start[1] + step * j, 0.0), skin.shape[1] - 1.001)
            j0 = int(v)
            fv = v - j0
            a, b, c, d = (1 - fu) * (1 - fv), (1 - fu) * fv, fu * (1 - fv), fu * fv
            nearest = np.float32(1e3)
            for k in range(mk):
                value = (
                    a * skin[i0, j0, k]
                    + b * skin[i0, j0 + 1, k]
                    + c * skin[i0 + 1, j0, k]
                    + d * skin[i0 + 1, j0 + 1, k]
                )
                skin_line[k] = value
                nearest = min(nearest, skin_line[k])
                tissue_line[k] = (
                    a * tissue[i0, j0, k]
                    + b * tissue[i0, j0 + 1, k]
                    + c * tissue[i0 + 1, j0, k]
                    + d * tissue[i0 + 1, j0 + 1, k]
                )
            if nearest > spacing:
                continue
            for k in range(nk):
                w = min(max(start[2] + step * k, 0.0), mk - 1.001)
                k0 = int(w)
                fw = w - k0
                depth = -(skin_line[k0] * (1 - fw) + skin_line[k0 + 1] * fw)
                inside = min(max(depth / spacing + 0.5, 0.0), 1.0)
                if inside == 0.0:
                    continue
                under = min(max((depth - skin_mm) / spacing + 0.5, 0.0), 1.0)
                value = tissue_line[k0] * (1 - fw) + tissue_line[k0 + 1] * fw
                soft[i, j, k] = inside * (SKIN_G_CM3 + (value - SKIN_G_CM3) * under)
