"""Volumes and labels on other grids, against closed forms; bone labels under any name or value."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bonelift.errors import InputError
from bonelift.geometry import rigid_from_vector, translation
from bonelift.images import LabelMap, Volume
from bonelift.images.bone_labels import BoneLabels, read_bone_labels
from bonelift.images.nifti_files import write_labels_nifti
from bonelift.images.nrrd_files import write_labels_seg_nrrd
from bonelift.images.resampling import isotropic_grid, resample_labels, resample_volume, share_inside

THICK = np.diag([0.5, 0.5, 1.25, 1.0])


@given(
    shape=st.tuples(*[st.integers(16, 60)] * 3),
    edges=st.tuples(*[st.floats(0.3, 1.5)] * 3),
    pose=st.lists(st.floats(-3, 3), min_size=6, max_size=6),
)
@settings(max_examples=40, deadline=None)
def test_an_isotropic_grid_covers_the_same_box(shape, edges, pose) -> None:
    world = rigid_from_vector(pose) @ np.diag([*edges, 1.0])
    new_shape, grid = isotropic_grid(shape, world, 0.625)
    np.testing.assert_allclose(np.linalg.norm(grid[:3, :3], axis=0), 0.625, rtol=1e-9)
    np.testing.assert_allclose(grid @ [-0.5, -0.5, -0.5, 1], world @ [-0.5, -0.5, -0.5, 1], atol=1e-9)
    # The far corner is met within half a new voxel along each axis: 0.3125 * sqrt(3) mm.
    corner, far = np.array(new_shape) - 0.5, np.array(shape) - 0.5
    assert np.linalg.norm((grid @ [*corner, 1] - world @ [*far, 1])[:3]) <= 0.3125 * np.sqrt(3) + 1e-9


@pytest.mark.parametrize("how", ["linear", "cubic"])
def test_a_linear_ramp_stays_where_it_is(how) -> None:
    """HU that rise linearly in the world are reproduced by either interpolation, off the border."""
    slope, shape = np.array([3.0, -5.0, 7.0]), (30, 26, 20)
    centres = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    volume = Volume((centres @ THICK[:3, :3].T @ slope).astype(np.float32), THICK)
    new_shape, grid = isotropic_grid(shape, THICK, 0.625)
    resampled = resample_volume(volume, new_shape, grid, how)
    at = (
        np.stack(np.meshgrid(*(np.arange(n) for n in new_shape), indexing="ij"), axis=-1) @ grid[:3, :3].T + grid[:3, 3]
    )
    inner = (slice(10, -10),) * 3
    # What the ramp's end does to the spline fades by 0.27 a voxel: 0.27 ** 5 of 9 HU a slice, ten new voxels inside.
    np.testing.assert_allclose(resampled.values[inner], (at @ slope)[inner], atol=0.02)


def ball(radius_mm: float, world: np.ndarray, shape: tuple[int, int, int], centre: np.ndarray) -> np.ndarray:
    centres = (
        np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1) @ world[:3, :3].T + world[:3, 3]
    )
    return np.linalg.norm(centres - centre, axis=-1) <= radius_mm


@pytest.mark.parametrize("turn", [0.0, 0.4])
def test_a_ball_of_labels_keeps_size_and_place(turn) -> None:
    shape = (60, 60, 26)
    labels = ball(10.0, THICK, shape, np.array([15.0, 14.6, 16.0])).astype(np.uint8)
    new_shape, grid = isotropic_grid(shape, THICK, 0.625)
    grid = (
        translation([14.0, 14, 14])
        @ rigid_from_vector([0, turn, turn, 0, 0, 0])
        @ translation([-14.0, -14, -14])
        @ grid
    )
    new = resample_labels(LabelMap(labels, THICK), new_shape, grid)
    indices = np.argwhere(new.labels == 1) @ grid[:3, :3].T + grid[:3, 3]
    # Half a slice of uncertainty over the ball's surface, mostly cancelling: 3 % of 4,189 mm3, a tenth of a voxel.
    assert len(indices) * 0.625**3 == pytest.approx(4 / 3 * np.pi * 1000, rel=0.03)
    np.testing.assert_allclose(indices.mean(axis=0), [15.0, 14.6, 16.0], atol=0.12)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_sheet_one_voxel_thick_is_neither_lost_nor_thickened(axis) -> None:
    shape = (24, 24, 24)
    labels = np.zeros(shape, np.uint8)
    at: list = [slice(4, 20)] * 3
    at[axis] = 11
    labels[tuple(at)] = 2
    new_shape, grid = isotropic_grid(shape, THICK, 0.3125)
    new = resample_labels(LabelMap(labels, THICK), new_shape, grid).labels == 2
    thickness_mm = new.sum(axis=axis)[tuple(n // 2 for i, n in enumerate(new_shape) if i != axis)] * 0.3125
    assert thickness_mm == pytest.approx(THICK[axis, axis], abs=0.3125 + 1e-9)
    along = new.any(axis=tuple(a for a in range(3) if a != axis))
    assert along.sum() * 0.3125 == pytest.approx(THICK[axis, axis], abs=0.3125 + 1e-9)


def test_a_cropped_segmentation_is_copied_voxel_for_voxel() -> None:
    """Slicer saves the box around the segments: the same lattice, another origin."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, (9, 8, 7)).astype(np.uint8)
    world = rigid_from_vector([0.3, 0.1, -0.2, 5, 6, 7]) @ THICK
    cut = LabelMap(labels, world @ translation([4, 2, 3]))
    whole = resample_labels(cut, (20, 20, 20), world)
    np.testing.assert_array_equal(whole.labels[4:13, 2:10, 3:10], labels)
    assert (whole.labels > 0).sum() == (labels > 0).sum()
    assert share_inside(cut, (20, 20, 20), world) == 1.0
    assert share_inside(cut, (8, 20, 20), world) == pytest.approx((labels[:4] > 0).sum() / (labels > 0).sum())


