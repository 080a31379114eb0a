"""What patients wear and what lies on the cassette: rings, bracelets, lines, dressings, sleeves.

Each is a bent stroke of some width and mass, laid at random: it need not be where it would be worn, because what it has
to teach is that such things are no bone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bonelift.errors import InputError

Image = NDArray[np.floating]
Pair = tuple[float, float]
Kind = Literal["ring", "bracelet", "line", "dressing", "sleeve"]

_PIECES = 6


@dataclass(frozen=True)
class Stroke:
    """A stroke from ``start`` to ``end`` (fractions of the half image), bowed by ``bow`` of its length.

    width_mm: 0.3 to 80; mass_g_cm2: in its middle, 0 to 3; metal: steel, otherwise plastic or cloth. link_mm: length of
    the links it is made of, 0 for a plain one. soft: its mass fades towards its edges.
    """

    kind: Kind
    start: Pair
    end: Pair
    bow: float
    width_mm: float
    mass_g_cm2: float
    metal: bool
    link_mm: float
    soft: bool

    def __post_init__(self) -> None:
        limits = {"width_mm": (0.1, 100.0), "mass_g_cm2": (0.0, 5.0), "link_mm": (0.0, 50.0), "bow": (-1.0, 1.0)}
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if not (np.isfinite(value) and low <= value <= high):
                raise InputError(f"stroke in the beam: {name} is {value}; expected {low} to {high}")


def draw_strokes(rng: np.random.Generator) -> tuple[Stroke, ...]:
    """Mostly nothing: a ring in 3 % of films, a bracelet or watch in 5 %, one or two lines in 8 %, a dressing in 10 %,
    the seam of a sleeve in 4 %."""
    strokes = []
    if rng.random() < 0.03:
        strokes.append(_stroke(rng, "ring", 0.12, (2.0, 6.0), (0.8, 2.5), metal=True))
    if rng.random() < 0.05:
        plain = rng.random() < 0.4
        made = _stroke(rng, "bracelet", 0.5, (4.0, 18.0), (0.3, 2.0), metal=bool(rng.random() < 0.6))
        strokes.append(made if plain else _linked(made, float(rng.uniform(2.5, 8.0))))
    if rng.random() < 0.08:
        strokes += [
            _stroke(rng, "line", 1.5, (0.5, 3.0), (0.05, 0.5), metal=bool(rng.random() < 0.3))
            for _ in range(int(rng.integers(1, 3)))
        ]
    if rng.random() < 0.1:
        strokes.append(_stroke(rng, "dressing", 0.5, (12.0, 45.0), (0.03, 0.25), metal=False))
    if rng.random() < 0.04:
        strokes.append(_stroke(rng, "sleeve", 1.0, (15.0, 80.0), (0.03, 0.2), metal=False))
    return tuple(strokes)


def _stroke(rng: np.random.Generator, kind: Kind, length: float, width_mm: Pair, mass: Pair, *, metal: bool) -> Stroke:
    """length: half of the stroke, in fractions of the half image, on average."""
    middle = rng.uniform(-0.9, 0.9, 2)
    angle = rng.uniform(0, np.pi)
    half = length * rng.uniform(0.6, 1.4) * np.array([np.cos(angle), np.sin(angle)])
    return Stroke(
        kind=kind,
        start=(float(middle[0] - half[0]), float(middle[1] - half[1])),
        end=(float(middle[0] + half[0]), float(middle[1] + half[1])),
        bow=float(np.clip(rng.normal(0, 0.2 if kind == "line" else 0.05), -0.6, 0.6)),
        width_mm=float(rng.uniform(*width_mm)),
        mass_g_cm2=float(rng.uniform(*mass)),
        metal=metal,
        link_mm=0.0,
        soft=kind in ("ring", "line", "sleeve"),
    )


def _linked(stroke: Stroke, link_mm: float) -> Stroke:
    return replace(stroke, link_mm=link_mm)


def coverage(stroke: Stroke, shape_px: tuple[int, int], spacing_mm: float) -> Image:
    """(H, W) share of the stroke's mass in the beam, 0 to 1."""
    rows, columns = shape_px
    half = np.array([columns, rows]) * spacing_mm / 2
    start, end = np.asarray(stroke.start) * half, np.asarray(stroke.end) * half
    along = end - start
    length = max(float(np.linalg.norm(along)), 1e-3)
    u = np.linspace(0, 1, _PIECES + 1)
    across = np.array([-along[1], along[0]])
    points = start + u[:, None] * along + (4 * stroke.bow * u * (1 - u))[:, None] * across
    x = ((np.arange(columns) - (columns - 1) / 2) * spacing_mm).astype(np.float32)[None, :]
    y = ((np.arange(rows) - (rows - 1) / 2) * spacing_mm).astype(np.float32)[:, None]
    nearest = np.full(shape_px, np.inf, np.float32)
    for (ax, ay), (bx, by) in pairwise(points):
        sx, sy = np.float32(bx - ax), np.float32(by - ay)
        t = np.clip(((x - ax) * sx + (y - ay) * sy) / max(sx * sx + sy * sy, 1e-6), 0, 1)
        np.minimum(nearest, (x - ax - t * sx) ** 2 + (y - ay - t * sy) ** 2, out=nearest)
    distance = np.sqrt(nearest)
    radius = np.float32(stroke.width_mm / 2)
    inside = np.clip((radius - distance) / spacing_mm + 0.5, 0, 1)
    if stroke.soft:
        inside = inside * np.sqrt(np.clip(1 - (distance / radius) ** 2, 0, 1))
    if stroke.link_mm:
        place = ((x - start[0]) * along[0] + (y - start[1]) * along[1]) / length
        inside = inside * np.clip(1.5 + 2.5 * np.cos(2 * np.pi * place / stroke.link_mm), 0.15, 1)
    return inside.astype(np.float32)
