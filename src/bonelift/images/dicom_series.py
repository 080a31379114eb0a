"""A folder of CT slices: one series, complete, untilted, as one volume in HU."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonelift.errors import InputError
from bonelift.images.dicom_file import decode_frame, guarded, is_dicom, read_dataset, whole_number, word
from bonelift.images.volume import Volume
from bonelift.images.voxel_data import checked_shape, world_from_voxel_matrix

Float = NDArray[np.float64]

_CT_CLASS = "1.2.840.10008.5.1.4.1.1.2"
_ENHANCED_CT_CLASSES = {_CT_CLASS + ".1", _CT_CLASS + ".2"}
_SLICE_TOLERANCE = 0.02
"""Slice distances may differ by this part of the distance: positions are rounded in the header."""
_TILT_TOLERANCE_MM = 0.02
"""Sideways step between slices beyond which the gantry was tilted."""
_MAX_FILES = 20_000


@dataclass(frozen=True)
class _Slice:
    path: Path
    series_uid: str
    series_number: int | None
    shape: tuple[int, int]
    spacing_mm: tuple[float, float]
    orientation: Float
    position_mm: Float


def read_ct_series(folder: Path, series: int | None = None) -> Volume:
    """Read the CT series in ``folder`` (its files, not those of folders in it).

    series: SeriesNumber (0020,0011) where the folder holds several.

    Returns values (columns, rows, slices) in HU, int16 where they are whole, and world_from_voxel in LPS. Raises
    InputError: no CT, several series, gaps, duplicates, gantry tilt, differing slices, damaged files.
    """
    slices = _chosen_series(folder, _headers(folder), series)
    _check_alike(folder, slices)
    normal = np.cross(slices[0].orientation[0], slices[0].orientation[1])
    slices = sorted(slices, key=lambda s: float(s.position_mm @ normal))
    step_mm = _slice_step(folder, slices, normal)
    rows, columns = slices[0].shape
    checked_shape([columns, rows, len(slices)], folder.name)
    between_rows, between_columns = slices[0].spacing_mm
    directions = np.stack(
        [slices[0].orientation[0] * between_columns, slices[0].orientation[1] * between_rows, normal * step_mm], axis=1
    )
    world_from_voxel = world_from_voxel_matrix(directions, slices[0].position_mm, folder.name)
    values = np.empty((columns, rows, len(slices)), dtype=np.float32)
    for index, one in enumerate(slices):
        values[:, :, index] = _hounsfield(one).T
    whole = np.iinfo(np.int16)
    if values.min() >= whole.min and values.max() <= whole.max and np.array_equal(values, np.rint(values)):
        return Volume(values.astype(np.int16), world_from_voxel)
    return Volume(values, world_from_voxel)


def _headers(folder: Path) -> list[_Slice]:
    files = sorted(p for p in folder.iterdir() if p.is_file())
    if len(files) > _MAX_FILES:
        raise InputError(f"{folder.name}: holds {len(files)} files; expected one CT series")
    slices = []
    for path in files:
        with path.open("rb") as stream:
            head = stream.read(132)
        if not is_dicom(path, head):
            continue
        found = _header(path)
        if found is not None:
            slices.append(found)
    return slices


def _header(path: Path) -> _Slice | None:
    """The slice's geometry; None for what is not an axial CT image (localisers, reports, directories)."""
    dataset = read_dataset(path, stop_before_pixels=True)
    with guarded(path.name, "its CT header is damaged or incomplete"):
        sop_class = str(dataset.get("SOPClassUID"))
        if sop_class in _ENHANCED_CT_CLASSES:
            raise InputError(f"{path.name}: is an enhanced multi-frame CT; convert it to single slices or NIfTI")
        if sop_class != _CT_CLASS or "LOCALIZER" in word(dataset, "ImageType"):
            return None
        orientation = np.array([float(n) for n in dataset.ImageOrientationPatient]).reshape(2, 3)
        rows, columns = (float(n) for n in dataset.PixelSpacing)
        if not (np.allclose(orientation @ orientation.T, np.eye(2), atol=1e-3) and rows > 0 and columns > 0):
            raise InputError(f"{path.name}: its CT orientation or pixel spacing is impossible")
        # Headers round direction cosines; orthonormal ones keep the volume free of shear.
        along_rows = orientation[0] / np.linalg.norm(orientation[0])
        along_columns = orientation[1] - (orientation[1] @ along_rows) * along_rows
        return _Slice(
            path,
            str(dataset.SeriesInstanceUID),
            whole_number(dataset, "SeriesNumber"),
            (int(dataset.Rows), int(dataset.Columns)),
            (rows, columns),
            np.stack([along_rows, along_columns / np.linalg.norm(along_columns)]),
            np.array([float(n) for n in dataset.ImagePositionPatient]).reshape(3),
        )


