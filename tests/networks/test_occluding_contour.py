"""Occluding contours of posed bones: they lie on the rim of the bone's shadow, and move as they say."""

from __future__ import annotations

import numpy as np
import pytest

from bonelift.anatomy.shape_basis import PLACEMENT, SEEN_ABOVE_MM, BoneBasis
from bonelift.images import View
from bonelift.networks.occluding_contour import OutlinedBones, outlined
from builders.posed_readings import px_from_radius, reading_of
from builders.spot_films import spot_bases

VIEWS: tuple[View, ...] = ("pa", "lateral")


@pytest.fixture(scope="module")
def bases() -> tuple[BoneBasis, BoneBasis]:
    return spot_bases()


@pytest.fixture(scope="module")
def bones(bases) -> OutlinedBones:
    return OutlinedBones(bases)


def shadow(reading: np.ndarray, bones: OutlinedBones, bases, number: int, view: View) -> np.ndarray:
    """(V, 2) px of the scored vertices of one bone."""
    mesh = bases[number].decode(reading[bones.parts[number]])
    seen = mesh.vertices[bases[number].reference[:, 2] > SEEN_ABOVE_MM + 1]
    projected = np.c_[seen, np.ones(len(seen))] @ px_from_radius(reading, bones, view).T
    return projected[:, :2] / projected[:, 2:]


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("number", [0, 1])
def test_a_contour_bounds_the_shadow_of_its_bone(bones, bases, view, number):
    reading = reading_of(bones, 4)
    part = outlined(bones, reading, view).parts[number]
    all_px = shadow(reading, bones, bases, number, view)
    for axis in (0, 1):
        # The cut shaft ends below without a contour; to the sides and at the joint the shadow ends where it says.
        if axis == 0:
            assert part.points_px[:, 0].max() == pytest.approx(all_px[:, 0].max(), abs=0.5)
            assert part.points_px[:, 0].min() == pytest.approx(all_px[:, 0].min(), abs=0.5)
        else:
            assert part.points_px[:, 1].min() == pytest.approx(all_px[:, 1].min(), abs=0.5)
    # The leftmost point faces left, the rightmost right.
    assert part.outward_px[part.points_px[:, 0].argmin(), 0] < -0.9
    assert part.outward_px[part.points_px[:, 0].argmax(), 0] > 0.9
    np.testing.assert_allclose(np.linalg.norm(part.outward_px, axis=1), 1.0)


@pytest.mark.parametrize("view", VIEWS)
def test_each_number_moves_the_outline_by_what_is_told(bones, view):
    """Against the surface points themselves, moved by a small step of each number."""
    reading, small = reading_of(bones, 5), 1e-4
    found = outlined(bones, reading, view)
    told = found.change()
    assert told.shape == (len(found.points_px), bones.numbers)
    for number in range(bones.numbers):
        moved = reading.copy()
        moved[number] += small
        offsets = found.offsets(moved[: bones.code_length], px_from_radius(moved, bones, view))
        np.testing.assert_allclose(offsets / small, told[:, number], rtol=2e-3, atol=2e-3)


def test_a_bone_alone_moves_with_its_own_numbers(bones, bases):
    told = outlined(bones, reading_of(bones, 6), "pa").change()
    of_radius = len(outlined(bones, reading_of(bones, 6), "pa").parts[0].points_px)
    assert not told[:of_radius, bones.parts[1]].any()
    assert not told[of_radius:, bones.parts[0]].any()
    assert told[:, bones.code_length :].any(axis=1).all()
    assert bases[0].length - PLACEMENT == 3


def test_an_outline_that_lies_where_it_was_read_is_not_off(bones):
    reading = reading_of(bones, 7)
    found = outlined(bones, reading, "lateral")
    offsets = found.offsets(reading[: bones.code_length], px_from_radius(reading, bones, "lateral"))
    np.testing.assert_allclose(offsets, 0.0, atol=1e-3)


def test_points_are_thinned_evenly_or_drawn(bones):
    reading = reading_of(bones, 8)
    whole, few = outlined(bones, reading, "pa"), outlined(bones, reading, "pa", 20)
    drawn = outlined(bones, reading, "pa", 20, np.random.default_rng(0))
    assert [len(part.points_px) for part in few.parts] == [len(part.points_px) for part in drawn.parts] == [20, 20]
    for part, thinned in zip(whole.parts, few.parts, strict=True):
        assert len(part.points_px) > 60
        assert {tuple(edge) for edge in thinned.edges} <= {tuple(edge) for edge in part.edges}
