"""Frames, rigid transforms and the X-ray camera. Lengths in mm, angles in radians, matrices float64."""

from bonelift.geometry.camera import XrayCamera, default_film_camera
from bonelift.geometry.transforms import (
    apply_transform,
    compose,
    invert_rigid,
    is_rigid,
    rigid_from_vector,
    rotation_about_axis,
    rotation_angle,
    translation,
    vector_from_rigid,
)

__all__ = [
    "XrayCamera",
    "apply_transform",
    "compose",
    "default_film_camera",
    "invert_rigid",
    "is_rigid",
    "rigid_from_vector",
    "rotation_about_axis",
    "rotation_angle",
    "translation",
    "vector_from_rigid",
]
