"""Fingers and thumb: phalanges that continue the metacarpals, and the skin around them.

Lengths: Buryanov and Kotiuk 2010, Int J Morphol 28(3):755 (66 adults); girths and postures by eye from plain films.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from bonelift.geometry import rotation_about_axis

Float = NDArray[np.float64]

# Metacarpal -> phalanges from the hand on: (length, radius at foot, in the middle, at the head), mm.
_PHALANGES: dict[str, list[tuple[float, float, float, float]]] = {
    "mc1": [(31.6, 6.3, 4.3, 5.5), (21.7, 5.6, 3.0, 3.8)],
    "mc2": [(39.8, 6.6, 4.2, 5.2), (22.4, 5.4, 3.5, 4.2), (15.8, 4.5, 2.2, 2.9)],
    "mc3": [(44.6, 6.8, 4.4, 5.4), (26.3, 5.6, 3.7, 4.4), (17.4, 4.7, 2.3, 3.1)],
    "mc4": [(41.4, 6.2, 4.0, 5.0), (25.7, 5.2, 3.4, 4.2), (17.3, 4.4, 2.2, 3.0)],
    "mc5": [(32.7, 5.7, 3.6, 4.5), (18.1, 4.6, 2.9, 3.6), (16.0, 3.9, 2.0, 2.7)],
}
_JOINT_GAP_MM = 1.2
_FINGER_SKIN_MM = (11.5, 9.8, 8.6, 7.4)
_THUMB_SKIN_MM = (15.0, 12.5, 10.8, 9.0)


@dataclass(frozen=True)
class Phalanx:
    """A tube along ``heading`` (3,) from ``foot_mm`` (3,); radii_mm: (3,) at its foot, middle and head."""

    name: str
    foot_mm: Float
    heading: Float
    length_mm: float
    radii_mm: Float


@dataclass(frozen=True)
class Digit:
    """A finger or the thumb: joints_mm (P, 3) from the metacarpal's head (the thumb: foot) to the tip, and the radius
    of the skin there, (P,)."""

    phalanges: tuple[Phalanx, ...]
    joints_mm: Float
    skin_mm: Float


def draw_digits(
    rng: np.random.Generator, scale: float, metacarpals: Mapping[str, tuple[Float, Float, float]], hand: Float
) -> dict[str, Digit]:
    """Fingers and thumb on the given metacarpals.

    metacarpals: name -> (start (3,), end (3,) of the shaft, radius of the head), radius frame. hand: (4, 4)
    hand_from_rest, whose x axis the fingers bend about. Three hands of four lie flat (0 to 15 degrees a joint), the
    fourth is curled (10 to 55 degrees).
    """
    curled = rng.random() < 0.25
    low, high = (10.0, 55.0) if curled else (0.0, 12.0)
    common = rng.uniform(low, high, 3) * np.array([0.8, 1.0, 0.7])
    palmarwards = hand[:3, :3] @ np.array([-1.0, 0.0, 0.0])
    sidewards = hand[:3, :3] @ np.array([0.0, 1.0, 0.0])
    digits = {}
    for name, (start, end, head_mm) in metacarpals.items():
        thumb = name == "mc1"
        heading = (end - start) / np.linalg.norm(end - start)
        heading = _turned(heading, sidewards, rng.normal(0.0, 9.0 if thumb else 4.0))
        bends = rng.normal(4.0, 10.0, 2) if thumb else common + rng.normal(0.0, 9.0 if curled else 5.0, 3)
        digits[name] = _digit(name, end, heading, head_mm, bends, palmarwards, scale, rng)
    return digits


def _digit(
    name: str,
    end: Float,
    heading: Float,
    head_mm: float,
    bends_deg: Float,
    axis: Float,
    scale: float,
    rng: np.random.Generator,
) -> Digit:
    phalanges, joints = [], [end]
    stretch = scale * np.exp(rng.normal(0.0, 0.04))
    girth = scale * np.exp(rng.normal(0.0, 0.05))
    for number, ((length, *radii), bend) in enumerate(zip(_PHALANGES[name], bends_deg, strict=True), start=1):
        heading = _turned(heading, axis, float(np.clip(bend, -15.0, 90.0)))
        foot_mm, _, tip_mm = radii = girth * np.asarray(radii)
        # A foot is hollowed by the head before it, so they stand closer than the sum of their radii.
        foot = joints[-1] + (0.55 * (head_mm + foot_mm) + _JOINT_GAP_MM) * heading
        shaft_mm = max(stretch * length - 0.55 * foot_mm - tip_mm, 3.0)
        phalanges.append(Phalanx(f"{name}_phalanx_{number}", foot, heading, shaft_mm, radii))
        joints.append(foot + shaft_mm * heading)
        head_mm = tip_mm
    joints[-1] = joints[-1] + 3.0 * scale * heading
    skin = np.asarray(_THUMB_SKIN_MM[1:] if name == "mc1" else _FINGER_SKIN_MM)
    return Digit(tuple(phalanges), np.stack(joints), scale * skin)


def _turned(heading: Float, axis: Float, angle_deg: float) -> Float:
    return rotation_about_axis(axis, np.deg2rad(angle_deg))[:3, :3] @ heading


def thumb_skin_mm(scale: float) -> float:
    """Radius of the skin at the foot of the thumb's metacarpal."""
    return scale * _THUMB_SKIN_MM[0]


def capsule_distance(axes: tuple[Float, Float, Float], joints_mm: Float, skin_mm: Float) -> NDArray[np.float32]:
    """(I, J, K) signed distance (mm) to a chain of capsules of changing radius, on the grid that the axes span.

    axes: positions along x, y and z. joints_mm: (P, 3); skin_mm: (P,) radius at each of them. Beyond 30 mm it is 30.
    """
    x, y, z = axes
    distance = np.full((len(x), len(y), len(z)), 30.0, np.float32)
    _lower_to_capsules(x, y, z, np.asarray(joints_mm), np.asarray(skin_mm, dtype=np.float64), distance)
    return distance


@numba.njit(cache=True, fastmath=True)
def _lower_to_capsules(x, y, z, joints, radii, distance):  # pragma: no cover - compiled
    for n in range(len(joints) - 1):
        ax, ay, az = joints[n, 0], joints[n, 1], joints[n, 2]
        sx, sy, sz = joints[n + 1, 0] - ax, joints[n + 1, 1] - ay, joints[n + 1, 2] - az
        length = sx * sx + sy * sy + sz * sz
        reach = max(radii[n], radii[n + 1]) + 30.0
        for i in range(len(x)):
            dx = x[i] - ax
            if dx < min(sx, 0.0) - reach or dx > max(sx, 0.0) + reach:
                continue
            for j in range(len(y)):
                dy = y[j] - ay
                if dy < min(sy, 0.0) - reach or dy > max(sy, 0.0) + reach:
                    continue
                for k in range(len(z)):
                    dz = z[k] - az
                    if dz < min(sz, 0.0) - reach or dz > max(sz, 0.0) + reach:
                        continue
                    t = min(max((dx * sx + dy * sy + dz * sz) / length, 0.0), 1.0)
                    px, py, pz = dx - t * sx, dy - t * sy, dz - t * sz
                    found = np.sqrt(px * px + py * py + pz * pz) - radii[n] - t * (radii[n + 1] - radii[n])
                    if found < distance[i, j, k]:
                        distance[i, j, k] = found
