"""The one table of what the views are to networks and in training samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bonelift.images.radiograph import View

VIEW_CODES: dict[View, int] = {"pa": 0, "lateral": 1}
PA, LATERAL = VIEW_CODES["pa"], VIEW_CODES["lateral"]


def view_codes(views: Sequence[View]) -> NDArray[np.uint8]:
    """(N,) codes of N views."""
    return np.array([VIEW_CODES[view] for view in views], dtype=np.uint8)


def view_of(code: int) -> View:
    """The view of a code. Raises KeyError for a number that is no code."""
    views: dict[int, View] = {number: view for view, number in VIEW_CODES.items()}
    return views[int(code)]