def three_labels() -> LabelMap:
    labels = np.zeros((8, 8, 8), np.uint8)
    labels[1], labels[3], labels[5] = 7, 3, 4
    return LabelMap(labels, THICK, {3: "Ulna", 4: "Scaphoid", 7: "Radius"})


@pytest.mark.parametrize(
    ("radius", "ulna"),
    [("Radius", "Ulna"), ("distal_radius_L", "ULNA"), ("DistalRadius", "LeftUlna"), ("right-radius 2", "ulna (right)")],
)
def test_segments_are_known_by_their_names(tmp_path: Path, radius: str, ulna: str) -> None:
    path = tmp_path / "bones.seg.nrrd"
    names = {3: ulna, 4: "Ulnar styloid fragment", 7: radius}
    write_labels_seg_nrrd(path, LabelMap(three_labels().labels, THICK, names))
    found = read_bone_labels(path)
    assert [int(found.labels[n, 0, 0]) for n in (1, 3, 5)] == [1, 2, 0]
    assert found.names == {1: "radius", 2: "ulna"}
    by_value = read_bone_labels(path, BoneLabels(7, 3))
    np.testing.assert_array_equal(by_value.labels, found.labels)
    swapped = read_bone_labels(path, BoneLabels(ulna, radius.upper()))
    assert [int(swapped.labels[n, 0, 0]) for n in (1, 3)] == [2, 1]


@pytest.mark.parametrize(
    ("names", "bones", "words"),
    [
        ({3: "bone A", 4: "bone B", 7: "bone C"}, BoneLabels(), "no segment is the radius"),
        ({3: "Ulna", 4: "Radius old", 7: "Radius"}, BoneLabels(), "2 segments are the radius"),
        ({3: "Ulna", 4: "x", 7: "Radius"}, BoneLabels("Speiche"), "--radius-label"),
    ],
)
def test_segments_that_do_not_say_are_refused(tmp_path: Path, names, bones, words) -> None:
    path = tmp_path / "bones.seg.nrrd"
    write_labels_seg_nrrd(path, LabelMap(three_labels().labels, THICK, names))
    with pytest.raises(InputError, match=words):
        read_bone_labels(path, bones)


def test_values_without_names(tmp_path: Path) -> None:
    path = tmp_path / "bones.nii.gz"
    write_labels_nifti(path, three_labels())
    found = read_bone_labels(path, BoneLabels(7, 3, drop_others=True))
    assert [int(found.labels[n, 0, 0]) for n in (1, 3, 5)] == [1, 2, 0]
    renamed = np.select([three_labels().labels == n for n in (7, 3, 4)], [1, 2, 4]).astype(np.uint8)
    write_labels_nifti(tmp_path / "usual.nii.gz", LabelMap(renamed, THICK))
    with pytest.raises(InputError, match="label values 4 beside 1"):
        read_bone_labels(tmp_path / "usual.nii.gz", BoneLabels())
    # Whoever states both bones has said that the rest is none.
    found = read_bone_labels(path, BoneLabels(7, 3))
    assert [int(found.labels[n, 0, 0]) for n in (1, 3, 5)] == [1, 2, 0]
    for bones, words in (
        (BoneLabels(), r"no radius \(1\) and no ulna \(2\) in it; its values are 3, 4, 7"),
        (BoneLabels("Radius", 3), "has label values and no names"),
    ):
        with pytest.raises(InputError, match=words):
            read_bone_labels(path, bones)
