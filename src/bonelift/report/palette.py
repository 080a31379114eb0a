"""Colours and lettering that all pictures share."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

from bonelift.images.volume import BONE_COLOURS

INK = (32, 38, 46)
PAPER = (255, 255, 255)

OUTLINE_COLOURS: dict[str, tuple[int, int, int]] = {"radius": (255, 176, 0), "ulna": (86, 180, 255)}
"""Bright orange and sky blue on a dark film: apart in hue and in lightness for every kind of colour vision."""

SURFACE_COLOURS: dict[str, tuple[int, int, int]] = {"radius": (240, 212, 170), "ulna": (178, 203, 226)}
"""Bone white, tinted the way of the outlines."""

ERROR_STOPS = np.array(
    [[253, 246, 227], [252, 214, 137], [247, 158, 79], [222, 91, 78], [169, 45, 105], [108, 30, 118], [54, 22, 92]],
    dtype=np.float64,
)
"""Light (no error) to dark, steadily falling in lightness."""


def error_colours(error_mm: ArrayLike, largest_mm: float) -> NDArray[np.float64]:
    """(N,) mm -> (N, 3) sRGB 0..255; 0 is light, ``largest_mm`` and more is darkest, NaN is grey."""
    part = np.clip(np.asarray(error_mm, dtype=np.float64) / largest_mm, 0, 1)
    stops = np.linspace(0, 1, len(ERROR_STOPS))
    colours = np.stack([np.interp(part, stops, ERROR_STOPS[:, channel]) for channel in range(3)], axis=-1)
    return np.where(np.isnan(part)[..., None], 160.0, colours)


def outline_colour(name: str) -> tuple[int, int, int]:
    return OUTLINE_COLOURS.get(name, BONE_COLOURS.get(name, (255, 255, 255)))


def hex_colour(colour: ArrayLike) -> str:
    """sRGB 0..255 as ``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*np.asarray(colour).round().astype(int))


def surface_colour(name: str) -> tuple[int, int, int]:
    return SURFACE_COLOURS.get(name, (205, 205, 205))


def lettering(size_px: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font that ships with Pillow, so that pictures look alike on every machine."""
    return ImageFont.load_default(size=size_px)


def scale_bar(
    image: Image.Image,
    px_per_mm: float,
    corner: tuple[int, int],
    colour: tuple[int, int, int],
    size_px: float,
    note: str = "",
) -> None:
    """Draw a bar of 10 mm, its left end at ``corner`` (column, row), with its length written above it."""
    draw = ImageDraw.Draw(image)
    column, row = corner
    length, width = 10 * px_per_mm, max(2, round(size_px / 7))
    draw.rectangle((column, row - width, column + length, row), fill=colour)
    for end in (column, column + length):
        draw.rectangle((end - width / 2, row - 3 * width, end + width / 2, row + 2 * width), fill=colour)
    draw.text((column, row - 3.5 * width), f"10 mm{note}", fill=colour, font=lettering(size_px), anchor="ls")


def png_bytes(image: Image.Image) -> bytes:
    """The picture as a PNG file, without any metadata."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=False, compress_level=6)
    return buffer.getvalue()


def data_uri(image: Image.Image) -> str:
    """The picture as text that a page can hold, without loss."""
    return png_uri(png_bytes(image))


def png_uri(content: bytes) -> str:
    """The content of a PNG file as text that a page can hold."""
    return "data:image/png;base64," + base64.b64encode(content).decode("ascii")


def photo_uri(image: Image.Image, quality: int = 90) -> str:
    """The same for films, as JPEG: their grain makes a PNG five times larger. quality: of the JPEG, to 95."""
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=quality, subsampling=0)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
