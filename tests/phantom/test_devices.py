"""Casts and metal on virtual arms: how thick, how dense, and where."""

from __future__ import annotations

import numpy as np
import pytest

from bonelift.phantom.body import Body
from bonelift.phantom.devices import CASTS, METALWORK, metalwork, with_cast
from bonelift.phantom.xray_geometry import draw_geometry

SPACING_MM = 1.0


def forearm() -> Body:
    """A cylinder of water of 30 mm radius from z = -80 to 79 mm."""
    x, y = np.mgrid[-35:36, -35:36]
    disc = (np.hypot(x, y) < 30).astype(np.float32)
    soft = np.repeat(disc[:, :, None], 160, axis=2)
    at = np.eye(4)
    at[:3, 3] = (-35, -35, -80)
    return Body(np.zeros_like(soft), soft, np.zeros(soft.shape, np.uint8), at)


@pytest.mark.parametrize("material", CASTS)
def test_a_cast_is_a_shell_over_padding_that_ends_before_the_knuckles(material):
    bare, wrapped = forearm(), with_cast(forearm(), np.random.default_rng(3), material)
    added = wrapped.soft_g_cm3.sum(axis=(0, 1)) - bare.soft_g_cm3.sum(axis=(0, 1))
    z = wrapped.radius_from_voxel[2, 3] + np.arange(len(added))
    assert (added[z < 44] > 0).all()
    assert (added[z > 71] == 0).all()
    row = wrapped.mineral_g_cm3[wrapped.mineral_g_cm3.shape[0] // 2, :, 20]
    shell = np.flatnonzero(row[: len(row) // 2] > 0.5 * row.max())
    thickness, outside = len(shell), len(row) // 2 - shell[-1] - 1
    low, high = (4, 8) if material == "plaster" else (3, 5)
    assert low - 1 <= thickness <= high + 1
    assert 30 + 2 - 1 <= outside <= 30 + 6 + 1
    assert row.max() == pytest.approx(0.50 if material == "plaster" else 0.10, rel=0.01)


def test_the_arm_inside_stays_where_and_what_it_is():
    bare, wrapped = forearm(), with_cast(forearm(), np.random.default_rng(3), "plaster")
    room = round((bare.radius_from_voxel[0, 3] - wrapped.radius_from_voxel[0, 3]) / SPACING_MM)
    inner = slice(room, room + bare.soft_g_cm3.shape[0])
    inside = bare.soft_g_cm3 > 0
    assert np.array_equal(wrapped.soft_g_cm3[inner, inner][inside], bare.soft_g_cm3[inside])
    assert wrapped.mineral_g_cm3.any()
    assert not wrapped.mineral_g_cm3[inner, inner][inside].any()


@pytest.mark.parametrize("kind", METALWORK)
def test_metal_is_steel_and_lies_where_it_is_worn(kind):
    geometry = draw_geometry(np.random.default_rng(0), "pa", (400, 400), 0.5)
    strokes = metalwork(geometry, np.random.default_rng(1), kind)
    assert len(strokes) == {"plate": 1, "wires": 2, "fixator": 9}[kind]
    assert all(stroke.metal for stroke in strokes)
    first = strokes[0]
    half = np.array([200, 200])
    ends = (np.array([first.start, first.end]) + 1) * half - 0.5
    origin, down = geometry.origin_px, geometry.proximal_px - geometry.origin_px
    along = (ends - origin) @ down / np.linalg.norm(down)
    assert along[1] > along[0]
    beside = np.abs((ends - origin) @ np.array([-down[1], down[0]]) / np.linalg.norm(down)) * 0.5
    assert (beside > 25).all() if kind == "fixator" else (beside < 20).all()
