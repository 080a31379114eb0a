"""The standard film: where it looks, and that a left wrist is a mirrored right one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bonelift.errors import InputError
from bonelift.film.standard import (
    FILM_ORIGIN_PX,
    FILM_SHAPE,
    FILM_SPACING_MM,
    Film,
    film_from_landmarks,
    nominal_camera_from_radius,
    normalise_film,
)
from bonelift.geometry import apply_transform, default_film_camera, is_rigid
from bonelift.images import Radiograph, Side, View

PROPERTY = settings(max_examples=15, deadline=None, derandomize=True, database=None)

WIDTH, HEIGHT, SPACING_MM = 401, 501, 0.25
MIRROR = np.diag([-1.0, 1, 1, 1])


def _radiograph(side: Side = "right", view: View = "pa", mirrored: bool = False) -> Radiograph:
    """A smooth picture without symmetry; ``mirrored``: left and right swapped."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH] / 100.0
    pixels = (
        np.exp(-((columns - 1.6) ** 2) / 2 - (rows - 2.2) ** 2) + 0.3 * np.sin(columns + 0.5 * rows) + 0.2 * columns
    )
    pixels = (pixels[:, ::-1] if mirrored else pixels).astype(np.float32)
    return Radiograph(pixels, default_film_camera(WIDTH, HEIGHT, SPACING_MM), side, view, 970.0)


origins = st.tuples(st.floats(150, 250), st.floats(150, 250))
directions = st.floats(-0.7, 0.7)  # rad from straight down


def _cut(radiograph: Radiograph, origin: tuple[float, float], angle_rad: float) -> Film:
    proximal = (origin[0] + 100 * np.sin(angle_rad), origin[1] + 100 * np.cos(angle_rad))
    return film_from_landmarks(radiograph, origin, proximal)


@PROPERTY
@given(origins, directions, st.sampled_from(["pa", "lateral"]))
def test_a_left_wrist_gives_the_film_of_the_mirrored_right_one(
    origin: tuple[float, float], angle_rad: float, view: View
) -> None:
    right = _cut(_radiograph("right", view), origin, angle_rad)
    left = _cut(_radiograph("left", view, mirrored=True), (WIDTH - 1 - origin[0], origin[1]), -angle_rad)
    # The same samples of mirrored float32 pixels.
    np.testing.assert_allclose(left.pixels, right.pixels, atol=1e-5)
    # The central ray is at the image centre, so even the cameras agree.
    np.testing.assert_allclose(left.camera.image_from_camera, right.camera.image_from_camera, atol=1e-8)
    assert (left.mirrored, right.mirrored) == (True, False)
    assert left.coverage == right.coverage


@PROPERTY
@given(origins, directions, st.sampled_from(["left", "right"]), st.sampled_from(["pa", "lateral"]))
def test_landmarks_land_where_they_belong(
    origin: tuple[float, float], angle_rad: float, side: Side, view: View
) -> None:
    film = _cut(_radiograph(side, view), origin, angle_rad)
    proximal = np.array([origin[0] + 100 * np.sin(angle_rad), origin[1] + 100 * np.cos(angle_rad), 1.0])
    at_origin = film.film_from_image @ [*origin, 1.0]
    np.testing.assert_allclose(at_origin[:2], FILM_ORIGIN_PX[view], atol=1e-9)
    # 100 px of 0.25 mm on the detector are 24.25 mm at the wrist (970 of 1000 mm away), 48.5 px of the film, down.
    shift = (film.film_from_image @ proximal)[:2] - at_origin[:2]
    np.testing.assert_allclose(shift, [0, 100 * SPACING_MM * 0.97 / FILM_SPACING_MM], atol=1e-9)


@PROPERTY
@given(origins, directions, st.sampled_from(["left", "right"]))
def test_film_and_radiograph_see_the_same_rays(origin: tuple[float, float], angle_rad: float, side: Side) -> None:
    """A point of the canonical world appears on the film where its world point appears on the radiograph."""
    radiograph = _radiograph(side)
    film = _cut(radiograph, origin, angle_rad)
    canonical = np.array([[10.0, -5, 960], [-8, 12, 975], [0, 0, 950]])
    world = apply_transform(film.world_from_canonical, canonical)
    on_image = radiograph.camera.project(world)
    homogeneous = np.column_stack([on_image, np.ones(len(on_image))]) @ film.film_from_image.T
    np.testing.assert_allclose(film.camera.project(canonical), homogeneous[:, :2], atol=1e-7)


