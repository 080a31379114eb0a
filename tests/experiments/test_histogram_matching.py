"""Histogram-matched films and affine pairs: quantiles, order, one affine for both pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bonelift.errors import InputError
from bonelift.experiments.affine_pairs import affine_pairs, contact_sheet
from bonelift.experiments.histogram_matching import match_to_drr
from bonelift.learning.augmentation import AffineRange


def _thickness(rows: int = 60, columns: int = 48) -> np.ndarray:
    """A cylinder's chord across the columns, growing down the rows: line integrals between 0 and about 1."""
    x = (np.arange(columns) - columns / 2 + 0.5) / 15
    chord = np.sqrt(np.clip(1 - x**2, 0, None))
    return chord[None, :] * np.linspace(0.5, 1.0, rows)[:, None]


@given(gamma=st.floats(0.4, 2.5), gain=st.floats(0.1, 4000), offset=st.floats(-500, 500))
@settings(max_examples=30, deadline=None)
def test_a_monotone_film_gives_the_drr_back(gamma: float, gain: float, offset: float) -> None:
    """Whatever rising curve the vendor applied, matching to the true DRR inside the true outline undoes it."""
    drr = _thickness()
    matched = match_to_drr(offset + gain * drr**gamma, drr > 0, drr)
    # Both lists are sorted alike and of one length, so quantiles fall on each other: float32 rounding remains.
    np.testing.assert_allclose(matched, drr, atol=1e-5)
    assert matched.dtype == np.float32


def test_matched_films_have_the_references_distribution_and_keep_order() -> None:
    rng = np.random.default_rng(0)
    film = rng.normal(900, 120, (80, 70))
    mask = np.zeros(film.shape, bool)
    mask[10:70, 20:50] = True
    reference = np.stack([_thickness(), 1.3 * _thickness()])  # a stack of other patients' DRRs
    matched = match_to_drr(film, mask, reference)
    assert (matched[~mask] == 0).all()
    share = np.linspace(5, 95, 19)
    # 1,800 pixels: a quantile is known to about one step of rank, 1/1800 of a range of 1.3.
    np.testing.assert_allclose(
        np.percentile(matched[mask], share), np.percentile(reference[reference > 0], share), atol=2e-2
    )
    order = np.argsort(film[mask])
    assert (np.diff(matched[mask][order]) >= 0).all()


@pytest.mark.parametrize(
    ("film", "mask", "reference", "words"),
    [
        (np.ones((4, 4)), np.ones((4, 5)), np.ones((4, 4)), "one 2D shape"),
        (np.ones((4, 4)), np.zeros((4, 4)), np.ones((4, 4)), "the mask is empty"),
        (np.ones((4, 4)), np.ones((4, 4)), np.zeros((4, 4)), "shows no bone"),
        (np.full((4, 4), np.nan), np.ones((4, 4)), np.ones((4, 4)), "NaN"),
    ],
)
def test_what_cannot_be_matched_is_named(film, mask, reference, words) -> None:
    with pytest.raises(InputError, match=words):
        match_to_drr(film, mask, reference)


SPREAD = AffineRange(translation_px=8.0, rotation_deg=15.0, scale=0.1, shear=0.05)


def test_film_and_drr_move_together() -> None:
    drr = _thickness().astype(np.float32)
    state = torch.random.get_rng_state()
    pairs = affine_pairs(2 * drr + 0, drr, seed=3, spread=SPREAD)
    assert torch.equal(state, torch.random.get_rng_state())
    assert pairs.films.shape == pairs.drrs.shape == (100, *drr.shape)
    np.testing.assert_allclose(pairs.films, 2 * pairs.drrs, atol=1e-5)
    np.testing.assert_array_equal(pairs.drrs, affine_pairs(drr, drr, seed=3, spread=SPREAD).drrs)
    assert not np.array_equal(pairs.drrs, affine_pairs(drr, drr, seed=4, spread=SPREAD).drrs)
    scale = np.sqrt(np.linalg.det(pairs.old_from_new[:, :, :2]))
    assert np.abs(scale - 1).max() <= SPREAD.scale + 1e-6
    assert np.abs(pairs.old_from_new[:, :, 2]).max() <= SPREAD.translation_px
    still = affine_pairs(drr, drr, seed=1, count=2, spread=AffineRange())
    np.testing.assert_allclose(still.drrs[1], drr, atol=1e-5)
    with pytest.raises(InputError, match="one 2D shape"):
        affine_pairs(drr, drr[:-1], seed=0, spread=SPREAD)


def test_the_contact_sheet_shows_every_pair() -> None:
    drr = _thickness().astype(np.float32)
    sheet = np.asarray(contact_sheet(affine_pairs(drr, drr, seed=0, spread=SPREAD, count=12), "case-0001", columns=4))
    height = 96 * 60 // 48
    for row in range(3):
        for column in range(4):
            top, left = 40 + row * (2 * height + 12), 6 + column * 102
            tile = sheet[top : top + 2 * height, left : left + 96]
            assert (tile > 200).any()  # both pictures reach their white somewhere in every pair's cell
            assert (tile[height + 2 :] > 200).any()
