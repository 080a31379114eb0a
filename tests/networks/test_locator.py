"""Locator: its picture of the radiograph, its heatmaps."""

import numpy as np
import pytest
import torch

from bonelift.errors import InputError
from bonelift.geometry import XrayCamera
from bonelift.images import Radiograph
from bonelift.networks.locator import Locator, LocatorConfig, soft_argmax_px
from bonelift.networks.locator_input import LOCATOR_SHAPE, LOCATOR_SPACING_MM, image_from_locator, locator_input
from builders.toy_cohort import LOCATOR


def _radiograph(side, spot_px, shape=(300, 200), spacing_mm=1.0):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    pixels = np.exp(-((columns - spot_px[0]) ** 2 + (rows - spot_px[1]) ** 2) / (2 * 5.0**2)).astype(np.float32)
    sdd_mm = 1000.0
    intrinsic = np.array([[sdd_mm / spacing_mm, 0, shape[1] / 2], [0, sdd_mm / spacing_mm, shape[0] / 2], [0, 0, 1]])
    camera = XrayCamera(intrinsic, np.eye(4), shape[1], shape[0], sdd_mm)
    return Radiograph(pixels, camera, side, "pa", 950.0)


def _middle(picture):
    """(column, row) of the centroid of the bright spot."""
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]]
    bright = np.where(picture > 0.5, picture, 0)
    return (columns * bright).sum() / bright.sum(), (rows * bright).sum() / bright.sum()


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("turns", [0, 90, 180, 270, 37.0])
def test_a_spot_is_found_where_the_map_says(side, turns):
    spot = np.array([60.0, 90.0])
    picture, matrix = locator_input(_radiograph(side, spot), turns)
    assert picture.shape == LOCATOR_SHAPE
    assert picture.dtype == np.float32
    assert 0 <= picture.min() <= picture.max() <= 1.2
    found = matrix @ [*_middle(picture), 1]
    # The centroid of a round spot over several pixels is true to a small part of a pixel (2.1 px of the radiograph).
    np.testing.assert_allclose(found[:2], spot, atol=0.3)
    np.testing.assert_allclose(matrix, image_from_locator(_radiograph(side, spot), turns))


def test_the_pictures_scale_and_mirror():
    right, left = (image_from_locator(_radiograph(side, (50, 50))) for side in ("right", "left"))
    # 2 mm at the wrist, 950 mm from the source, are 2 / 0.95 mm and as many 1 mm pixels on the detector at 1000 mm.
    assert np.sqrt(np.linalg.det(right[:2, :2])) == pytest.approx(LOCATOR_SPACING_MM / 0.95)
    assert np.linalg.det(left) == pytest.approx(-np.linalg.det(right))


def test_a_quarter_turn_is_clockwise():
    # A spot straight above the middle stands to the right of it after a quarter turn clockwise.
    picture, _ = locator_input(_radiograph("right", (99.5, 60.0)), 90)
    column, row = _middle(picture)
    assert abs(row - 79.5) < 0.5
    assert column > 100


def test_soft_argmax_is_exact_for_a_gaussian_between_cells():
    columns = (np.arange(20) + 0.5) * 2 - 0.5
    where = np.array([17.3, 14.1])
    logits = -((columns[None, :] - where[0]) ** 2 + (columns[:, None] - where[1]) ** 2) / (2 * 2.0**2)
    points, share = soft_argmax_px(torch.tensor(logits, dtype=torch.float32)[None, None])
    # Window of +-10 px is 5 SD; cutting that tail moves the mean by far less than 0.01 px.
    np.testing.assert_allclose(points[0, 0], where, atol=0.01)
    assert share.item() == pytest.approx(1.0, abs=1e-3)


def test_soft_argmax_ignores_a_lower_second_peak():
    logits = torch.full((1, 1, 20, 20), -20.0)
    logits[0, 0, 3, 3], logits[0, 0, 16, 16] = 1.0, 0.0
    points, share = soft_argmax_px(logits)
    np.testing.assert_allclose(points[0, 0], [6.5, 6.5], atol=0.01)
    assert share.item() == pytest.approx(np.e / (1 + np.e), abs=1e-3)


def test_shapes_and_gradients_of_the_locator():
    torch.manual_seed(0)
    network = Locator(LOCATOR)
    heatmaps, presence = network(torch.rand(3, 1, 32, 32))
    assert heatmaps.shape == (3, 3, 16, 16)
    assert presence.shape == (3,)
    ((heatmaps * torch.randn_like(heatmaps)).sum() + (presence * torch.randn(3)).sum()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_a_picture_that_cannot_be_halved_is_refused():
    with pytest.raises(InputError, match="multiples of 8"):
        LocatorConfig((4, 4, 4), (30, 32))
