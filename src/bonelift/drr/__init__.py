"""Digitally reconstructed radiographs: line integrals through volumes, their gradients, HU to attenuation."""

from bonelift.drr.gradients import back_project, project_with_pose_gradient, project_with_pose_pullback
from bonelift.drr.joseph import project
from bonelift.drr.ray_volume import Box, RayVolume, prepare

__all__ = [
    "Box",
    "RayVolume",
    "back_project",
    "prepare",
    "project",
    "project_with_pose_gradient",
    "project_with_pose_pullback",
]
