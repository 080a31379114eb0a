"""Six numbers for a pose near a start, in directions that an X-ray sees well or badly.

The view frame sits at the bone's centre: x to the right in the image of the first camera, y down, z along the ray
away from the source. Parameters are (rotation vector rad, translation mm) in it: 0 and 1 tilt the bone out of the
image plane, 2 turns it in the plane, 3 and 4 move it in the plane, 5 moves it in depth, the weakest direction.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from bonelift.geometry import XrayCamera, apply_transform, invert_rigid, vector_from_rigid

Float = NDArray[np.float64]


@dataclass(frozen=True)
class PoseChart:
    """world_from_start: (4, 4) the pose at parameters 0. world_from_view: (4, 4) the view frame."""

    world_from_start: Float
    world_from_view: Float

    def poses(self, parameters: Float) -> Float:
        """(N, 6) -> (N, 4, 4) world_from_bone."""
        steps = np.broadcast_to(np.eye(4), (len(parameters), 4, 4)).copy()
        steps[:, :3, :3] = Rotation.from_rotvec(parameters[:, :3]).as_matrix()
        steps[:, :3, 3] = parameters[:, 3:]
        return self.world_from_view @ steps @ invert_rigid(self.world_from_view) @ self.world_from_start

    def parameters(self, world_from_bone: Float) -> Float:
        """(4, 4) -> (6,): the inverse of :meth:`poses`."""
        step = (
            invert_rigid(self.world_from_view)
            @ world_from_bone
            @ invert_rigid(self.world_from_start)
            @ self.world_from_view
        )
        return vector_from_rigid(step)

    def recentred(self, world_from_bone: Float) -> PoseChart:
        """The same directions with 0 at another pose. The view frame moves along with the bone's centre."""
        centre_in_start = invert_rigid(self.world_from_start) @ self.world_from_view[:, 3]
        world_from_view = self.world_from_view.copy()
        world_from_view[:, 3] = world_from_bone @ centre_in_start
        return replace(self, world_from_start=world_from_bone, world_from_view=world_from_view)


def pose_chart(camera: XrayCamera, world_from_start: Float, centre_mm: Float) -> PoseChart:
    """The chart of a bone whose centre lies at ``centre_mm`` (3,) of its own frame, seen by ``camera``."""
    centre_world = apply_transform(world_from_start, centre_mm)
    ray = centre_world - camera.source_world
    forward = ray / np.linalg.norm(ray)
    here = camera.project(centre_world)
    right = camera.back_project(here + np.array([1.0, 0.0]), 1.0) - camera.back_project(here, 1.0)
    right -= (right @ forward) * forward
    right /= np.linalg.norm(right)
    world_from_view = np.eye(4)
    world_from_view[:3, :3] = np.column_stack([right, np.cross(forward, right), forward])
    world_from_view[:3, 3] = centre_world
    return PoseChart(np.asarray(world_from_start, dtype=np.float64), world_from_view)


def twist_in_camera(chart: PoseChart, camera: XrayCamera) -> Float:
    """(6, 6): small chart parameters -> (rotation vector, translation mm) applied from the left in the camera frame."""
    camera_from_view = camera.camera_from_world @ chart.world_from_view
    rotation, offset = camera_from_view[:3, :3], camera_from_view[:3, 3]
    cross = np.array([[0, -offset[2], offset[1]], [offset[2], 0, -offset[0]], [-offset[1], offset[0], 0]])
    adjoint = np.zeros((6, 6))
    adjoint[:3, :3] = rotation
    adjoint[3:, :3] = cross @ rotation
    adjoint[3:, 3:] = rotation
    return adjoint
