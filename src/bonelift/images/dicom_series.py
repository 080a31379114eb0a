"""A folder of CT slices: one series, complete, untilted, as one volume in HU."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from bonelift.errors import InputError
from bonelift.images.dicom_file import (
    HEAD_BYTES,
    guarded,
    has_preamble,
    is_dicom,
    length_mm,
    read_dataset,
    whole_number,
    word,
)
from bonelift.images.dicom_pixels import stored_pixels
from bonelift.images.volume import Volume
from bonelift.images.voxel_data import checked_shape, world_from_voxel_matrix
from bonelift.storage.input_files import check_memory, read_head

Float = NDArray[np.float64]

_CT_CLASS = "1.2.840.10008.5.1.4.1.1.2"
_ENHANCED_CT_CLASSES = {_CT_CLASS + ".1", _CT_CLASS + ".2"}
_SLICE_TOLERANCE, _ROUNDING_MM = 0.02, 0.06
"""A slice may lie off its place on a regular grid by this part of the step, or by what headers round to (0.1 mm)."""
_TILT_TOLERANCE_MM = 0.02
"""Sideways step between slices beyond which the gantry was tilted."""
_MAX_FILES = 20_000
_TELLS_SCANS_APART = {
    "AcquisitionNumber": "(0020,0012)",
    "ConvolutionKernel": "(0018,1210)",
    "ImageType": "(0008,0008)",
    "SliceThickness": "(0018,0050)",
    "TemporalPositionIdentifier": "(0020,0100)",
    "KVP": "(0018,0060)",
    "FrameOfReferenceUID": "(0020,0052)",
    "AcquisitionTime": "(0008,0032)",
}
AIR_HU, DENSEST_HU = -1000.0, 32_767.0
"""What padding counts as, and more than the extended CT scale (12 bits and ten times that) can say."""


@dataclass(frozen=True)
class CtSeries:
    """volume: HU. padding_share: part of the voxels that lay outside of the field of view, and are air.

    passed_over: (file name, why) of every other file of the folder.
    """

    volume: Volume
    padding_share: float = 0.0
    passed_over: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class _Slice:
    """told: elements by which the slices of two scans under one series differ."""

    path: Path
    series_uid: str
    series_number: int | None
    shape: tuple[int, int]
    spacing_mm: tuple[float, float]
    orientation: Float
    position_mm: Float
    told: dict[str, str]


@dataclass(frozen=True)
class _Odd:
    """A file that is no slice to read. whole_scan: it could be the scan that is meant."""

    path: Path
    why: str
    series_uid: str = ""
    series_number: int | None = None
    whole_scan: bool = False


def read_ct_series(folder: Path, series: int | None = None) -> CtSeries:
    """Read the CT series in ``folder`` (its files, not those of folders in it).

    series: SeriesNumber (0020,0011) where the folder holds several.

    Returns values (columns, rows, slices) in HU, int16 where they are whole, and world_from_voxel in LPS. Raises
    InputError: no CT, several series or acquisitions, gaps, duplicates, gantry tilt, differing slices, damaged files.
    """
    found, odd = _headers(folder)
    slices = _chosen_series(folder, found, odd, series)
    _check_alike(folder, slices)
    normal = np.cross(slices[0].orientation[0], slices[0].orientation[1])
    slices = sorted(slices, key=lambda s: float(s.position_mm @ normal))
    step_mm, first_mm = _slice_step(folder, slices, normal)
    rows, columns = slices[0].shape
    shape = (columns, rows, len(slices))
    checked_shape(list(shape), folder.name)
    check_memory(6 * math.prod(shape), folder.name, "its slices")
    between_rows, between_columns = slices[0].spacing_mm
    directions = np.stack(
        [slices[0].orientation[0] * between_columns, slices[0].orientation[1] * between_rows, normal * step_mm], axis=1
    )
    world_from_voxel = world_from_voxel_matrix(directions, first_mm, folder.name)
    values, padded = _voxels(slices, shape)
    chosen = {one.path for one in slices}
    passed = [(one.path.name, "another series") for one in found if one.path not in chosen]
    passed += [(one.path.name, one.why) for one in odd]
    return CtSeries(Volume(values, world_from_voxel), padded / values.size, tuple(sorted(passed)))


def _voxels(slices: list[_Slice], shape: tuple[int, int, int]) -> tuple[NDArray[np.number], int]:
    """int16 as long as all HU are whole, else float32; and the count of padded voxels."""
    whole = np.iinfo(np.int16)
    values: NDArray[np.number] = np.empty(shape, dtype=np.int16)
    padded = 0
    for index, one in enumerate(slices):
        with guarded(one.path.name, "its header or pixels are damaged"):
            hounsfield, count = _hounsfield(one)
        padded += count
        fits = hounsfield.min() >= whole.min and hounsfield.max() <= whole.max
        if values.dtype == np.int16 and not (fits and np.array_equal(hounsfield, np.rint(hounsfield))):
            values = values.astype(np.float32)
        values[:, :, index] = hounsfield.T
    return values, padded


def _headers(folder: Path) -> tuple[list[_Slice], list[_Odd]]:
    """The CT slices among the folder's files, and all other files with why they are passed over."""
    files = sorted(p for p in folder.iterdir() if p.is_file())
    if len(files) > _MAX_FILES:
        raise InputError(f"{folder.name}: holds {len(files)} files; expected one CT series")
    slices, odd = [], []
    for path in files:
        head = read_head(path, "a CT slice", HEAD_BYTES)
        found = _header(path, has_preamble(head)) if is_dicom(head) else _Odd(path, "no DICOM")
        (slices if isinstance(found, _Slice) else odd).append(found)
    return slices, odd


