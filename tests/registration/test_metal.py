"""Metal implants on films that saturate: the response, its derivative, and a known pose recovered in depth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

from bonelift.errors import InputError
from bonelift.film.standard import FILM_SPACING_MM
from bonelift.geometry import XrayCamera, apply_transform, rotation_about_axis, translation
from bonelift.registration.chart import pose_chart
from bonelift.registration.film_response import LINE_INTEGRALS, FilmResponse
from bonelift.registration.film_views import FilmView
from bonelift.registration.films import FilmPose, register_to_films
from bonelift.registration.metal import METAL, TITANIUM_PER_MM, metal_body
from bonelift.registration.objective import objective
from bonelift.registration.views import FixedView, project_bone
from bonelift.surface.mesh import TriangleMesh
from builders.toy_wrist import DEPTH_MM, assert_jacobian_is_derivative, film_camera

Float = NDArray[np.float64]
TRUE_POSE = translation([3.0, -8.0, DEPTH_MM - 30]) @ rotation_about_axis([0.8, 0.5, 0.3], 0.9)
OFFSET = np.array([0.06, -0.05, 0.05, 4.0, -3.0, 20.0])
"""A start 5 degrees, 5 mm in the plane and 20 mm in depth from the truth."""
QUICK = replace(METAL.pose, starts=2, population=10, generations=10)


def wedge() -> TriangleMesh:
    """A convex body of 8 to 40 mm of metal, without symmetry."""
    corners = np.array(
        [[-26, -17, 0], [24, -15, 0], [21, 18, 0], [-22, 15, 2], [-14, -9, 22], [9, -6, 26], [7, 8, 18], [-9, 5, 21]],
        dtype=np.float64,
    )
    hull = trimesh.convex.convex_hull(corners)
    return TriangleMesh(np.asarray(hull.vertices), np.asarray(hull.faces))


def chords_mm(mesh: TriangleMesh, camera: XrayCamera, pose: Float) -> Float:
    """(rows, columns) exact length of each pixel's ray inside a convex body."""
    planes = ConvexHull(apply_transform(pose, mesh.vertices)).equations  # normal . x + offset <= 0 inside
    rows, columns = np.mgrid[: camera.height_px, : camera.width_px]
    pixels = np.stack([columns.ravel(), rows.ravel(), np.ones(rows.size)])
    rays = (np.linalg.inv(camera.image_from_camera) @ pixels).T
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    slope = rays @ planes[:, :3].T
    meets = -planes[:, 3] / slope
    enter = np.where(slope < 0, meets, -np.inf).max(axis=1)
    leave = np.where(slope > 0, meets, np.inf).min(axis=1)
    return np.maximum(leave - enter, 0).reshape(camera.shape_px)


def saturated_film(pose: Float) -> FilmView:
    thickness_mm = chords_mm(wedge(), film_camera(), pose)
    image = -np.expm1(-TITANIUM_PER_MM * thickness_mm)
    image += np.random.default_rng(0).normal(0, 0.01, image.shape)
    return FilmView(image, film_camera(), thickness_mm > 0, FILM_SPACING_MM)


def off_by(found: FilmPose, pose: Float, centre_mm: Float) -> tuple[float, float, float]:
    """Angle (deg), distance in the image plane (mm) and in depth (mm)."""
    step = pose_chart(film_camera(), pose, centre_mm).parameters(found.pose.world_from_bone)
    return float(np.rad2deg(np.linalg.norm(step[:3]))), float(np.linalg.norm(step[3:5])), float(abs(step[5]))


@pytest.mark.parametrize("saturation", [0.0, 0.33, 1.2])
def test_the_slope_is_the_derivative_of_what_is_shown(saturation):
    response, thickness, step = FilmResponse(saturation), np.linspace(0.1, 30, 50), 1e-4
    numeric = (response.shown(thickness + step) - response.shown(thickness - step)) / (2 * step)
    # Central differences err by step^2 / 6 of the third derivative, saturation^2 at most: under 1e-8.
    assert np.allclose(response.slope(thickness), numeric, rtol=0, atol=1e-8)


