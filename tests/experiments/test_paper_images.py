"""What preset `paper` makes of one case: the path that a GPU's night begins with."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bonelift.cli import main
from bonelift.experiments.images import case_images
from bonelift.experiments.presets import load_study_preset
from bonelift.images.film import FILM_SHAPE
from bonelift.study.folder import read_study


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Of a virtual wrist whose landmarks a hand placed, with 3 of the 40 CT-DRRs."""
    folder = tmp_path_factory.mktemp("paper") / "study"
    call = ["simulate", "--patients", "1", "--seed", "9", "--landmark-error-mm", "1", "--out", str(folder), "--quiet"]
    assert main(call) == 0
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