def _header(path: Path, surely_dicom: bool) -> _Slice | _Odd:
    """The slice's geometry; why there is none for what is no axial CT image (localisers, reports, directories).

    Raises InputError for a damaged DICOM file: it may be a slice that is missed.
    """
    try:
        dataset = read_dataset(path, stop_before_pixels=True)
    except InputError:
        if surely_dicom:
            raise
        return _Odd(path, "no DICOM")
    with guarded(path.name, "its CT header is damaged or incomplete"):
        sop_class = str(dataset.get("SOPClassUID"))
        series = (str(dataset.get("SeriesInstanceUID")), whole_number(dataset, "SeriesNumber"))
        if sop_class in _ENHANCED_CT_CLASSES:
            return _Odd(path, "an enhanced multi-frame CT, which is not read: convert it to single slices or NIfTI",
                        *series, whole_scan=True)  # fmt: skip
        if sop_class != _CT_CLASS:
            return _Odd(path, "no CT image", *series)
        if "LOCALIZER" in word(dataset, "ImageType"):
            return _Odd(path, "a localiser", *series)
        if "ImageOrientationPatient" not in dataset and "ImagePositionPatient" not in dataset:
            return _Odd(path, "a CT image without position and orientation, such as a screenshot", *series)
        return _slice(dataset, path, series)


def _slice(dataset: Dataset, path: Path, series: tuple[str, int | None]) -> _Slice:
    orientation = np.array([float(n) for n in dataset.ImageOrientationPatient]).reshape(2, 3)
    rows, columns = (float(n) for n in dataset.PixelSpacing)
    if not (np.allclose(orientation @ orientation.T, np.eye(2), atol=1e-3) and rows > 0 and columns > 0):
        raise InputError(f"{path.name}: its CT orientation or pixel spacing is impossible")
    # Headers round direction cosines; orthonormal ones keep the volume free of shear.
    along_rows = orientation[0] / np.linalg.norm(orientation[0])
    along_columns = orientation[1] - (orientation[1] @ along_rows) * along_rows
    return _Slice(
        path,
        *series,
        (int(dataset.Rows), int(dataset.Columns)),
        (rows, columns),
        np.stack([along_rows, along_columns / np.linalg.norm(along_columns)]),
        np.array([float(n) for n in dataset.ImagePositionPatient]).reshape(3),
        {keyword: word(dataset, keyword) for keyword in _TELLS_SCANS_APART},
    )


def _chosen_series(folder: Path, slices: list[_Slice], odd: list[_Odd], series: int | None) -> list[_Slice]:
    if not slices:
        raise InputError(f"{folder.name}: {_nothing_found(folder, odd)}; expected a folder with one DICOM CT series")
    by_series: dict[str, list[_Slice]] = defaultdict(list)
    for one in slices:
        by_series[one.series_uid].append(one)
    scans = {o.series_uid: o for o in odd if o.whole_scan and o.series_uid not in by_series}
    listing = ", ".join(
        [f"series {g[0].series_number} ({len(g)} slices)" for g in by_series.values()]
        + [f"series {o.series_number} (enhanced multi-frame)" for o in scans.values()]
    )
    groups = [g for g in by_series.values() if series is None or g[0].series_number == series]
    others = [o for o in scans.values() if series is None or o.series_number == series]
    if not groups and others:
        raise InputError(f"{others[0].path.name}: is {others[0].why}")
    if not groups:
        raise InputError(f"{folder.name}: has no series {series}; it holds {listing}")
    if len(groups) + len(others) > 1:
        number = len(groups) + len(others)
        raise InputError(f"{folder.name}: holds {number} CT series: {listing}; choose one, or give each a folder")
    if len(groups[0]) < 2:
        raise InputError(f"{folder.name}: the CT series has one slice; expected a volume")
    for one in odd:
        if one.series_uid == groups[0][0].series_uid and one.why != "a localiser":
            raise InputError(f"{one.path.name}: belongs to the series and is {one.why}; move it out of the folder")
    return groups[0]


