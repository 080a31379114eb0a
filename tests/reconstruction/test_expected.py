"""The error that a reconstruction expects of itself, from the model's facts alone."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from bonelift.anatomy.shape_uncertainty import expected_distance
from bonelift.images import LAPTOP_GRID
from bonelift.networks.model import load_model
from bonelift.reconstruction.bones import Bones
from bonelift.reconstruction.expected import OUTSIDE_MM, expected_errors, surface_sd_mm
from bonelift.reconstruction.judge import EXPECTED_ERROR_MM, NO_ERROR_TOLD, _error_checks


@pytest.fixture(scope="module")
def bases():
    return load_model().bases


def bones_with(code_sd) -> Bones:
    return Bones(np.zeros((2, *LAPTOP_GRID.shape), np.float32), LAPTOP_GRID, {}, np.zeros(1), "shape", code_sd=code_sd)


def test_a_bone_expects_what_its_numbers_come_to(bases):
    lengths = {name: basis.length for name, basis in bases.items()}
    sd = np.concatenate([np.full(lengths["radius"], 0.4), np.full(lengths["ulna"], 0.8)])
    told = expected_errors(bones_with(sd), SimpleNamespace(bases=bases, metadata={}))
    assert told is not None
    assert told["radius"] == expected_distance(bases["radius"], np.full(lengths["radius"], 0.4), OUTSIDE_MM)
    assert told["ulna"] == expected_distance(bases["ulna"], np.full(lengths["ulna"], 0.8), OUTSIDE_MM)


def test_the_calibration_of_the_model_counts(bases):
    sd = np.full(sum(basis.length for basis in bases.values()), 0.5)
    plain = expected_errors(bones_with(sd), SimpleNamespace(bases=bases, metadata={}))
    facts = {"expected_error": {"radius": {"factor": 1.5, "outside_mm": OUTSIDE_MM}}}
    calibrated = expected_errors(bones_with(sd), SimpleNamespace(bases=bases, metadata=facts))
    assert plain is not None
    assert calibrated is not None
    assert calibrated["radius"].rigid_mm == pytest.approx(1.5 * plain["radius"].rigid_mm)
    assert calibrated["ulna"] == plain["ulna"]


def test_every_point_of_a_bone_has_its_own_spread(bases):
    sd = np.full(sum(basis.length for basis in bases.values()), 0.5)
    spread = surface_sd_mm(bones_with(sd), SimpleNamespace(bases=bases, metadata={}))
    assert spread is not None
    for name, basis in bases.items():
        assert spread[name].shape == (len(basis.reference),)
        assert spread[name].min() >= OUTSIDE_MM


def test_where_no_error_is_told_that_is_said(bases):
    model = SimpleNamespace(bases=bases, metadata={})
    assert expected_errors(bones_with(None), model) is None
    assert surface_sd_mm(replace(bones_with(None), method="tl"), model) is None
    (check,) = _error_checks(None)
    assert check.factor == 1.0
    assert check.flag is not None
    assert check.flag.text == NO_ERROR_TOLD


def test_a_large_expected_error_lowers_the_score_and_is_told_in_mm(bases):
    sd = np.full(sum(basis.length for basis in bases.values()), 0.05)
    small = expected_errors(bones_with(sd), SimpleNamespace(bases=bases, metadata={}))
    large = expected_errors(bones_with(60 * sd), SimpleNamespace(bases=bases, metadata={}))
    assert all(check.factor == 1.0 and check.flag is None for check in _error_checks(small))
    assert large is not None
    assert large["radius"].rigid_mm > EXPECTED_ERROR_MM[1]
    checks = _error_checks(large)
    assert checks[0].factor == 0.0
    assert checks[0].flag is not None
    assert f"{large['radius'].rigid_mm:.1f} mm" in checks[0].flag.text
