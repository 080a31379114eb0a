"""The two signs of a film that is given as the other view: where the ulnar head lies, and what the outlines ask for."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from bonelift.film.standard import FILM_SHAPE, FILM_SPACING_MM
from bonelift.images.radiograph import View
from bonelift.networks.model import WristModel, load_model
from bonelift.networks.outlines import OutlineSigns
from bonelift.reconstruction.demo_case import load_demo_case
from bonelift.reconstruction.devices import DeviceSigns
from bonelift.reconstruction.inputs import read_radiographs
from bonelift.reconstruction.job import reconstruct
from bonelift.reconstruction.judge import Check, FilmEvidence, Quality, film_checks

SIGNS = ("ulnar head from the axis (mm)", "outlines")


@cache
def model() -> WristModel:
    return load_model(None)


@cache
def judged(view: View) -> Quality:
    """Of the packaged patient's film, which is a PA film."""
    (film,) = read_radiographs([load_demo_case().image])
    return reconstruct([replace(film, view=view)], model()).quality


def signs(quality: Quality) -> list[Check]:
    return [check for check in quality.checks if check.name.startswith(SIGNS)]


def test_a_film_of_the_view_that_is_given_shows_no_sign():
    assert [check.factor for check in signs(judged("pa"))] == [1.0, 1.0]
    assert not judged("pa").doubtful


def test_a_pa_film_given_as_a_lateral_is_not_to_be_used():
    across, outlines = signs(judged("lateral"))
    assert judged("lateral").verdict == "not usable"
    assert across.factor < 1
    assert outlines.factor < 1


def evidence(view: View, ulna_across_mm: float, outlines: OutlineSigns | None) -> FilmEvidence:
    blank = np.ones(FILM_SHAPE)
    nothing = DeviceSigns(0.0, 0.0, 0.0)
    return FilmEvidence(
        view, 1.0, 1.0, 1.0, 30.0, blank, blank, blank, 1.0, "", blank, math.nan, ulna_across_mm, outlines, nothing
    )


def factors(view: View, ulna_across_mm: float, outline_step: float) -> list[float]:
    checks = film_checks(evidence(view, ulna_across_mm, OutlineSigns(outline_step, (0.5, 0.5))))
    return [check.factor for check in checks if check.name.startswith(SIGNS)]


@pytest.mark.parametrize(
    ("view", "across_mm", "factor"),
    [
        ("pa", 20.0, 1.0),
        ("pa", 11.0, 0.5),
        ("pa", 4.0, 0.0),
        ("lateral", 8.0, 1.0),
        ("lateral", 21.0, 0.5),
        ("lateral", 26.0, 0.0),
    ],
)
def test_the_ulna_lies_beside_the_radius_in_one_view_and_behind_it_in_the_other(view, across_mm, factor):
    assert factors(view, across_mm, 0.0) == pytest.approx([factor, 1.0])


def test_outlines_that_ask_for_another_reading_lower_the_score():
    assert [factors("pa", 20.0, step)[1] for step in (0.04, 0.125, 0.3)] == pytest.approx([1.0, 0.5, 0.0])


@pytest.mark.parametrize(
    ("told_mm", "said"),
    [((0.3, 0.6), []), ((0.6, 0.6), ["radius"]), ((0.3, 0.9), ["ulna"]), ((0.7, 1.3), ["radius", "ulna"])],
)
def test_a_bone_whose_outline_is_hardly_seen_is_remarked_and_costs_no_score(told_mm, said):
    told = OutlineSigns(0.0, tuple(sd_mm / FILM_SPACING_MM for sd_mm in told_mm))
    checks = [one for one in film_checks(evidence("pa", 20.0, told)) if one.name.startswith("outline of the")]
    assert [check.value for check in checks] == pytest.approx(told_mm)
    assert [check.factor for check in checks] == [1.0, 1.0]
    flags = [check.flag for check in checks if check.flag is not None]
    assert [flag.severity for flag in flags] == ["info"] * len(said)
    assert all(f"the outline of the {bone} is hardly seen" in flag.text for bone, flag in zip(said, flags, strict=True))


def test_nothing_is_said_of_outlines_that_were_not_read():
    assert not [one for one in film_checks(evidence("pa", 20.0, None)) if one.name.startswith("outline")]
