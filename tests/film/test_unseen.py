"""What a film does not show: beyond its picture, and behind straight blades; not the air beside an arm."""

from __future__ import annotations

import numpy as np
import pytest

from bonelift.film.standard import FILM_SHAPE
from bonelift.film.unseen import unseen

ROWS, COLUMNS = np.indices(FILM_SHAPE)
WHOLE = np.ones(FILM_SHAPE, dtype=bool)


def arm() -> np.ndarray:
    """Grey skin whose sides curve, bright bones in it, black air."""
    half = 50 - 12 * np.cos((ROWS - 80) / 60)
    film = np.where(np.abs(COLUMNS - 64) < half, 0.3, 0.0)
    for middle in (48, 84):
        film[np.abs(COLUMNS - middle - 6 * np.sin(ROWS / 25)) < 9] = 0.8
    noise = np.random.default_rng(0).normal(0, 0.01, FILM_SHAPE)
    return np.where(film > 0, film + noise, 0.0)


def blade(turn_deg: float, middle_px: float) -> np.ndarray:
    turn = np.deg2rad(turn_deg)
    return (COLUMNS - 64) * np.cos(turn) + (ROWS - 80) * np.sin(turn) > middle_px


def test_an_arm_that_is_shown_whole_hides_nothing_of_its_bones():
    assert not (unseen(arm(), WHOLE) & (arm() > 0.1)).any()


@pytest.mark.parametrize(("turn_deg", "middle_px"), [(0, 20), (6, 18), (-17, 22), (180, 25), (174, 20)])
def test_what_lies_behind_a_blade_along_the_arm_is_unseen(turn_deg, middle_px):
    true = blade(turn_deg, middle_px)
    film = np.where(true, 0.0, arm())
    found = unseen(film, WHOLE)
    skin = arm() > 0.1
    assert (found & true & skin).sum() > 0.93 * (true & skin).sum()
    assert (found & ~true & skin).sum() < 0.01 * skin.sum()


def test_what_was_not_recorded_is_unseen():
    recorded = COLUMNS < 90
    film = np.where(recorded, arm(), 0.0)
    found = unseen(film, recorded)
    assert found[~recorded].all()
    assert not (found & recorded & (film > 0.1)).any()


def test_skin_that_is_burnt_black_takes_no_bone_away():
    film = np.where(arm() > 0.6, arm(), 0.0)
    assert (unseen(film, WHOLE) & (film > 0.6)).sum() == 0


@pytest.mark.parametrize("level", [0.0, 0.5])
def test_an_empty_film_is_no_error(level):
    assert unseen(np.full(FILM_SHAPE, level), WHOLE).shape == FILM_SHAPE
