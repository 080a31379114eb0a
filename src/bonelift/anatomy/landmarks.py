"""Landmarks of the distal radius and ulna, found by geometry on meshes in the radius frame.

Each bone landmark is the far point of the surface in a direction that its anatomy names, inside a window around where
the mean wrist has it, averaged over the outermost cap so that a vertex of noise does not decide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonelift.errors import InputError
from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]


@dataclass(frozen=True)
class FarPoint:
    """Search: farthest surface point along ``direction`` within ``reach_mm`` of where the mean wrist has it."""

    bone: str
    direction: tuple[float, float, float]
    reach_mm: float


# Directions in the radius frame (x ulnar, y palmar, z distal), chosen so that the corner is sharply defined.
FAR_POINTS: dict[str, FarPoint] = {
    "radial_styloid_tip": FarPoint("radius", (-0.15, 0.0, 1.0), 9.0),
    "sigmoid_notch_volar": FarPoint("radius", (0.85, 0.5, 0.35), 7.0),
    "sigmoid_notch_dorsal": FarPoint("radius", (0.75, -0.55, 0.4), 7.0),
    "volar_rim": FarPoint("radius", (0.1, 0.9, 0.45), 7.0),
    "dorsal_rim": FarPoint("radius", (0.3, -0.45, 0.85), 7.0),
    "lister_tubercle": FarPoint("radius", (0.0, -1.0, 0.0), 7.0),
    "ulnar_styloid_tip": FarPoint("ulna", (0.0, 0.0, 1.0), 9.0),
}
CAP_MM = 0.4
"""Depth of the cap over which a far point is averaged."""


def far_point(vertices: Float, search: FarPoint, expected: Float) -> Float:
    """(3,) mean of the vertices within CAP_MM of the farthest one. InputError where no surface is near."""
    near = vertices[np.linalg.norm(vertices - expected, axis=1) < search.reach_mm]
    if len(near) == 0:
        raise InputError(
            f"{search.bone}: no surface within {search.reach_mm:.0f} mm of {np.round(expected, 1).tolist()}; "
            "expected a right wrist in the radius frame"
        )
    return cap_mean(near, search.direction)


def cap_mean(points: Float, direction: Sequence[float]) -> Float:
    """(D,) mean of ``points`` (N, D; mm) within CAP_MM of the farthest along ``direction`` (D,), the farthest most."""
    height = points @ (np.asarray(direction) / np.linalg.norm(direction))
    weight = np.clip(height - height.max() + CAP_MM, 0, None)
    return weight @ points / weight.sum()


def expected_landmarks(mean_landmarks: Mapping[str, Float], ulna: TriangleMesh) -> dict[str, Float]:
    """Seeds for :func:`find_landmarks` on a wrist without correspondences: the mean wrist's positions.

    The ulna is free to turn and slide, so its styloid is sought from its own most distal vertex.
    """
    return {**mean_landmarks, "ulnar_styloid_tip": ulna.vertices[np.argmax(ulna.vertices[:, 2])]}


def find_landmarks(radius: TriangleMesh, ulna: TriangleMesh, expected: Mapping[str, Float]) -> dict[str, Float]:
    """All FAR_POINTS landmarks by name, on meshes in the radius frame of a right wrist.

    expected: rough positions (the shape model's mean, or the same points carried along by a deformation).
    """
    vertices = {"radius": radius.vertices, "ulna": ulna.vertices}
    return {name: far_point(vertices[s.bone], s, np.asarray(expected[name])) for name, s in FAR_POINTS.items()}
