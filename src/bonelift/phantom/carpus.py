"""Carpal and metacarpal bones, with the phalanges of fingers.py: clutter that a radiograph of the wrist always shows.

Each bone is a smooth union of superellipsoids and tubes, laid out by published sizes and positions of an adult carpus
and then carved: a later bone keeps a joint gap to the radius, the ulna and every earlier bone, which gives congruent
joint facets and excludes overlap. No measured surface went into it.

Sizes are typical of an adult (capitate 23, scaphoid 26, lunate 15 mm wide, metacarpal shafts 48 to 61 mm); bones scale
together, as Crisco et al. 2005, doi:10.1016/j.jhsa.2004.08.012, found. The layout is ours, by eye, from the anatomy of
plain films.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import ArrayLike, NDArray

from bonelift.geometry import apply_transform, compose, rotation_about_axis, translation
from bonelift.phantom.fingers import Digit, draw_digits
from bonelift.phantom.interior import COARSE_TILE_MM, FINE_TILE_MM, WATER_PER_MINERAL, BoneQuality, wall_share
from bonelift.phantom.texture import lookup

Float = NDArray[np.float64]

CAPITATE_HEAD_MM = (2.5, 0.5, 15.8)
"""Centre of wrist motion, radius frame, for a wrist of mean size."""
OTHER_BONE = 3
FAR_MM = 4.0
_ELLIPSOID, _TUBE = 0.0, 1.0

# Radius frame at rest, mm: x ulnar, y palmar, z distal.
# (centre, half axes, exponent, turn about y in degrees: positive leans the +z axis to +x)
_CARPALS: dict[str, list[tuple[tuple[float, float, float], tuple[float, float, float], float, float]]] = {
    "capitate": [((2.5, 0.5, 15.8), (6.0, 6.6, 6.3), 2.1, 0), ((0.5, -0.5, 24.5), (6.8, 8.8, 8.5), 3.0, -4)],
    "hamate": [
        ((12.0, -0.5, 24.3), (6.2, 8.3, 8.0), 2.6, -14),
        ((9.6, 0.0, 17.5), (4.2, 6.0, 6.2), 2.2, -14),
        ((13.5, 9.0, 23.0), (2.3, 5.5, 4.0), 2.2, 0),
    ],
    "scaphoid": [
        ((-4.8, 0.3, 8.6), (5.8, 6.8, 5.8), 2.2, 0),
        ((-8.8, 3.4, 12.4), (5.2, 5.2, 5.4), 2.1, 0),
        ((-12.6, 6.6, 16.0), (5.3, 5.5, 6.4), 2.2, -35),
    ],
    "lunate": [((6.8, 0.8, 6.2), (7.3, 8.6, 7.2), 2.3, 12)],
    "triquetrum": [((15.6, 0.6, 9.6), (6.3, 7.4, 6.6), 2.3, 30), ((19.0, 1.8, 13.6), (5.0, 6.0, 5.6), 2.2, 30)],
    "trapezoid": [((-9.3, 0.3, 25.8), (5.6, 8.0, 5.8), 2.7, -10)],
    "trapezium": [((-16.6, 6.0, 23.2), (6.2, 6.4, 7.2), 2.6, -35)],
    "pisiform": [((17.6, 11.0, 12.6), (4.7, 4.4, 6.0), 2.2, 0)],
}
# name: (foot of the shaft, direction, length, radius at foot, mid and head, half axes of the boxy base)
_LONG_BONES: dict[
    str, tuple[tuple[float, float, float], tuple[float, float, float], float, tuple[float, float, float], Float]
] = {
    "mc3": ((0.8, -0.5, 36.0), (-0.03, 0.03, 1.0), 59.0, (5.6, 4.0, 7.2), np.array([6.6, 7.6, 5.5])),
    "mc2": ((-10.0, 0.0, 35.5), (-0.13, 0.03, 1.0), 61.0, (5.8, 4.1, 7.4), np.array([7.6, 7.4, 5.5])),
    "mc4": ((10.5, 0.0, 35.5), (0.07, 0.03, 1.0), 52.0, (5.0, 3.4, 6.2), np.array([5.2, 6.3, 5.0])),
    "mc5": ((18.0, 1.5, 34.0), (0.19, 0.05, 1.0), 48.0, (5.2, 3.5, 6.2), np.array([5.8, 6.0, 5.0])),
    "mc1": ((-24.0, 8.5, 29.0), (-0.50, 0.16, 0.82), 42.0, (6.4, 4.8, 6.8), np.array([7.4, 7.0, 5.5])),
}
_CARVING_ORDER = (
    "capitate", "hamate", "scaphoid", "lunate", "triquetrum", "trapezoid", "trapezium",
    "mc3", "mc2", "mc4", "mc5", "mc1", "pisiform",
)  # fmt: skip
_PROXIMAL_ROW = ("scaphoid", "lunate", "triquetrum", "pisiform")


@dataclass(frozen=True)
class CarpalBone:
    """One bone: lobes (L, 18) as :func:`_bone_field` reads them; long bones have a shaft with a canal."""

    name: str
    lobes: Float
    long: bool


@dataclass(frozen=True)
class Carpus:
    """A posed carpus in the radius frame.

    hand_from_rest: (4, 4) motion of the distal row and the metacarpals; row_from_rest: of the proximal row.
    gap_mm: between carpal bones; radial_gap_mm, ulnar_gap_mm: to the radius and the ulna.
    digits: fingers and thumb by the name of their metacarpal; thumb_foot_mm: (3,) where the thumb's metacarpal starts.
    """

    bones: tuple[CarpalBone, ...]
    hand_from_rest: Float
    row_from_rest: Float
    gap_mm: float
    radial_gap_mm: float
    ulnar_gap_mm: float
    scale: float
    flexion_deg: float
    deviation_deg: float
    digits: dict[str, Digit]
    thumb_foot_mm: Float


def draw_carpus(rng: np.random.Generator, size: float, seat_mm: ArrayLike = (0.0, 0.0, 0.0)) -> Carpus:
    """Random size, posture and shape.

    size: of this wrist over an adult's mean (1.0 for a radius 30 mm wide along x). seat_mm: (3,) shift of the whole
    carpus.
    """
    scale = float(np.clip(size, 0.8, 1.2) * rng.normal(1.0, 0.025))
    flexion, deviation = _draw_posture(rng)
    head = np.array(CAPITATE_HEAD_MM) * scale
    seat = translation(seat_mm)
    hand_from_rest = seat @ _posture(head, flexion, deviation)
    # The proximal row follows with about half of the motion; in deviation it also tilts out of plane.
    row_from_rest = seat @ _posture(head, 0.5 * flexion + 0.25 * deviation, 0.4 * deviation)
    bones: list[CarpalBone] = []
    metacarpals: dict[str, tuple[Float, Float, float]] = {}
    for name in _CARVING_ORDER:
        pose = row_from_rest if name in _PROXIMAL_ROW else hand_from_rest
        if name in _CARPALS:
            bones.append(CarpalBone(name, _carpal_lobes(rng, name, scale, pose), False))
        else:
            lobes, foot, tip = _long_lobes(rng, name, scale, pose)
            bones.append(CarpalBone(name, lobes, True))
            metacarpals[name] = (foot, tip, float(lobes[0, 15]))
    digits = draw_digits(rng, scale, metacarpals, hand_from_rest)
    for digit in digits.values():
        for phalanx in digit.phalanges:
            tube = _tube(phalanx.foot_mm, phalanx.heading, phalanx.length_mm, phalanx.radii_mm)
            bones.append(CarpalBone(phalanx.name, tube[None], True))
    return Carpus(
        tuple(bones),
        hand_from_rest,
        row_from_rest,
        gap_mm=float(rng.uniform(1.0, 1.7)),
        radial_gap_mm=float(rng.uniform(1.6, 2.4)),
        ulnar_gap_mm=float(rng.uniform(2.5, 3.6)),
        scale=scale,
        flexion_deg=float(flexion),
        deviation_deg=float(deviation),
        digits=digits,
        thumb_foot_mm=metacarpals["mc1"][0],
    )


def _draw_posture(rng: np.random.Generator) -> tuple[float, float]:
    """Flexion (SD 7 degrees, in three of ten 16) and deviation, degrees; ulnar deviation is positive.

    Of the deviations 60 % are about straight (SD 7), 25 % ulnar as on a scaphoid view (8 to 28), 15 % radial (5 to 20).
    """
    flexion = np.clip(rng.normal(0.0, 16.0 if rng.random() < 0.3 else 7.0), -35, 35)
    kind = rng.random()
    if kind < 0.6:
        deviation = np.clip(rng.normal(-1.0, 7.0), -20, 20)
    else:
        deviation = rng.uniform(8, 28) if kind < 0.85 else rng.uniform(-20, -5)
    return float(flexion), float(deviation)


def _posture(pivot: Float, flexion_deg: float, deviation_deg: float) -> Float:
    """Flexion tips the hand (+z) to palmar (+y), about -x; ulnar deviation tips it to +x, about +y."""
    turn = compose(
        rotation_about_axis([0, 1, 0], np.deg2rad(deviation_deg)),
        rotation_about_axis([-1, 0, 0], np.deg2rad(flexion_deg)),
    )
    return compose(translation(pivot), turn, translation(-pivot))


def _carpal_lobes(rng: np.random.Generator, name: str, scale: float, pose: Float) -> Float:
    shift = rng.normal(0.0, 0.5, 3)
    stretch = np.exp(rng.normal(0.0, 0.045, 3))
    own = rotation_about_axis(rng.normal(size=3), rng.normal(0.0, np.deg2rad(4.0)))[:3, :3]
    lobes = []
    for centre, half_axes, exponent, lean_deg in _CARPALS[name]:
        axes = pose[:3, :3] @ own @ rotation_about_axis([0, 1, 0], np.deg2rad(lean_deg))[:3, :3]
        place = apply_transform(pose, scale * (np.asarray(centre) + shift))
        size = np.asarray(half_axes) * scale * stretch * np.exp(rng.normal(0.0, 0.03, 3))
        lobes.append(np.concatenate([[_ELLIPSOID], place, axes.T.ravel(), size, [exponent, 0.0]]))
    return np.array(lobes)


def _long_lobes(rng: np.random.Generator, name: str, scale: float, pose: Float) -> tuple[Float, Float, Float]:
    """(L, 18) lobes, and the ends of the shaft (3,)."""
    foot, direction, length, radii, base = _LONG_BONES[name]
    spread = 0.18 if name == "mc1" else 0.03
    own = np.asarray(direction) + rng.normal(0.0, spread, 3)
    if name == "mc1":  # the thumb lies beside the hand, or before it
        own[1] += rng.uniform(0.0, 0.4)
    heading = pose[:3, :3] @ own
    heading /= np.linalg.norm(heading)
    start = apply_transform(pose, scale * (np.asarray(foot) + rng.normal(0.0, 0.5, 3)))
    length *= scale * np.exp(rng.normal(0.0, 0.03))
    girth = scale * np.exp(rng.normal(0.0, 0.05))
    across = np.cross([0.0, 1.0, 0.0], heading)
    across /= np.linalg.norm(across)
    axes = np.stack([across, np.cross(heading, across), heading])
    box = np.concatenate([[_ELLIPSOID], start, axes.ravel(), base * girth, [2.8, 0.0]])
    return np.array([_tube(start, heading, length, np.asarray(radii) * girth), box]), start, start + length * heading


def _tube(start: Float, heading: Float, length: float, radii: Float) -> Float:
    return np.concatenate([[_TUBE], start, heading, np.zeros(6), radii, [0.0, length]])


def place_carpus(
    carpus: Carpus,
    quality: BoneQuality,
    mineral_g_cm3: NDArray[np.float32],
    soft_g_cm3: NDArray[np.float32],
    labels: NDArray[np.uint8],
    free_mm: NDArray[np.float32],
    first_index: tuple[int, int, int],
    radius_from_voxel: Float,
    fine_tile: NDArray[np.float32],
    coarse_tile: NDArray[np.float32],
) -> None:
    """Lay the bones into the body, in place.

    free_mm: (I, J, K) on the part of the body's grid that starts at first_index: distance to the nearest bone so far
        less the extra gap it asks for, at most FAR_MM; each bone laid down is added to it.
    """
    spacing = float(radius_from_voxel[0, 0])
    corner = radius_from_voxel[:3, 3] + spacing * np.asarray(first_index)
    scalars = np.array(
        [
            spacing,
            *corner,
            carpus.gap_mm,
            quality.wall_scale,
            0.95 * quality.cortical_g_cm3,
            quality.trabecular_g_cm3,
            quality.marrow_g_cm3,
            quality.texture,
        ]
    )
    for number, bone in enumerate(carpus.bones):
        low, high = _bounds(bone.lobes)
        box = np.stack([np.floor((low - corner) / spacing), np.ceil((high - corner) / spacing) + 1], axis=1)
        box = np.clip(box, 0, np.array(free_mm.shape)[:, None]).astype(np.int64)
        _place(
            bone.lobes,
            bone.long,
            number,
            box,
            np.asarray(first_index, dtype=np.int64),
            scalars,
            free_mm,
            mineral_g_cm3,
            soft_g_cm3,
            labels,
            fine_tile,
            coarse_tile,
        )


def _bounds(lobes: Float) -> tuple[Float, Float]:
    """Box (3,), (3,) around the lobes, mm, with a margin for partial volume and the joint gap."""
    corners = []
    for lobe in lobes:
        if lobe[0] == _TUBE:
            reach = lobe[13:16].max()
            ends = np.stack([lobe[1:4], lobe[1:4] + lobe[17] * lobe[4:7]])
        else:
            reach = np.abs(lobe[4:13].reshape(3, 3)).T @ lobe[13:16]
            ends = lobe[None, 1:4]
        corners += [ends - reach, ends + reach]
    points = np.concatenate(corners)
    return points.min(axis=0) - 2.5, points.max(axis=0) + 2.5


@numba.njit(cache=True, inline="always")
def _smooth_min(a, b, width):  # pragma: no cover - compiled
    u = max(width - abs(a - b), 0.0) / width
    return min(a, b) - 0.25 * width * u * u


@numba.njit(cache=True, fastmath=True)
def _bone_field(lobes, x, y, z):  # pragma: no cover - compiled
    """First-order signed distance (mm) to a smooth union, and how much of a shaft (0 to 1) is here.

    Lobe: kind, centre (3), rows of axes_from_radius (9), half axes (3), exponent, 0 for a superellipsoid; kind, foot
    (3), heading (3), six zeros, radius at foot, middle and head, 0, length for a tube.
    """
    field, shaft = 1e3, 0.0
    for n in range(lobes.shape[0]):
        lobe = lobes[n]
        dx, dy, dz = x - lobe[1], y - lobe[2], z - lobe[3]
        if lobe[0] == 1.0:
            length = lobe[17]
            along = dx * lobe[4] + dy * lobe[5] + dz * lobe[6]
            t = min(max(along, 0.0), length)
            px, py, pz = dx - t * lobe[4], dy - t * lobe[5], dz - t * lobe[6]
            mid = lobe[14]
            width = (
                mid
                + (lobe[13] - mid) * np.exp(-((t / 11.0) ** 2))
                + (lobe[15] - mid) * np.exp(-(((length - t) / 9.0) ** 2))
            )
            found = np.sqrt(px * px + py * py + pz * pz) - width
            u = min(max(min((t - 6.0) / 12.0, (length - t - 5.0) / 12.0), 0.0), 1.0)
            shaft = u * u * (3.0 - 2.0 * u)
        else:
            e = lobe[16]
            qx = abs(dx * lobe[4] + dy * lobe[5] + dz * lobe[6]) / lobe[13]
            qy = abs(dx * lobe[7] + dy * lobe[8] + dz * lobe[9]) / lobe[14]
            qz = abs(dx * lobe[10] + dy * lobe[11] + dz * lobe[12]) / lobe[15]
            if max(qx, qy, qz) > 1.9:
                continue
            ux, uy, uz = (qx + 1e-6) ** (e - 1), (qy + 1e-6) ** (e - 1), (qz + 1e-6) ** (e - 1)
            level = (ux * qx + uy * qy + uz * qz + 1e-9) ** (1.0 / e)
            slope = np.sqrt((ux / lobe[13]) ** 2 + (uy / lobe[14]) ** 2 + (uz / lobe[15]) ** 2) * level ** (1.0 - e)
            found = (level - 1.0) / slope
        field = _smooth_min(field, found, 2.5)
    return field, shaft


@numba.njit(cache=True, fastmath=True)
def _place(
    lobes, long, number, box, first, scalars, free, mineral, soft, labels, fine, coarse
):  # pragma: no cover - compiled
    h, x0, y0, z0, gap = scalars[0], scalars[1], scalars[2], scalars[3], scalars[4]
    wall_scale, cortical, spongy, marrow, texture = scalars[5], scalars[6], scalars[7], scalars[8], scalars[9]
    offset = 7.3 * number
    for i in range(box[0, 0], box[0, 1]):
        x = x0 + h * i
        for j in range(box[1, 0], box[1, 1]):
            y = y0 + h * j
            for k in range(box[2, 0], box[2, 1]):
                z = z0 + h * k
                body, shaft = _bone_field(lobes, x, y, z)
                if body > FAR_MM:
                    continue
                # Organic unevenness, another one for each bone.
                patch = lookup(coarse, x / COARSE_TILE_MM + offset, y / COARSE_TILE_MM, z / COARSE_TILE_MM + offset)
                body += (0.35 - 0.2 * shaft) * patch
                facet = gap - free[i, j, k]
                field = -_smooth_min(-body, -facet, 1.2)
                if field < free[i, j, k]:
                    free[i, j, k] = field
                depth = -field
                if depth <= -0.5 * h:
                    continue
                joint = min(max(1.0 - (body - facet + 0.5) / 1.5, 0.0), 1.0) if facet > body - 1.0 else 0.0
                wall = (0.36 + 0.16 * joint) * (1.0 - shaft) + 1.5 * shaft
                wall *= wall_scale * (1.0 + 0.12 * patch)
                density = spongy * ((1.55 + (0.5 + 0.4 * joint) * np.exp(-depth / 1.8)) * (1.0 - shaft) + 0.05)
                grain = lookup(fine, x / FINE_TILE_MM + offset, y / FINE_TILE_MM, z / FINE_TILE_MM)
                density *= max(1.0 + 0.2 * patch + texture * grain, 0.15)
                density = min(density, 0.6 * cortical)
                inside = min(depth / h + 0.5, 1.0)
                filled = density * inside + (cortical - density) * wall_share(depth, h, wall, 0.35)
                ii, jj, kk = i + first[0], j + first[1], k + first[2]
                mineral[ii, jj, kk] += filled
                soft[ii, jj, kk] += inside * (marrow - soft[ii, jj, kk]) + WATER_PER_MINERAL * filled
                if depth > 0.0 and labels[ii, jj, kk] == 0:
                    labels[ii, jj, kk] = 3
