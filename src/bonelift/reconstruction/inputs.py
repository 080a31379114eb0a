"""Reading the images of one wrist; apart from the job, so that a wrong file is reported before a network is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bonelift.errors import InputError
from bonelift.images import Radiograph
from bonelift.images.dicom_identity import patients_differ
from bonelift.images.missing_facts import MissingFactsError
from bonelift.images.reading import RadiographOptions, read_radiograph
from bonelift.storage.input_files import shown_name

MOST_IMAGES = 2


@dataclass(frozen=True)
class ImageInput:
    """An image file and what the caller knows about it."""

    path: Path
    options: RadiographOptions


def read_radiographs(inputs: Sequence[ImageInput]) -> tuple[Radiograph, ...]:
    """One or two images of the same wrist.

    Raises InputError for what cannot be read or does not belong together: more than two images, two sides, two
    patients (by their DICOM headers), one picture twice. MissingFactsError names all that the files do not say.
    """
    if not inputs:
        raise InputError("got no image; expected one or two of the same wrist, or --on FOLDER for many")
    if len(inputs) > MOST_IMAGES:
        raise InputError(
            f"got {len(inputs)} images; expected one or two of the same wrist; many films go through "
            "bonelift reconstruct --on FOLDER"
        )
    radiographs, lacking = [], []
    for image in inputs:
        try:
            radiographs.append(read_radiograph(image.path, image.options))
        except MissingFactsError as error:
            lacking += error.films
    if lacking:
        raise MissingFactsError(lacking)
    if len(inputs) == MOST_IMAGES:
        _check_one_wrist(inputs, radiographs)
    return tuple(radiographs)


def check_one_patient(first: Path, second: Path) -> None:
    """Raise InputError where the headers of two films name two patients. What identifies a patient is not repeated."""
    if patients_differ(first, second):
        raise InputError(
            f"{shown_name(first)} and {shown_name(second)}: their headers name two patients; expected two films of one "
            "wrist (where a header is wrong, correct it or export the image as PNG)"
        )


def _check_one_wrist(inputs: Sequence[ImageInput], radiographs: Sequence[Radiograph]) -> None:
    """Raise InputError where two images cannot be two films of one wrist."""
    first, second = radiographs
    names = " and ".join(shown_name(image.path) for image in inputs)
    check_one_patient(inputs[0].path, inputs[1].path)
    if first.pixels.shape == second.pixels.shape and np.array_equal(first.pixels, second.pixels):
        raise InputError(f"{names}: hold the same picture; pass two different films of the wrist, or this one alone")
    if first.side != second.side:
        raise InputError("one image shows a left and the other a right wrist; expected two images of the same wrist")
