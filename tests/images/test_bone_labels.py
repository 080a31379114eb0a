"""Radius and ulna from the segmentations that other programs write: every voxel where it was drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bonelift.errors import InputError
from bonelift.geometry import rigid_from_vector
from bonelift.images import LabelMap, Volume
from bonelift.images.bone_labels import BoneLabels, read_bone_labels
from bonelift.images.dicom_labels import VoxelGrid
from bonelift.images.volume_reading import read_volume
from builders.clinical_files import write_ct_series
from builders.label_files import nifti, write_rtstruct, write_seg, write_totalsegmentator_folder
from builders.radiograph_files import dicom_radiograph, save

SHAPE = (22, 18, 12)
NAMES = {1: "Distal Radius", 2: "Ulna", 3: "Carpus"}


@pytest.fixture(scope="module")
def drawn() -> LabelMap:
    """Oblique in the world; the radius has a canal, which is no bone here, and no two axes are alike."""
    world = rigid_from_vector([0.2, -0.1, 0.4, 12.0, -80.0, 300.0]) @ np.diag([0.5, 0.5, 1.5, 1.0])
    labels = np.zeros(SHAPE, np.uint8)
    labels[3:12, 4:13, 1:10], labels[15:20, 5:9, 2:9], labels[4:9, 5:10, 10:12] = 1, 2, 3
    labels[6:9, 7:10, 2:9] = 0
    return LabelMap(labels, world, NAMES)


@pytest.fixture(scope="module")
def grid(drawn) -> VoxelGrid:
    return VoxelGrid(SHAPE, drawn.world_from_voxel)


@pytest.fixture(scope="module")
def ct_folder(drawn, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("ct") / "series"
    write_ct_series(folder, Volume(np.zeros(SHAPE, np.int16), drawn.world_from_voxel), 5)
    return folder


def same_bones(found: LabelMap, drawn: LabelMap) -> None:
    """Voxel by voxel, wherever the file's own grid begins."""
    drawn_from_found = np.linalg.inv(drawn.world_from_voxel) @ found.world_from_voxel
    at = np.argwhere(found.labels > 0)
    there = at @ drawn_from_found[:3, :3].T + drawn_from_found[:3, 3]
    np.testing.assert_allclose(there, np.rint(there), atol=0.01)
    again = np.zeros(SHAPE, np.uint8)
    again[tuple(np.rint(there).astype(int).T)] = found.labels[tuple(at.T)]
    np.testing.assert_array_equal(again, np.where(drawn.labels == 3, 0, drawn.labels))
    assert found.names == {1: "radius", 2: "ulna"}


def test_a_dicom_segmentation_is_read(drawn, ct_folder, tmp_path):
    pytest.importorskip("highdicom")
    write_seg(tmp_path / "seg.dcm", ct_folder, drawn, NAMES)
    same_bones(read_bone_labels(tmp_path / "seg.dcm"), drawn)
    with pytest.raises(InputError, match=r"no segment is the radius; its segments are 'Distal Radius' \(1\), 'Ulna'"):
        read_bone_labels(tmp_path / "seg.dcm", BoneLabels("Femur", "Ulna"))


def test_outlines_are_filled_and_their_holes_left_open(drawn, grid, ct_folder, tmp_path):
    write_rtstruct(tmp_path / "rt.dcm", drawn, NAMES)
    same_bones(read_bone_labels(tmp_path / "rt.dcm", grid=grid), drawn)
    ct = read_volume(ct_folder)
    i, j, k = ct.values.shape
    same_bones(read_bone_labels(tmp_path / "rt.dcm", grid=VoxelGrid((i, j, k), ct.world_from_voxel)), drawn)


@pytest.mark.parametrize(
    ("move", "words"),
    [
        ([0, 0, 0, 0, 0, 0.7], "do not lie on the slices of the CT"),
        ([0.1, 0, 0, 0, 0, 0], "do not lie on the slices of the CT"),
        ([0, 0, 0, 0, 0, 150.0], "lie outside of the CT"),
    ],
)
def test_outlines_of_another_scan_are_refused(drawn, grid, tmp_path, move, words):
    """Moved in the CT's own axes, mm: half a slice, a tilt, and 100 slices."""
    rotation_free = np.diag([0.5, 0.5, 1.5, 1.0])
    axes = drawn.world_from_voxel @ np.linalg.inv(rotation_free)
    moved = axes @ rigid_from_vector(move) @ rotation_free
    write_rtstruct(tmp_path / "rt.dcm", LabelMap(drawn.labels, moved, NAMES), NAMES)
    with pytest.raises(InputError, match=words):
        read_bone_labels(tmp_path / "rt.dcm", grid=grid)


def test_a_slice_without_outline_is_not_guessed(drawn, grid, tmp_path):
    labels = drawn.labels.copy()
    labels[:, :, 5] = 0
    write_rtstruct(tmp_path / "rt.dcm", LabelMap(labels, drawn.world_from_voxel, NAMES), NAMES)
    with pytest.raises(InputError, match="1 slices between the first and the last outline of the radius have none"):
        read_bone_labels(tmp_path / "rt.dcm", grid=grid)


def test_a_folder_of_totalsegmentator_is_read(drawn, tmp_path):
    write_totalsegmentator_folder(tmp_path / "bones", drawn)
    same_bones(read_bone_labels(tmp_path / "bones"), drawn)
    (tmp_path / "bones" / "ulna.nii.gz").rename(tmp_path / "bones" / "elle.nii.gz")
    with pytest.raises(InputError, match=r"bones: no file is the ulna; its files are 'carpal' \(1\)"):
        read_bone_labels(tmp_path / "bones")
    same_bones(read_bone_labels(tmp_path / "bones", BoneLabels(ulna="elle")), drawn)


def test_one_file_of_totalsegmentator_is_read_by_the_names_in_its_header_or_by_values(drawn, tmp_path):
    values = np.select([drawn.labels == 1, drawn.labels == 2, drawn.labels == 3], [8, 7, 9])
    nifti(tmp_path / "named.nii.gz", values, drawn.world_from_voxel, {7: "ulna", 8: "radius", 9: "carpal"})
    same_bones(read_bone_labels(tmp_path / "named.nii.gz"), drawn)
    nifti(tmp_path / "bare.nii.gz", values, drawn.world_from_voxel)
    with pytest.raises(InputError, match="if TotalSegmentator's task appendicular_bones wrote it, the radius is 8"):
        read_bone_labels(tmp_path / "bare.nii.gz")
    same_bones(read_bone_labels(tmp_path / "bare.nii.gz", BoneLabels(8, 7)), drawn)


def test_what_is_no_segmentation_is_said(tmp_path):
    save(dicom_radiograph(), tmp_path / "film.dcm")
    with pytest.raises(InputError, match=r"film.dcm: is a DICOM file \('CR'\) without segmentation"):
        read_bone_labels(tmp_path / "film.dcm")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"empty: is a folder without segmentation; expected radius.nii.gz"):
        read_bone_labels(tmp_path / "empty")
