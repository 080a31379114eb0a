"""Where a wrist lies in a standard film of which nothing else is known: the camera and the pose of a straight one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bonelift.film.standard import FILM_SHAPE, FILM_SPACING_MM, nominal_camera_from_radius
from bonelift.geometry import XrayCamera, default_film_camera
from bonelift.geometry.camera import DEFAULT_SDD_MM
from bonelift.images import LabelGrid, View
from bonelift.images.reading import OBJECT_TO_DETECTOR_MM

SOURCE_TO_OBJECT_MM = DEFAULT_SDD_MM - OBJECT_TO_DETECTOR_MM


def nominal_film_camera() -> XrayCamera:
    """Of a standard film: the wrist on the detector, the central ray through the middle of the film."""
    rows, columns = FILM_SHAPE
    return default_film_camera(columns, rows, FILM_SPACING_MM * DEFAULT_SDD_MM / SOURCE_TO_OBJECT_MM)


def nominal_pose(camera: XrayCamera, view: View) -> NDArray[np.float64]:
    """(4, 4) camera_from_radius of a wrist that lies straight in the beam."""
    return nominal_camera_from_radius(camera, view, SOURCE_TO_OBJECT_MM)


def film_places(grid: LabelGrid, view: View) -> NDArray[np.float32]:
    """(I, J, K, 2) where each voxel's centre falls on the film: (column, row) px."""
    camera = nominal_film_camera()
    pose = nominal_pose(camera, view)
    points = grid.centres_mm() @ pose[:3, :3].T + pose[:3, 3]
    return camera.project(points).astype(np.float32)
