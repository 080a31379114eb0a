"""The blur of the similarity, against the Gaussian that it is."""

import numpy as np
import pytest

from bonelift.registration.similarity import smooth


def test_an_impulse_becomes_a_gaussian_and_images_stay_apart():
    images = np.zeros((2, 41, 41))
    images[1, 20, 20] = 1.0
    blurred = smooth(images, 2.0)
    assert not blurred[0].any()
    assert blurred[1].sum() == pytest.approx(1.0)
    rows, columns = np.mgrid[-6:7, -6:7]
    # Normalised over what is kept, three deviations either way.
    line = np.exp(-(np.arange(-6, 7) ** 2) / 8)
    expected = np.exp(-(rows**2 + columns**2) / 8) / line.sum() ** 2
    np.testing.assert_allclose(blurred[1, 14:27, 14:27], expected, rtol=1e-12)
    assert not blurred[1, :13].any()


def test_without_a_width_images_stay_and_an_even_image_always_does():
    rng = np.random.default_rng(0)
    image = rng.normal(size=(7, 9))
    np.testing.assert_array_equal(smooth(image, 0.0), image)
    np.testing.assert_allclose(smooth(np.full((7, 9), 3.0), 2.5), 3.0, rtol=1e-12)
