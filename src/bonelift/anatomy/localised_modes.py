"""Mean and modes of a few registered shapes, with the covariance tapered by distance.

Eight bones give seven modes: too stiff. Far parts of a bone vary nearly independently, so the sample covariance is
multiplied by a taper that falls with distance; what remains global keeps a share. Such a covariance has many modes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.spatial.distance import cdist

from bonelift.anatomy.surface_fit import spread_points

Float = NDArray[np.float64]


@dataclass(frozen=True)
class LocalCovariance:
    """taper_mm: SD of the Gaussian taper; global_share: part of the sample covariance kept untapered.

    field_sd_mm, field_length_mm: a smooth random field added to it (0: none).
    """

    taper_mm: float = 12.0
    global_share: float = 0.4
    field_sd_mm: float = 0.0
    field_length_mm: float = 6.0


SHAFT_BELOW_MM = -28.0
SHAFT_SHORTENING = 4.0


def shortened_shaft(points: Float) -> Float:
    """Where the taper measures distance: the shaft drawn together, for its sections move as a whole and bend slowly.

    points: (V, 3) with +Z distal and the joint near z = 0. Below SHAFT_BELOW_MM lengths shrink SHAFT_SHORTENING times.
    """
    out = points.copy()
    below = np.clip(SHAFT_BELOW_MM - points[:, 2], 0.0, None)
    if not below.any():
        return out
    axis = points[points[:, 2] < SHAFT_BELOW_MM, :2].mean(axis=0)
    shrink = 1 + (1 / SHAFT_SHORTENING - 1) * np.clip(below / 20.0, 0.0, 1.0)
    out[:, :2] = axis + shrink[:, None] * (points[:, :2] - axis)
    out[:, 2] = points[:, 2] + below * (1 - 1 / SHAFT_SHORTENING)
    return out


def weighted_mean(shapes: Float, weights: Float) -> Float:
    """(V, 3) mean of shapes (B, V, 3) with weights (B, V): how far each bone was seen at each vertex."""
    return np.einsum("bv,bvx->vx", weights, shapes) / weights.sum(axis=0)[:, None]


def localised_modes(
    mean: Float, residuals: Float, weights: Float, count: int, local: LocalCovariance, controls: int = 500
) -> Float:
    """(count, V, 3) displacements of one standard deviation each, mm: leading modes of the localised covariance.

    mean: (V, 3). residuals: (B, V, 3) shapes minus mean; weights: (B, V) in (0, 1]. Solved on ``controls`` vertices
    and carried to all by the Nystroem extension.
    """
    chosen = spread_points(mean, controls)
    places = shortened_shaft(mean)
    seen = np.sqrt(weights)[:, :, None] * residuals
    # One degree of freedom went into the mean; where fewer bones were seen, the sum is over fewer.
    normaliser = np.sqrt(np.maximum(weights.sum(axis=0) - 1, 1.0))[None, :, None]
    seen = seen / normaliser

    def covariance(points: NDArray[np.int64]) -> Float:
        """(3P, 3C) between ``points`` and the control vertices."""
        squared = cdist(places[points], places[chosen], "sqeuclidean")
        taper = local.global_share + (1 - local.global_share) * np.exp(-squared / (2 * local.taper_mm**2))
        field = local.field_sd_mm**2 * np.exp(-squared / (2 * local.field_length_mm**2))
        block = np.einsum("bpx,bcy->pxcy", seen[:, points], seen[:, chosen]) * taper[:, None, :, None]
        block += field[:, None, :, None] * np.eye(3)[None, :, None, :]
        return block.reshape(3 * len(points), 3 * len(chosen))

    inner = covariance(chosen)
    size = len(inner)
    values, vectors = eigh(inner, subset_by_index=(max(size - count, 0), size - 1))
    values, vectors = values[::-1], vectors[:, ::-1]
    # Nystroem: the function at any vertex is C(v, controls) u / lambda, scaled by sqrt(lambda) to one SD.
    carry = vectors / np.sqrt(np.maximum(values, 1e-12))
    parts = [covariance(part) @ carry for part in np.array_split(np.arange(len(mean)), 12)]
    return np.concatenate(parts).reshape(len(mean), 3, -1).transpose(2, 0, 1)
