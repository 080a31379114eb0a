"""Left and right: mirroring in the sagittal plane x = 0."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]


def mirror_transform() -> Float:
    """(4, 4) mirror x -> -x; its own inverse, determinant -1."""
    return np.diag([-1.0, 1.0, 1.0, 1.0])


def mirror_mesh(mesh: TriangleMesh) -> TriangleMesh:
    """The bone of the other side: x -> -x, faces reversed so that normals stay outward."""
    return mesh.transformed(mirror_transform())


def mirrored_pose(target_from_source: ArrayLike) -> Float:
    """The same motion seen in a mirror: M T M. A rigid pose stays rigid (det +1)."""
    mirror = mirror_transform()
    return mirror @ np.asarray(target_from_source, dtype=np.float64) @ mirror
