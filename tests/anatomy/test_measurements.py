"""Each clinical measurement against a number that is known by construction: bones of closed form, marks by hand."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from bonelift.anatomy.forearm import NOTCH_FACES, UlnaPlacing, place_ulna
from bonelift.anatomy.measurements import Measurements, fit_circle, measure
from bonelift.surface.mesh import TriangleMesh
from builders.closed_form_bones import (
    HEAD_RADIUS,
    MARKS,
    OFF_AXIS_MM,
    REFERENCE_Z,
    TOP_Z,
    flared_radius,
    notched_radius,
    ulna,
)


def measured(radius: TriangleMesh | None = None, bone: TriangleMesh | None = None) -> Measurements:
    return measure(radius or notched_radius(), bone or ulna(), MARKS)


def test_angles_and_lengths_between_marks():
    found = measured()
    assert found.radial_height_mm == pytest.approx(12 - REFERENCE_Z)
    assert found.radial_inclination_deg == pytest.approx(np.rad2deg(np.arctan((12 - REFERENCE_Z) / 25)))
    assert found.palmar_tilt_deg == pytest.approx(np.rad2deg(np.arctan(2.5 / 18)))
    assert found.radius_width_mm == pytest.approx(np.hypot(25, 4))
    assert found.radius_depth_mm == pytest.approx(18)


def test_an_ulna_that_reaches_farther_has_a_positive_variance():
    assert measured().ulnar_variance_mm == pytest.approx(TOP_Z - REFERENCE_Z)
    raised = ulna()
    raised = TriangleMesh(raised.vertices - [0, 0, 3.0], raised.faces)
    assert measured(bone=raised).ulnar_variance_mm == pytest.approx(TOP_Z - REFERENCE_Z - 3)


def test_the_head_is_the_circle_on_its_side_away_from_the_styloid():
    """The bulge under the styloid belongs to no circle."""
    found = measured()
    # A corner every 2 degrees: sides lie up to 8 (1 - cos 1 deg) = 0.0012 mm inside of the circle.
    assert found.ulnar_head_radius_mm == pytest.approx(HEAD_RADIUS, abs=2e-3)
    # Centre of the circle to the line of the shaft; the shaft's centroid is exact by symmetry.
    assert found.ulnar_head_offset_mm == pytest.approx(OFF_AXIS_MM, abs=1e-3)


def test_the_heads_diameter_is_its_smallest_width():
    # The least width of an ellipse is its small axis; the bulge lies along the large one.
    assert measured(bone=ulna((9.0, 7.0))).ulnar_head_diameter_mm == pytest.approx(14, abs=0.01)


def test_the_notch_is_measured_below_its_edges():
    # The chord's ends are corners of the outline; its middle eight tenths are fitted.
    assert measured().sigmoid_notch_radius_mm == pytest.approx(9, abs=0.05)
    assert measured(notched_radius(1.5)).sigmoid_notch_radius_mm == pytest.approx(9 - 1.5, abs=0.05)


def test_a_groove_beside_the_notch_is_not_the_notch():
    """Its chord of 14 mm is longer than the notch's 10 mm, and faces 40 degrees away from the ulna."""
    assert measured(notched_radius(grooved=True)).sigmoid_notch_radius_mm == pytest.approx(9, abs=0.05)


def test_each_cortical_angle_belongs_to_its_plane():
    """25 % of 25 mm from the styloid at x = -14 is x = -7.75, 58 % is x = 0.5."""
    found = measured(flared_radius())
    medial, lateral = found.palmar_cortical_angle_medial_deg, found.palmar_cortical_angle_lateral_deg
    for x_mm, angle_deg in ((0.5, medial), (-7.75, lateral)):
        # Two triangles for a bilinear patch of 0.5 mm: at most 0.003 mm off over 8 mm.
        assert angle_deg == pytest.approx(180 - np.rad2deg(np.arctan(0.3 + 0.02 * x_mm)), abs=0.1)


def test_a_lowered_ulna_lies_lower():
    """proximal_mm lowers the ulna; the gap is set along the direction that the notch faces, which is level."""
    ball = trimesh.creation.icosphere(3, 9.0)
    wall = TriangleMesh(np.asarray(ball.vertices), np.asarray(ball.faces, dtype=np.int32))
    head = 25 * NOTCH_FACES
    bone = TriangleMesh(0.8 * wall.vertices + head, wall.faces)
    placed = [place_ulna(wall, bone, head, UlnaPlacing(0.0, 0.0, lower, (0.0, 0.0), 2.0)) for lower in (0.0, 2.5)]
    assert NOTCH_FACES[2] == 0
    high, low = (bone.vertices[:, 2].mean() for bone in placed if bone is not None)
    assert low - high == pytest.approx(-2.5)


def test_three_points_have_a_circle_and_two_have_none():
    """A right-angled triangle of legs 6 and 8: its circle has the hypotenuse for a diameter."""
    centre, radius = fit_circle(np.array([[1.0, 1.0], [7.0, 1.0], [1.0, 9.0]]))
    np.testing.assert_allclose([*centre, radius], [4, 5, 5], atol=1e-9)
    assert np.isnan([*fit_circle(np.array([[1.0, 1.0], [7.0, 1.0]]))[0], fit_circle(np.zeros((0, 2)))[1]]).all()