@PROPERTY
@given(origins, directions, st.sampled_from(["left", "right"]))
def test_a_lateral_from_the_other_side_gives_the_same_film_of_turned_bones(
    origin: tuple[float, float], angle_rad: float, side: Side
) -> None:
    usual = _cut(_radiograph(side, "lateral"), origin, angle_rad)
    radiograph = _radiograph(side, "lateral", mirrored=True)
    swapped = (WIDTH - 1 - origin[0], origin[1])
    proximal = (swapped[0] - 100 * np.sin(angle_rad), swapped[1] + 100 * np.cos(angle_rad))
    film = film_from_landmarks(radiograph, swapped, proximal, from_ulnar=True)
    np.testing.assert_allclose(film.pixels, usual.pixels, atol=1e-5)

    pose = film.nominal_camera_from_radius()
    assert is_rigid(pose)  # still right bones in the canonical world, which is mirrored for a left wrist alone
    assert is_rigid(film.world_from_canonical) == (side == "right")
    dorsal, distal, ulnar = (apply_transform(pose, point) for point in ([0, -9.0, 0], [0, 0, 9.0], [9.0, 0, 0]))
    column, row = FILM_ORIGIN_PX["lateral"]
    assert film.camera.project(dorsal)[0] > column + 15  # 9 mm are 18 px
    assert film.camera.project(distal)[1] < row - 15
    assert ulnar[2] < pose[2, 3] - 8  # nearer to the source
    world = apply_transform(film.world_from_canonical, dorsal)
    on_image = np.array([*radiograph.camera.project(world), 1.0])
    np.testing.assert_allclose(film.camera.project(dorsal), (film.film_from_image @ on_image)[:2], atol=1e-7)


def test_only_a_lateral_may_come_from_the_ulnar_side() -> None:
    with pytest.raises(InputError, match="belongs to laterals"):
        film_from_landmarks(_radiograph(), (200.0, 200.0), (200.0, 300.0), from_ulnar=True)


@PROPERTY
@given(origins, directions, st.sampled_from(["left", "right"]), st.sampled_from(["pa", "lateral"]))
def test_nominal_pose(origin: tuple[float, float], angle_rad: float, side: Side, view: View) -> None:
    film = _cut(_radiograph(side, view), origin, angle_rad)
    camera_from_radius = film.nominal_camera_from_radius()
    # In the canonical world the bones are right bones: a rotation. In the patient a left wrist is its mirror.
    assert is_rigid(camera_from_radius)
    world_from_radius = film.world_from_canonical @ camera_from_radius
    assert np.linalg.det(world_from_radius[:3, :3]) == pytest.approx(-1 if side == "left" else 1)
    assert is_rigid(world_from_radius) == (side == "right")
    np.testing.assert_allclose(film.camera.project(camera_from_radius[:3, 3]), FILM_ORIGIN_PX[view], atol=1e-7)
    assert camera_from_radius[2, 3] == pytest.approx(970.0)


