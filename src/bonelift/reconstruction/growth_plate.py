"""Whether a PA film shows an open growth plate in the end of the radius: a child's bone, which no model here knows.

The cartilage of an open plate is a dark line across the whole width of the bone, some 5 to 15 mm from the joint,
between the bright ends of metaphysis and epiphysis. In an adult nothing crosses the bone there, or a bright scar.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonelift.film.standard import Film
from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]

_Z_MM = np.arange(-30.0, 10.0, 0.25)
"""Heights (radius frame) of the patch; the last 10 mm reach beyond the joint."""
_ACROSS = np.linspace(-0.85, 0.85, 33)
"""Shares of half of the bone's width."""
_LOOKED_FOR_MM = (-18.0, -4.0)
"""Heights at which a plate is looked for: nearer to the joint its own space is a dark line, too."""
_EDGE_MM = (1.5, 2.0)
"""How far above and below a line its bright borders are looked for."""
_MOST_SLOPE_MM, _SLOPE_STEP_MM = 3.0, 0.75
"""By how much a line may rise from the middle of the bone to its side."""
_SHARE_OF_WIDTH = 20.0
"""Per cent of the width in which the line may be missing."""


def growth_plate_contrast(film: Film, canonical_from_radius: Float, radius: TriangleMesh) -> float:
    """How much darker than both of its borders the darkest line across the radius is, in SD of the patch around it.

    Parameters
    ----------
    film : Film
        A PA film.
    canonical_from_radius : (4, 4) array
        Where the radius stands in the canonical world of the film.
    radius : TriangleMesh
        Its surface, radius frame, mm.

    Returns
    -------
    float
        Of the straight line for which that contrast, reached in four fifths of the bone's width, is greatest. Below 0
        where something along every line is as bright as its borders; -1 where the film does not show the place.
    """
    patch, recorded = _straightened(film, canonical_from_radius, radius)
    if not recorded or patch.std() < 1e-6:
        return -1.0
    scaled = patch / patch.std()
    step_mm = _Z_MM[1] - _Z_MM[0]
    rows = np.arange(len(_Z_MM), dtype=np.float64)
    best = -1.0
    for rise_mm in np.arange(-_MOST_SLOPE_MM, _MOST_SLOPE_MM + 0.01, _SLOPE_STEP_MM):
        shifted = np.stack(
            [
                np.interp(rows + rise_mm / step_mm * across / _ACROSS[-1], rows, scaled[:, n])
                for n, across in enumerate(_ACROSS)
            ],
            axis=1,
        )
        for edge_mm in _EDGE_MM:
            apart = round(edge_mm / step_mm)
            dimmer_border = np.minimum(shifted[: -2 * apart], shifted[2 * apart :])
            contrast = np.percentile(dimmer_border - shifted[apart:-apart], _SHARE_OF_WIDTH, axis=1)
            heights = _Z_MM[apart:-apart]
            looked_for = (heights > _LOOKED_FOR_MM[0]) & (heights < _LOOKED_FOR_MM[1])
            best = max(best, float(contrast[looked_for].max()))
    return best


def _straightened(film: Film, canonical_from_radius: Float, radius: TriangleMesh) -> tuple[Float, bool]:
    """(heights, across) the film along the radius, its width stretched to one; and whether all of it was recorded."""
    vertices = radius.vertices
    places = np.zeros((len(_Z_MM), len(_ACROSS), 3))
    for n, height in enumerate(_Z_MM):
        near = vertices[np.abs(vertices[:, 2] - min(height, -3.0)) < 2.0]
        if len(near) == 0:
            return np.zeros(places.shape[:2]), False
        low, high = near[:, 0].min(), near[:, 0].max()
        places[n] = near.mean(axis=0)
        places[n, :, 0] = (low + high) / 2 + _ACROSS * (high - low) / 2
        places[n, :, 2] = height
    homogeneous = np.concatenate([places, np.ones((*places.shape[:2], 1))], axis=2)
    seen = homogeneous @ film.px_from_radius(canonical_from_radius).T
    row_column = np.moveaxis(seen[..., 1::-1] / seen[..., 2:], 2, 0)
    recorded = ndimage.map_coordinates(film.recorded.astype(np.float64), row_column, order=1, mode="constant")
    return ndimage.map_coordinates(np.asarray(film.pixels, float), row_column, order=1), bool(recorded.min() > 0.5)
