"""Outlines of bones drawn on a real film, and how far the outline of a projected model lies from them.

A truth without a CT: docs/results/outlines holds the drawings and says how they were made.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from skimage.measure import points_in_poly

from bonelift.errors import InputError

Float = NDArray[np.float64]

CUT_MARGIN_PX = 16.0
"""A model ends where it was cut: drawn points nearer to that end than this, or beyond it, are not compared."""
_SHAFT_POINTS = 30
"""So many points at either end of an outline, 4 px apart, run along the shaft."""
_WIDTH_WITHIN_SHARE = 0.75
"""The width is looked for in this distal part of an outline."""


@dataclass(frozen=True, eq=False)
class BoneOutline:
    """One bone on one film, drawn from one proximal end around the distal end to the other.

    points: (N, 2) as (column, row) px, pixel centres at whole numbers. visible: (N,) False where it was inferred.
    """

    points: Float
    visible: NDArray[np.bool_]

    def distal_direction(self) -> Float:
        """(2,) unit vector along the shaft, distal: the line midway between both edges of the proximal part."""
        count = min(_SHAFT_POINTS, len(self.points) // 4)
        middle = (self.points[:count] + self.points[::-1][:count]) / 2
        along = np.linalg.svd(middle - middle.mean(axis=0))[2][0]
        return along if (self.points.mean(axis=0) - middle.mean(axis=0)) @ along > 0 else -along

    def width_px(self) -> float:
        """Largest extent across the shaft in the distal part."""
        along = self.distal_direction()
        height = self.points @ along
        low = height.max() - _WIDTH_WITHIN_SHARE * np.ptp(height)
        across = self.points[height >= low] @ np.array([-along[1], along[0]])
        return float(np.ptp(across))


@dataclass(frozen=True, eq=False)
class DrawnFilm:
    """What was drawn on and noted of a film.

    joint_px: (2, 2) ends of the radius' joint surface: ulnar and radial in a PA film, dorsal and palmar in a lateral.
    across, toward_px: what is told of the direction across the shaft, ulnar in a PA film and palmar in a lateral, and
        (2,) its unit vector in the picture.
    """

    name: str
    view: str
    size_px: tuple[int, int]
    joint_px: Float
    across: Literal["ulnar", "palmar"]
    toward_px: Float
    bones: dict[str, BoneOutline]

    @property
    def distal(self) -> Float:
        return self.bones["radius"].distal_direction()


@dataclass(frozen=True)
class OutlineDistance:
    """From the visible drawn points of a bone to the projected outline, px.

    mean_px, p95_px: of the distance. signed_mean_px: positive where the projection lies outside of the drawn line, so
        that a model too large by 1 px all round has +1. compared: share of the visible points that the model reaches.
        All but compared are NaN where nothing was compared.
    """

    mean_px: float
    p95_px: float
    signed_mean_px: float
    compared: float


@dataclass(frozen=True)
class Hanging:
    """Whether a model hangs in the picture as the wrist does: its fingers to the same end, its ulnar (PA) or palmar
    (lateral) side to the same side. Both are told from cosines, so that any turn in the picture will do."""

    distal_right: bool
    side_right: bool

    @property
    def right(self) -> bool:
        return self.distal_right and self.side_right


def read_drawn_film(path: Path) -> DrawnFilm:
    """A drawing as docs/results/outlines holds them. Raises InputError where the file is not one."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        bones = {name: _bone(content["bones"][name]) for name in ("radius", "ulna")}
        joint = content["joint_line"]
        first, second = ("dorsal", "palmar") if "palmar" in joint else ("ulnar", "radial")
        joint_px = np.array([joint[first], joint[second]], dtype=np.float64)
        named: Literal["ulnar", "palmar"] = "palmar" if first == "dorsal" else "ulnar"
        towards = joint_px[1] - joint_px[0] if named == "palmar" else joint_px[0] - joint_px[1]
        columns, rows = content["image_size"]
        size = (int(columns), int(rows))
        name, view = str(content["film"]), str(content["view"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path.name}: no outline of a film ({error}); expected the JSON of docs/results/outlines"
        ) from error
    along = bones["radius"].distal_direction()
    across = towards - (towards @ along) * along
    length = float(np.linalg.norm(across))
    if not np.isfinite(joint_px).all() or joint_px.shape != (2, 2) or length == 0:
        raise InputError(f"{path.name}: joint_line does not lie across the shaft; expected two points [column, row]")
    return DrawnFilm(name, view, size, joint_px, named, across / length, bones)


