"""Ranks of a patient's own bone, on shapes whose order is known."""

import numpy as np
import pytest

from bonelift.experiments.identity import aligned_distance, compared_bone, distance_rows, lay_on, rank_of_own
from bonelift.geometry import apply_transform, compose, rotation_about_axis, translation
from bonelift.surface.align import rigid_align
from bonelift.surface.distance import surface_distances
from bonelift.surface.mesh import TriangleMesh

MOVED = compose(translation([1.5, -2.0, 1.0]), rotation_about_axis([1, 2, 3], 0.1))


def tube(bulge: float, size: float = 1.0, turns: int = 40, rings: int = 30) -> TriangleMesh:
    """An open, uneven tube of 30 mm with a knob and a bulge (mm) at its side: no turn or shift lays it on itself."""
    angle, height = np.meshgrid(np.arange(turns) * 2 * np.pi / turns, np.linspace(0, 1, rings))
    radius = (
        6
        + 2 * height**2
        + 1.2 * np.cos(2 * angle) * height
        + 1.5 * np.cos(angle) * np.exp(-((height - 0.8) ** 2) / 0.02)
    )
    radius = radius + bulge * np.exp(-((height - 0.5) ** 2) / 0.02 - (np.cos(angle) - 1) ** 2 / 0.2)
    vertices = np.stack([radius * np.cos(angle), 0.8 * radius * np.sin(angle), 30 * height], axis=-1).reshape(-1, 3)
    top = np.array([[0.0, 0.0, 33.0]])
    i, j = np.meshgrid(np.arange(rings - 1), np.arange(turns), indexing="ij")
    a, b = i * turns + j, i * turns + (j + 1) % turns
    sides = np.concatenate(
        [np.stack([a, b, b + turns], -1).reshape(-1, 3), np.stack([a, b + turns, a + turns], -1).reshape(-1, 3)]
    )
    last = (rings - 1) * turns + np.arange(turns)
    cap = np.column_stack([last, np.roll(last, -1), np.full(turns, len(vertices))])
    return TriangleMesh(size * np.concatenate([vertices, top]), np.concatenate([sides, cap]).astype(np.int32))


def test_the_same_bone_elsewhere_is_no_distance_away():
    # Point to plane has its minimum, nought, where identical surfaces lie on each other; steps end below 1e-3 mm.
    for alignment in ("rigid", "similarity"):
        assert aligned_distance(compared_bone(tube(1.0).transformed(MOVED)), compared_bone(tube(1.0)), alignment) < 1e-3


def test_rigid_distance_is_that_of_the_surfaces_aligned():
    # Two ways to the same number: a thousand samples instead of parts of 0.7 mm are to cost below 0.02 mm.
    other, own = tube(2.0).transformed(MOVED), tube(0.0)
    laid = other.transformed(rigid_align(other, own))
    expected = surface_distances(laid, own, exclude_open_ends=True).asd_surface_mm
    assert expected > 0.1
    assert aligned_distance(compared_bone(other), compared_bone(own), "rigid") == pytest.approx(expected, abs=0.02)


def test_size_is_found_and_taken_out():
    small = tube(1.0, size=0.9).transformed(MOVED)
    scale, pose = lay_on(compared_bone(small), compared_bone(tube(1.0)), "similarity")
    # Differing in size alone, they end where every distance is nought.
    assert scale == pytest.approx(1 / 0.9, abs=1e-3)
    laid = apply_transform(pose, scale * small.vertices)
    assert np.linalg.norm(laid - tube(1.0).vertices, axis=1).max() < 0.05
    assert aligned_distance(compared_bone(small), compared_bone(tube(1.0)), "similarity") < 0.01
    # Radii of 6 to 8 mm shrunk by a tenth: 0.6 mm or more, less what a shift makes good on one side.
    assert aligned_distance(compared_bone(small), compared_bone(tube(1.0)), "rigid") > 0.2


def test_own_is_first_where_bones_differ():
    bulges = {"a": 0.0, "b": 1.5, "c": 3.0}
    asked = {name: compared_bone(tube(bulge)) for name, bulge in bulges.items()}
    candidates = {name: compared_bone(tube(bulge + 0.1, size=1.1).transformed(MOVED)) for name, bulge in bulges.items()}
    table = distance_rows(asked, candidates, "similarity")
    assert {name: rank_of_own(row, name) for name, row in table.items()} == {"a": 1.0, "b": 1.0, "c": 1.0}


def test_rank_counts_the_nearer_ones():
    distances = {"a": 0.3, "b": 0.2, "c": 0.5, "d": np.nan}
    assert rank_of_own(distances, "a") == 2
    assert rank_of_own(distances, "b") == 1
    assert rank_of_own(distances, "c") == 3
    assert np.isnan(rank_of_own(distances, "d"))
    assert np.isnan(rank_of_own(distances, "e"))


def test_one_bone_for_all_leaves_the_rank_to_chance():
    alike = {str(patient): 0.4 for patient in range(18)}
    assert {rank_of_own(alike, name) for name in alike} == {9.5}
