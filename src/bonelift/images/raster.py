"""PNG, JPEG and TIFF: pixels without any geometry."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from bonelift.errors import InputError
from bonelift.images.recorded_image import MAX_PIXELS, RecordedImage

_FORMATS = ("PNG", "JPEG", "TIFF")
_GREY_MODES = {"L", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"}
_COLOUR_TOLERANCE = 16
"""Levels of 256 by which the channels of a grey image differ after JPEG."""
_COLOURED_FRACTION = 0.02
"""A grey film may carry a little coloured annotation (boxes and text burnt in)."""
_PHOTOMETRIC_TAG, _WHITE_IS_ZERO = 262, 0


def is_raster(head: bytes) -> bool:
    """Whether a file that starts with ``head`` claims to be PNG, JPEG or TIFF."""
    return head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+"))


def read_raster(path: Path, frame: int | None = None) -> RecordedImage:
    """Read a grey image; colour is accepted where it is grey in truth.

    frame: page of a multi-page TIFF, counted from 1.

    Raises InputError for whatever cannot be read whole.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd metadata, which is not used here.
            with Image.open(path, formats=_FORMATS) as image:
                return _recorded(image, path.name, frame)
    except InputError:
        raise
    # Decoders raise what they like on corrupted bytes (SyntaxError, struct.error, KeyError, ...).
    except Exception as error:
        raise InputError(f"{path.name}: is damaged or truncated, or not a PNG, JPEG or TIFF image") from error


def _recorded(image: Image.Image, name: str, frame: int | None) -> RecordedImage:
    file_format = str(image.format)
    frames = int(getattr(image, "n_frames", 1))
    if frames > 1 and frame is None:
        raise InputError(f"{name}: holds {frames} images; pass --frame 1 to {frames}")
    if frame is not None and not 1 <= frame <= frames:
        raise InputError(f"{name}: has no frame {frame}; expected 1 to {frames}")
    if frame is not None and frames > 1:
        image.seek(frame - 1)
    if image.width * image.height > MAX_PIXELS:
        raise InputError(
            f"{name}: {image.width} x {image.height} pixels; expected at most {MAX_PIXELS // 10**6} million"
        )
    white_is_zero = _is_white_zero_16_bit(image)
    image.load()
    image = ImageOps.exif_transpose(image)
    grey, how = _grey(image, name)
    if white_is_zero:
        grey = grey.max() - grey
    provenance = {"file_format": f"{file_format}, {how}"}
    if frame is not None:
        provenance["frame"] = f"{frame} of {frames}"
    return RecordedImage(
        grey, no_spacing_reason=f"a {file_format} file does not say how large a pixel is", provenance=provenance
    )


def _is_white_zero_16_bit(image: Image.Image) -> bool:
    """Pillow undoes TIFF's WhiteIsZero at 8 bit, but not beyond."""
    tags = getattr(image, "tag_v2", {})
    return image.mode != "L" and image.mode in _GREY_MODES and tags.get(_PHOTOMETRIC_TAG) == _WHITE_IS_ZERO


def _grey(image: Image.Image, name: str) -> tuple[NDArray[np.float32], str]:
    """(rows, columns) float32 and how it came about."""
    if image.mode == "1":
        raise InputError(f"{name}: is black and white (1 bit); expected 8 or 16 bit grey levels")
    if image.mode in _GREY_MODES:
        grey = np.asarray(image).astype(np.float32)
        return grey, f"{np.asarray(image).dtype.itemsize * 8} bit grey"
    if image.mode in {"LA", "La"}:
        return np.asarray(image.convert("LA"))[..., 0].astype(np.float32), "8 bit grey"
    return grey_from_colour(np.asarray(image.convert("RGB")), name), "8 bit colour that is grey in truth"


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
