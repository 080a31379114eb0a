"""Descent steps of S: their geometry is that of the film, and fitted steps lay the bones on it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from bonelift.anatomy.shape_basis import BoneBasis, fit_basis
from bonelift.anatomy.shape_model import load_shape_model, sample_wrist
from bonelift.film.standard import FILM_ORIGIN_PX, FILM_SHAPE, FILM_SPACING_MM, film_from_landmarks, standard_projection
from bonelift.images import Radiograph
from bonelift.images.radiograph import View
from bonelift.images.reading import OBJECT_TO_DETECTOR_MM
from bonelift.learning.augmentation import AffineRange, move_projections, random_affines
from bonelift.learning.shape_regression import film_distances
from bonelift.networks.film_warp import warp
from bonelift.networks.occluding_contour import POSE
from bonelift.networks.shape_regressor import ShapeConfig, ShapeRegressor
from bonelift.networks.supervised_descent import (
    OFFSETS_PX,
    DescentStep,
    ProjectedPoints,
    feature_count,
    features,
    projected,
    rotations,
    spread_points,
)
from bonelift.phantom.xray_geometry import FILM_SPREAD, draw_geometry

MODES, POINTS = 5, 40


@pytest.fixture(scope="module")
def bases() -> tuple[BoneBasis, BoneBasis]:
    wrists = [sample_wrist(load_shape_model(), np.random.default_rng(seed)) for seed in range(8)]
    radius, ulna = (
        fit_basis(np.stack([getattr(wrist, bone).vertices for wrist in wrists]), getattr(wrists[0], bone).faces, MODES)
        for bone in ("radius", "ulna")
    )
    return radius, ulna


def points_of(bases) -> ProjectedPoints:
    made = ProjectedPoints((bases[0].length, bases[1].length), POINTS, FILM_SHAPE)
    made.take_bases(bases)
    return made


def network_of(bases, steps: int = 1) -> ShapeRegressor:
    torch.manual_seed(0)
    radius, ulna = (basis.length for basis in bases)
    config = ShapeConfig(
        radius + ulna, (4, 8, 8, 16), (1, 1, 1), 32, descent_steps=steps, points=POINTS, radius_outputs=radius
    )
    network = ShapeRegressor(config)
    network.projected_points.take_bases(bases)
    return network


def test_rotations_are_those_of_the_vectors():
    vectors = np.random.default_rng(0).normal(0, 0.5, (20, 3))
    ours = rotations(torch.from_numpy(vectors)).numpy()
    np.testing.assert_allclose(ours, Rotation.from_rotvec(vectors).as_matrix(), atol=1e-6)
    assert torch.isfinite(rotations(torch.zeros(1, 3))).all()


def test_points_are_those_of_the_decoded_bone(bases):
    rng = np.random.default_rng(1)
    codes = rng.normal(0, 1, (3, bases[0].length + bases[1].length))
    found = points_of(bases).points(torch.from_numpy(codes).float()).numpy()
    for row, code in zip(found, codes, strict=True):
        radius, ulna = np.split(code, [bases[0].length])
        for part, basis, own in zip(np.split(row, 2), bases, (radius, ulna), strict=True):
            whole = basis.decode(own).vertices
            np.testing.assert_allclose(part, whole[spread_points(basis, POINTS)], atol=1e-3)


def test_points_are_spread_over_the_seen_part(bases):
    chosen = bases[0].reference[spread_points(bases[0], POINTS)]
    assert len(np.unique(chosen, axis=0)) == POINTS
    distances = np.linalg.norm(chosen[:, None] - chosen, axis=-1) + np.diag(np.full(POINTS, np.inf))
    # Forty discs over some 3,000 mm^2 of surface: none nearer than a third of the root of what each has to itself.
    assert distances.min() > 2.5


@pytest.mark.parametrize("view", ["pa", "lateral"])
def test_the_standard_projection_is_a_straight_wrist_on_the_film(view: View):
    projection = torch.from_numpy(standard_projection(view))[None]
    origin, distal = projected(torch.tensor([[[0.0, 0, 0], [0.0, 0, 1.0]]], dtype=torch.float64), projection)[0].numpy()
    np.testing.assert_allclose(origin, FILM_ORIGIN_PX[view], atol=1e-9)
    # A ray beside the middle is not upright on the detector: 0.1 % of a mm is left of it.
    np.testing.assert_allclose(distal - origin, [0, -1 / FILM_SPACING_MM], atol=5e-3)


@pytest.mark.parametrize("view", ["pa", "lateral"])
def test_any_camera_of_a_clinic_is_a_pose_before_the_standard_one(bases, view: View):
    """What the docstring of standard_projection says: 0.1 mm over the bones, whatever the tube's distance and place."""
    rng = np.random.default_rng(2)
    made = points_of(bases)
    points = made.points(torch.zeros(1, bases[0].length + bases[1].length))
    code = torch.tensor([0 if view == "pa" else 1])
    for _ in range(4):
        geometry = draw_geometry(rng, view, (384, 312), 0.25, FILM_SPREAD)
        assumed_mm = geometry.camera.sdd_mm - OBJECT_TO_DETECTOR_MM
        blank = Radiograph(np.zeros((384, 312), np.float32), geometry.camera, "right", view, assumed_mm)
        film = film_from_landmarks(blank, geometry.origin_px, geometry.proximal_px)
        true = torch.from_numpy(film.px_from_radius(geometry.camera_from_radius)[None]).float()
        wanted = projected(points, true)

        def misfit(pose, wanted=wanted):
            at = made.on_film(points, torch.from_numpy(pose[None]).float(), code)
            return (FILM_SPACING_MM * (at - wanted)).numpy().ravel()

        left = misfit(least_squares(misfit, np.zeros(POSE), diff_step=1e-3).x)
        assert np.sqrt((left.reshape(-1, 2) ** 2).sum(axis=1)).mean() < 0.1


