"""Did the search for a pose end well? The reason why not, from where it ended; how far to trust it as a registration is
another question (:mod:`bonelift.registration.verdict`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]

LEAST_SEEN = 0.5
"""Part of the bone's projection that has to lie inside the image."""
_FARTHEST_SIGMAS = 4.0
_FLAT_MM, _FLAT_DEG = 2.0, 4.0
"""Slack in the plane of the image beyond which the similarity tells no pose."""


@dataclass(frozen=True, eq=False)
class Ending:
    """Where a search of a pose ended: see :class:`bonelift.registration.pose.PoseResult`.

    slack, sigmas: (6,), rad and mm, and prior sigmas. moved: whether the refinement came to rest or moved at all.
    """

    similarity: float
    agreeing: int
    starts: int
    slack: Float
    sigmas: Float
    seen: float
    moved: bool


def doubt(ending: Ending, minimum_similarity: float) -> str:
    """Why the pose is not to be trusted; "" when nothing speaks against it."""
    if ending.similarity < minimum_similarity:
        return f"similarity {ending.similarity:.2f} is below {minimum_similarity:.2f}"
    if ending.seen < LEAST_SEEN:
        return f"only {ending.seen:.0%} of the bone's projection lies inside the image"
    if ending.starts > 1 and ending.agreeing < 2:
        return f"no other of {ending.starts} starts ended where the best one did"
    if np.abs(ending.sigmas).max() > _FARTHEST_SIGMAS:
        return f"the pose lies {np.abs(ending.sigmas).max():.1f} prior sigmas from its start"
    if ending.slack[3:5].max() > _FLAT_MM or ending.slack[2] > np.deg2rad(_FLAT_DEG):
        return "the similarity is flat around the pose"
    return "" if ending.moved else "the refinement did not move from its start"
