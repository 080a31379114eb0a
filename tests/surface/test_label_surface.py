"""The surface of a labelled bone: half level of the mask blurred by 0.7 voxels."""

from __future__ import annotations

import numpy as np
import pytest

from bonelift.errors import InputError
from bonelift.images import LabelMap
from bonelift.surface.label_surface import label_surface

BLUR_VOXELS, SPACING_MM = 0.7, 0.5


def sheet(voxels: int) -> LabelMap:
    """A plate ``voxels`` thick along z, wide enough that its rim does not reach its middle."""
    labels = np.zeros((25, 25, 11), np.uint8)
    labels[2:23, 2:23, 5 : 5 + voxels] = 1
    return LabelMap(labels, np.diag([SPACING_MM] * 3 + [1.0]))


def blurred(position: int, voxels: int) -> float:
    """The mask at voxel ``position`` after the blur, summed by hand: a normalised Gaussian of three voxels reach."""
    weights = {step: np.exp(-(step**2) / (2 * BLUR_VOXELS**2)) for step in range(-3, 4)}
    inside = [weight for step, weight in weights.items() if 5 <= position + step < 5 + voxels]
    return sum(inside) / sum(weights.values())


@pytest.mark.parametrize("voxels", [1, 2])
def test_a_thin_plate_is_as_thick_as_the_blur_leaves_it(voxels):
    below, above = blurred(4, voxels), blurred(5, voxels)
    assert below < 0.5 < above, "thin, and still there"
    lower_mm = SPACING_MM * (4 + (0.5 - below) / (above - below))
    upper_mm = SPACING_MM * (2 * 5 + voxels - 1) - lower_mm  # the plate is the same from both sides
    surface = label_surface(sheet(voxels), 1)
    middle = np.linalg.norm(surface.vertices[:, :2] - 12 * SPACING_MM, axis=1) < 2.0
    heights = surface.vertices[middle, 2]
    assert heights.min() == pytest.approx(lower_mm, abs=1e-4)
    assert heights.max() == pytest.approx(upper_mm, abs=1e-4)


def test_a_label_that_is_not_there_is_named():
    with pytest.raises(InputError, match="labels hold no"):
        label_surface(sheet(1), 2)
