"""Random changes: what moves in the picture moves in the points, and strength 0 changes nothing."""

import pytest
import torch

from bonelift.learning.augmentation import AffineRange, move_points, random_affines, vary_drr, vary_film
from bonelift.networks.film_warp import warp


def _spot(column, row, height=48, width=40):
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.exp(-((columns - column) ** 2 + (rows - row) ** 2) / (2 * 2.5**2))[None, None]


def _centroid(picture):
    rows, columns = torch.meshgrid(torch.arange(picture.shape[-2]), torch.arange(picture.shape[-1]), indexing="ij")
    total = picture.sum()
    return torch.stack([(columns * picture).sum() / total, (rows * picture).sum() / total])


@pytest.mark.parametrize("seed", range(4))
def test_points_move_with_the_picture(seed):
    torch.manual_seed(seed)
    affines = random_affines(1, AffineRange(4.0, 30.0, 0.2, 0.1), torch.device("cpu"))
    picture = warp(_spot(23.0, 20.0), affines)
    expected = move_points(torch.tensor([[[23.0, 20.0]]]), affines, (48, 40))[0, 0]
    # Bilinear resampling of a spot with SD 2.5 px moves its centroid by a few hundredths of a pixel.
    torch.testing.assert_close(_centroid(picture[0, 0]), expected, atol=0.1, rtol=0)


def test_no_range_is_no_change():
    picture = torch.rand(2, 2, 16, 24)
    affines = random_affines(2, AffineRange(), torch.device("cpu"))
    torch.testing.assert_close(warp(picture, affines), picture)


def test_a_shift_is_in_pixels():
    affines = torch.tensor([[[1.0, 0.0, 3.0], [0.0, 1.0, -2.0]]])
    picture = torch.rand(1, 1, 16, 24)
    # The new pixel at (column, row) shows the old one at (column + 3, row - 2).
    torch.testing.assert_close(warp(picture, affines)[..., 4:12, 4:12], picture[..., 2:10, 7:15])


def test_strength_zero_changes_nothing_and_one_stays_in_range():
    torch.manual_seed(0)
    film = torch.rand(4, 1, 32, 32)
    torch.testing.assert_close(vary_film(film, 0.0), film, atol=1e-4, rtol=0)
    torch.testing.assert_close(vary_drr(film, 0.0), film)
    assert 0 <= vary_film(film, 1.0).min() <= vary_film(film, 1.0).max() <= 1.2
    assert vary_drr(film, 1.0).min() >= 0


def test_air_stays_air():
    assert vary_drr(torch.zeros(2, 1, 32, 32), 1.0).max() == 0
