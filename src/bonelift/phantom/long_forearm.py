"""Forearm bones beyond the end of the shape model: the last section goes on up the forearm."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Float = NDArray[np.float64]

SLOPE_MM = 25.0
"""Length of shaft whose direction the continuation keeps."""
STEEPEST = 0.12


def continuation_slopes(centres_mm: list[Float], spacing_mm: float) -> list[Float]:
    """(2,) mm along x and y per mm up the forearm, of each of two bones.

    centres_mm: (K, 2) centres of the sections of the last SLOPE_MM of each bone, from the cut towards the joint.
    Bones that come together keep their distance from the cut on.
    """
    slopes = []
    for centres in centres_mm:
        along = spacing_mm * np.arange(len(centres))
        slope = -np.polyfit(along, centres, 1)[0] if len(centres) > 1 else np.zeros(2)
        slopes.append(np.clip(slope, -STEEPEST, STEEPEST))
    apart = centres_mm[1][0] - centres_mm[0][0]
    if apart @ (slopes[1] - slopes[0]) < 0:
        slopes = [(slopes[0] + slopes[1]) / 2] * 2
    return slopes


def continued(
    distance_mm: NDArray[np.float32], cut: int, planes: int, slope: Float, spacing_mm: float
) -> tuple[NDArray[np.float32], int, int]:
    """The bone's distance with ``planes`` more planes before plane ``cut``, and how many voxels were added in front
    along x and y.

    distance_mm: (I, J, K). Plane ``cut`` is repeated, moved by ``slope`` mm per mm; planes before it are replaced. Far
    from the bone the distance is what it is at the border of the grid.
    """
    reach = np.ceil(np.abs(slope) * planes).astype(int)
    margins = [(int(n), int(n)) for n in reach]
    kept = np.pad(distance_mm[:, :, cut:], (*margins, (0, 0)), mode="edge")
    section = kept[:, :, 0]
    far = float(section.max())
    more = np.empty((*section.shape, planes), np.float32)
    for n in range(planes):
        steps = (planes - n) * slope
        more[:, :, n] = ndimage.shift(section, steps, order=1, mode="constant", cval=far)
    return np.concatenate([more, kept], axis=2), margins[0][0], margins[1][0]
