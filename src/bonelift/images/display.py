"""Grey levels as a person sees them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def display_grey(pixels: NDArray[np.floating]) -> NDArray[np.uint8]:
    """(rows, columns) of any scale -> 0..255, windowed to percentiles 0.5 and 99.8."""
    values = np.asarray(pixels, dtype=np.float64)
    low, high = np.percentile(values, [0.5, 99.8])
    return (np.clip((values - low) / max(high - low, 1e-9), 0, 1) * 255).astype(np.uint8)