def test_the_picture_is_read_around_the_points():
    rows, columns = torch.meshgrid(torch.arange(160.0), torch.arange(128.0), indexing="ij")
    points = torch.tensor([[[20.0, 31.5], [64.25, 80.75]]])
    reading = torch.tensor([[0.3, -2.0, 1.0]])
    for ramp, axis in ((columns, 0), (rows, 1)):
        found = features(ramp[None, None], points, reading)
        assert found.shape == (1, feature_count(2, 3))
        places = points[0, :, None] + torch.tensor(OFFSETS_PX)
        # Linear interpolation of a ramp is exact.
        torch.testing.assert_close(found[0, :-3] ** 2, places[..., axis].flatten(), rtol=1e-5, atol=1e-4)
        torch.testing.assert_close(found[:, -3:], reading)


def test_the_film_is_read_beside_the_drr():
    drr, film = torch.rand(2, 2, 1, 160, 128)
    pictures, points = torch.cat([drr, film], dim=1), torch.rand(2, 3, 2) * 100
    reading = torch.rand(2, 4)
    found = features(pictures, points, reading)
    assert found.shape == (2, feature_count(3, 4, pictures=2))
    of_drr, of_film = features(drr, points, reading), features(film, points, reading)
    samples = 3 * len(OFFSETS_PX)
    torch.testing.assert_close(found[:, :samples], of_drr[:, :samples])
    torch.testing.assert_close(found[:, samples : 2 * samples], of_film[:, :samples] ** 2)
    torch.testing.assert_close(found[:, 2 * samples :], reading)


def test_a_step_on_the_film_changes_nothing_where_there_is_none(bases):
    radius, ulna = (basis.length for basis in bases)
    network = ShapeRegressor(
        ShapeConfig(
            radius + ulna,
            (4, 8, 8, 16),
            (1, 1, 1),
            32,
            reads_film=True,
            descent_steps=1,
            film_steps=1,
            points=POINTS,
            radius_outputs=radius,
        )
    ).eval()
    network.projected_points.take_bases(bases)
    assert [network.sees_film(number) for number in range(2)] == [False, True]
    network.descent[1].bias.fill_(1.0)
    pictures = torch.rand(2, 2, *FILM_SHAPE)
    pictures[1, 1] = 0.0
    readings, _ = network.readings(pictures, torch.tensor([0, 1]))
    torch.testing.assert_close(readings[2] - readings[1], torch.tensor([[1.0], [0.0]]).expand_as(readings[1]))


def test_projections_move_with_the_picture():
    torch.manual_seed(3)
    projection = torch.from_numpy(standard_projection("pa")).float().expand(6, -1, -1)
    affines = random_affines(6, AffineRange(6.0, 10.0, 0.05, 0.05), torch.device("cpu"))
    point = torch.tensor([[[3.0, 2.0, -12.0]]]).expand(6, -1, -1)
    column, row = projected(point, projection)[0, 0].tolist()
    rows, columns = torch.meshgrid(torch.arange(160.0), torch.arange(128.0), indexing="ij")
    spot = torch.exp(-((columns - column) ** 2 + (rows - row) ** 2) / 8)[None, None].expand(6, -1, -1, -1)
    moved = warp(spot, affines)[:, 0]
    total = moved.sum(dim=(1, 2))
    centroid = torch.stack([(moved * columns).sum(dim=(1, 2)), (moved * rows).sum(dim=(1, 2))], -1) / total[:, None]
    torch.testing.assert_close(projected(point, move_projections(projection, affines, (160, 128)))[:, 0], centroid,
                               rtol=0, atol=0.05)  # fmt: skip


def test_a_step_that_is_not_fitted_changes_nothing(bases):
    network = network_of(bases, 2).eval()
    readings, _ = network.readings(torch.rand(2, 1, *FILM_SHAPE), torch.tensor([0, 1]))
    assert len(readings) == 3
    assert readings[0].shape == (2, network.outputs + POSE)
    torch.testing.assert_close(readings[1], readings[0])
    torch.testing.assert_close(readings[2], readings[0])


def test_a_step_takes_the_map_of_its_view():
    step = DescentStep(4, 2)
    step.weight.copy_(torch.randn(2, 4, 2))
    step.bias.copy_(torch.randn(2, 2))
    seen = torch.randn(5, 4)
    view = torch.tensor([0, 1, 1, 0, 1])
    expected = torch.stack([row @ step.weight[v] + step.bias[v] for row, v in zip(seen, view, strict=True)])
    torch.testing.assert_close(step(seen, view), expected)
    assert step.is_fitted
    step.reset()
    assert not step.is_fitted
    assert not step(seen, view).any()


def test_films_of_unknown_pose_are_left_out_of_the_distance(bases):
    network = network_of(bases)
    reading = torch.zeros(2, network.outputs + POSE, requires_grad=True)
    codes, view = torch.zeros(2, network.outputs), torch.tensor([0, 1])
    known = torch.from_numpy(standard_projection("pa")).float()
    distances = film_distances(network, reading, view, codes, torch.stack([known, torch.full((3, 4), torch.nan)]))
    # The same codes and the nominal pose: nothing but the root's 0.001 px is left.
    assert distances[0].item() == pytest.approx(0.0, abs=1e-2)
    assert torch.isnan(distances[1])
    distances.nansum().backward()
    assert torch.isfinite(reading.grad).all()
