"""Masks drawn on a radiograph: which pixels are radius, ulna, or bone."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bonelift.errors import InputError
from bonelift.images.recorded_image import MAX_PIXELS
from bonelift.images.volume import RADIUS, ULNA
from bonelift.images.volume_reading import read_labels

EITHER = 255
"""Bone, without saying which."""


def read_mask(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """(rows, columns) uint8: 0 nothing, 1 radius, 2 ulna, EITHER where the file tells only bone from no bone.

    PNG or TIFF, grey: 1 and 2 are radius and ulna where no other value occurs; any other value is bone. NRRD, NIfTI or
    MHA of one slice, as 3D Slicer saves a segmentation drawn on a radiograph: its names or its values 1 and 2 tell.
    Raises InputError: no such file, not one image, or empty.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path.name}: no such mask file; expected PNG, TIFF or NRRD")
    raster = path.suffix.lower() in {".png", ".tif", ".tiff"}
    values = _read_picture(path) if raster else _read_slice(path)
    if not values.any():
        raise InputError(f"{path.name}: the mask is empty; draw the bones or leave the mask away")
    if np.isin(values, (0, RADIUS, ULNA)).all():
        return values.astype(np.uint8)
    return np.where(values != 0, np.uint8(EITHER), np.uint8(0))


def mask_of(mask: NDArray[np.uint8], labels: tuple[int, ...]) -> NDArray[np.bool_] | None:
    """Where the bones ``labels`` were drawn; None where the mask cannot tell them from others or they are not there."""
    both = RADIUS in labels and ULNA in labels
    if (mask == EITHER).any():
        return mask > 0 if both else None
    chosen = np.isin(mask, labels)
    return chosen if chosen.any() else None


def _read_picture(path: Path) -> NDArray[np.generic]:
    try:
        with Image.open(path, formats=("PNG", "TIFF")) as image:
            if image.width * image.height > MAX_PIXELS:
                raise InputError(f"{path.name}: {image.width} x {image.height} pixels are too many for a mask")
            values = np.asarray(image)
    except InputError:
        raise
    # Decoders raise what they like on corrupted bytes.
    except Exception as error:
        raise InputError(f"{path.name}: is damaged, or not a PNG or TIFF image; expected a mask") from error
    if values.ndim == 3:
        values = values[..., :3].max(axis=2)
    if values.ndim != 2:
        raise InputError(f"{path.name}: has shape {values.shape}; expected a mask of rows and columns")
    return values


def _read_slice(path: Path) -> NDArray[np.generic]:
    labels = read_labels(path).labels
    if labels.shape[2] != 1:
        raise InputError(f"{path.name}: holds {labels.shape[2]} slices; expected the mask of one radiograph")
    return labels[:, :, 0].T
