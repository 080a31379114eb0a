"""The check for an open growth plate, on a film of the packaged virtual patient with a line drawn across the radius."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from bonelift.film.standard import FILM_SHAPE, FILM_SPACING_MM, Film, nominal_camera_from_radius
from bonelift.images import LAPTOP_GRID
from bonelift.reconstruction.demo_case import load_demo_case
from bonelift.reconstruction.growth_plate import growth_plate_contrast
from bonelift.reconstruction.judge import GROWTH_PLATE
from bonelift.registration import moving_bone, project_bone
from bonelift.registration.nominal_bone import nominal_attenuation
from bonelift.surface.voxelize import soft_label
from builders.toy_wrist import DEPTH_MM, film_camera, standard_film


@cache
def adult_film() -> Film:
    """The radius straight in the beam, with noise; its pose is the nominal one."""
    solid = moving_bone(*nominal_attenuation(soft_label(load_demo_case().truth["radius"], LAPTOP_GRID), LAPTOP_GRID))
    pose = nominal_camera_from_radius(film_camera(), "pa", DEPTH_MM)
    shown = project_bone(solid, film_camera(), pose[None])[0]
    noise = np.random.default_rng(0).normal(0, 0.02, FILM_SHAPE)
    return standard_film(shown / np.percentile(shown, 99.5) + noise)


def line(at_mm: float, factor: float, slope: float = 0.0) -> NDArray[np.floating]:
    """FILM_SHAPE of factors: a line 2 mm high at a height of the radius frame, rising by ``slope`` across the film."""
    rows, columns = np.mgrid[: FILM_SHAPE[0], : FILM_SHAPE[1]].astype(float)
    height_mm = (60.0 - rows) * FILM_SPACING_MM - slope * (columns - 48.0) * FILM_SPACING_MM
    return np.where(np.abs(height_mm - at_mm) < 1.0, factor, 1.0)


def contrast(film: Film) -> float:
    return growth_plate_contrast(film, film.nominal_camera_from_radius(), load_demo_case().truth["radius"])


def test_an_adult_has_no_plate():
    assert contrast(adult_film()) < 0 < GROWTH_PLATE[0]


@pytest.mark.parametrize(("at_mm", "slope"), [(-6.0, 0.0), (-10.0, 0.15), (-14.0, -0.15)])
def test_a_dark_line_across_the_whole_bone_is_a_plate(at_mm: float, slope: float):
    film = adult_film()
    assert contrast(replace(film, pixels=film.pixels * line(at_mm, 0.3, slope))) > GROWTH_PLATE[1]


def test_neither_a_bright_scar_nor_a_line_in_half_of_the_bone_is_one():
    film = adult_film()
    scar = replace(film, pixels=film.pixels * line(-10.0, 1.4))
    half = np.where(np.arange(FILM_SHAPE[1]) < 48, line(-10.0, 0.3), 1.0)
    assert contrast(scar) < GROWTH_PLATE[0]
    assert contrast(replace(film, pixels=film.pixels * half)) < GROWTH_PLATE[0]


def test_the_joint_itself_is_not_looked_at():
    film = adult_film()
    assert contrast(replace(film, pixels=film.pixels * line(-1.0, 0.3))) < GROWTH_PLATE[0]


def test_where_the_film_does_not_show_the_place_nothing_is_said():
    film = adult_film()
    recorded = np.ones(FILM_SHAPE, dtype=bool)
    recorded[70:90] = False
    plate = film.pixels * line(-10.0, 0.3)
    assert contrast(replace(film, pixels=plate, recorded=recorded)) == -1
    assert contrast(replace(film, pixels=np.zeros_like(film.pixels))) == -1
