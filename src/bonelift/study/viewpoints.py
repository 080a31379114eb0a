"""Where a CT's wrist stands before the camera, as files and options say it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bonelift.errors import InputError
from bonelift.geometry import XrayCamera, camera_from_file
from bonelift.images import LabelMap, Side, View, Volume, read_landmarks
from bonelift.study.ct_drrs import Viewpoint, anatomical_viewpoint, paper_camera
from bonelift.study.folder import read_pose


@dataclass(frozen=True)
class ViewpointFiles:
    """camera: None for the paper's. poses: each gives one. landmarks: with ``side``, for the radius frame."""

    camera: Path | None = None
    poses: Sequence[Path] = ()
    landmarks: Path | None = None
    side: Side | None = None


def viewpoint_of(ct: Volume, labels: LabelMap | None, files: ViewpointFiles, view: View) -> Viewpoint:
    """What pose, landmarks or camera say about where the wrist stands. Raises InputError unless exactly one does."""
    camera = camera_of(files.camera)
    if files.poses and files.landmarks:
        raise InputError("drr: --pose and --landmarks both say where the wrist stands; pass one of them")
    if files.poses:
        poses = np.stack([read_pose(path) for path in files.poses])
        return Viewpoint(camera, poses, None, "pose file" if len(poses) == 1 else f"{len(poses)} pose files")
    if files.landmarks:
        if files.side is None or labels is None:
            raise InputError("drr: --landmarks needs --side and --labels, which with it make the radius frame")
        return anatomical_viewpoint(ct, labels, read_landmarks(files.landmarks), files.side, camera, view)
    if files.camera is None:
        raise InputError("drr: nothing says where the wrist stands; pass --pose, --landmarks with --side, or --camera")
    return Viewpoint(camera, camera.camera_from_world[None], None, "camera file")


def camera_of(file: Path | None) -> XrayCamera:
    """The camera of a file; the paper's where there is none."""
    return paper_camera() if file is None else camera_from_file(file).camera
