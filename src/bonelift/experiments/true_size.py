"""The second row without skill: the mean bone at the true size, which knows one number of the truth.

Much of what separates bones is size alone. How far a mean bone of the right size lies off tells how much of a method's
skill is more than that.
"""

from __future__ import annotations

import numpy as np

from bonelift.anatomy.frame import SHOWN_ABOVE_MM
from bonelift.experiments.identity import compared_bone, lay_on
from bonelift.surface.clip import clip_below
from bonelift.surface.mesh import TriangleMesh

TRUE_SIZE = "mean bone at the true size"
WHOLE_ABOVE_MM = -60.0
"""All that a label grid holds of a bone: a smaller mean bone is not to end above the cut."""


def at_size_of(mean: TriangleMesh, truth: TriangleMesh) -> TriangleMesh:
    """``mean`` grown about the origin of the radius frame to the size at which it lies best on ``truth``, then cut at
    SHOWN_ABOVE_MM. Both in the radius frame, mm; mean: longer than what is shown."""
    own, other = (compared_bone(clip_below(mesh, SHOWN_ABOVE_MM)) for mesh in (mean, truth))
    scale, _ = lay_on(own, other, "similarity")
    return clip_below(mean.transformed(np.diag([scale, scale, scale, 1.0])), SHOWN_ABOVE_MM)
