"""Rings, lines and dressings in the beam: their mass, their place, and how often they come."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bonelift.errors import InputError
from bonelift.phantom.accessories import Stroke, coverage, draw_strokes

PLAIN = Stroke("dressing", (-0.5, 0.0), (0.5, 0.0), 0.0, 8.0, 0.2, metal=False, link_mm=0.0, soft=False)


def test_a_straight_stroke_covers_its_length_times_its_width_and_round_ends():
    # 100 mm wide image: from -25 to 25 mm, 8 mm wide, with half discs at both ends.
    shown = coverage(PLAIN, (120, 200), 0.5)
    assert shown.sum() * 0.25 == pytest.approx(50 * 8 + np.pi * 16, rel=0.01)
    assert shown[60, 100] == 1.0
    assert not shown[:, :30].any()


def test_a_soft_stroke_thins_like_a_round_wire():
    # The chord of a wire: its mean over the width is pi / 4 of the middle.
    shown = coverage(replace(PLAIN, soft=True), (120, 200), 0.1)
    column = shown[:, 100]
    assert column.sum() * 0.1 == pytest.approx(8 * np.pi / 4, rel=0.03)


def test_a_bow_passes_beside_the_middle_of_its_chord():
    shown = coverage(replace(PLAIN, bow=0.2, width_mm=2.0), (120, 200), 0.5)
    # 0.2 of 50 mm: 10 mm off the chord in the middle.
    rows = np.flatnonzero(shown[:, 100] > 0.5)
    assert (rows.mean() - 59.5) * 0.5 == pytest.approx(10.0, abs=0.5)


def test_links_leave_gaps():
    shown = coverage(replace(PLAIN, link_mm=5.0), (120, 200), 0.25)[60, 100:140]
    assert shown.min() < 0.3
    assert shown.max() > 0.95


def test_most_films_show_none_and_every_drawn_one_is_valid():
    rng = np.random.default_rng(0)
    drawn = [draw_strokes(rng) for _ in range(600)]
    # 3 + 5 + 8 + 10 + 4 % of films, nearly independent: 27 % show something; 600 films: SE 1.8 %.
    assert 0.2 < np.mean([len(strokes) > 0 for strokes in drawn]) < 0.34
    assert {stroke.kind for strokes in drawn for stroke in strokes} == {
        "ring", "bracelet", "line", "dressing", "sleeve",
    }  # fmt: skip
    with pytest.raises(InputError, match="width_mm"):
        replace(PLAIN, width_mm=float("nan"))
