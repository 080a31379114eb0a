"""Masks drawn on a radiograph: which pixels are radius, ulna, or bone."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonelift.errors import InputError
from bonelift.images.raster_pixels import RasterPixels, raster_format, read_raster_pixels
from bonelift.images.volume import RADIUS, ULNA
from bonelift.images.volume_reading import read_labels
from bonelift.storage.input_files import read_head

_EXPECTED = "a mask (PNG, TIFF or NRRD)"
EITHER = 255
"""Bone, without saying which."""


def read_mask(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """(rows, columns) uint8: 0 nothing, 1 radius, 2 ulna, EITHER where the file tells only bone from no bone.

    PNG or TIFF: grey 1 and 2 are radius and ulna where no other value occurs; any other drawing is bone, be it grey,
    black and white, of a palette or on a transparent background. NRRD, NIfTI or MHA of one slice, as 3D Slicer saves a
    segmentation drawn on a radiograph: its names or its values 1 and 2 tell.
    Raises InputError: no such file, not one image, empty, or a background that is marked.
    """
    path = Path(path)
    raster = raster_format(read_head(path, _EXPECTED, 16))
    mask = _from_picture(read_raster_pixels(path, formats=("PNG", "TIFF"))) if raster else _from_slice(path)
    if not mask.any():
        raise InputError(f"{path.name}: the mask is empty; draw the bones or leave the mask away")
    if (mask[[0, 0, -1, -1], [0, -1, 0, -1]] > 0).all():
        raise InputError(
            f"{path.name}: the mask marks all corners of the image ({100 * (mask > 0).mean():.0f} % of it); expected "
            "bones that are bright, or drawn, on a background that is not"
        )
    return mask


def mask_of(mask: NDArray[np.uint8], labels: tuple[int, ...]) -> NDArray[np.bool_] | None:
    """Where the bones ``labels`` were drawn; None where the mask cannot tell them from others or they are not there."""
    both = RADIUS in labels and ULNA in labels
    if (mask == EITHER).any():
        return mask > 0 if both else None
    chosen = np.isin(mask, labels)
    return chosen if chosen.any() else None


def _from_picture(pixels: RasterPixels) -> NDArray[np.uint8]:
    values = pixels.values
    if values.dtype.kind == "f":
        values = np.nan_to_num(values)
    if pixels.palette is not None and pixels.indices is not None and values.ndim == 3:
        return _from_palette(pixels.indices, pixels.palette, pixels.opaque)
    drawn = values.max(axis=2) > 0 if values.ndim == 3 else values != 0
    if pixels.opaque is None:
        return _named(values, drawn, pixels.one_bit)
    drawn &= pixels.opaque
    if not drawn.any():  # drawn in black on a transparent background
        drawn = pixels.opaque
    return _named(values, drawn, pixels.one_bit)


def _named(values: NDArray[np.generic], drawn: NDArray[np.bool_], one_bit: bool) -> NDArray[np.uint8]:
    """RADIUS and ULNA where the levels 1 and 2 tell them, else EITHER, where it is drawn."""
    if values.ndim == 2 and not one_bit and np.isin(values[drawn], (RADIUS, ULNA)).all():
        return np.where(drawn, values, 0).astype(np.uint8)
    return np.where(drawn, np.uint8(EITHER), np.uint8(0))


def _from_palette(
    indices: NDArray[np.uint8], palette: NDArray[np.uint8], opaque: NDArray[np.bool_] | None
) -> NDArray[np.uint8]:
    """A coloured palette: with a black first place it lists labels, as annotation programs write them."""
    black = (palette == 0).all(axis=1)
    shown = np.ones(indices.shape, dtype=bool) if opaque is None else opaque
    if not black[0]:
        return np.where(shown & ~black[indices], np.uint8(EITHER), np.uint8(0))
    return _named(indices, shown & (indices != 0), one_bit=False)


def _from_slice(path: Path) -> NDArray[np.uint8]:
    labels = read_labels(path).labels
    if labels.shape[2] != 1:
        raise InputError(f"{path.name}: holds {labels.shape[2]} slices; expected the mask of one radiograph")
    values = labels[:, :, 0].T
    return _named(values, values != 0, one_bit=False)
