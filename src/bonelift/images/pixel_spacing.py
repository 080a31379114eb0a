"""Where a DICOM radiograph says how large its pixels are, and in which plane.

Source: DICOM PS3.3, 10.7 (pixel spacing of projection radiographs), C.8.1.2, C.8.11.4, C.8.7.5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from pydicom.dataset import Dataset

from bonelift.errors import InputError
from bonelift.geometry.plausible import PIXEL, check_length

_CALIBRATED_FROM = 0.01
"""Spacings that differ by more than this part are two statements, not one that was rounded."""
_MAX_MAGNIFICATION = 3.0


@dataclass(frozen=True)
class DicomSpacing:
    """detector_mm, object_mm: (between rows, between columns), in the plane named; magnification: SDD over SOD.

    missing: why there is no spacing, where there is none.
    """

    detector_mm: tuple[float, float] | None
    object_mm: tuple[float, float] | None
    magnification: float | None
    origin: str
    magnification_origin: str
    missing: str = "no ImagerPixelSpacing (0018,1164)"


def dicom_spacing(dataset: Dataset) -> DicomSpacing:
    """Weigh ImagerPixelSpacing, NominalScannedPixelSpacing, PixelSpacing and its calibration.

    ImagerPixelSpacing and NominalScannedPixelSpacing are distances on the detector (the film). PixelSpacing is the
    same distance unless the image was calibrated (PixelSpacingCalibrationType GEOMETRY or FIDUCIAL, or, where that
    optional element is absent, a PixelSpacing of its own): then it holds in the plane of the object. A value that
    cannot be (zero, absurd) discredits all of them.
    """
    try:
        imager = _pair(dataset, "ImagerPixelSpacing", "(0018,1164)")
        scanned = _pair(dataset, "NominalScannedPixelSpacing", "(0018,2010)")
        pixel = _pair(dataset, "PixelSpacing", "(0028,0030)")
    except InputError as error:
        return DicomSpacing(None, None, None, "", "", missing=str(error))
    calibration = str(dataset.get("PixelSpacingCalibrationType", "") or "").strip().upper()
    factor = _magnification(dataset)
    factor_origin = "EstimatedRadiographicMagnificationFactor (0018,1114)" if factor else ""

    detector, origin = None, ""
    if imager:
        detector, origin = imager, "ImagerPixelSpacing (0018,1164), on the detector"
    elif scanned:
        detector, origin = scanned, "NominalScannedPixelSpacing (0018,2010), on the film"
    if pixel is None:
        return DicomSpacing(detector, None, factor, origin, factor_origin)
    calibrated = f"PixelSpacing (0028,0030), calibrated by {calibration} (0028,0A02)"
    if calibration not in {"GEOMETRY", "FIDUCIAL"}:
        if detector is None:
            return DicomSpacing(pixel, None, factor, "PixelSpacing (0028,0030), not calibrated: on the detector",
                                factor_origin)  # fmt: skip
        if all(abs(d / p - 1) <= _CALIBRATED_FROM for d, p in zip(detector, pixel, strict=True)):
            return DicomSpacing(detector, None, factor, origin, factor_origin)
        calibrated = "PixelSpacing (0028,0030), calibrated: it differs from the detector's"
    if detector is None:
        return DicomSpacing(None, pixel, factor, f"{calibrated}, at the object", factor_origin)
    ratio = math.sqrt(detector[0] * detector[1] / (pixel[0] * pixel[1]))
    if 1.0 <= ratio <= _MAX_MAGNIFICATION:
        return DicomSpacing(detector, pixel, ratio, origin, calibrated)
    aside = (
        f"PixelSpacing (0028,0030) of {pixel[0]:g} x {pixel[1]:g} mm set aside: no wrist is magnified {ratio:.2g} times"
    )
    return DicomSpacing(detector, None, factor, f"{origin}; {aside}", factor_origin)


def check_spacing(spacing_mm: float, what: str) -> float:
    """``spacing_mm`` where it can be a radiograph's, else InputError; ``what`` starts the message."""
    return check_length(spacing_mm, PIXEL, what)


def _pair(dataset: Dataset, keyword: str, tag: str) -> tuple[float, float] | None:
    """(between rows, between columns) or None where the element is absent or empty."""
    value = dataset.get(keyword)
    if value is None or value == "":
        return None
    try:
        rows, columns = (float(number) for number in value)
    except (TypeError, ValueError) as error:
        raise InputError(f"{keyword} {tag} is not two numbers") from error
    return check_spacing(rows, f"{keyword} {tag}"), check_spacing(columns, f"{keyword} {tag}")


def _magnification(dataset: Dataset) -> float | None:
    try:
        factor = float(dataset.get("EstimatedRadiographicMagnificationFactor") or 0)
    except (TypeError, ValueError):
        return None
    return factor if 1.0 <= factor <= _MAX_MAGNIFICATION else None
