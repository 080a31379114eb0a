"""What a film shows, against numbers that are known by construction: points by hand, a beam of stated geometry."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest
from numpy.typing import NDArray

from bonelift.anatomy.film_measurements import FilmProjection, measure_lateral_film, measure_pa_film
from bonelift.errors import InputError
from bonelift.geometry import rotation_about_axis
from bonelift.surface.mesh import TriangleMesh
from builders.closed_form_bones import MARKS, REFERENCE_Z, STYLOID_TIP, TOP_Z, ulna

Float = NDArray[np.float64]

SDD_MM, DISTANCE_MM = 1000.0, 960.0
TIP = np.array([-14.0, 1, 12])
PA_AXES = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # ulnar to the right, proximal down, palmar away
LATERAL_AXES = np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])  # dorsal to the right


def points_as_bone(*points: tuple[float, float, float]) -> TriangleMesh:
    """Measuring a film looks at vertices alone; the face makes them a mesh."""
    return TriangleMesh(np.array(points, dtype=np.float64), np.array([[0, 1, 2]], dtype=np.int32))


RADIUS = points_as_bone((-14, 1, 12), (13, 2, 1), (-16, 0, 3), (0, 0, -40))


def film(
    axes: Float, view: str, in_plane_deg: float = 0.0, shaft_deg: float = 0.0, at: tuple[float, float] = (0, 0)
) -> FilmProjection:
    pose = np.eye(4)
    turn = rotation_about_axis([0, 0, 1], np.deg2rad(in_plane_deg))[:3, :3]
    pose[:3, :3] = turn @ axes @ rotation_about_axis([0, 0, 1], np.deg2rad(shaft_deg))[:3, :3]
    pose[:3, 3] = [*at, DISTANCE_MM]
    return FilmProjection(pose, pose, SDD_MM, view)


def pa_by_hand(point: Float) -> Float:
    """Column and upward row on the detector of a wrist that stands straight in the central ray: similar triangles."""
    return SDD_MM / (DISTANCE_MM + point[1]) * point[[0, 2]]


def test_a_pa_film_is_read_as_by_hand():
    found = measure_pa_film(RADIUS, ulna(), MARKS, film(PA_AXES, "pa"))
    tip = pa_by_hand(TIP)
    reference = (pa_by_hand(MARKS["sigmoid_notch_volar"]) + pa_by_hand(MARKS["sigmoid_notch_dorsal"])) / 2
    line = tip - reference
    assert found.radial_height_mm == pytest.approx(line[1])
    assert found.radial_inclination_deg == pytest.approx(np.rad2deg(np.angle(complex(-line[0], line[1]))))
    left, right = pa_by_hand(np.array([-16.0, 0, 3])), pa_by_hand(np.array([13.0, 2, 1]))
    assert found.radius_width_mm == pytest.approx(right[0] - left[0])


def test_the_ulnas_head_is_read_at_its_own_place():
    """The head's top is a flat disc of 0.7 x 8 mm: its near edge, magnified most, shows highest above the axis's foot,
    and three of its points are averaged. Moving the ulna alone by 3 mm moves the variance by that, magnified."""
    level = film(PA_AXES, "pa")
    found = measure_pa_film(RADIUS, ulna(), MARKS, level).ulnar_variance_mm
    reference = (pa_by_hand(MARKS["sigmoid_notch_volar"])[1] + pa_by_hand(MARKS["sigmoid_notch_dorsal"])[1]) / 2
    # Between the magnifications of the disc's far and near edges, y = -3 +- 5.6: 1.5 mm differ by 0.02 mm.
    assert found == pytest.approx(SDD_MM / (DISTANCE_MM - 3) * TOP_Z - reference, abs=0.02)
    lowered = np.eye(4)
    lowered[2, 3] = -3
    moved = FilmProjection(level.camera_from_radius, level.camera_from_ulna @ lowered, SDD_MM, "pa")
    assert measure_pa_film(RADIUS, ulna(), MARKS, moved).ulnar_variance_mm == pytest.approx(
        found - 3 * SDD_MM / (DISTANCE_MM - 3), abs=0.02
    )


def test_the_ulnar_styloid_counts_for_no_variance():
    bone = ulna()
    taller = TriangleMesh(np.vstack([bone.vertices, STYLOID_TIP]), bone.faces)
    level = film(PA_AXES, "pa")
    assert STYLOID_TIP[2] > TOP_Z
    assert (
        measure_pa_film(RADIUS, taller, MARKS, level).ulnar_variance_mm
        == measure_pa_film(RADIUS, bone, MARKS, level).ulnar_variance_mm
    )


@pytest.mark.parametrize("in_plane_deg", [-25.0, 8.0, 170.0])
def test_turning_the_film_changes_nothing(in_plane_deg):
    """In the plane of the film every length and angle of a film stays."""
    for view, axes in (("pa", PA_AXES), ("lateral", LATERAL_AXES)):
        straight, turned = film(axes, view), film(axes, view, in_plane_deg)
        if view == "pa":
            pair = [astuple(measure_pa_film(RADIUS, ulna(), MARKS, f)) for f in (straight, turned)]
        else:
            pair = [astuple(measure_lateral_film(rims(), MARKS, f)) for f in (straight, turned)]
        np.testing.assert_allclose(pair[0], pair[1], atol=1e-9)


def test_a_mirrored_camera_reads_the_same():
    """A left wrist is a right one in a mirror, and so is its film."""
    straight = film(PA_AXES, "pa", at=(30.0, -20.0))
    mirror = np.diag([-1.0, 1, 1, 1])
    mirrored = FilmProjection(mirror @ straight.camera_from_radius, mirror @ straight.camera_from_ulna, SDD_MM, "pa")
    pair = [astuple(measure_pa_film(RADIUS, ulna(), MARKS, f)) for f in (straight, mirrored)]
    np.testing.assert_allclose(pair[0], pair[1], atol=1e-9)


def test_the_width_ends_15_mm_below_the_styloid():
    """Magnified 1.04 times, z = -2 lies 14.6 mm below the tip at z = 12 and z = -2.8 lies 15.4 mm below it."""
    level = film(PA_AXES, "pa")
    wide = [
        measure_pa_film(points_as_bone((-14, 1, 12), (13, 0, 1), (0, 0, -40), (40, 0, z)), ulna(), MARKS, level)
        for z in (-2.0, -2.8)
    ]
    assert wide[0].radius_width_mm > 50 > wide[1].radius_width_mm


def rims(*more: tuple[float, float, float]) -> TriangleMesh:
    """The rims of MARKS as single points of a radius, and ``more``."""
    return points_as_bone(tuple(MARKS["volar_rim"]), tuple(MARKS["dorsal_rim"]), (0, 0, -40), *more)


def test_a_lateral_film_is_read_as_by_hand():
    found = measure_lateral_film(rims(), MARKS, film(LATERAL_AXES, "lateral"))
    palmar, dorsal = (SDD_MM / (DISTANCE_MM + MARKS[n][0]) * MARKS[n][1:] for n in ("volar_rim", "dorsal_rim"))
    assert found.radius_depth_mm == pytest.approx(palmar[0] - dorsal[0])
    assert found.palmar_tilt_deg == pytest.approx(
        np.rad2deg(np.arctan((dorsal[1] - palmar[1]) / (palmar[0] - dorsal[0])))
    )
    assert found.palmar_tilt_deg > 0  # the dorsal rim stands higher: the joint faces palmar


def test_the_styloids_rim_and_what_lies_beyond_the_notch_are_left_out():
    """Volar edge of the notch at x = 11, styloid's tip at -14: 35 % of the way is x = -5.25; a slice is 2 mm thick."""
    level = film(LATERAL_AXES, "lateral")
    plain = measure_lateral_film(rims(), MARKS, level)
    assert measure_lateral_film(rims((-6.5, 15.0, 0.5), (12.5, 15.0, 0.5)), MARKS, level) == plain
    for x in (-5.0, 11.0):
        assert measure_lateral_film(rims((x, 15.0, 0.5)), MARKS, level).radius_depth_mm > plain.radius_depth_mm + 5


