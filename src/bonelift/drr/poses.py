"""Random rigid poses around a nominal one, as for the CT-DRRs of Shiode et al. 2021, and what of a bone they show."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from bonelift.errors import InputError
from bonelift.geometry import XrayCamera, apply_transform

Float = NDArray[np.float64]

ROTATION_DEG, TRANSLATION_MM, POSES_A_CT = 30.0, 30.0, 40
"""Range either way about and along each axis, and poses a CT. Source: Shiode et al. 2021, Methods."""
DrrPoses = Literal["positioning", "paper"]
"""Poses of the CT-DRRs that networks learn from. "paper": within ROTATION_DEG and TRANSLATION_MM; "positioning": what
is left of it on a film that was turned upright (phantom.xray_geometry.FILM_SPREAD)."""


def random_motions(
    rng: np.random.Generator,
    count: int,
    rotation_rad: float = np.radians(ROTATION_DEG),
    shift_mm: float = TRANSLATION_MM,
) -> Float:
    """(N, 6) turns about the camera's x, y and z axis (rad), then shifts along them (mm), each uniform in its range.

    The paper says no more than "within"; uniform and independent is our reading.
    """
    if count < 1 or not (0 <= rotation_rad < np.inf and 0 <= shift_mm < np.inf):
        raise InputError(
            f"drr: {count} random poses within {np.degrees(rotation_rad):g} degrees and {shift_mm:g} mm; expected at "
            "least one, and ranges of zero or more"
        )
    return rng.uniform(-1.0, 1.0, (count, 6)) * np.repeat([rotation_rad, shift_mm], 3)


def moved_poses(camera_from_world: ArrayLike, centre_world: ArrayLike, motions: ArrayLike) -> Float:
    """(N, 4, 4) camera_from_world of a wrist turned about ``centre_world`` (3,), then shifted, in the camera's frame.

    motions: (N, 6) as :func:`random_motions` gives; the turns are applied about x first, then y, then z.
    """
    nominal = np.asarray(camera_from_world, dtype=np.float64)
    centre = apply_transform(nominal, centre_world)
    poses = []
    for motion in np.asarray(motions, dtype=np.float64):
        about_centre = np.eye(4)
        about_centre[:3, :3] = Rotation.from_euler("xyz", motion[:3]).as_matrix()
        about_centre[:3, 3] = centre + motion[3:] - about_centre[:3, :3] @ centre
        poses.append(about_centre @ nominal)
    return np.stack(poses)


def share_in_view(camera: XrayCamera, camera_from_world: ArrayLike, points_world: ArrayLike) -> float:
    """Share of points (M, 3) that fall on the image; what lies behind the source does not.

    ``camera_from_world`` is the pose, whatever the camera's own says.
    """
    points_camera = apply_transform(camera_from_world, points_world)
    homogeneous = points_camera @ camera.image_from_camera.T
    with np.errstate(divide="ignore", invalid="ignore"):
        pixels = homogeneous[:, :2] / homogeneous[:, 2:]
    inside = ((pixels >= -0.5) & (pixels <= np.array([camera.width_px, camera.height_px]) - 0.5)).all(axis=1)
    return float((inside & (points_camera[:, 2] > 0)).mean())
