"""Rays that meet, rays that pass each other, and rays that are parallel."""

from __future__ import annotations

import numpy as np
import pytest

from bonelift.geometry import nearest_to_rays


@pytest.mark.parametrize("count", [2, 3, 5])
def test_rays_through_a_point_meet_there(count):
    rng = np.random.default_rng(count)
    point = np.array([12.0, -40.0, 900.0])
    directions = rng.standard_normal((count, 3))
    origins = point - directions * rng.uniform(100, 900, size=(count, 1))
    assert np.allclose(nearest_to_rays(origins, 3 * directions, [0, 0, 500.0]), point)


def test_between_rays_that_pass_each_other_lies_the_middle():
    origins, directions = [[-100.0, 0, 0], [0, -100.0, 6.0]], [[1.0, 0, 0], [0, 1.0, 0]]
    assert np.allclose(nearest_to_rays(origins, directions, [7.0, 7.0, 7.0]), [0, 0, 3.0])


@pytest.mark.parametrize("crossing_deg", [0.0, 10.0])
def test_along_rays_that_are_nearly_parallel_the_point_stays(crossing_deg):
    half = np.deg2rad(crossing_deg) / 2
    directions = [[np.sin(half), 0, np.cos(half)], [-np.sin(half), 0, np.cos(half)]]
    origins = [[1.0, 0, 0], [3.0, 0, 0]]
    assert np.allclose(nearest_to_rays(origins, directions, [5.0, 4.0, 50.0])[2], 50.0)
