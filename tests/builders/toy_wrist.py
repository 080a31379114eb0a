"""Two toy bones with no symmetry, the camera of a wrist film, and a CT and a radiograph of them beneath soft tissue."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonelift.drr.attenuation import MU_WATER_PER_MM
from bonelift.drr.joseph import project
from bonelift.film.standard import FILM_SHAPE, FILM_SPACING_MM, Film
from bonelift.geometry import XrayCamera
from bonelift.images import LAPTOP_GRID, RADIUS, ULNA, LabelMap, Volume
from bonelift.registration.chart import PoseChart
from bonelift.registration.ct_bone import SOFT_TISSUE_HU
from bonelift.registration.objective import Objective

Float = NDArray[np.float64]
DEPTH_MM = 950.0
BONE_EXCESS_HU = 550.0
NOISE = 0.005
"""SD of the radiograph's noise (line integral): of 1 to 2 % of what the bones add."""


def film_camera() -> XrayCamera:
    focal_px = DEPTH_MM / FILM_SPACING_MM
    rows, columns = FILM_SHAPE
    intrinsics = np.array([[focal_px, 0, (columns - 1) / 2], [0, focal_px, (rows - 1) / 2], [0, 0, 1.0]])
    return XrayCamera(intrinsics, np.eye(4), columns, rows, 1000.0)


def standard_film(pixels: NDArray[np.floating]) -> Film:
    """A PA film (FILM_SHAPE) before :func:`film_camera`, all of it recorded."""
    recorded = np.ones(FILM_SHAPE, dtype=bool)
    return Film(pixels.astype(np.float32), film_camera(), np.eye(3), np.eye(4), False, "pa", DEPTH_MM, recorded)


def ellipsoid(centre: tuple[float, float, float], half_axes: tuple[float, float, float]) -> NDArray[np.float32]:
    offset = (LAPTOP_GRID.centres_mm() - centre) / half_axes
    inside_mm = (1 - np.linalg.norm(offset, axis=-1)) * min(half_axes)
    return np.clip(inside_mm / LAPTOP_GRID.spacing_mm + 0.5, 0, 1).astype(np.float32)


def toy_radius() -> NDArray[np.float32]:
    """A shaft, a head, a styloid on the radial side and a tubercle on the back: no symmetry."""
    parts = [
        ellipsoid((0, 1, -30), (7, 6, 34)),
        ellipsoid((-1, 0, -4), (14, 9, 9)),
        ellipsoid((-12, -1, 5), (4, 4, 7)),
        ellipsoid((3, -10, -8), (3, 4, 8)),
    ]
    return np.maximum.reduce(parts)


def toy_ulna() -> NDArray[np.float32]:
    parts = [
        ellipsoid((20, -2, -30), (6, 5, 30)),
        ellipsoid((21, -3, -3), (8, 7, 7)),
        ellipsoid((26, -7, 3), (2.5, 2.5, 5)),
    ]
    return np.maximum.reduce(parts)


def bone_excess_hu() -> NDArray[np.float32]:
    """(I, J, K) what the bones add to the muscle they replace: uneven inside, so that a turn about the shaft shows."""
    grain = ndimage.gaussian_filter(np.random.default_rng(11).standard_normal(LAPTOP_GRID.shape), 2.0)
    uneven = np.clip(1 + 0.6 * grain / grain.std(), 0, None)
    return (BONE_EXCESS_HU * uneven * np.maximum(toy_radius(), toy_ulna())).astype(np.float32)


def toy_ct() -> tuple[Volume, LabelMap]:
    """Both bones in muscle, in the radius frame."""
    radius, ulna = toy_radius(), toy_ulna()
    labels = np.where(radius > 0.5, RADIUS, np.where(ulna > 0.5, ULNA, 0)).astype(np.uint8)
    values = SOFT_TISSUE_HU + bone_excess_hu()
    return (
        Volume(values.astype(np.int16), LAPTOP_GRID.radius_from_voxel),
        LabelMap(labels, LAPTOP_GRID.radius_from_voxel),
    )


def soft_parts() -> NDArray[np.float32]:
    """(I, J, K) attenuation 1/mm of what lies beside the bones: an oval forearm and two carpals on the joint."""
    arm = MU_WATER_PER_MM * ellipsoid((8, -1, -20), (27, 18, 90))
    carpals = np.maximum(ellipsoid((-5, 1, 13), (8, 7, 7)), ellipsoid((9, -1, 14), (7, 7, 8)))
    return (arm + MU_WATER_PER_MM * 0.35 * carpals).astype(np.float32)


def toy_radiograph(camera_from_radius: Float, camera: XrayCamera, seed: int = 0, tissue: bool = True) -> Float:
    """(rows, columns) line integrals of the toy wrist at a pose (4, 4), with noise."""
    bones = bone_excess_hu() * np.float32(MU_WATER_PER_MM / 1000)
    values = bones + soft_parts() if tissue else bones
    camera_from_voxel = camera_from_radius @ LAPTOP_GRID.radius_from_voxel
    image = project(values[None], camera.image_from_camera, camera_from_voxel, camera.shape_px)[0].astype(np.float64)
    return image + np.random.default_rng(seed).normal(0, NOISE, image.shape)


def assert_jacobian_is_derivative(problem: Objective, chart: PoseChart, step: Float) -> None:
    """Of an objective's residuals at a chart, against central differences of ``step`` (6,).

    Voxels make the projection piecewise smooth: the derivative is that of the pattern, within 15 %.
    """
    _, jacobian = problem.residuals(chart)
    for axis in range(6):
        offset = np.zeros((2, 6))
        offset[:, axis] = [step[axis], -step[axis]]
        ends = [problem.residuals(chart.recentred(pose))[0] for pose in chart.poses(offset)]
        numeric = (ends[0] - ends[1]) / (2 * step[axis])
        assert np.linalg.norm(jacobian[:, axis] - numeric) < 0.15 * np.linalg.norm(numeric)