def _nothing_found(folder: Path, odd: list[_Odd]) -> str:
    """Why a folder holds no slices: what its files are, and where slices lie further down."""
    enhanced = next((one for one in odd if one.whole_scan), None)
    if enhanced is not None:
        return f"{enhanced.path.name} is {enhanced.why}"
    counts: dict[str, int] = defaultdict(int)
    for one in odd:
        counts[one.why] += 1
    passed = ", ".join(f"{count} {why}" for why, count in counts.items())
    text = f"holds no CT slices (passed over: {passed})" if odd else "holds no CT slices"
    below: dict[Path, int] = defaultdict(int)
    for count, path in enumerate(sorted(folder.rglob("*"))):
        if count > _MAX_FILES:
            break
        if path.parent != folder and path.is_file() and is_dicom(read_head(path, "a CT slice", HEAD_BYTES)):
            below[path.parent] += 1
    if below:
        place = max(below, key=lambda p: below[p])
        text += f"; {below[place]} DICOM files lie further down, in {place.relative_to(folder)}: pass that folder"
    return text


def _check_alike(folder: Path, slices: list[_Slice]) -> None:
    first = slices[0]
    for one in slices[1:]:
        alike = (
            one.shape == first.shape
            and np.allclose(one.spacing_mm, first.spacing_mm, rtol=1e-4)
            and np.allclose(one.orientation, first.orientation, atol=1e-3)
        )
        if not alike:
            raise InputError(
                f"{folder.name}: {one.path.name} differs from {first.path.name} in size, spacing or orientation; "
                "expected slices of one scan"
            )


def _slice_step(folder: Path, slices: list[_Slice], normal: Float) -> tuple[float, Float]:
    """Distance between slices in mm, and the first slice's position (3,) on the regular grid that fits all best.

    InputError for duplicates, gaps, uneven distances, gantry tilt.
    """
    positions = np.array([s.position_mm for s in slices])
    if not np.isfinite(positions).all():
        raise InputError(f"{folder.name}: a slice position is not finite; expected a CT series")
    steps = np.diff(positions @ normal)
    if (steps < 0.01).any():
        at = int(np.argmin(steps))
        raise InputError(
            f"{folder.name}: {_scans_apart(slices)}{slices[at].path.name} and {slices[at + 1].path.name} lie at the "
            "same place; expected each slice once"
        )
    number = np.arange(len(slices))
    slope, first = np.polyfit(number, positions, 1)
    step = float(slope @ normal)
    off = np.abs((positions - first - np.outer(number, slope)) @ normal)
    typical = float(np.median(steps))
    if off.max() > max(_SLICE_TOLERANCE * step, _ROUNDING_MM):
        at = int(np.argmax(np.abs(steps - typical)))
        raise InputError(
            f"{folder.name}: {steps[at]:.2f} mm between {slices[at].path.name} and {slices[at + 1].path.name}, "
            f"elsewhere {typical:.2f} mm; slices are missing or unevenly spaced"
        )
    sideways = float(np.linalg.norm(slope - step * normal))
    if sideways > _TILT_TOLERANCE_MM:
        tilt_deg = float(np.degrees(np.arctan2(sideways, step)))
        raise InputError(f"{folder.name}: the gantry was tilted by {tilt_deg:.1f} degrees; resample to upright slices")
    return step, first


def _scans_apart(slices: list[_Slice]) -> str:
    """What tells the scans apart that lie under one series, for a message; "" where nothing does."""
    for keyword, tag in _TELLS_SCANS_APART.items():
        counts: dict[str, int] = defaultdict(int)
        for one in slices:
            counts[one.told[keyword]] += 1
        if 1 < len(counts) <= len(slices) / 2:
            listing = ", ".join(f"{value!a:.40} ({count} slices)" for value, count in sorted(counts.items())[:4])
            return (
                f"holds {len(counts)} scans under one series, told apart by {keyword} {tag}: {listing}; keep one of "
                "them in the folder: "
            )
    return ""


def _hounsfield(one: _Slice) -> tuple[NDArray[np.float32], int]:
    """(rows, columns) HU, padding as air, and how many pixels are padding."""
    name = one.path.name
    dataset = read_dataset(one.path)
    if (whole_number(dataset, "NumberOfFrames") or 1) != 1:
        raise InputError(f"{name}: holds several frames; expected single CT slices")
    slope, intercept = length_mm(dataset, "RescaleSlope"), length_mm(dataset, "RescaleIntercept")
    if not slope or intercept is None:
        raise InputError(
            f"{name}: RescaleSlope (0028,1053) or RescaleIntercept (0028,1052) is missing, so HU are unknown; where "
            "the stored values are HU, add slope 1 and intercept 0, or convert the series to NIfTI or NRRD"
        )
    stored = stored_pixels(dataset, name, 0)
    hounsfield = (stored.values.astype(np.float64) * slope + intercept).astype(np.float32)
    if hounsfield.shape != one.shape or not np.isfinite(hounsfield).all():
        raise InputError(f"{name}: is no grey CT slice with finite HU")
    if stored.padding is not None:
        hounsfield[stored.padding] = AIR_HU
    if hounsfield.max() > DENSEST_HU:
        share = float((hounsfield > DENSEST_HU).mean())
        raise InputError(
            f"{name}: {100 * share:.2g} % of its pixels come to {hounsfield.max():.0f} HU, which nothing has: padding "
            "without PixelPaddingValue (0028,0120), or a wrong RescaleSlope; correct the header"
        )
    return hounsfield, 0 if stored.padding is None else int(stored.padding.sum())
