"""From the expected errors of a shape code to millimetres of surface: for a whole bone, and at each of its points.

The errors of a code's numbers are taken as independent and normal, and the surface as moving along its normals, as in
``BoneBasis.error_metrics``. What no mode can write comes on top: ``outside_mm``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonelift.anatomy.shape_basis import PLACEMENT, SEEN_ABOVE_MM, BoneBasis
from bonelift.errors import InputError
from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]

MEAN_OF_NORMAL = float(np.sqrt(2 / np.pi))
"""Mean absolute value of a normal variable of standard deviation 1: from root mean square to mean distance."""


@dataclass(frozen=True)
class ExpectedDistance:
    """Mean surface distance (mm) that a predicted bone is expected to have from the true one.

    as_predicted_mm: in the radius frame, nothing moved. rigid_mm: after rigid alignment of the bone.
    """

    as_predicted_mm: float
    rigid_mm: float


def expected_distance(basis: BoneBasis, sd: NDArray[np.floating], outside_mm: float = 0.0) -> ExpectedDistance:
    """What errors of standard deviations ``sd`` (length of a code,) come to on the surface above SEEN_ABOVE_MM.

    outside_mm: root mean square distance of true bones from what the basis can write, mm.
    Raises InputError where ``sd`` does not fit the basis or is not finite and >= 0.
    """
    variance = _checked(basis, sd) ** 2
    as_predicted, rigid = (
        MEAN_OF_NORMAL * float(np.sqrt(np.diag(metric) @ variance + outside_mm**2)) for metric in basis.error_metrics()
    )
    return ExpectedDistance(as_predicted, rigid)


def vertex_sd_mm(basis: BoneBasis, sd: NDArray[np.floating], outside_mm: float = 0.0) -> Float:
    """(V,) standard deviation of each point of the bone along its normal, mm, after rigid alignment of the bone.

    sd, outside_mm, errors: as in :func:`expected_distance`. The rigid motion that the seen part allows is taken out of
    each mode first; points below SEEN_ABOVE_MM are told, too, but nothing was learned there.
    """
    variance = _checked(basis, sd)[:-PLACEMENT] ** 2
    normals = TriangleMesh(basis.reference, basis.faces).vertex_normals
    moves = np.einsum("kvx,vx->vk", basis.modes, normals)
    motions = np.concatenate([np.cross(basis.reference - basis.centre_mm, normals), normals], axis=1)
    seen = basis.reference[:, 2] > SEEN_ABOVE_MM
    root = np.sqrt(basis.weights[seen])[:, None]
    taken_out = np.linalg.lstsq(root * motions[seen], root * moves[seen], rcond=None)[0]
    left = moves - motions @ taken_out
    return np.sqrt(left**2 @ variance + outside_mm**2)


def _checked(basis: BoneBasis, sd: NDArray[np.floating]) -> Float:
    values = np.asarray(sd, dtype=np.float64)
    if values.shape != (basis.length,) or not np.isfinite(values).all() or (values < 0).any():
        raise InputError(
            f"expected errors of a shape code: got {values.shape}, least {np.min(values, initial=np.inf):.3g}; "
            f"expected ({basis.length},) numbers, finite and at least 0"
        )
    return values
