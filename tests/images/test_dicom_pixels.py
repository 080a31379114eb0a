"""Stored numbers by their bit layout, and padding in every way that devices write it."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset

from bonelift.errors import InputError
from bonelift.images.dicom_pixels import stored_pixels
from bonelift.images.dicom_radiograph import read_dicom_radiograph
from builders.radiograph_files import dicom_radiograph, film_pixels, save

TRUE = film_pixels()


def film(pixels: np.ndarray, **elements: object) -> Dataset:
    return dicom_radiograph(pixels, **elements)


@pytest.mark.parametrize("shift", [0, 2, 4])
def test_numbers_are_moved_down_from_high_bit(shift):
    stored = stored_pixels(film(TRUE << shift, HighBit=11 + shift), "a", 0)
    np.testing.assert_array_equal(stored.values, TRUE)
    assert stored.padding is None


def test_signed_numbers_keep_their_sign_with_and_without_it_in_the_bits_above():
    true = TRUE.astype(np.int16) - 1000
    for words in (true, (true & 0x0FFF).astype(np.int16)):
        stored = stored_pixels(film(words.view(np.uint16), PixelRepresentation=1), "a", 0)
        np.testing.assert_array_equal(stored.values, true)


def test_an_overlay_in_unused_bits_is_no_part_of_the_picture():
    drawn = TRUE | (np.arange(TRUE.size, dtype=np.uint16).reshape(TRUE.shape) % 2 << 12)
    dataset = film(drawn)
    dataset.add_new((0x6000, 0x0102), "US", 12)
    np.testing.assert_array_equal(stored_pixels(dataset, "a", 0).values, TRUE)
    with pytest.raises(InputError, match="use bits beyond the 12"):
        stored_pixels(film(drawn), "a", 0)


@pytest.mark.parametrize("layout", [(12, 20), (12, 5), (17, 16)])
def test_a_layout_that_is_none_is_refused(layout):
    stored, high = layout
    with pytest.raises(InputError):
        stored_pixels(film(TRUE, BitsStored=stored, HighBit=high), "a", 0)


def test_numbers_that_contradict_high_bit_are_refused():
    with pytest.raises(InputError, match="use bits beyond"):
        stored_pixels(film(TRUE, HighBit=15), "a", 0)


@pytest.mark.parametrize(
    ("words", "signed", "element", "limit"),
    [
        (63536, 0, 63536, None),
        (63536, 0, -2000, None),
        (63536, 1, 63536, None),
        (63536, 1, -2000, None),
        (2096, 0, -2000, None),  # the bits of -2000 in twelve
        (63500, 0, 63000, 63600),
        (4095, 0, 4095, None),
        (0, 0, 0, None),
    ],
)
def test_padding_counts_by_its_bits(words, signed, element, limit):
    outside = np.zeros(TRUE.shape, dtype=bool)
    outside[:20, :20] = True
    inside = np.where(words == TRUE, words + 1 if words < 4095 else 4094, TRUE)
    dataset = film(np.where(outside, words, inside).astype(np.uint16), PixelRepresentation=signed)
    vr = "SS" if element < 0 else "US"
    dataset.add_new("PixelPaddingValue", vr, element)
    if limit is not None:
        dataset.add_new("PixelPaddingRangeLimit", vr, limit)
    stored = stored_pixels(dataset, "a", 0)
    assert stored.padding is not None
    np.testing.assert_array_equal(stored.padding, outside)
    kept = stored.values[~outside]
    assert kept.min() <= stored.values[outside].min()
    assert stored.values[outside].max() <= kept.max()


@pytest.mark.parametrize(
    ("elements", "words"),
    [
        ({"WindowCenter": 1000, "WindowWidth": 0}, "window (0028,1050 and 1051) set aside"),
        ({"WindowCenter": 1000, "WindowWidth": -5}, "window (0028,1050 and 1051) set aside"),
        ({"WindowCenter": "", "WindowWidth": ""}, "window (0028,1050 and 1051) set aside"),
        ({"WindowCenter": [900, 1], "WindowWidth": [2000, 0]}, "VOI window"),
        ({"RescaleSlope": "", "RescaleIntercept": ""}, "rescale (0028,1052 and 1053) set aside"),
        ({"RescaleSlope": 0, "RescaleIntercept": 5}, "rescale (0028,1052 and 1053) set aside"),
    ],
)
def test_settings_that_cannot_be_are_set_aside_and_said(tmp_path, elements, words):
    recorded = read_dicom_radiograph(save(film(TRUE, **elements), tmp_path / "a.dcm"))
    assert words in recorded.provenance["display"]
    if "aside" in words:
        np.testing.assert_array_equal(recorded.pixels, TRUE)


@pytest.mark.parametrize(
    ("elements", "at_wrist", "words"),
    [
        ({"PixelSpacing": [0.135, 0.135]}, 0.135, "calibrated"),
        ({"PixelSpacing": [0.135, 0.135], "PixelSpacingCalibrationType": "FIDUCIAL"}, 0.135, "FIDUCIAL"),
        ({"PixelSpacing": [0.1505, 0.1505]}, None, ""),
        ({"PixelSpacing": [0.3, 0.3]}, None, "set aside"),
    ],
)
def test_a_spacing_that_differs_from_the_detectors_is_a_calibration(tmp_path, elements, at_wrist, words):
    recorded = read_dicom_radiograph(save(film(TRUE, **elements), tmp_path / "a.dcm"))
    assert recorded.detector_spacing_mm == (0.15, 0.15)
    assert recorded.object_spacing_mm == (None if at_wrist is None else (at_wrist, at_wrist))
    assert words in recorded.provenance["pixel_spacing"] + recorded.provenance.get("magnification", "")
