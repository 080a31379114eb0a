"""What the locator sees of a radiograph; one function for training and use, without torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bonelift.film.sampling import sample, smoothed_for
from bonelift.film.standard import normalise_film
from bonelift.images import Radiograph

Float = NDArray[np.float64]

LOCATOR_SHAPE = (160, 160)
"""Rows, columns."""
LOCATOR_SPACING_MM = 2.0
"""Pixel side at the wrist."""


def image_from_locator(radiograph: Radiograph, turn_deg: float = 0.0, from_ulnar: bool = False) -> Float:
    """(3, 3): (column, row) px of the locator's picture to px of the radiograph.

    The middle of the picture is the middle of the radiograph. Left wrists, laterals ``from_ulnar`` and pictures that
    hang mirrored are mirrored, each once more. The picture shows the radiograph turned by ``turn_deg`` clockwise.
    """
    scale = LOCATOR_SPACING_MM / radiograph.spacing_at_wrist_mm
    turn = np.deg2rad(turn_deg)
    cosine, sine = np.round([np.cos(turn), np.sin(turn)], 15)  # exact at quarter turns
    linear = np.array([[cosine, sine], [-sine, cosine]])
    if ((radiograph.side == "left") != from_ulnar) != radiograph.hangs_mirrored:
        linear = np.diag([-1.0, 1.0]) @ linear
    matrix = np.eye(3)
    matrix[:2, :2] = scale * linear
    rows, columns = radiograph.pixels.shape
    middle = np.array([(columns - 1) / 2, (rows - 1) / 2])
    matrix[:2, 2] = middle - matrix[:2, :2] @ [(LOCATOR_SHAPE[1] - 1) / 2, (LOCATOR_SHAPE[0] - 1) / 2]
    return matrix


def locator_input(
    radiograph: Radiograph, turn_deg: float = 0.0, from_ulnar: bool = False
) -> tuple[NDArray[np.float32], Float]:
    """The whole radiograph at 2 mm a pixel, as a right wrist; a lateral with its palm to the left.

    Returns LOCATOR_SHAPE float32 in [0, 1.2], bone bright, 0 outside the radiograph (percentiles 1 and 99.5 of what is
    inside go to 0 and 1), and image_from_locator.
    """
    pictures, matrices = locator_inputs(radiograph, [(turn_deg, from_ulnar)])
    return pictures[0], matrices[0]


def locator_inputs(
    radiograph: Radiograph, looks: Sequence[tuple[float, bool]]
) -> tuple[NDArray[np.float32], list[Float]]:
    """:func:`locator_input` of several (turn_deg, from_ulnar): (N, rows, columns) and N matrices."""
    matrices = [image_from_locator(radiograph, *look) for look in looks]
    smooth = smoothed_for(np.asarray(radiograph.pixels, dtype=np.float32), matrices[0])
    return np.stack([normalise_film(*sample(smooth, matrix, LOCATOR_SHAPE)) for matrix in matrices]), matrices
