"""What preset `paper` makes of one case: the path that a GPU's night begins with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bonelift.cli import main
from bonelift.errors import InputError
from bonelift.experiments import images as images_of_a_case
from bonelift.experiments.images import case_images
from bonelift.experiments.presets import load_study_preset
from bonelift.film.standard import FILM_SHAPE, film_from_landmarks
from bonelift.study.folder import read_study
from bonelift.study.normalised_cases import read_study_case


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A virtual wrist whose landmarks a hand placed."""
    folder = tmp_path_factory.mktemp("paper") / "study"
    call = ["simulate", "--patients", "1", "--seed", "9", "--landmark-error-mm", "1", "--out", str(folder), "--quiet"]
    assert main(call) == 0
    return folder


@pytest.fixture(scope="module")
def images(folder):
    """With 3 of the 40 CT-DRRs."""
    preset = replace(load_study_preset("paper"), ct_drrs=3, test_drrs=3)
    return case_images(folder, read_study(folder).cases[0], preset, seed=4)


def test_labels_fill_the_papers_grid(images):
    assert images.occupancy.shape == (2, 128, 128, 128)
    mm3 = images.occupancy.reshape(2, -1).sum(axis=1, dtype=float) / 255 * 0.625**3
    # 40 mm of a distal radius (section 150 to 700 mm2) and of an ulna (80 to 300).
    assert 8_000 < mm3[0] < 25_000
    assert 3_000 < mm3[1] < 12_000
    assert images.radius_vertices[:, 2].min() < -40


def test_films_and_drrs_are_there_as_networks_read_them(images):
    assert images.drr.shape == (3, *FILM_SHAPE)
    assert images.film.shape == images.film_drr.shape == (1, *FILM_SHAPE)
    assert images.film_registered.tolist() == [True]
    # Bone of 10 to 30 mm of 0.03 to 0.06 per mm.
    for drr in (*images.drr, *images.film_drr):
        assert 0.3 < float(drr.max()) < 3.0
        assert 0.05 < float(np.mean(drr > 0.02)) < 0.7


def found_at(origin_px, shaft_px, confidence: float = 1.0):
    points = {"origin_px": np.asarray(origin_px), "shaft_px": np.asarray(shaft_px)}
    return lambda *_args, **_options: SimpleNamespace(**points, confidence=confidence, from_ulnar=False)


def test_the_tested_film_is_placed_by_the_locator_if_asked_for(folder, monkeypatch):
    """The rest of a pair's films, which only train, keep a person's cuts; a wrist that is not found is said."""
    case = read_study(folder).cases[0]
    preset = replace(load_study_preset("paper"), films_per_pair=3, tested_films="locator")
    normalised, posed = read_study_case(folder, case)
    origin, shaft = np.array([400.0, 500.0]), np.array([390.0, 690.0])
    monkeypatch.setattr(images_of_a_case, "locate", found_at(origin, shaft))
    rng = np.random.default_rng(0)
    films, numbers, registered = images_of_a_case._films(folder, case, normalised, posed, preset, rng)
    wanted = film_from_landmarks(posed[0].radiograph, origin, shaft)
    np.testing.assert_array_equal(films[0].pixels, wanted.pixels)
    assert (numbers, registered) == ([0, 0, 0], [True, True, True])
    assert all((film.pixels != wanted.pixels).any() for film in films[1:])
    assert all(film.drr.max() > 0.3 for film in films[1:])
    monkeypatch.setattr(images_of_a_case, "locate", found_at(origin, shaft, confidence=0.1))
    with pytest.raises(InputError, match="no upright wrist was found"):
        images_of_a_case._films(folder, case, normalised, posed, preset, rng)
