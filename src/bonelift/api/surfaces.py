"""Surfaces of bones: distances between them, clinical measurements, and surfaces of label fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from bonelift.api.arguments import an_array, in_python_words, one_of, shown
from bonelift.errors import InputError
from bonelift.geometry.patient_frame import patient_from_radius
from bonelift.geometry.plausible import MESH, check_length
from bonelift.images import LabelGrid, Side
from bonelift.images.volume import BONES
from bonelift.reconstruction.bones import bone_surface
from bonelift.reconstruction.measured import MeasuredValue, measure_bones
from bonelift.surface import comparison
from bonelift.surface.distance import SurfaceDistances
from bonelift.surface.mesh import TriangleMesh

ROUNDING = 1e-3
"""What a network's 0 or 1 may be beyond it."""


@in_python_words
def compare_surfaces(
    first: TriangleMesh, second: TriangleMesh, align: Literal["none", "rigid"] = "none"
) -> SurfaceDistances:
    """Distances between two surfaces of one bone.

    Parameters
    ----------
    first, second
        Surfaces in one frame, mm.
    align
        ``"none"`` compares them where they are. ``"rigid"`` lays the first on the second before (no scale, no mirror),
        so that shape alone is compared; what is nearest to an open end is then left out.

    Returns
    -------
    SurfaceDistances
        ``asd_surface_mm`` (mean distance, by area), ``asd_paper_mm`` (point to nearest point, as in Shiode et al.
        2021), ``hd95_mm``, ``maximum_mm`` and ``compared_fraction``.

    Raises
    ------
    InputError
        An empty surface, or surfaces that cannot be of one bone in one unit.

    Examples
    --------
    A bone moved by 1 mm is 1 mm off at most:

    >>> import bonelift, numpy as np
    >>> radius = bonelift.demo_case().truth["radius"]
    >>> aside = bonelift.TriangleMesh(radius.vertices + [1.0, 0, 0], radius.faces)
    >>> round(bonelift.compare_surfaces(radius, aside).maximum_mm, 2)
    1.0
    """
    for name, mesh in (("first", first), ("second", second)):
        if not isinstance(mesh, TriangleMesh):
            raise InputError(f"{name} is {shown(mesh)}; expected a bonelift.TriangleMesh (read_mesh reads one)")
        if mesh.is_empty:
            raise InputError(f"{name} has no triangles; expected the surface of a bone")
        _check_size(mesh, name)
    how = cast("comparison.Align", one_of(align, "align", ("none", "rigid")))
    return comparison.compare_surfaces(first, second, how).distances


@in_python_words
def measure(bones: Mapping[str, TriangleMesh], side: Side = "right") -> dict[str, MeasuredValue]:
    """Clinical measurements of a distal radius and ulna.

    Parameters
    ----------
    bones
        ``"radius"`` and ``"ulna"``: surfaces in the patient frame, mm, as :attr:`Reconstruction.bones` and the files of
        a result hold them: x to the patient's left, y to the back, z to the head, the origin at the radius' joint.
    side
        Which wrist it is.

    Returns
    -------
    dict
        Name ("radial inclination (3D)") to a value with ``value``, ``unit``, ``facts`` (definition, source, normal
        range) and, where it is NaN, the ``reason``.

    Raises
    ------
    InputError
        A bone is missing or no surface.

    Notes
    -----
    Definitions after Mann et al. 1992, Medoff 2005 and Palmer et al. 1982: bonelift.anatomy.measurements.

    Examples
    --------
    >>> import bonelift
    >>> found = bonelift.measure(bonelift.demo_case().truth)
    >>> found["radial inclination (3D)"].unit
    'deg'
    """
    if not isinstance(bones, Mapping):
        raise InputError(f"bones is {shown(bones)}; expected a mapping with 'radius' and 'ulna'")
    right_from_patient = radius_from_patient(side)
    surfaces = {}
    for bone in BONES:
        mesh = cast("Mapping[str, object]", bones).get(bone)
        if not isinstance(mesh, TriangleMesh):
            raise InputError(f"bones[{bone!r}] is {shown(mesh)}; expected a bonelift.TriangleMesh")
        if not mesh.is_empty:  # a bone that no network made has no measurements, and each says so
            _check_size(mesh, f"bones[{bone!r}]")
        surfaces[bone] = mesh.transformed(right_from_patient)
    return {value.name: value for value in measure_bones(surfaces)}


@in_python_words
def radius_from_patient(side: Side) -> NDArray[np.float64]:
    """The transform from the patient frame, in which files and results are, to the radius frame of a right wrist.

    Networks learn and predict in the radius frame: +z along the radial shaft to the hand, the origin where it meets the
    distal joint surface, +x to the ulna, +y to the palm.

    Parameters
    ----------
    side
        Which wrist is in the patient frame. A left one is mirrored.

    Returns
    -------
    numpy.ndarray
        (4, 4), mm; a rotation for a right wrist, with a mirror for a left one. Its inverse leads back.

    Raises
    ------
    InputError
        Another side.

    Examples
    --------
    >>> import bonelift
    >>> head_up = [0.0, 0.0, 10.0, 1.0]  # 10 mm towards the head, in the patient frame
    >>> float((bonelift.radius_from_patient("right") @ head_up)[2])  # away from the hand
    -10.0
    """
    patient = patient_from_radius(cast("Side", one_of(side, "side", ("left", "right"))))
    return np.asarray(np.linalg.inv(patient), dtype=np.float64)


@in_python_words
def bones_from_labels(fields: NDArray[np.floating], grid: LabelGrid) -> dict[str, TriangleMesh]:
    """Surfaces of the label fields that a network predicts.

    Parameters
    ----------
    fields
        (2, I, J, K): radius and ulna, each voxel's part that is bone, 0 to 1. The surface is where it is one half.
    grid
        Where the voxels lie in the radius frame: its shape is (I, J, K).

    Returns
    -------
    dict
        ``"radius"`` and ``"ulna"``: the largest piece of each, cut at z = -40 mm, in the radius frame of a right wrist,
        mm. A field that never reaches one half gives a surface without triangles.

    Raises
    ------
    InputError
        Another shape than the grid's, NaN, or values beyond 0 and 1.

    Examples
    --------
    >>> import bonelift, numpy as np
    >>> grid = bonelift.LabelGrid((20, 20, 20), 1.0, (0.0, 0.0, -10.0))
    >>> fields = np.zeros((2, 20, 20, 20), np.float32)
    >>> fields[:, 5:15, 5:15, 5:15] = 1
    >>> bonelift.bones_from_labels(fields, grid)["ulna"].is_empty
    False
    """
    if not isinstance(grid, LabelGrid):
        raise InputError(f"grid is {shown(grid)}; expected a bonelift.LabelGrid")
    values = an_array(fields, "fields", "(2, I, J, K)", 4)
    if values.shape != (2, *grid.shape):
        raise InputError(
            f"fields has shape {values.shape}; expected {(2, *grid.shape)}, the grid's with a place a bone"
        )
    low, high = float(values.min()), float(values.max())
    if low < -ROUNDING or high > 1 + ROUNDING:
        raise InputError(f"fields holds {low:.4g} to {high:.4g}; expected shares of bone, 0 to 1")
    return {bone: bone_surface(field, grid) for bone, field in zip(BONES, values, strict=True)}


def _check_size(mesh: TriangleMesh, what: str) -> None:
    corners = mesh.vertices[mesh.faces].reshape(-1, 3)
    check_length(float(np.ptp(corners, axis=0).max()), MESH, f"{what}: its longest side")