def test_a_rim_is_the_corner_and_not_the_wall_below_it():
    """A wall that leans out by 1 mm in 4 mm below the rim: the rim stands farther along palmar-distal."""
    level = film(LATERAL_AXES, "lateral")
    plain = measure_lateral_film(rims(), MARKS, level)
    assert measure_lateral_film(rims((-2.0, 10.0, -3.5), (-1.0, -10.0, -1.0)), MARKS, level) == plain
    assert measure_lateral_film(rims((-2.0, 30.0, -9.5)), MARKS, level) == plain


@pytest.mark.parametrize("supination_deg", [-20.0, -8.0, 8.0, 20.0])
def test_supination_adds_palmar_tilt_on_a_film(supination_deg):
    """A rim that falls by 1 mm over 8 mm towards the ulna. Turned about the shaft, palm away from the body (x to y),
    its ulnar end makes the palmar corner and its radial end the dorsal one; turned back, the other way round."""
    ends = [(x, y, z) for x, z in ((-3.0, 2.0), (5.0, 1.0)) for y in (9.0, -9.0)]
    bone = points_as_bone(*ends, (0, 0, -40))
    found = measure_lateral_film(bone, MARKS, film(LATERAL_AXES, "lateral", shaft_deg=supination_deg))
    turn = np.deg2rad(supination_deg)
    rise = 1.0 if supination_deg > 0 else -1.0
    run = 18 * np.cos(turn) + 8 * np.sin(abs(turn))
    # Heights of 1 to 2 mm, magnified by rays through points up to 8 mm off the central plane: 0.02 mm, 0.06 degrees.
    assert found.palmar_tilt_deg == pytest.approx(np.rad2deg(np.arctan(rise / run)), abs=0.08)


def test_magnification_stays_in_the_lengths():
    """The same wrist 100 mm farther from the detector shows 1.116 times as high; its angles stay."""
    flat = {**MARKS, "sigmoid_notch_volar": np.array([11.0, 1, 0.2]), "sigmoid_notch_dorsal": np.array([11.0, 1, 0.2])}
    pair = []
    for distance in (DISTANCE_MM, DISTANCE_MM - 100):
        pose = np.eye(4)
        pose[:3, :3], pose[2, 3] = PA_AXES, distance
        pair.append(measure_pa_film(RADIUS, ulna(), flat, FilmProjection(pose, pose, SDD_MM, "pa")))
    assert pair[1].radial_height_mm / pair[0].radial_height_mm == pytest.approx(961 / 861)
    assert pair[1].radial_inclination_deg == pytest.approx(pair[0].radial_inclination_deg)
    assert pair[0].radial_height_mm == pytest.approx(SDD_MM / 961 * (12 - REFERENCE_Z))


def test_a_film_of_another_view_is_refused():
    with pytest.raises(InputError, match="view 'oblique'"):
        film(PA_AXES, "oblique")


def test_no_rim_is_said():
    with pytest.raises(InputError, match="its volar rim"):
        measure_lateral_film(
            points_as_bone((0, 0, -40), (1, 0, -40), (2, 0, -40)), MARKS, film(LATERAL_AXES, "lateral")
        )


def test_no_styloid_is_said():
    with pytest.raises(InputError, match="styloid"):
        measure_pa_film(points_as_bone((0, 0, -40), (1, 0, -40), (2, 0, -40)), ulna(), MARKS, film(PA_AXES, "pa"))
