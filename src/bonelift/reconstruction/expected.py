"""The error that a reconstruction expects of itself: in mm for each bone, and at each point of its surface."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from bonelift.anatomy.shape_uncertainty import ExpectedDistance, expected_distance, vertex_sd_mm
from bonelift.images.volume import BONES
from bonelift.networks.model import WristModel
from bonelift.reconstruction.bones import Bones, code_by_bone

OUTSIDE_MM = 0.15
"""Root mean square distance of a bone from what the modes can write, where the model's metadata do not say it."""


def expected_errors(bones: Bones, model: WristModel) -> dict[str, ExpectedDistance] | None:
    """Mean surface distance from the true bone, by bone; None where the model does not tell its errors.

    The model's metadata "expected_error" hold, by bone, what the expectation is multiplied with ("factor", found on
    validation patients) and the root mean square distance of bones from what its modes write ("outside_mm").
    """
    if bones.code_sd is None or not model.bases:
        return None
    found = {}
    for name, sd in code_by_bone(bones.code_sd, model).items():
        factor, outside_mm = _calibration(model, name)
        told = expected_distance(model.bases[name], sd, outside_mm)
        found[name] = ExpectedDistance(factor * told.as_predicted_mm, factor * told.rigid_mm)
    return found


def surface_sd_mm(bones: Bones, model: WristModel) -> dict[str, NDArray[np.float64]] | None:
    """(V,) standard deviation of each vertex of the whole decoded bones along its normal, mm, after rigid alignment;
    by bone, in the order of ``model.bases[name].decode``. None where the model does not tell its errors."""
    if bones.code_sd is None or not model.bases:
        return None
    parts = code_by_bone(bones.code_sd, model)
    return {name: vertex_sd_mm(model.bases[name], parts[name], _calibration(model, name)[1]) for name in BONES}


def shown_sd_mm(bones: Bones, model: WristModel) -> dict[str, NDArray[np.float64]] | None:
    """:func:`surface_sd_mm` at the vertices of ``bones.surfaces``, which end at a cut; None where it is not told."""
    whole = surface_sd_mm(bones, model)
    if whole is None:
        return None
    parts = code_by_bone(bones.code, model)
    return {
        name: whole[name][KDTree(model.bases[name].decode(parts[name]).vertices).query(mesh.vertices)[1]]
        for name, mesh in bones.surfaces.items()
    }


def _calibration(model: WristModel, bone: str) -> tuple[float, float]:
    """(factor, outside_mm) of one bone."""
    known = model.metadata.get("expected_error", {})
    facts = known.get(bone, {}) if isinstance(known, Mapping) else {}
    return float(facts.get("factor", 1.0)), float(facts.get("outside_mm", OUTSIDE_MM))
