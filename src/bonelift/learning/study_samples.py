"""Training samples from a CT with labels and landmarks, and from radiographs whose pose against that CT is known.

Source of the random CT-DRRs: Shiode et al. 2021, Methods.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bonelift.anatomy.side import mirror_transform
from bonelift.drr.joseph import project
from bonelift.drr.normalised_case import NormalisedCase, PosedRadiograph
from bonelift.drr.poses import DrrPoses, moved_poses, random_motions
from bonelift.film.standard import FILM_SHAPE, film_from_landmarks
from bonelift.geometry import apply_transform
from bonelift.images import Radiograph, View
from bonelift.learning.virtual_samples import FilmSample, LocatorSample
from bonelift.networks.locator_input import LOCATOR_SHAPE, locator_input
from bonelift.phantom.xray_geometry import FILM_SPREAD, PROXIMAL_POINT_MM, PoseSpread, draw_geometry

Float = NDArray[np.float64]

STRAIGHT = PoseSpread(0.0, 0.0, 0.0, 0.0, 0.0)
"""The wrist straight in the beam, on the central ray."""


def ct_drr_samples(
    case: NormalisedCase,
    views: Sequence[View],
    rng: np.random.Generator,
    error_mm: float = 1.5,
    error_deg: float = 2.5,
    poses: DrrPoses = "positioning",
) -> list[FilmSample]:
    """One random CT-DRR for each of ``views``, on a film cut with the given errors; its radiograph is blank."""
    return [film_sample(case, random_view(case, view, rng, poses), rng, error_mm, error_deg) for view in views]


def random_view(case: NormalisedCase, view: View, rng: np.random.Generator, poses: DrrPoses) -> PosedRadiograph:
    """A blank radiograph at a random pose. "paper": a wrist straight in the beam, turned and moved as in the paper."""
    spread = FILM_SPREAD if poses == "positioning" else STRAIGHT
    geometry = draw_geometry(rng, view, spread=spread, ulnar_head_mm=case.ulnar_head_mm)
    pose = geometry.camera_from_radius
    if poses == "paper":
        pose = moved_poses(pose, np.zeros(3), random_motions(rng, 1))[0]
    blank = Radiograph(
        np.zeros(geometry.camera.shape_px, np.float32), geometry.camera, "right", view, geometry.source_to_object_mm
    )
    return PosedRadiograph(blank, pose @ case.right_from_world)


def film_sample(
    case: NormalisedCase, posed: PosedRadiograph, rng: np.random.Generator, error_mm: float, error_deg: float
) -> FilmSample:
    """The film of a posed radiograph, cut with a random error (standard deviations given), and its DRR.

    A blank radiograph posed by hand is taken as one of a right wrist.
    """
    radiograph = posed.radiograph
    points = _landmarks_px(case, posed)
    spacing_mm = radiograph.spacing_at_wrist_mm
    angle = np.deg2rad(rng.normal(0, error_deg))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    origin = points[0] + rng.normal(0, error_mm / spacing_mm, 2)
    return located_sample(case, posed, origin, origin + turn @ (points[1] - points[0]))


def located_sample(case: NormalisedCase, posed: PosedRadiograph, origin_px: Float, shaft_px: Float) -> FilmSample:
    """The film of a posed radiograph, cut along two given points (2,), as (column, row) px of it, and its DRR."""
    radiograph = posed.radiograph
    film = film_from_landmarks(radiograph, origin_px, shaft_px, _from_ulnar(case, posed))
    mirror = mirror_transform() if film.mirrored else np.eye(4)
    canonical_from_right = mirror @ posed.camera_from_world @ np.linalg.inv(case.right_from_world)
    drr = project(
        np.asarray(case.bones.values[None], dtype=np.float32),
        film.camera.image_from_camera,
        canonical_from_right @ case.bones.world_from_voxel,
        FILM_SHAPE,
    )
    return FilmSample(film.pixels, drr[0], radiograph.view, film.px_from_radius(canonical_from_right))


def locator_samples(case: NormalisedCase, posed: PosedRadiograph, rng: np.random.Generator) -> list[LocatorSample]:
    """The whole radiograph upright with its landmarks, and once turned by a random quarter or mirrored, as what is no
    answer."""
    from_ulnar = _from_ulnar(case, posed)
    image, image_from_locator = locator_input(posed.radiograph, 0, from_ulnar)
    locator_from_image = np.linalg.inv(image_from_locator)
    points = _landmarks_px(case, posed) @ locator_from_image[:2, :2].T + locator_from_image[:2, 2]
    inside = ((points >= 0) & (points <= np.array(LOCATOR_SHAPE[::-1]) - 1)).all()
    nowhere = np.full((3, 2), np.nan, dtype=np.float32)
    right = (
        LocatorSample(image, points.astype(np.float32), "upright")
        if inside
        else LocatorSample(image, nowhere, "cut off")
    )
    quarter_turns = int(rng.integers(1, 4))
    if rng.random() < 0.5:
        wrong = LocatorSample(np.ascontiguousarray(image[:, ::-1]), nowhere, "mirrored")
    else:
        wrong = LocatorSample(locator_input(posed.radiograph, 90.0 * quarter_turns, from_ulnar)[0], nowhere, "turned")
    return [right, wrong]


def _from_ulnar(case: NormalisedCase, posed: PosedRadiograph) -> bool:
    """Whether it is a lateral with the source on the ulnar side (film.standard), going by the pose."""
    camera_from_right = posed.camera_from_world @ np.linalg.inv(case.right_from_world)
    return posed.radiograph.view == "lateral" and bool(camera_from_right[2, 0] < 0)  # ulnar is towards the source


def _landmarks_px(case: NormalisedCase, posed: PosedRadiograph) -> Float:
    """(3, 2) px of the radiograph: radius origin, shaft point, ulnar head."""
    points_right = np.stack([np.zeros(3), np.asarray(PROXIMAL_POINT_MM), case.ulnar_head_mm])
    points_camera = apply_transform(posed.camera_from_world @ np.linalg.inv(case.right_from_world), points_right)
    # Poses are given in the camera's own frame, wherever the camera stands in its world.
    return replace(posed.radiograph.camera, camera_from_world=np.eye(4)).project(points_camera)
