"""Surface elements against closed forms and differences, and toy bones fitted to images made of other ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bonelift.anatomy.shape_basis import PLACEMENT, BoneBasis
from bonelift.errors import InputError
from bonelift.geometry import XrayCamera, default_film_camera
from bonelift.registration.bone_image import INSIDE, KNOTS_MM, PosedBone, bone_change, bone_elements, bone_image
from bonelift.registration.image_fit import ImageFitSettings, fit_to_image
from bonelift.registration.shape_fit import ShapedWrist
from bonelift.registration.splat import path_length
from bonelift.registration.views import FixedView
from bonelift.surface.mesh import TriangleMesh

CAMERA = default_film_camera(96, 110, 0.55)
POSE = np.array([[1.0, 0, 0, -8], [0, 0, -1, -16], [0, 1, 0, 960], [0, 0, 0, 1]])
"""A PA view: x to the right, z up, y away from the source."""


def shaft(width_mm: float, depth_mm: float, x_mm: float) -> TriangleMesh:
    """A rounded post from z = -60 to 8 mm, thicker at its top, about x = ``x_mm``; outward normals."""
    heights, angles = np.linspace(-60, 8, 60), 2 * np.pi * np.arange(40) / 40
    growth = 1 + 0.5 * np.clip((heights + 25) / 30, 0, 1) ** 2
    ring = np.stack([width_mm * np.cos(angles), depth_mm * np.sin(angles)], axis=1)
    rings = growth[:, None, None] * ring + [x_mm, 0]
    points = np.concatenate([rings, np.broadcast_to(heights[:, None, None], (60, 40, 1))], axis=2).reshape(-1, 3)
    points = np.concatenate([points, [[x_mm, 0, -60], [x_mm, 0, 8]]])
    i, j = np.meshgrid(np.arange(59), np.arange(40), indexing="ij")
    a, b = i * 40 + j, i * 40 + (j + 1) % 40
    sides = np.concatenate([np.stack([a, b, b + 40], -1), np.stack([a, b + 40, a + 40], -1)]).reshape(-1, 3)
    k, following = np.arange(40), (np.arange(40) + 1) % 40
    ends = [np.stack([following, k, 0 * k + 2400], 1), np.stack([59 * 40 + k, 59 * 40 + following, 0 * k + 2401], 1)]
    return TriangleMesh(points, np.concatenate([sides, *ends]).astype(np.int32))


def basis(width_mm: float, depth_mm: float, x_mm: float) -> BoneBasis:
    """Three modes: wider, deeper, longer at the top, one millimetre each."""
    mesh = shaft(width_mm, depth_mm, x_mm)
    offset = mesh.vertices - [x_mm, 0, 0]
    modes = np.zeros((3, *offset.shape))
    modes[0, :, 0], modes[1, :, 1] = offset[:, 0] / width_mm, offset[:, 1] / depth_mm
    modes[2, :, 2] = np.clip((offset[:, 2] + 10) / 15, 0, 1)
    sd = np.array([0.05, 0.05, 0.1, 1.0, 1.0, 1.0])
    return BoneBasis(
        mesh.vertices, mesh.faces, modes, np.array([x_mm, 0, -15.0]), sd, np.full(len(offset), 1 / len(offset))
    )


BASES = {"radius": basis(8.0, 6.0, 0.0), "ulna": basis(5.0, 5.0, 22.0)}


def image_of(codes: dict[str, np.ndarray], pose: np.ndarray = POSE, camera: XrayCamera = CAMERA) -> np.ndarray:
    nominal = np.zeros((3, len(KNOTS_MM)))
    images = [bone_image(PosedBone(bone_elements(BASES[n]), codes[n], nominal, pose), camera, 1.2) for n in BASES]
    return images[0] + images[1]


def zeros() -> dict[str, np.ndarray]:
    return {name: np.zeros(3 + PLACEMENT) for name in BASES}


def test_path_through_a_ball_is_its_chord() -> None:
    """An ellipsoid's blurred chord; 2,562 vertices' chords are short by (edge / radius)^2 / 8 = 0.2 %."""
    import trimesh

    ball = trimesh.creation.icosphere(4, 10.0)
    camera = default_film_camera(101, 101, 0.5)
    pose = np.eye(4)
    pose[2, 3] = 950.0
    image = path_length(np.asarray(ball.vertices), np.asarray(ball.faces, dtype=np.int32), camera, pose, 1.0)
    # Blur of SD s over a chord 2 sqrt(R^2 - r^2) lowers its middle by s^2 / R; s is 0.475 mm at the ball.
    assert image[50, 50] == pytest.approx(20 - 0.475**2 / 10, abs=0.06)
    volume = image.sum() * (0.5 * 950 / 1000) ** 2
    assert volume == pytest.approx(4 / 3 * np.pi * 1000, rel=0.01)
    assert image[0, 0] == 0


def test_change_is_the_difference_of_images() -> None:
    """Against central differences, with the finest elements for both.

    Modes on a bone without a wall, for the derivative leaves out that a wall of 2 mm turns with the surface above it:
    then what is left are the sampling of the surface and the inside that goes with the height (0.1 of the norm). The
    third mode lifts the lid, whose triangles are 12 mm long and cut into four: 0.3.
    """
    code = np.array([0.3, -0.2, 0.1, 0.2, -0.1, 0.3, 0.2, 0.1, -0.2])
    inside = np.full((3, len(KNOTS_MM)), 0.05)
    elements = bone_elements(BASES["radius"])
    elements = replace(elements, coarse=elements.fine)
    centre, step = np.array([0.0, -16, 960]), 0.05
    no_wall = inside.copy()
    no_wall[2] = -8.0
    bone = PosedBone(elements, code, no_wall, POSE)
    change = bone_change(bone, CAMERA, 1.2, centre)
    assert change.shape[2] == 6 + 9 + INSIDE
    for number in (0, 1, 2):  # modes
        more, less = code.copy(), code.copy()
        more[number] += step
        less[number] -= step
        wanted = (
            bone_image(replace(bone, code=more), CAMERA, 1.2) - bone_image(replace(bone, code=less), CAMERA, 1.2)
        ) / (2 * step)
        off = np.linalg.norm((change[:, :, 6 + number] - wanted)[:85]) / np.linalg.norm(wanted[:85])
        assert off < (0.1, 0.1, 0.3)[number], number
    bone = PosedBone(elements, code, inside, POSE)
    change = bone_change(bone, CAMERA, 1.2, centre)
    for row in range(3):  # density, spongiosa and wall at one knot
        more, less = inside.copy(), inside.copy()
        more[row, 3] += step
        less[row, 3] -= step
        wanted = (
            bone_image(replace(bone, inside=more), CAMERA, 1.2) - bone_image(replace(bone, inside=less), CAMERA, 1.2)
        ) / (2 * step)
        column = change[:, :, 15 + row * len(KNOTS_MM) + 3]
        assert np.linalg.norm(column - wanted) < 0.1 * np.linalg.norm(wanted), row


@pytest.mark.parametrize("gain", [0.5, 1.0, 1.5])
def test_shape_that_the_image_shows_is_found_at_any_gain(gain: float) -> None:
    codes = zeros()
    codes["radius"][:3], codes["ulna"][:3] = [0.8, 0.0, -0.6], [-0.5, 0.0, 0.5]
    view = FixedView(gain * image_of(codes), CAMERA, np.ones(CAMERA.shape_px))
    sd = {name: np.ones(9) for name in BASES}
    found = fit_to_image(BASES, view, ShapedWrist(POSE, zeros()), sd, ImageFitSettings(correlated=20))
    # One SD of a mode is 1 mm of surface: width to a tenth of a millimetre; length goes with a shift of the wrist.
    for name in BASES:
        assert found.wrist.codes[name][0] == pytest.approx(codes[name][0], abs=0.15)
    length = found.wrist.codes["radius"][2] - found.wrist.codes["ulna"][2]
    assert length < -0.5
    assert found.misfit < 0.2 * found.start_misfit


def test_nothing_moves_where_the_network_is_sure() -> None:
    codes = zeros()
    codes["radius"][0] = 1.0
    view = FixedView(image_of(codes), CAMERA, np.ones(CAMERA.shape_px))
    sure = {name: np.full(9, 1e-3) for name in BASES}
    found = fit_to_image(BASES, view, ShapedWrist(POSE, zeros()), sure)
    assert max(abs(found.wrist.codes[name]).max() for name in BASES) < 0.01


def test_a_share_of_the_step_is_taken() -> None:
    codes = zeros()
    codes["radius"][0] = 1.0
    view = FixedView(image_of(codes), CAMERA, np.ones(CAMERA.shape_px))
    sd = {name: np.ones(9) for name in BASES}
    start = ShapedWrist(POSE, zeros())
    whole = fit_to_image(BASES, view, start, sd, ImageFitSettings(share=1.0))
    half = fit_to_image(BASES, view, start, sd, ImageFitSettings(share=0.5))
    np.testing.assert_allclose(half.wrist.codes["radius"], 0.5 * whole.wrist.codes["radius"])


def test_bones_outside_the_image_are_an_error() -> None:
    away = POSE.copy()
    away[0, 3] += 500
    view = FixedView(image_of(zeros()), CAMERA, np.ones(CAMERA.shape_px))
    with pytest.raises(InputError, match="outside the image"):
        fit_to_image(BASES, view, ShapedWrist(away, zeros()), {name: np.ones(9) for name in BASES})