def _chosen_series(folder: Path, slices: list[_Slice], series: int | None) -> list[_Slice]:
    if not slices:
        raise InputError(f"{folder.name}: holds no CT slices; expected a folder with one DICOM CT series")
    by_series: dict[str, list[_Slice]] = defaultdict(list)
    for one in slices:
        by_series[one.series_uid].append(one)
    groups = [g for g in by_series.values() if series is None or g[0].series_number == series]
    listing = ", ".join(f"series {g[0].series_number} ({len(g)} slices)" for g in by_series.values())
    if not groups:
        raise InputError(f"{folder.name}: has no series {series}; it holds {listing}")
    if len(groups) > 1:
        raise InputError(f"{folder.name}: holds {len(groups)} CT series: {listing}; choose one, or give each a folder")
    if len(groups[0]) < 2:
        raise InputError(f"{folder.name}: the CT series has one slice; expected a volume")
    return groups[0]


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


def _slice_step(folder: Path, slices: list[_Slice], normal: Float) -> float:
    """Distance between slices in mm; InputError for duplicates, gaps, uneven distances, gantry tilt."""
    positions = np.array([s.position_mm for s in slices])
    if not np.isfinite(positions).all():
        raise InputError(f"{folder.name}: a slice position is not finite; expected a CT series")
    steps = np.diff(positions @ normal)
    typical = float(np.median(steps))
    if (steps < 0.01).any():
        at = int(np.argmin(steps))
        raise InputError(
            f"{folder.name}: {slices[at].path.name} and {slices[at + 1].path.name} lie at the same place; expected "
            "each slice once"
        )
    if (np.abs(steps - typical) > _SLICE_TOLERANCE * typical + 0.01).any():
        at = int(np.argmax(np.abs(steps - typical)))
        raise InputError(
            f"{folder.name}: {steps[at]:.2f} mm between {slices[at].path.name} and {slices[at + 1].path.name}, "
            f"elsewhere {typical:.2f} mm; slices are missing or unevenly spaced"
        )
    moved = np.diff(positions, axis=0)
    sideways = np.linalg.norm(moved - np.outer(steps, normal), axis=1)
    if float(np.median(sideways)) > _TILT_TOLERANCE_MM:
        tilt_deg = float(np.degrees(np.arctan2(np.median(sideways), typical)))
        raise InputError(f"{folder.name}: the gantry was tilted by {tilt_deg:.1f} degrees; resample to upright slices")
    return float((positions[-1] - positions[0]) @ normal / (len(slices) - 1))


def _hounsfield(one: _Slice) -> NDArray[np.float32]:
    """(rows, columns) HU."""
    name = one.path.name
    dataset = read_dataset(one.path)
    if (whole_number(dataset, "NumberOfFrames") or 1) != 1:
        raise InputError(f"{name}: holds several frames; expected single CT slices")
    stored = decode_frame(dataset, name, 0)
    with guarded(name, "its rescale slope or intercept is damaged"):
        slope, intercept = float(dataset.RescaleSlope), float(dataset.RescaleIntercept)
    hounsfield = (stored.astype(np.float64) * slope + intercept).astype(np.float32)
    if hounsfield.shape != one.shape or not np.isfinite(hounsfield).all():
        raise InputError(f"{name}: is no grey CT slice with finite HU")
    return hounsfield
