"""Corresponding points on bones that come as surfaces without any: the packaged template laid on each.

Labels of a CT say where bone is, not which point of it is which. The shape model's mean bone is moved by pose, scale
and its localised modes until it lies on the surface (:func:`bonelift.anatomy.model_fit.fit_model`); its vertices are
then the same points of every bone, as far as the modes can tell: along the surface they may slide by about a mm, which
changes how a shape is written and not the shape. Where the scan ends the template goes on as its modes have it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bonelift.anatomy.frame import SHOWN_ABOVE_MM
from bonelift.anatomy.model_fit import fit_model
from bonelift.anatomy.shape_model import BoneModel
from bonelift.anatomy.surface_fit import surface_cloud
from bonelift.errors import InputError
from bonelift.surface.clip import clip_below
from bonelift.surface.distance import surface_distances
from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]

CLOUD_SPACING_MM = 1.0
NOISE_MM = 0.15
LARGEST_MISS_MM = 0.8
"""Mean distance of template and surface beyond which the surface is no bone that the model knows. On virtual CTs of a
routine protocol it is 0.15 to 0.2 mm, of which 0.1 is the labels' own error."""


def corresponding_points(surface: TriangleMesh, bone: BoneModel) -> Float:
    """(V, 3) where the vertices of the model's mean bone lie on ``surface``, mm.

    surface: of a right radius or ulna in the radius frame. bone: its model. Raises InputError where the template does
    not come to lie on the surface: a broken or wrongly labelled bone, or a wrong frame.
    """
    fitted = fit_model(bone.mean, bone.modes, surface_cloud(surface, CLOUD_SPACING_MM), NOISE_MM).surface
    miss = surface_distances(clip_below(fitted, SHOWN_ABOVE_MM), clip_below(surface, SHOWN_ABOVE_MM)).asd_surface_mm
    if not miss <= LARGEST_MISS_MM:
        raise InputError(
            f"the shape model's template comes no nearer than {miss:.1f} mm to the surface (mean; expected "
            f"{LARGEST_MISS_MM} or less); check labels, side and landmarks, or leave the case out"
        )
    return fitted.vertices