def _bone(content: dict[str, Any]) -> BoneOutline:
    points = np.asarray(content["points"], dtype=np.float64)
    visible = np.asarray(content["visible"], dtype=bool)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 8 or visible.shape != points.shape[:1]:
        raise ValueError(f"points {points.shape} and visible {visible.shape}: expected (N, 2) and (N,), N at least 8")
    if not np.isfinite(points).all():
        raise ValueError("points that are no numbers")
    return BoneOutline(points, visible)


def outline_distance(drawn: BoneOutline, projected: Sequence[Float]) -> OutlineDistance:
    """How far the projected outline lies from the visible part of the drawn one.

    projected: polylines (N, 2), (column, row) px in the same picture, closed where the model lies inside it.
    Only this direction: what the drawing lacks (inferred, or beyond its proximal end) must not count against a model.
    """
    lines = [np.asarray(line, dtype=np.float64) for line in projected if len(line) > 1]
    visible = drawn.points[drawn.visible]
    if not lines or not len(visible):
        return OutlineDistance(np.nan, np.nan, np.nan, 0.0)
    along = drawn.distal_direction()
    cut = min(float((line @ along).min()) for line in lines)
    reached = visible[visible @ along > cut + CUT_MARGIN_PX]
    if not len(reached):
        return OutlineDistance(np.nan, np.nan, np.nan, 0.0)
    distance = np.min([distance_to_polyline(reached, line) for line in lines], axis=0)
    covered = np.sum([points_in_poly(reached, line) for line in lines], axis=0) % 2 == 1
    signed = np.where(covered, distance, -distance)
    return OutlineDistance(
        float(distance.mean()),
        float(np.percentile(distance, 95)),
        float(signed.mean()),
        len(reached) / len(visible),
    )


def whole_distance_px(drawn: BoneOutline, projected: Sequence[Float]) -> float:
    """Mean distance both ways between the whole drawn outline, inferred parts included, and the projected one, px.

    Less certain than :func:`outline_distance`, which does not see a model that slid along a shaft where all that is
    visible is the shaft. Left out are both proximal ends, and what of either line lies beyond the other's. NaN where
    nothing is left.
    """
    lines = [_evenly(np.asarray(line, dtype=np.float64)) for line in projected if len(line) > 1]
    if not lines:
        return np.nan
    along = drawn.distal_direction()
    outline = np.concatenate(lines)
    # The proximal end of the drawing is open: both its ends are bone, the model's is a cut across.
    lowest = max(float((outline @ along).min()) + CUT_MARGIN_PX, *(drawn.points[[0, -1]] @ along))
    from_drawn = drawn.points[drawn.points @ along > lowest]
    from_model = outline[outline @ along > lowest]
    if not len(from_drawn) or not len(from_model):
        return np.nan
    there = np.min([distance_to_polyline(from_drawn, line) for line in lines], axis=0)
    back = distance_to_polyline(from_model, drawn.points)
    return float(np.concatenate([there, back]).mean())


def _evenly(line: Float, step: float = 4.0) -> Float:
    """The polyline with a point every ``step`` px or so."""
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    at = np.linspace(0, length[-1], max(2, round(length[-1] / step) + 1))
    return np.column_stack([np.interp(at, length, line[:, 0]), np.interp(at, length, line[:, 1])])


def distance_to_polyline(points: Float, line: Float) -> Float:
    """(N,) distance from each of ``points`` (N, 2) to the nearest place on the polyline ``line`` (M, 2)."""
    start, step = line[:-1], np.diff(line, axis=0)
    length2 = np.maximum((step**2).sum(axis=1), 1e-300)
    share = np.einsum("nmk,mk->nm", points[:, None] - start, step) / length2
    nearest = start + np.clip(share, 0, 1)[..., None] * step
    return np.linalg.norm(points[:, None] - nearest, axis=2).min(axis=1)


def hanging(drawn: DrawnFilm, distal_px: Float, toward_px: Float) -> Hanging:
    """distal_px, toward_px: (2,) of the model in the picture: distal, and ulnar (PA) or palmar (lateral)."""
    along = drawn.distal
    across = toward_px - (toward_px @ along) * along
    return Hanging(bool(distal_px @ along > 0), bool(across @ drawn.toward_px > 0))
