"""What a DICOM header says of the size of pixels, held to PS3.3 10.7: detector, film, or calibrated at the object."""

from __future__ import annotations

import math

import pytest
from pydicom.dataset import Dataset

from bonelift.images.pixel_spacing import dicom_spacing


def header(**elements: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize(
    ("elements", "detector_mm", "origin"),
    [
        ({"ImagerPixelSpacing": [0.15, 0.14]}, (0.15, 0.14), "ImagerPixelSpacing (0018,1164), on the detector"),
        ({"NominalScannedPixelSpacing": [0.1, 0.2]}, (0.1, 0.2), "NominalScannedPixelSpacing (0018,2010), on the film"),
        (
            {"ImagerPixelSpacing": [0.15, 0.14], "NominalScannedPixelSpacing": [0.1, 0.2]},
            (0.15, 0.14),
            "ImagerPixelSpacing (0018,1164), on the detector",
        ),
        ({"PixelSpacing": [0.12, 0.13]}, (0.12, 0.13), "PixelSpacing (0028,0030), not calibrated: on the detector"),
        # 0.9 % apart either way: one statement that was rounded.
        (
            {"ImagerPixelSpacing": [0.15, 0.14], "PixelSpacing": [0.15 * 1.009, 0.14 / 1.009]},
            (0.15, 0.14),
            "ImagerPixelSpacing (0018,1164), on the detector",
        ),
    ],
)
def test_an_uncalibrated_spacing_lies_on_the_detector(elements, detector_mm, origin):
    found = dicom_spacing(header(**elements))
    assert found.detector_mm == pytest.approx(detector_mm)
    assert found.object_mm is None
    assert found.magnification is None
    assert (found.origin, found.magnification_origin) == (origin, "")


@pytest.mark.parametrize(
    ("detector_mm", "pixel_mm", "magnification"),
    [
        # Of each direction the detector's over the object's; both together by the geometric mean.
        ((0.15, 0.15), (0.12, 0.12), 1.25),
        ((0.2, 0.1), (0.1, 0.1), math.sqrt(2)),
        ((0.15, 0.15), (0.15 / 1.015, 0.15 / 1.015), 1.015),
        # One direction that differs is enough.
        ((0.15, 0.15), (0.15, 0.12), math.sqrt(1.25)),
        ((0.29, 0.29), (0.1, 0.1), 2.9),
    ],
)
@pytest.mark.parametrize("calibration", ["FIDUCIAL", "GEOMETRY", None])
def test_a_calibrated_spacing_lies_at_the_object_and_gives_the_magnification(
    detector_mm, pixel_mm, magnification, calibration
):
    dataset = header(ImagerPixelSpacing=list(detector_mm), PixelSpacing=list(pixel_mm))
    if calibration is not None:
        dataset.PixelSpacingCalibrationType = calibration
    found = dicom_spacing(dataset)
    assert (found.detector_mm, found.object_mm) == (pytest.approx(detector_mm), pytest.approx(pixel_mm))
    assert found.magnification == pytest.approx(magnification, rel=1e-9)
    said = f"calibrated by {calibration} (0028,0A02)" if calibration else "calibrated: it differs"
    assert said in found.magnification_origin


def test_a_calibration_that_says_so_counts_where_it_equals_the_detector_and_where_it_stands_alone():
    same = header(ImagerPixelSpacing=[0.15] * 2, PixelSpacing=[0.15] * 2, PixelSpacingCalibrationType="GEOMETRY")
    assert dicom_spacing(same).object_mm == (0.15, 0.15)
    assert dicom_spacing(same).magnification == 1.0
    alone = dicom_spacing(header(PixelSpacing=[0.12, 0.13], PixelSpacingCalibrationType="FIDUCIAL"))
    assert (alone.detector_mm, alone.object_mm, alone.magnification) == (None, (0.12, 0.13), None)
    assert alone.origin == "PixelSpacing (0028,0030), calibrated by FIDUCIAL (0028,0A02), at the object"


@pytest.mark.parametrize("pixel_mm", [0.15 / 3.1, 0.15 / 0.9])
def test_a_calibration_that_no_wrist_can_have_is_set_aside(pixel_mm):
    """Of 3.1 (source nearer to the wrist than a third) and 0.9 (the wrist behind the detector)."""
    found = dicom_spacing(
        header(ImagerPixelSpacing=[0.15] * 2, PixelSpacing=[pixel_mm] * 2, EstimatedRadiographicMagnificationFactor=1.1)
    )
    assert (found.detector_mm, found.object_mm, found.magnification) == ((0.15, 0.15), None, 1.1)
    assert f"set aside: no wrist is magnified {0.15 / pixel_mm:.2g} times" in found.origin


@pytest.mark.parametrize(
    ("factor", "taken"),
    [(1.05, 1.05), (1.0, 1.0), (2.9, 2.9), (0.9, None), (3.1, None), (0, None), ("", None)],
)
def test_the_estimated_magnification_is_taken_where_it_can_be(factor, taken):
    dataset = header(ImagerPixelSpacing=[0.15] * 2, EstimatedRadiographicMagnificationFactor=factor)
    for calibration in ({}, {"PixelSpacing": [0.15] * 2}):
        for keyword, value in calibration.items():
            setattr(dataset, keyword, value)
        found = dicom_spacing(dataset)
        assert found.magnification == taken
        assert found.magnification_origin == ("EstimatedRadiographicMagnificationFactor (0018,1114)" if taken else "")


@pytest.mark.parametrize(
    ("elements", "words"),
    [
        ({"ImagerPixelSpacing": [0, 0], "PixelSpacing": [0.15] * 2}, "ImagerPixelSpacing (0018,1164) is 0 mm"),
        ({"ImagerPixelSpacing": [0.15] * 2, "PixelSpacing": [0.15, 40]}, "PixelSpacing (0028,0030) is 40 mm"),
        ({"NominalScannedPixelSpacing": [0.1, 0.1, 0.1]}, "NominalScannedPixelSpacing (0018,2010) is not two numbers"),
        ({"ImagerPixelSpacing": 0.15}, "ImagerPixelSpacing (0018,1164) is not two numbers"),
        ({"ImagerPixelSpacing": ""}, "no ImagerPixelSpacing (0018,1164)"),
        ({}, "no ImagerPixelSpacing (0018,1164)"),
    ],
)
def test_a_value_that_cannot_be_discredits_all(elements, words):
    found = dicom_spacing(header(**elements))
    assert (found.detector_mm, found.object_mm, found.magnification) == (None, None, None)
    assert found.missing.startswith(words)
