"""CT series as hospitals burn them: odd files beside them, two scans under one number, rounded positions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomFileLike
from pydicom.filewriter import write_dataset

from bonelift.errors import InputError
from bonelift.images.dicom_series import read_ct_series
from bonelift.images.volume_reading import read_ct, read_noted_ct
from builders.radiograph_files import CT, dicom_radiograph, save

COUNT, STEP_MM = 8, 0.625
HU = np.random.default_rng(1).integers(-1000, 1500, (6, 5, COUNT)).astype(np.int16)


def ct_slice(index: int, **elements: object) -> Dataset:
    facts: dict[str, object] = {
        "ImagerPixelSpacing": None, "Laterality": None, "ViewPosition": None, "BitsStored": 16, "HighBit": 15,
        "PixelSpacing": [0.5, 0.5], "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "RescaleSlope": 1,
        "ImagePositionPatient": [-20.0, -110.0, 640 + STEP_MM * index], "RescaleIntercept": -1024,
        "SeriesInstanceUID": "1.2.3", "SeriesNumber": 5,
    }  # fmt: skip
    return dicom_radiograph((HU[:, :, index].T + 1024).astype(np.uint16), CT, **(facts | elements))


def write(folder: Path, name: str = "s", **elements: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(COUNT):
        save(ct_slice(index, **elements), folder / f"{name}{index:03d}.dcm")
    return folder


def test_odd_files_are_passed_over_and_named(tmp_path):
    folder = write(tmp_path)
    screen = ct_slice(0, SeriesInstanceUID="1.9", SeriesNumber=999, ImageOrientationPatient=None,
                      ImagePositionPatient=None)  # fmt: skip
    save(screen, folder / "dose.dcm")
    (folder / "readme.txt").write_text("hello")
    volume, _, passed_over = read_noted_ct(folder)
    np.testing.assert_array_equal(volume.values, HU)
    assert dict(passed_over) == {
        "dose.dcm": "a CT image without position and orientation, such as a screenshot",
        "readme.txt": "no DICOM",
    }


def test_an_enhanced_ct_is_another_series_to_choose_from(tmp_path):
    folder = write(tmp_path)
    enhanced = ct_slice(0, SOPClassUID=CT + ".1", SeriesInstanceUID="1.9", SeriesNumber=999)
    save(enhanced, folder / "z.dcm")
    np.testing.assert_array_equal(read_ct(folder, 5).values, HU)
    with pytest.raises(InputError, match=r"holds 2 CT series: series 5 \(8 slices\), series 999 \(enhanced"):
        read_ct(folder)
    with pytest.raises(InputError, match="enhanced multi-frame CT, which is not read"):
        read_ct(folder, 999)


def test_a_slice_without_its_place_is_not_lost_from_its_series(tmp_path):
    folder = write(tmp_path)
    save(ct_slice(3, ImageOrientationPatient=None, ImagePositionPatient=None), folder / "s003.dcm")
    with pytest.raises(InputError, match=r"s003\.dcm: belongs to the series"):
        read_ct(folder)


@pytest.mark.parametrize(
    ("keyword", "one", "other"),
    [("AcquisitionNumber", 1, 2), ("ConvolutionKernel", "B30", "B70"), ("KVP", 80, 120)],
)
def test_two_scans_under_one_series_are_told_apart(tmp_path, keyword, one, other):
    write(tmp_path, "a", **{keyword: one})
    write(tmp_path, "b", **{keyword: other})
    with pytest.raises(InputError, match=rf"2 scans under one series, told apart by {keyword} .*8 slices.*keep one"):
        read_ct(tmp_path)


@pytest.mark.parametrize("step", [0.625, 0.7, 1.25, 0.33])
def test_positions_that_were_rounded_make_a_regular_grid(tmp_path, step):
    for index in range(COUNT):
        save(ct_slice(index, ImagePositionPatient=[-20.0, -110.0, round(640 + step * index, 1)]),
             tmp_path / f"{index}.dcm")  # fmt: skip
    volume = read_ct(tmp_path)
    # Each position is off by 0.05 mm at most, so is every slice of the line that fits them best.
    assert abs(volume.world_from_voxel[2, 3] - 640) < 0.05
    assert abs(volume.world_from_voxel[2, 3] + volume.world_from_voxel[2, 2] * (COUNT - 1) - 640 - step * 7) < 0.05


@pytest.mark.parametrize("lost", range(1, COUNT - 1))
def test_a_slice_that_is_missing_is_still_noticed(tmp_path, lost):
    folder = write(tmp_path)
    (folder / f"s{lost:03d}.dcm").unlink()
    with pytest.raises(InputError, match="slices are missing or unevenly spaced"):
        read_ct(folder)


def test_slices_further_down_are_pointed_out(tmp_path):
    write(tmp_path / "IMAGES" / "SE000005")
    (tmp_path / "README.TXT").write_text("hello")
    with pytest.raises(InputError, match=r"passed over: 1 no DICOM\); 8 DICOM files lie further down, in IMAGES/SE"):
        read_ct(tmp_path)


@pytest.mark.parametrize("implicit", [True, False])
def test_files_without_preamble_are_known_by_their_first_element(tmp_path, implicit):
    for index in range(COUNT):
        with (tmp_path / f"1.2.826.0.1.77.{index}").open("wb") as file:
            out = DicomFileLike(file)
            out.is_little_endian, out.is_implicit_VR = True, implicit
            write_dataset(out, ct_slice(index))
    np.testing.assert_array_equal(read_ct(tmp_path).values, HU)


def test_padding_is_air_and_its_share_is_told(tmp_path):
    outside = np.zeros(HU.shape[:2], dtype=bool)
    outside[0] = True
    for index in range(COUNT):
        dataset = ct_slice(index, PixelPaddingValue=63536)
        words = np.where(outside, 63536, HU[:, :, index] + 1024).astype(np.uint16)
        dataset.PixelData = words.T.tobytes()
        save(dataset, tmp_path / f"{index}.dcm")
    found = read_ct_series(tmp_path)
    assert found.padding_share == pytest.approx(1 / 6)
    assert (found.volume.values[outside] == -1000).all()
    np.testing.assert_array_equal(found.volume.values[~outside], HU[~outside])


def test_padding_that_is_not_announced_is_refused(tmp_path):
    for index in range(COUNT):
        dataset = ct_slice(index)
        words = (HU[:, :, index] + 1024).astype(np.uint16)
        words[0] = 63536
        dataset.PixelData = words.T.tobytes()
        save(dataset, tmp_path / f"{index}.dcm")
    with pytest.raises(InputError, match="62512 HU, which nothing has: padding without PixelPaddingValue"):
        read_ct(tmp_path)


def test_a_series_without_rescale_says_that_hu_are_unknown(tmp_path):
    write(tmp_path, RescaleSlope=None, RescaleIntercept=None)
    with pytest.raises(InputError, match=r"RescaleSlope .* is missing, so HU are unknown"):
        read_ct(tmp_path)
