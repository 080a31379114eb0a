"""A wrist of two closed tubes: shapes of known size for the phantom's tests, with the fields of a WristShape."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from bonelift.surface.mesh import TriangleMesh

SIDES = 48


def tube(z_mm, centre_x_mm, half_x_mm, half_y_mm) -> TriangleMesh:
    """Closed tube along z of elliptic sections; every argument has one value per ring."""
    angle = 2 * np.pi * np.arange(SIDES) / SIDES
    rings = len(z_mm)
    x = np.asarray(centre_x_mm)[:, None] + np.asarray(half_x_mm)[:, None] * np.cos(angle)
    y = np.asarray(half_y_mm)[:, None] * np.sin(angle)
    z = np.broadcast_to(np.asarray(z_mm, dtype=float)[:, None], x.shape)
    wall = np.stack([x, y, z], axis=-1).reshape(-1, 3)
    ends = np.array([[centre_x_mm[0], 0, z_mm[0]], [centre_x_mm[-1], 0, z_mm[-1]]], dtype=float)
    here = np.arange(SIDES)
    after = (here + 1) % SIDES
    faces = []
    for ring in range(rings - 1):
        a, b = ring * SIDES, (ring + 1) * SIDES
        faces.append(np.column_stack([a + here, a + after, b + after]))
        faces.append(np.column_stack([a + here, b + after, b + here]))
    low, high, top = rings * SIDES, rings * SIDES + 1, (rings - 1) * SIDES
    faces.append(np.column_stack([np.full(SIDES, low), after, here]))
    faces.append(np.column_stack([np.full(SIDES, high), top + here, top + after]))
    return TriangleMesh(np.vstack([wall, ends]), np.vstack(faces).astype(np.int32))


def wrist_of_tubes(sex: str = "female", age_years: float = 40.0) -> SimpleNamespace:
    z = np.arange(-90.0, 0.5, 2.0)
    radius = tube(
        z,
        0 * z,
        np.interp(z, [-90, -60, -40, -20, -8, 0], [7.0, 7.0, 7.8, 11.5, 13.5, 13.0]),
        np.interp(z, [-90, -60, -40, -20, -8, 0], [5.8, 5.8, 6.3, 8.2, 9.5, 9.0]),
    )
    girth = np.interp(z, [-90, -60, -20, -10, -3, 0], [6.0, 5.2, 5.2, 7.0, 7.5, 6.5])
    ulna = tube(z - 2, 0 * z + 22.5, girth, girth)
    return SimpleNamespace(radius=radius, ulna=ulna, sex=sex, age_years=age_years, landmarks={}, description={})
