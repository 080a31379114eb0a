"""Readers of outlines, learned from drawn shadows of bones: they see where an edge lies, and are left out where not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage.draw import polygon

from bonelift.anatomy.shape_basis import BoneBasis
from bonelift.film.standard import FILM_SHAPE
from bonelift.learning.outlines import OutlineTraining, fit_outlines
from bonelift.learning.shape_regression import Coded
from bonelift.networks.occluding_contour import POSE, OutlinedBones
from bonelift.networks.shape_regressor import ShapeRegressor
from builders.posed_readings import px_from_radius
from builders.spot_films import STILL, mean_reader, spot_bases

QUICK = OutlineTraining(pictures=80, points=30, fewest=20, updates=400, batch=256, hidden=24)


@pytest.fixture(scope="module")
def bases() -> tuple[BoneBasis, BoneBasis]:
    return spot_bases()


def shadows(bases, network: ShapeRegressor, count: int, seed: int, blank: bool = False) -> Coded:
    """PA pictures of the convex hulls of both bones, a little out of focus; the network reads mean bones from all."""
    bones, rng = OutlinedBones(bases), np.random.default_rng(seed)
    drrs, codes, projections = [], [], []
    for _ in range(count):
        code = 0.8 * rng.normal(size=bones.code_length)
        code[-6:] *= 0.2
        code[bases[0].length - 6 : bases[0].length] *= 0.2
        projection = px_from_radius(np.concatenate([code, 0.1 * rng.normal(size=POSE)]), bones, "pa")
        drr = np.zeros(FILM_SHAPE)
        for basis, part in zip(bases, bones.parts, strict=True):
            points = np.c_[basis.decode(code[part]).vertices, np.ones(len(basis.reference))] @ projection.T
            px = points[:, :2] / points[:, 2:]
            drr += drawn(px, basis)
        drrs.append(0 * drr if blank else gaussian_filter(drr, 1.0))
        codes.append(code)
        projections.append(projection)
    told = torch.from_numpy(np.array(codes, dtype=np.float32))
    views = np.zeros(count, np.uint8)
    return Coded(np.array(drrs, np.float16), views, told, np.array(projections, np.float32))


def drawn(px: np.ndarray, basis: BoneBasis) -> np.ndarray:
    """1 where a face of the bone is."""
    picture = np.zeros(FILM_SHAPE)
    for face in basis.faces:
        rows, columns = polygon(px[face, 1], px[face, 0], FILM_SHAPE)
        picture[rows, columns] = 1.0
    return picture


@pytest.fixture(scope="module")
def network(bases) -> ShapeRegressor:
    return mean_reader(bases, 1)


@pytest.fixture(scope="module")
def training(bases, network) -> Coded:
    return shadows(bases, network, 60, 1)


@pytest.fixture(scope="module")
def validation(bases, network) -> Coded:
    return shadows(bases, network, 20, 2)


def test_edges_are_seen_and_readings_corrected(bases, network, training, validation):
    """fit_outlines keeps a reader only where it reads the validation patients better."""
    found = fit_outlines(network, bases, {"drr": training}, {"drr": validation}, STILL, QUICK)
    assert list(found) == [("pa", "drr")]
    covariance = found["pa", "drr"].covariance
    assert np.linalg.eigvalsh(covariance)[0] > 0
    # The network answers with mean bones, so its errors are the codes themselves, of SD 0.8.
    assert np.sqrt(covariance.diagonal()[:3]).mean() == pytest.approx(0.8, rel=0.35)


def test_the_place_of_the_ulna_is_doubted_and_nothing_else(bases, network, training, validation):
    """By the SD in mm that is added, along each axis."""
    few = replace(QUICK, updates=30)
    sure, doubting = (
        fit_outlines(network, bases, {"drr": training}, {}, STILL, replace(few, ulna_doubt_mm=mm), seed=5)
        for mm in (0.0, 2.0)
    )
    added = doubting["pa", "drr"].covariance - sure["pa", "drr"].covariance
    bones = OutlinedBones(bases)
    variance = added.diagonal()[bones.code_length - 3 : bones.code_length]
    np.testing.assert_allclose(np.sqrt(variance) * bases[1].placement_sd[3:], 2.0, rtol=1e-6)
    assert np.count_nonzero(np.abs(added) > 1e-12) == 3


def test_the_same_call_gives_the_same_reader(bases, network, training, validation):
    few = replace(QUICK, updates=30)
    made = [fit_outlines(network, bases, {"drr": training}, {}, STILL, few, seed=5) for _ in range(2)]
    for first, second in zip(made[0]["pa", "drr"].network.weights, made[1]["pa", "drr"].network.weights, strict=True):
        assert np.array_equal(first, second)


def test_pictures_that_show_nothing_have_no_reader(bases, network, validation):
    blank = [shadows(bases, network, count, seed, blank=True) for count, seed in ((24, 3), (12, 4))]
    few = replace(QUICK, updates=60)
    assert fit_outlines(network, bases, {"drr": blank[0]}, {"drr": blank[1]}, STILL, few) == {}


def test_too_few_pictures_or_unknown_poses_have_no_reader(bases, network, training, validation):
    unposed = replace(training, px_from_radius=np.full_like(training.px_from_radius, np.nan))
    assert fit_outlines(network, bases, {"drr": unposed}, {"drr": validation}, STILL, QUICK) == {}
    many = replace(QUICK, fewest=len(training.drr) + 1)
    assert fit_outlines(network, bases, {"drr": training}, {"drr": validation}, STILL, many) == {}
    assert fit_outlines(network, bases, {"drr": training}, {}, STILL, replace(QUICK, updates=0)) == {}