@pytest.mark.parametrize(
    ("view", "right", "away"),
    [("pa", [1, 0, 0], [0, 1, 0]), ("lateral", [0, -1, 0], [1, 0, 0])],
)
def test_axes_of_the_nominal_pose(view: View, right: list[int], away: list[int]) -> None:
    """Image right, down and away are +X, -Z, +Y (PA) and -Y, -Z, +X (lateral) of the radius frame."""
    camera = default_film_camera(*FILM_SHAPE[::-1], FILM_SPACING_MM)
    column, row = FILM_ORIGIN_PX[view]
    # Put the origin on the central ray, where the view's axes are the camera's.
    shift = np.array([[1.0, 0, column - 63.5], [0, 1, row - 79.5], [0, 0, 1]])
    pose = nominal_camera_from_radius(camera.viewed_through(shift, *FILM_SHAPE[::-1]), view, 970.0)
    np.testing.assert_allclose(pose[:3, :3] @ right, [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(pose[:3, :3] @ [0, 0, -1], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(pose[:3, :3] @ away, [0, 0, 1], atol=1e-12)


def test_rotating_the_radiograph_changes_nothing() -> None:
    radiograph = _radiograph()
    upright = _cut(radiograph, (200.0, 200.0), 0.1)
    turned = replace(radiograph, pixels=np.ascontiguousarray(radiograph.pixels[::-1, ::-1]))
    film = film_from_landmarks(
        turned,
        (WIDTH - 1 - 200.0, HEIGHT - 1 - 200.0),
        (WIDTH - 1 - 200.0 - 100 * np.sin(0.1), HEIGHT - 1 - 200.0 - 100 * np.cos(0.1)),
    )
    np.testing.assert_allclose(film.pixels, upright.pixels, atol=1e-5)


def test_coverage_counts_what_was_recorded() -> None:
    inside = _cut(_radiograph(), (200.0, 200.0), 0.0)
    outside = _cut(_radiograph(), (WIDTH - 1.0, 200.0), 0.0)
    assert inside.coverage == 1
    # The origin on the right edge: columns 0 to 48 of 128 are recorded, and half a pixel of the radiograph.
    assert outside.coverage == pytest.approx(49 / 128, abs=1 / 128)
    assert (outside.pixels[:, 50:] == 0).all()


def test_film_levels() -> None:
    rng = np.random.default_rng(2)
    pixels, inside = rng.normal(50, 9, FILM_SHAPE), np.ones(FILM_SHAPE, dtype=bool)
    film = normalise_film(pixels, inside)
    assert film.dtype == np.float32
    np.testing.assert_allclose(np.percentile(film, [99.5]), 1, atol=1e-3)
    assert (film == 0).mean() == pytest.approx(0.01, abs=0.002)
    # Brightness and contrast of the radiograph do not matter.
    np.testing.assert_allclose(normalise_film(3 * pixels - 70, inside), film, atol=1e-5)
    assert (normalise_film(np.full(FILM_SHAPE, 7.0), inside) == 0).all()
    assert (normalise_film(pixels, ~inside) == 0).all()


def test_landmarks_must_differ() -> None:
    for proximal in ((200.0, 200.0), (float("nan"), 300.0)):
        with pytest.raises(InputError, match="expected two points along the radial shaft"):
            film_from_landmarks(_radiograph(), (200.0, 200.0), proximal)


def test_a_radiograph_fits_its_camera() -> None:
    camera = default_film_camera(10, 20, 0.2)
    with pytest.raises(InputError, match="rows, columns"):
        Radiograph(np.zeros((10, 20), np.float32), camera, "left", "pa", 970.0)
    with pytest.raises(InputError, match="NaN"):
        Radiograph(np.full((20, 10), np.nan, np.float32), camera, "left", "pa", 970.0)


def test_the_film_keeps_what_its_pixels_can_carry_and_no_more() -> None:
    """Pixels of 0.1 mm on a film of 0.5 mm: the blur is 0.4 sqrt(24) of them. A wave of 20 of them, 4 of the film's,
    passes with exp(-2 (pi sigma / 20)^2); black and white beside it set the levels."""
    rows, columns = np.mgrid[:1500, :1000]
    wave = 0.5 + 0.4 * np.sin(2 * np.pi * columns / 20)
    pixels = np.where(rows < 950, columns < 500, wave).astype(np.float32)
    radiograph = Radiograph(pixels, default_film_camera(1000, 1500, 0.1 / 0.97), "right", "pa", 970.0)
    film = film_from_landmarks(radiograph, (500.0, 900.0), (500.0, 1400.0))
    band = film.pixels[film_rows_of(film, 1150, 1350), 20:-20]
    sigma_px = 0.4 * np.sqrt(FILM_SPACING_MM**2 / 0.1**2 - 1)
    expected = np.exp(-2 * (np.pi * sigma_px / 20) ** 2)
    # Four samples a wave have the mean square of the wave; interpolation between 20 of them costs 1 %.
    assert np.sqrt(2 * np.var(band)) / 0.4 == pytest.approx(expected, abs=0.03)


def film_rows_of(film: Film, first: int, last: int) -> slice:
    """Rows of the film that show rows ``first`` to ``last`` of the radiograph."""
    ends = (film.film_from_image @ np.array([[500, first, 1], [500, last, 1.0]]).T)[1]
    return slice(int(np.ceil(ends.min())), int(ends.max()))
