"""What an import lets pass: labels that lie in the CT, HU as they are, numbers as any spreadsheet writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bonelift.errors import InputError
from bonelift.images import LabelMap, Volume, write_labels_seg_nrrd, write_volume_nrrd
from bonelift.images.bone_labels import BoneLabels
from bonelift.study.importing_case import ImportSettings, read_scan
from bonelift.study.importing_sources import CaseSource
from bonelift.study.importing_table import read_table

SHAPE = (24, 24, 40)
NAMES = {1: "radius", 2: "ulna"}


def source(folder: Path, beyond_voxels: int = 0) -> CaseSource:
    """A CT with every HU that matters and, in the upper half of the labels' bones, ``beyond_voxels`` slices off it."""
    values = np.zeros(SHAPE, np.int16)
    values[2:6, 2:6, 2:6], values[8:12, 2:6, 2:6], values[14:18, 2:6, 2:6] = -1000, -90, 3071
    write_volume_nrrd(folder / "ct.nrrd", Volume(values, np.eye(4)))
    labels = np.zeros(SHAPE, np.uint8)
    labels[4:10, 4:10, :20], labels[14:18, 4:10, :20] = 1, 2
    frame = np.eye(4)
    frame[2, 3] = -beyond_voxels
    write_labels_seg_nrrd(folder / "labels.seg.nrrd", LabelMap(labels, frame, NAMES))
    return CaseSource("w1", "p1", "right", folder / "ct.nrrd", folder / "labels.seg.nrrd", bones=BoneLabels())


def test_air_fat_and_metal_keep_their_hounsfield_units(tmp_path):
    ct, labels, _ = read_scan(source(tmp_path), ImportSettings(spacing_mm=None))
    assert ct.values.dtype == np.int16
    assert [int(ct.values[x, 4, 4]) for x in (4, 10, 16, 20)] == [-1000, -90, 3071, 0]
    assert {int(value) for value in np.unique(labels.labels)} == {0, 1, 2}


@pytest.mark.parametrize("beyond", [1, 5, 10])
def test_bone_outside_of_the_scan_is_refused(tmp_path, beyond):
    """1, 5 and 10 of 20 slices of the bones: 5, 25 and 50 % of them. One in a hundred may be a rim's rounding."""
    with pytest.raises(InputError, match=f"{5 * beyond} % of its bone lies outside of the CT"):
        read_scan(source(tmp_path, beyond), ImportSettings(spacing_mm=None))


@pytest.mark.parametrize(("delimiter", "decimal"), [(";", ","), (";", "."), (",", ".")])
def test_a_spreadsheets_decimals_are_read_as_what_they_are(tmp_path, delimiter, decimal):
    columns = ["case", "patient", "side", "ct", "labels", "radiograph", "view", "pixel_spacing_mm", "sdd_mm"]
    cells = ["w1", "p1", "left", "ct", "labels", "film.png", "pa", f"0{decimal}144", f"1150{decimal}5"]
    table = tmp_path / "cases.csv"
    table.write_text("\n".join(delimiter.join(row) for row in (columns, cells)) + "\n")
    (film,) = read_table(table, files_exist=False).cases[0].radiographs
    assert film.pixel_spacing_mm == 0.144
    assert film.sdd_mm == 1150.5
