"""Overlap of two segmentations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def dice(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """2 |A and B| / (|A| + |B|), in [0, 1]; NaN where both masks are empty.

    Source: Dice 1945 (doi:10.2307/1932409). Raises ValueError where the shapes differ.
    """
    if first.shape != second.shape:
        raise ValueError(f"masks have shapes {first.shape} and {second.shape}; expected one grid")
    total = int(np.count_nonzero(first)) + int(np.count_nonzero(second))
    return 2.0 * int(np.count_nonzero(first & second)) / total if total else float("nan")
