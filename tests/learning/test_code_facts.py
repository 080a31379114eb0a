"""What is known of a trained S, against errors and bones that are made up."""

import numpy as np
import pytest

from bonelift.anatomy.shape_basis import fit_basis
from bonelift.anatomy.shape_uncertainty import expected_distance
from bonelift.learning.code_facts import expected_error_facts, outside_basis_mm
from bonelift.learning.samples import SurfaceSamples


def ellipsoids(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Balls of 10 mm below the joint line, stretched along the axes and with a dent of their own."""
    polar, turn = np.meshgrid(np.linspace(0.2, np.pi - 0.2, 10), np.arange(14) * 2 * np.pi / 14, indexing="ij")
    unit = np.stack([np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar)], -1).reshape(-1, 3)
    row, column = (grid.ravel() for grid in np.meshgrid(np.arange(9), np.arange(14), indexing="ij"))
    beside = (column + 1) % 14
    a, b, c, d = row * 14 + column, (row + 1) * 14 + column, (row + 1) * 14 + beside, row * 14 + beside
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]).astype(np.int32)
    rng = np.random.default_rng(seed)
    stretch = 1 + 0.06 * rng.normal(size=(count, 1, 3))
    dents = 1 + 0.01 * rng.normal(size=(count, len(unit), 1))
    return 10 * unit * stretch * dents - [0, 0, 12.0], faces


@pytest.fixture(scope="module")
def basis():
    return fit_basis(*ellipsoids(0, 80), 4)


def test_what_no_mode_writes_is_measured_on_bones_of_their_own(basis):
    seen, unseen = (outside_basis_mm(basis, ellipsoids(seed, 40)[0]) for seed in (0, 5))
    # Each point is off by 1 % of 10 mm by itself, which four modes of 140 points cannot write; stretches they can, up
    # to products of two of them (0.06^2 x 10 mm).
    assert unseen == pytest.approx(0.1, abs=0.02)
    assert seen <= unseen + 0.01


@pytest.mark.parametrize("too_small", [1.0, 2.0])
def test_the_factor_says_by_how_much_errors_are_larger_than_told(basis, too_small):
    rng = np.random.default_rng(2)
    points = ellipsoids(5, 40)[0].astype(np.float32)
    sds = rng.uniform(0.3, 0.6, (400, 2 * basis.length))
    errors = sds * rng.normal(size=sds.shape)
    facts = expected_error_facts(errors, sds / too_small, SurfaceSamples(points, points), (basis, basis))
    for bone in ("radius", "ulna"):
        assert facts[bone]["outside_mm"] == pytest.approx(0.1, abs=0.02)
        told = [
            np.mean([expected_distance(basis, sd, facts[bone]["outside_mm"]).rigid_mm for sd in rows])
            for rows in (sds[:, : basis.length], sds[:, : basis.length] / too_small)
        ]
        # The mean of a root lies under the root of the mean: for some four modes by about 10 %.
        assert facts[bone]["factor"] == pytest.approx(told[0] / told[1], rel=0.15)
