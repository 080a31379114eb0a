"""Frames, rigid transforms and the X-ray camera. Lengths in mm, angles in radians, matrices float64."""

from bonelift.geometry.camera import XrayCamera, default_film_camera
from bonelift.geometry.camera_files import CameraFile, camera_from_file, write_camera_json
from bonelift.geometry.rays import nearest_to_rays
from bonelift.geometry.transforms import (
    apply_transform,
    compose,
    invert_rigid,
    is_rigid,
    rigid_between,
    rigid_from_vector,
    rotation_about_axis,
    rotation_angle,
    translation,
    vector_from_rigid,
)

__all__ = [
    "CameraFile",
    "XrayCamera",
    "apply_transform",
    "camera_from_file",
    "compose",
    "default_film_camera",
    "invert_rigid",
    "is_rigid",
    "nearest_to_rays",
    "rigid_between",
    "rigid_from_vector",
    "rotation_about_axis",
    "rotation_angle",
    "translation",
    "vector_from_rigid",
    "write_camera_json",
]
