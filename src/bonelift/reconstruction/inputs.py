"""Reading the images of one wrist; apart from the job, so that a wrong file is reported before a network is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bonelift.errors import InputError
from bonelift.images import Radiograph
from bonelift.images.reading import RadiographOptions, read_radiograph

MOST_IMAGES = 2


@dataclass(frozen=True)
class ImageInput:
    """An image file and what the caller knows about it."""

    path: Path
    options: RadiographOptions


def read_radiographs(inputs: Sequence[ImageInput]) -> tuple[Radiograph, ...]:
    """One or two images of the same wrist. Raises InputError for what cannot be read or does not belong together."""
    if not 1 <= len(inputs) <= MOST_IMAGES:
        raise InputError(f"got {len(inputs)} images; expected one or two of the same wrist")
    radiographs = tuple(read_radiograph(image.path, image.options) for image in inputs)
    if len({radiograph.side for radiograph in radiographs}) > 1:
        raise InputError("one image shows a left and the other a right wrist; expected two images of the same wrist")
    return radiographs
