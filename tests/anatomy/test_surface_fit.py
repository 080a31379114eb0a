"""Template fitting and localised modes against shapes whose deformation is known."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from bonelift.anatomy.localised_modes import LocalCovariance, localised_modes, weighted_mean
from bonelift.anatomy.model_fit import fit_model
from bonelift.anatomy.surface_fit import fit_template, smooth_basis, spread_points, surface_cloud
from bonelift.surface.mesh import TriangleMesh


def ball(radius_mm: float, subdivisions: int = 3) -> TriangleMesh:
    made = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius_mm)
    return TriangleMesh(np.asarray(made.vertices), np.asarray(made.faces))


def test_points_cover_the_surface():
    """On a ball of 10 mm points lie within the chord's sag of a 1.6 mm edge: 10 - sqrt(100 - 0.64 * 4/3) = 0.04 mm."""
    cloud = surface_cloud(ball(10.0), 0.5)
    np.testing.assert_allclose(np.linalg.norm(cloud.points, axis=1), 10, atol=0.06)
    assert ((cloud.points * cloud.normals).sum(axis=1) > 9.5).all()
    assert not cloud.on_border.any()


def test_an_open_end_is_marked():
    mesh = ball(10.0)
    upper = TriangleMesh(mesh.vertices, mesh.faces[(mesh.triangles[..., 2] > -2).all(axis=1)]).welded()
    cloud = surface_cloud(upper, 0.7)
    assert cloud.on_border.any()
    assert cloud.points[cloud.on_border, 2].max() < 1.0


def test_a_template_grows_onto_a_larger_ellipsoid():
    template = ball(10.0)
    target = TriangleMesh(ball(10.0, 4).vertices * [1.15, 1.0, 0.9], ball(10.0, 4).faces)
    basis = smooth_basis(template.vertices, (15.0, 5.0), (2.0, 0.5), 100)
    fitted, matched = fit_template(template, basis, surface_cloud(target, 0.6), repeats=1)
    assert matched.mean() > 0.99
    level = np.linalg.norm(fitted / [1.15, 1.0, 0.9], axis=1)
    np.testing.assert_allclose(level, 10, atol=0.15)


def test_spread_points_are_distinct():
    vertices = ball(10.0).vertices
    chosen = spread_points(vertices, 60)
    assert len(set(chosen.tolist())) == 60


def test_modes_reproduce_the_sample_variance_without_a_taper():
    """With everything global the modes are the sample's own: variances agree at every vertex."""
    rng = np.random.default_rng(1)
    mean = ball(10.0, 2).vertices
    shapes = mean + rng.normal(size=(5, 1, 3)) + 0.1 * rng.normal(size=(5, 1, 1)) * mean
    weights = np.ones((5, len(mean)))
    residuals = shapes - weighted_mean(shapes, weights)
    local = LocalCovariance(taper_mm=12.0, global_share=1.0)
    modes = localised_modes(mean, residuals, weights, 4, local, controls=60)
    np.testing.assert_allclose((modes**2).sum(axis=0), shapes.var(axis=0, ddof=1), rtol=1e-6)


def test_a_taper_makes_more_modes_than_bones():
    rng = np.random.default_rng(2)
    mean = ball(30.0, 2).vertices
    residuals = rng.normal(size=(4, 1, 3)) * np.ones_like(mean)
    residuals -= residuals.mean(axis=0)
    modes = localised_modes(mean, residuals, np.ones((4, len(mean))), 12, LocalCovariance(10.0, 0.2), controls=80)
    assert np.linalg.matrix_rank(modes.reshape(12, -1), tol=1e-3) == 12


@pytest.mark.parametrize("true_coefficients", [(1.5, -1.0), (0.0, 2.0)])
def test_known_coefficients_are_recovered(true_coefficients):
    """Two ellipsoidal modes, a shifted target: coefficients within 0.1 SD, for matches slide along the surface."""
    template = ball(10.0)
    x, y, z = template.vertices.T
    modes = np.stack([np.column_stack([x, -y, 0 * z]) * 0.05, np.column_stack([0 * x, y, -z]) * 0.05])
    target = template.vertices + np.tensordot(true_coefficients, modes, axes=1) + [0.8, -0.5, 0.3]
    fit = fit_model(template, modes, surface_cloud(TriangleMesh(target, template.faces), 0.5), noise_mm=0.05)
    np.testing.assert_allclose(fit.coefficients, true_coefficients, atol=0.1)
