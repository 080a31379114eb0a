"""The pixels of PNG, JPEG and TIFF files as they are meant, for radiographs and masks alike.

Palette, alpha, 1 bit and what TIFF calls white are told apart here and nowhere else. Pillow reads most files; TIFFs of
wide integers and 64-bit floats, which it reads wrongly or not at all, are read by tifffile.
"""

from __future__ import annotations

import logging
import math
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from bonelift.errors import InputError
from bonelift.images.recorded_image import MAX_FILE_BYTES, MAX_PIXELS
from bonelift.storage.input_files import check_memory, file_size, opened, read_head

FileFormat = Literal["PNG", "JPEG", "TIFF"]
_GREY_MODES = {"L", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"}
_STARTS: dict[bytes, FileFormat] = {
    b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG", b"II*\x00": "TIFF", b"MM\x00*": "TIFF", b"II+\x00": "TIFF",
    b"MM\x00+": "TIFF",
}  # fmt: skip
_PHOTOMETRIC_TAG, _BITS_TAG, _FORMAT_TAG, _WHITE_IS_ZERO = 262, 258, 339, 0
_UNSIGNED, _SIGNED = 1, 2
_MEMORY_PER_PIXEL = 24
"""Bytes that a pixel costs at most on its way from the file: RGBA, its channels apart, grey as float."""


@dataclass(frozen=True)
class RasterPixels:
    """values: (rows, columns) levels, larger is brighter, or (rows, columns, 3) uint8 RGB.

    opaque: (rows, columns) False where the image is transparent, or None where nothing is. one_bit: black and white.
    indices: (rows, columns) the places in ``palette`` (N, 3) uint8 that the values came from, or None.
    file_format: of the file; frames: how many images it holds.
    """

    values: NDArray[np.generic]
    file_format: FileFormat
    frames: int = 1
    opaque: NDArray[np.bool_] | None = None
    one_bit: bool = False
    indices: NDArray[np.uint8] | None = None
    palette: NDArray[np.uint8] | None = None


def raster_format(head: bytes) -> FileFormat | None:
    """What a file that starts with ``head`` claims to be."""
    return next((kind for start, kind in _STARTS.items() if head.startswith(start)), None)


def read_raster_pixels(
    path: Path, frame: int | None = None, formats: Sequence[FileFormat] = ("PNG", "JPEG", "TIFF")
) -> RasterPixels:
    """Read one image. frame: page of a multi-page TIFF, counted from 1.

    Raises InputError for whatever cannot be read whole, and where a file holds several images and none is chosen.
    """
    expected = f"a {', '.join(formats[:-1])} or {formats[-1]} image"
    file_size(path, expected, MAX_FILE_BYTES)
    kind = raster_format(read_head(path, expected, 16))
    if kind is None or kind not in formats:
        raise InputError(f"{path.name}: is {kind or 'no such file'}; expected {expected}")
    with opened(path, expected) as stream, _guarded(path.name, expected):
        if kind == "TIFF" and _pillow_misreads(stream):
            return _from_tifffile(stream, path.name, frame)
        stream.seek(0)
        # Pillow's own guard against bombs answers later than the limits here, and in other words.
        with Image.open(stream, formats=(kind,)) as image:
            return _from_pillow(image, kind, path.name, frame)


@contextmanager
def _guarded(name: str, expected: str) -> Iterator[None]:
    """What decoders raise on corrupted bytes (SyntaxError, struct.error, KeyError, ...) becomes one line."""
    logger = logging.getLogger("tifffile")
    level, largest = logger.level, Image.MAX_IMAGE_PIXELS
    logger.setLevel(logging.CRITICAL)
    Image.MAX_IMAGE_PIXELS = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd metadata, which is not used here
            yield
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(f"{name}: there is not the memory to read it; expected {expected}") from error
    except Exception as error:
        raise InputError(f"{name}: is damaged or truncated; expected {expected}") from error
    finally:
        logger.setLevel(level)
        Image.MAX_IMAGE_PIXELS = largest


def _chosen_frame(frames: int, frame: int | None, name: str) -> int:
    """Index from 0."""
    if frames > 1 and frame is None:
        raise InputError(f"{name}: holds {frames} images; pass --frame 1 to {frames}")
    if frame is not None and not 1 <= frame <= frames:
        raise InputError(f"{name}: has no frame {frame}; expected 1 to {frames}")
    return 0 if frame is None else frame - 1


def _check_size(width: int, height: int, name: str) -> None:
    if width * height > MAX_PIXELS:
        raise InputError(f"{name}: {width} x {height} pixels; expected at most {MAX_PIXELS // 10**6} million")
    check_memory(_MEMORY_PER_PIXEL * width * height, name, f"an image of {width} x {height} pixels")


def _from_pillow(image: Image.Image, kind: FileFormat, name: str, frame: int | None) -> RasterPixels:
    frames = int(getattr(image, "n_frames", 1)) if kind == "TIFF" else 1
    index = _chosen_frame(frames, frame, name)
    if index:
        image.seek(index)
    _check_size(image.width, image.height, name)
    tags = getattr(image, "tag_v2", {})
    # Pillow undoes TIFF's WhiteIsZero at 8 bit, but not beyond.
    white_is_zero = image.mode != "L" and image.mode in _GREY_MODES and tags.get(_PHOTOMETRIC_TAG) == _WHITE_IS_ZERO
    image.load()
    image = ImageOps.exif_transpose(image)
    facts: dict[str, Any] = {"file_format": kind, "frames": frames}
    if image.mode == "1":
        return RasterPixels(np.asarray(image).astype(np.uint8) * 255, one_bit=True, **facts)
    if image.mode in _GREY_MODES:
        values = np.asarray(image)
        facts["opaque"] = _unlike(values, image.info.get("transparency"))
        return RasterPixels(values.max() - values if white_is_zero else values, **facts)
    if image.mode in {"P", "PA"}:
        return _indexed(image, facts)
    if image.mode in {"LA", "La"}:
        grey, alpha = np.moveaxis(np.asarray(image.convert("LA")), 2, 0)
        return RasterPixels(grey, opaque=_opaque(alpha), **facts)
    has_alpha = image.mode in {"RGBA", "RGBa"} or "transparency" in image.info
    colour = np.asarray(image.convert("RGBA" if has_alpha else "RGB"))
    return RasterPixels(colour[..., :3], opaque=_opaque(colour[..., 3]) if has_alpha else None, **facts)


def _indexed(image: Image.Image, facts: dict[str, Any]) -> RasterPixels:
    """The colours of an indexed image, and which places of the palette they came from."""
    palette = np.array(image.getpalette("RGB") or [], dtype=np.uint8).reshape(-1, 3)
    colour = np.asarray(image.convert("RGBA"))
    indices = np.asarray(image if image.mode == "P" else image.getchannel(0))
    facts |= {"indices": indices, "palette": palette, "opaque": _opaque(colour[..., 3])}
    grey = (palette == palette[:, :1]).all()
    return RasterPixels(colour[..., 0] if grey else colour[..., :3], **facts)


def _opaque(alpha: NDArray[np.uint8]) -> NDArray[np.bool_] | None:
    opaque = alpha >= 128
    return None if opaque.all() else opaque


def _unlike(values: NDArray[np.generic], transparent: object) -> NDArray[np.bool_] | None:
    """PNG may call one grey level transparent."""
    if not isinstance(transparent, int):
        return None
    opaque = values != transparent
    return None if opaque.all() else opaque


def _pillow_misreads(stream: BufferedReader) -> bool:
    """Whether Pillow takes the numbers of a TIFF for others (unsigned 32 bit, signed 8 bit), or does not open it."""
    stream.seek(0)
    try:
        with Image.open(stream, formats=("TIFF",)) as image:
            tags: Any = getattr(image, "tag_v2", {})
            bits, kinds = tags.get(_BITS_TAG, (1,)), tags.get(_FORMAT_TAG, (_UNSIGNED,))
            return (max(bits) >= 32 and _UNSIGNED in kinds) or (max(bits) <= 8 and _SIGNED in kinds)
    except Exception:
        return True
    finally:
        stream.seek(0)


def _from_tifffile(stream: BufferedReader, name: str, frame: int | None) -> RasterPixels:
    import tifffile

    with tifffile.TiffFile(stream) as tiff:
        frames = len(tiff.pages)
        page: Any = tiff.pages[_chosen_frame(frames, frame, name)]
        shape, dtype = page.shape, page.dtype
        if len(shape) != 2 or dtype is None or dtype.kind not in "iuf":
            what = f"{' x '.join(map(str, shape[:4]))} {dtype}"
            raise InputError(f"{name}: is a TIFF of {what}, which is not read; save it as 8 or 16 bit grey")
        _check_size(shape[1], shape[0], name)
        bits = 8 * dtype.itemsize
        stored = sum(page.databytecounts)
        end = max((at + n for at, n in zip(page.dataoffsets, page.databytecounts, strict=True)), default=0)
        short = page.compression == 1 and stored < math.prod(shape) * page.bitspersample // 8
        if short or end > os.fstat(stream.fileno()).st_size:
            raise InputError(f"{name}: is truncated: fewer pixel bytes than its header announces; save it again")
        try:
            values = page.asarray()
        except ValueError as error:
            words = {"f": "floats", "i": "whole numbers", "u": "whole numbers"}[dtype.kind]
            raise InputError(
                f"{name}: a compressed TIFF of {bits}-bit {words} is not read; save it uncompressed, or as 16 bit"
            ) from error
        values = _turned(np.asarray(values), int(getattr(page.tags.get(274), "value", 1) or 1))
        if page.photometric == _WHITE_IS_ZERO:
            values = values.max() - values
    return RasterPixels(values, "TIFF", frames)


def _turned(values: NDArray[np.generic], orientation: int) -> NDArray[np.generic]:
    """As TIFF's Orientation (274) says that the image is to be shown."""
    turns = {
        2: lambda v: v[:, ::-1], 3: lambda v: v[::-1, ::-1], 4: lambda v: v[::-1], 5: lambda v: v.T,
        6: lambda v: np.rot90(v, -1), 7: lambda v: v[::-1, ::-1].T, 8: np.rot90,
    }  # fmt: skip
    return turns.get(orientation, lambda v: v)(values)
