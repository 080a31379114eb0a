"""PNG, JPEG and TIFF radiographs: grey levels without any geometry."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bonelift.errors import InputError
from bonelift.images.raster_pixels import RasterPixels, raster_format, read_raster_pixels
from bonelift.images.recorded_image import RecordedImage

_COLOUR_TOLERANCE = 16
"""Levels of 256 by which the channels of a grey image differ after JPEG."""
_COLOURED_FRACTION = 0.02
"""A grey film may carry a little coloured annotation (boxes and text burnt in)."""


def is_raster(head: bytes) -> bool:
    """Whether a file that starts with ``head`` claims to be PNG, JPEG or TIFF."""
    return raster_format(head) is not None


def read_raster(path: Path, frame: int | None = None) -> RecordedImage:
    """Read a grey image; colour is accepted where it is grey in truth. What is transparent is no part of the film.

    frame: page of a multi-page TIFF, counted from 1.

    Raises InputError for whatever cannot be read whole.
    """
    pixels = read_raster_pixels(path, frame)
    grey, how = _grey(pixels, path.name)
    provenance = {"file_format": f"{pixels.file_format}, {how}"}
    if frame is not None:
        provenance["frame"] = f"{frame} of {pixels.frames}"
    padding = None if pixels.opaque is None or not pixels.opaque.any() else ~pixels.opaque
    if padding is not None:
        grey = np.clip(grey, grey[~padding].min(), grey[~padding].max())
    return RecordedImage(
        grey,
        padding,
        no_spacing_reason=f"a {pixels.file_format} file does not say how large a pixel is",
        provenance=provenance,
    )


def _grey(pixels: RasterPixels, name: str) -> tuple[NDArray[np.float32], str]:
    """(rows, columns) float32 and how it came about."""
    if pixels.one_bit:
        raise InputError(f"{name}: is black and white (1 bit); expected 8 or 16 bit grey levels")
    values = pixels.values
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] != 3):
        raise InputError(f"{name}: has {values.shape} pixels; expected rows and columns of grey levels")
    if values.ndim == 3:
        return grey_from_colour(values.astype(np.uint8), name), "8 bit colour that is grey in truth"
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise InputError(f"{name}: holds NaN or infinite pixels")
    indexed = "" if pixels.indices is None else ", indexed"
    return values.astype(np.float32), f"{values.dtype.itemsize * 8} bit {_kind(values)}grey{indexed}"


def _kind(values: NDArray[np.generic]) -> str:
    return "float " if values.dtype.kind == "f" and values.dtype.itemsize > 4 else ""


def grey_from_colour(colour: NDArray[np.uint8], name: str) -> NDArray[np.float32]:
    """(rows, columns, 3) uint8 -> (rows, columns) float32 mean of the channels; InputError for a colour picture."""
    spread = colour.max(axis=2).astype(np.int16) - colour.min(axis=2)
    coloured = float((spread > _COLOUR_TOLERANCE).mean())
    if coloured > _COLOURED_FRACTION:
        raise InputError(
            f"{name}: is a colour image ({100 * coloured:.0f} % of its pixels); expected a radiograph in grey levels"
        )
    return colour.mean(axis=2, dtype=np.float32)


def write_png(path: str | os.PathLike[str], pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """Write (rows, columns) grey uint8 or uint16, or (rows, columns, 3) RGB uint8."""
    grey = pixels.ndim == 2 and pixels.dtype in (np.uint8, np.uint16)
    if not grey and not (pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.dtype == np.uint8):
        raise ValueError(f"write_png: got {pixels.shape} {pixels.dtype}; expected grey uint8 or uint16, or RGB uint8")
    Image.fromarray(np.ascontiguousarray(pixels)).save(path, format="PNG")
