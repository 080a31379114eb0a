"""Metal and casts: what a bar's contrast is, and what is said of one virtual wrist with each device."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from bonelift.film.standard import FILM_SHAPE, film_from_landmarks
from bonelift.images import Radiograph, View
from bonelift.phantom.devices import CASTS, with_device
from bonelift.phantom.patient import VirtualPatient, make_patient
from bonelift.phantom.xray import draw_settings, expose
from bonelift.phantom.xray_geometry import FILM_SPREAD, draw_geometry
from bonelift.reconstruction.devices import DeviceSigns, bar_contrast, device_signs
from bonelift.reconstruction.judge import METAL, ROD, SHELL, Check, FilmEvidence, film_checks

SEED = 962002
SEEN = np.ones((100, 80), dtype=bool)


def bar(angle_deg: float, half_width_px: float, half_length_px: float = 30.0) -> np.ndarray:
    """(100, 80): 0.5, and 0.8 on a bar through the middle; 0 degrees is along the columns."""
    rows, columns = np.mgrid[:100, :80] - np.array([49.5, 39.5])[:, None, None]
    angle = np.deg2rad(angle_deg)
    along = np.cos(angle) * rows + np.sin(angle) * columns
    across = -np.sin(angle) * rows + np.cos(angle) * columns
    return np.where((np.abs(across) < half_width_px) & (np.abs(along) < half_length_px), 0.8, 0.5)


def contrast(pixels: np.ndarray, seen: np.ndarray = SEEN) -> float:
    """In the middle of the picture, of bars of 10 mm length and 4 mm width; pixels of 0.5 mm."""
    return float(bar_contrast(pixels, seen, 10.0, (4.0,), 0.5, 1.0)[48:52, 38:42].max())


@pytest.mark.parametrize("angle_deg", [0.0, 37.0, 90.0, 151.0])
def test_a_bar_has_the_contrast_that_it_was_drawn_with_at_any_angle(angle_deg: float):
    assert contrast(bar(angle_deg, 4.0)) == pytest.approx(0.3, abs=0.01)


def test_neither_an_edge_nor_a_spot_nor_a_dark_bar_is_a_bright_bar():
    edge = np.where(np.arange(80) < 40, 0.8, 0.5) * np.ones((100, 1))
    assert contrast(edge) == pytest.approx(0.0, abs=0.01)
    assert contrast(bar(0.0, 4.0, half_length_px=4.0)) < 0.05
    assert contrast(1.3 - bar(0.0, 4.0)) < 0.01


def test_a_bar_whose_side_is_not_seen_does_not_count():
    hidden = SEEN.copy()
    hidden[:, 45:] = False
    assert contrast(bar(0.0, 4.0), hidden) == -1


@pytest.mark.parametrize("view", ["pa", "lateral"])
def test_an_ulna_that_is_known_no_farther_is_no_cast_and_a_narrow_shaft_no_plate(view: View):
    found = signs("plain", view, ulna_above_mm=-25.0)
    assert found.shell < SHELL[0]
    assert found.metal < METAL[0]


@cache
def patient() -> VirtualPatient:
    return make_patient(SEED)


@cache
def signs(kind: str, view: View = "pa", ulna_above_mm: float = -90.0, letter: bool = False) -> DeviceSigns:
    """Of one exposure of the patient with a device, or "plain", the bones where they truly stand; the ulna is known
    above a height of the radius frame."""
    rng, of_device = np.random.default_rng([SEED, 8]), np.random.default_rng([SEED, 9])
    geometry = draw_geometry(rng, view, (900, 800), 0.25, replace(FILM_SPREAD, shift_mm=5.0))
    settings = draw_settings(rng, "film", field_half_size=(0.8, 0.9), field_centre=geometry.origin_fraction)
    body, settings = patient().body, replace(settings, field=replace(settings.field, strokes=()))
    if kind != "plain":
        body, settings = with_device(body, settings, geometry, of_device, kind)
    pixels = expose(body, geometry.camera, geometry.camera_from_radius, rng, settings)
    if letter:  # a stroke of 5 x 25 mm, 55 mm beside the axis of the radius
        column, row = np.round(geometry.origin_px + np.array([55.0, 15.0]) / 0.24).astype(int)
        pixels[row : row + 104, column : column + 21] = pixels.max()
    film = Radiograph(pixels, geometry.camera, "right", view, 965.0)
    shape = patient().shape
    known = shape.ulna.vertices[shape.ulna.vertices[:, 2] > ulna_above_mm]
    return device_signs(
        film_from_landmarks(film, geometry.origin_px, geometry.proximal_px),
        film,
        dict.fromkeys(("radius", "ulna"), geometry.camera_from_radius),
        {"radius": shape.radius, "ulna": replace(shape.ulna, vertices=known, faces=np.zeros((0, 3), dtype=np.int64))},
    )


@pytest.mark.parametrize("view", ["pa", "lateral"])
def test_a_plain_film_shows_no_sign(view: View):
    plain = signs("plain", view)
    assert plain.metal < METAL[0]
    assert plain.rod < ROD[0]
    assert plain.shell < SHELL[0]


def test_a_letter_beside_the_arm_is_no_cast():
    assert signs("plain", letter=True).shell < SHELL[0]


@pytest.mark.parametrize("kind", ["plate", "wires"])
@pytest.mark.parametrize("view", ["pa", "lateral"])
def test_metal_in_the_radius_is_seen(kind: str, view: View):
    assert signs(kind, view).metal > METAL[1]


def test_the_rod_of_a_fixator_is_seen_beside_the_arm():
    assert signs("fixator").rod > ROD[1]


def test_a_cast_is_seen_beside_the_bones_and_is_no_metal():
    assert signs("plaster").shell > SHELL[1]
    assert signs("fibreglass").shell > 2 * max(signs("plain").shell, 0.0)
    assert max(signs(kind).metal for kind in CASTS) < METAL[0]


def device_checks(found: DeviceSigns) -> list[Check]:
    blank = np.ones(FILM_SHAPE)
    film = FilmEvidence("pa", 1.0, 1.0, 1.0, 30.0, blank, blank, blank, 1.0, "", blank, np.nan, 20.0, None, found)
    return [check for check in film_checks(film) if check.name.startswith(("metal", "rod", "cast"))]


def told(found: DeviceSigns) -> list[str]:
    """Severity and first words of the flags, after the view."""
    flags = [check.flag for check in device_checks(found) if check.flag]
    return [f"{flag.severity}: {flag.text.split(': ')[1][:22]}" for flag in flags]


def test_what_is_not_named_takes_nothing_from_the_score():
    assert [check.factor for check in device_checks(DeviceSigns(0.23, 0.7, 0.12))] == [1.0, 1.0, 1.0]
    assert [check.factor for check in device_checks(DeviceSigns(0.25, 0.7, 0.15))] == pytest.approx([0.5, 1.0, 0.5])


def test_each_device_is_named_once():
    assert told(DeviceSigns(0.1, 0.1, 0.01)) == []
    assert told(DeviceSigns(0.5, 0.5, 0.01)) == ["severe: a straight bar in the "]
    assert told(DeviceSigns(0.1, 0.3, 0.16)) == ["warning: a straight band beside"]
    assert told(DeviceSigns(0.1, 1.2, 1.2)) == ["severe: a long straight bar li"]