def test_a_film_shows_the_thickness_of_thin_metal_and_hardly_that_of_thick():
    response = FilmResponse(0.5)
    assert response.shown(np.array([1e-4]))[0] == pytest.approx(1e-4, rel=1e-4)
    assert response.shown(np.array([1e3]))[0] == pytest.approx(2.0)  # all absorbed: 1 / saturation
    assert np.array_equal(LINE_INTEGRALS.shown(np.array([3.0, 7.0])), [3.0, 7.0])
    for bad in (-0.1, np.nan, np.inf):
        with pytest.raises(InputError, match="saturation"):
            FilmResponse(bad)


@pytest.mark.parametrize("kind", ["gradient_correlation", "local_gradient_correlation", "intensity_correlation"])
def test_the_jacobian_of_a_saturating_projection_is_its_derivative(kind):
    body, camera = metal_body(wedge(), 1.0, 2.0).fine, film_camera()
    chart = pose_chart(camera, TRUE_POSE, body.centre_mm)
    start = chart.poses(np.array([[0.02, 0.02, -0.02, 1.0, 1.0, 5.0]]))[0]
    view = FixedView(saturated_film(TRUE_POSE).image, camera)
    problem = objective(body, [view], 2, 0.7, kind=kind, response=FilmResponse(TITANIUM_PER_MM))
    chart = chart.recentred(start)
    residual, _ = problem.residuals(chart)
    assert residual @ residual == pytest.approx(1 - problem.similarity(start[None], kind)[0, 0])
    assert_jacobian_is_derivative(problem, chart, np.array([2e-3, 2e-3, 2e-3, 0.05, 0.05, 1.0]))


def test_depth_is_recovered_where_the_film_saturates_and_not_with_line_integrals():
    body, film = metal_body(wedge()), saturated_film(TRUE_POSE)
    start = pose_chart(film_camera(), TRUE_POSE, body.fine.centre_mm).poses(OFFSET[None])[0]
    ends = {
        response: register_to_films(body, [film], start, replace(METAL, pose=replace(QUICK, response=response)))
        for response in (METAL.pose.response, LINE_INTEGRALS)
    }
    angle_deg, in_plane_mm, depth_mm = off_by(ends[METAL.pose.response], TRUE_POSE, body.fine.centre_mm)
    # A film shows an edge of 50 mm to about a tenth of a 0.5 mm pixel and the body's voxels widen it by 0.06 mm: at
    # a distance of 900 mm that is 2 to 4 mm of depth, and a tenth of a mm in the plane.
    assert in_plane_mm < 0.1
    assert angle_deg < 1.0
    assert depth_mm < 4.0
    assert ends[METAL.pose.response].pose.similarity > 0.9
    assert off_by(ends[LINE_INTEGRALS], TRUE_POSE, body.fine.centre_mm)[2] > 2 * depth_mm
    assert ends[LINE_INTEGRALS].pose.similarity < 0.75


def test_solid_metal_has_the_volume_of_its_surface_and_the_chords_of_a_ray():
    mesh = wedge()
    body = metal_body(mesh)
    assert body.fine.volume.values.sum() * 0.3**3 == pytest.approx(mesh.volume_mm3, rel=0.01)
    thickness = project_bone(body.fine, film_camera(), TRUE_POSE[None])[0]
    true = chords_mm(mesh, film_camera(), TRUE_POSE)
    inside = true > 5
    # An edge cut by a ray is known to a part of a voxel of 0.3 mm at either end.
    assert np.abs(thickness - true)[inside].max() < 0.5
    assert (thickness - true)[inside].mean() == pytest.approx(0, abs=0.05)
    with pytest.raises(InputError, match="encloses"):
        metal_body(TriangleMesh(mesh.vertices, mesh.faces[:, ::-1]))
    with pytest.raises(InputError, match="encloses"):
        metal_body(TriangleMesh(np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int32)))
