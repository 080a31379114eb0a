"""The numbers that a DICOM file stores, by its bit layout, and which of them are padding: for films and CT alike.

Source: DICOM PS3.5, 8.1.1 (BitsAllocated, BitsStored, HighBit); PS3.3, C.7.5.1.1.2 (PixelPaddingValue).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from bonelift.errors import InputError
from bonelift.images.dicom_file import decode_frame, whole_number

_OVERLAY_GROUPS = range(0x6000, 0x6020, 2)


@dataclass(frozen=True)
class StoredPixels:
    """values: (rows, columns) numbers before any rescale, or (rows, columns, 3) RGB; padding holds no odd number.

    padding: (rows, columns) True where the file marks pixels as not part of the image, None where it marks none.
    """

    values: NDArray[np.number]
    padding: NDArray[np.bool_] | None


def stored_pixels(dataset: Dataset, name: str, index: int) -> StoredPixels:
    """Frame ``index`` (from 0). Raises InputError: not decodable, or a bit layout that its numbers contradict."""
    raw = decode_frame(dataset, name, index)
    if raw.ndim != 2 or raw.dtype.kind not in "iu":
        return StoredPixels(raw, None)
    padding = _padding(dataset, raw)
    values = _by_layout(dataset, name, raw, padding)
    if padding is not None:
        kept = values[~padding]
        values = np.clip(values, kept.min(), kept.max())
    return StoredPixels(values, padding)


def _padding(dataset: Dataset, raw: NDArray[np.number]) -> NDArray[np.bool_] | None:
    """Pixels at PixelPaddingValue (0028,0120), or between it and PixelPaddingRangeLimit (0028,0121).

    Devices write -2000 as 63536 and the other way round: the value counts by its bits, whatever signs the pixels have.
    """
    value = whole_number(dataset, "PixelPaddingValue")
    if value is None:
        return None
    limit = whole_number(dataset, "PixelPaddingRangeLimit")
    bits = 8 * raw.dtype.itemsize
    signed = raw.dtype.kind == "i"
    low, high = sorted(_as_stored(n, bits, signed) for n in (value, value if limit is None else limit))
    padding = (raw >= low) & (raw <= high)
    stored = whole_number(dataset, "BitsStored") or bits
    if limit is None and 0 < stored < bits:  # the same value in fewer bits, where the device left the others empty
        mask = (1 << stored) - 1
        fits = -(1 << (stored - 1)) <= value <= mask
        padding |= (raw.astype(np.int64) == (value & mask)) & fits
    return padding if padding.any() and not padding.all() else None


def _as_stored(value: int, bits: int, signed: bool) -> int:
    """The number that has the bits of ``value``, among signed or unsigned ones."""
    unsigned = value & ((1 << bits) - 1)
    return unsigned - (1 << bits) if signed and unsigned >= 1 << (bits - 1) else unsigned


def _by_layout(
    dataset: Dataset, name: str, raw: NDArray[np.number], padding: NDArray[np.bool_] | None
) -> NDArray[np.number]:
    """``raw`` with its numbers moved down from HighBit, and without what other bits hold."""
    bits = 8 * raw.dtype.itemsize
    allocated = whole_number(dataset, "BitsAllocated") or bits
    stored = whole_number(dataset, "BitsStored") or allocated
    high = whole_number(dataset, "HighBit")
    high = stored - 1 if high is None else high
    if not 1 <= stored <= allocated or not stored - 1 <= high < allocated:
        raise InputError(
            f"{name}: BitsAllocated, BitsStored and HighBit (0028,0100 to 0102) are {allocated}, {stored} and {high}, "
            "which is no layout of a pixel; correct the header or export the image again"
        )
    if stored == bits or allocated > bits:
        return raw
    shift = high + 1 - stored
    below, above = (1 << shift) - 1, ((1 << bits) - 1) >> (high + 1) << (high + 1)
    words = raw.view(raw.dtype.str.replace("i", "u")).astype(np.uint64)
    values = ((words >> np.uint64(shift)) & np.uint64((1 << stored) - 1)).astype(np.int64)
    signed = raw.dtype.kind == "i"
    if signed:
        values = np.where(values >= 1 << (stored - 1), values - (1 << stored), values)
    if not _has_overlay(dataset):
        beside = (words & np.uint64(below)) != 0
        over = words & np.uint64(above)
        # Negative numbers may go on in the bits above, as sign.
        beside |= (over != 0) & ~((values < 0) & (over == np.uint64(above)))
        if padding is not None:
            beside &= ~padding
        if beside.any():
            raise InputError(
                f"{name}: {100 * beside.mean():.2g} % of its pixels use bits beyond the {stored} up to HighBit "
                f"(0028,0102) {high} that its header announces, so what they mean is unknown; correct BitsStored and "
                "HighBit, or export the image again"
            )
    return values.astype(raw.dtype)


def _has_overlay(dataset: Dataset) -> bool:
    """Whether overlays of the old kind lie in unused bits of the pixels (60xx,0102)."""
    return any((group, 0x0102) in dataset and (group, 0x3000) not in dataset for group in _OVERLAY_GROUPS)
