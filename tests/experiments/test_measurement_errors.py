"""Errors of measurements by hand."""

from __future__ import annotations

import numpy as np
import pytest

from bonelift.experiments.measurement_errors import MeasurementRow, error_of, errors_by_input, reader_ranks


def test_errors_by_hand():
    """True 1, 2, 6, 7; the means of the others are 5, 14/3, 10/3, 3."""
    error = error_of(np.array([1.0, 2, 6, 7]), np.array([2.0, 2, 5, 7]))
    assert error.cases == 4
    assert error.mean_abs == pytest.approx(0.5)
    assert error.bias == pytest.approx(0.0)
    assert error.no_skill == pytest.approx((4 + 8 / 3 + 8 / 3 + 4) / 4)
    assert error.skill == pytest.approx(1 - 0.5 / (10 / 3))
    assert error.skill_low <= error.skill <= error.skill_high
    assert error_of(np.array([1.0, 2, 3, 4]), np.array([2.0, 3, 4, 5])).bias == pytest.approx(1.0)


def test_what_is_missing_on_either_side_is_left_out():
    true, measured = np.array([1.0, np.nan, 3, 4, 5, np.inf]), np.array([1.0, 2, np.nan, 4, 5, 6])
    assert error_of(true, measured).cases == 3
    assert np.isnan(error_of(true[:2], measured[:2]).mean_abs)


def test_guessing_has_no_skill_and_reading_has():
    rng = np.random.default_rng(4)
    true = rng.normal(10, 3, 100)
    read, guessed = true + rng.normal(0, 1, 100), rng.permutation(true)
    assert error_of(true, read).has_skill
    assert not error_of(true, guessed).has_skill
    # The mean itself errs as much as the mean of the others, less 1 part in 100 of its own weight.
    constant = error_of(true, np.full(100, true.mean()))
    assert constant.mean_abs == pytest.approx(0.99 * constant.no_skill)


def rows(name: str, key: str, pairs: list[tuple[float, float, float]]) -> list[MeasurementRow]:
    return [
        MeasurementRow("m", number, "female", "left", name, key, true, measured, told, 0.9)
        for number, (true, measured, told) in enumerate(pairs)
    ]


def test_inputs_and_measurements_are_kept_apart():
    pa = rows("pa", "palmar_tilt_3d", [(1, 2, 0), (2, 3, 0), (3, 4, 0)])
    lateral = rows("lateral", "palmar_tilt_3d", [(1, 1, 0), (2, 2, 0), (3, 3, 0)])
    found = errors_by_input([*lateral, *pa])
    assert list(found) == ["pa", "lateral"]
    assert found["pa"]["palmar_tilt_3d"].bias == pytest.approx(1.0)
    assert found["lateral"]["palmar_tilt_3d"].bias == pytest.approx(0.0)


def test_a_reader_that_knows_its_errors_ranks_them():
    off = np.arange(1.0, 13)
    knows = rows("pa", "palmar_tilt_3d", [(0.0, float(value), float(value)) for value in off])
    count, rank, told, error = reader_ranks(knows)["palmar_tilt_3d"]
    assert (count, rank) == (12, pytest.approx(1.0))
    assert told == error == pytest.approx(6.5)
