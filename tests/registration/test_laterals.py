"""Laterals are taken from either side: a start that nobody gave finds which."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from bonelift.film.standard import nominal_camera_from_radius
from bonelift.geometry import apply_transform
from bonelift.images import RADIUS, Radiograph
from bonelift.registration.chart import pose_chart
from bonelift.registration.ct_bone import ct_bone
from bonelift.registration.film_views import bone_shadow
from bonelift.registration.starts import ShaftPoints
from bonelift.study.registration.case import FilmInput, RegistrationOptions, StartKind, register_case
from builders.toy_wrist import DEPTH_MM, film_camera, toy_ct, toy_radiograph

Float = NDArray[np.float64]


def lateral(from_ulnar: bool) -> tuple[FilmInput, Float]:
    """A film of the toy wrist 6 degrees and 8 mm off a straight lateral, its outline, and camera_from_ct."""
    camera, bone = film_camera(), ct_bone(*toy_ct(), "both")
    straight = nominal_camera_from_radius(camera, "lateral", DEPTH_MM, from_ulnar)
    offset = np.array([[0.05, 0.06, 0.07, 3.0, -4.0, 6.0]])
    pose = pose_chart(camera, straight, bone.fine.centre_mm).poses(offset)[0]
    radiograph = Radiograph(toy_radiograph(pose, camera).astype(np.float32), camera, "right", "lateral", DEPTH_MM, {})
    mask = np.where(bone_shadow(bone.fine, camera, pose), RADIUS, 0).astype(np.uint8)
    return FilmInput("lateral", radiograph, mask), pose


@pytest.mark.parametrize(("kind", "from_ulnar"), [("outline", False), ("outline", True), ("landmarks", True)])
def test_a_lateral_is_registered_from_an_automatic_start(kind: StartKind, from_ulnar: bool):
    film, pose = lateral(from_ulnar)
    if kind == "landmarks":
        film = replace(film, mask=None)

    def located(radiograph: Radiograph) -> ShaftPoints:
        origin, shaft = radiograph.camera.project(apply_transform(pose, np.array([[0.0, 0, 0], [0, 0, -40.0]])))
        return ShaftPoints(origin, shaft, from_ulnar)

    (result,) = register_case(*toy_ct(), "right", [film], RegistrationOptions("both", kind), located)
    assert ("ulnar" in result.start) == from_ulnar
    bone = ct_bone(*toy_ct(), "both")
    found = pose_chart(film_camera(), pose, bone.fine.centre_mm).parameters(result.bones[0].camera_from_ct)
    # The bars of the issue.
    assert np.rad2deg(np.linalg.norm(found[:3])) < 2
    assert np.linalg.norm(found[3:5]) < 1
