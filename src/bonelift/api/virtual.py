"""Virtual patients, their films and CTs, and the packaged case: data that anybody may have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from bonelift.anatomy.frame import SHOWN_ABOVE_MM
from bonelift.api.arguments import a_count, a_flag, a_number, an_array, in_python_words, one_of, shown
from bonelift.errors import InputError
from bonelift.geometry import apply_transform, invert_rigid
from bonelift.geometry.patient_frame import patient_from_radius
from bonelift.images import LabelMap, Radiograph, View, Volume
from bonelift.origin import Origin
from bonelift.phantom import patient as phantom
from bonelift.phantom.ct import draw_scan_settings, scan
from bonelift.phantom.xray import draw_settings, expose
from bonelift.phantom.xray_geometry import draw_geometry
from bonelift.reconstruction.demo_case import load_demo_case
from bonelift.reconstruction.inputs import read_radiographs
from bonelift.study.virtual_cohort import RADIOGRAPH_SHAPE_PX, RADIOGRAPH_SPACING_MM, RADIOGRAPH_SPREAD
from bonelift.surface.clip import clip_below
from bonelift.surface.mesh import TriangleMesh

_PATIENT_FROM_RADIUS = patient_from_radius("right")


@dataclass(frozen=True, eq=False)
class VirtualRadiograph:
    """A simulated film and what only a simulation knows.

    Parameters
    ----------
    radiograph
        As :func:`read_radiograph` gives one; a right wrist.
    camera_from_patient
        (4, 4) rigid, mm: where the patient frame, in which the patient's bones and CT lie, is in the camera's frame.
    """

    radiograph: Radiograph
    camera_from_patient: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class VirtualPatient:
    """One virtual wrist, a right one.

    Parameters
    ----------
    bones
        ``"radius"`` and ``"ulna"``: true surfaces in the patient frame, mm.
    landmarks
        Name to (3,) in the patient frame, mm.
    facts
        What was drawn, by name: seed, sex, age and more.
    made
        The densities that films and CTs are made of; its parts may change between versions.
    """

    bones: Mapping[str, TriangleMesh]
    landmarks: Mapping[str, NDArray[np.float64]]
    facts: Mapping[str, float | str]
    made: phantom.VirtualPatient


@dataclass(frozen=True, eq=False)
class DemoCase:
    """The packaged case.

    Parameters
    ----------
    radiograph
        A simulated film of a virtual patient whom no packaged network has seen.
    truth
        ``"radius"`` and ``"ulna"``: true surfaces in the patient frame, mm, cut as :attr:`Reconstruction.bones` are.
    mean_bone
        The same of the mean of the population, which knows nothing of this patient: what any method has to beat.
    """

    radiograph: Radiograph
    truth: Mapping[str, TriangleMesh]
    mean_bone: Mapping[str, TriangleMesh]


@in_python_words
def demo_case() -> DemoCase:
    """The packaged radiograph with its truth.

    Returns
    -------
    DemoCase
        Synthetic; no person's data.

    Examples
    --------
    >>> import bonelift
    >>> case = bonelift.demo_case()
    >>> case.radiograph.side, case.radiograph.view
    ('right', 'pa')
    """
    case = load_demo_case()
    radiograph = read_radiographs([case.image])[0]
    patient = patient_from_radius(radiograph.side)
    truth, mean = (
        {name: clip_below(mesh, SHOWN_ABOVE_MM).transformed(patient) for name, mesh in bones.items()}
        for bones in (case.truth, case.mean_bone)
    )
    return DemoCase(radiograph, truth, mean)


@in_python_words
def virtual_patient(seed: int, *, voxel_mm: float = 0.6, whole_hand: bool = True) -> VirtualPatient:
    """The virtual patient of a seed: the same seed gives the same wrist, other seeds independent ones.

    Parameters
    ----------
    seed
        0 or above.
    voxel_mm
        Voxel side of the body, in mm, 0.3 to 3; half of it is eight times the memory.
    whole_hand
        Whether fingers and half of the forearm are made, too, for large films; without, a third less time.

    Returns
    -------
    VirtualPatient
        Its bones, landmarks and facts; :func:`virtual_radiograph` and :func:`virtual_ct` take it.

    Raises
    ------
    InputError
        A seed that is no whole number, or another voxel side.

    Examples
    --------
    >>> import bonelift
    >>> patient = bonelift.virtual_patient(7, voxel_mm=2.0, whole_hand=False)
    >>> patient.facts["seed"]
    7
    """
    number, side_mm = a_count(seed, "seed"), a_number(voxel_mm, "voxel_mm", "mm")
    if not 0.3 <= side_mm <= 3:
        raise InputError(f"voxel_mm is {side_mm:g}; expected 0.3 to 3 mm")
    made = phantom.make_patient(number, spacing_mm=side_mm, whole_hand=a_flag(whole_hand, "whole_hand"))
    bones = {"radius": made.shape.radius, "ulna": made.shape.ulna}
    return VirtualPatient(
        {name: mesh.transformed(_PATIENT_FROM_RADIUS) for name, mesh in bones.items()},
        {name: apply_transform(_PATIENT_FROM_RADIUS, point) for name, point in made.shape.landmarks.items()},
        dict(made.facts),
        made,
    )


@in_python_words
def virtual_radiograph(
    patient: VirtualPatient,
    *,
    view: View = "pa",
    seed: int = 0,
    shape_px: tuple[int, int] = RADIOGRAPH_SHAPE_PX,
    pixel_mm: float = RADIOGRAPH_SPACING_MM,
) -> VirtualRadiograph:
    """A simulated film of a virtual patient: spectrum, scatter, blur, noise and a vendor's processing.

    Parameters
    ----------
    patient
        From :func:`virtual_patient`.
    view
        ``"pa"`` or ``"lateral"``.
    seed
        Seed of position, exposure and noise.
    shape_px
        (rows, columns).
    pixel_mm
        Side of a pixel at the wrist, in mm.

    Returns
    -------
    VirtualRadiograph
        The radiograph (bone bright), and where the wrist truly lies.

    Raises
    ------
    InputError
        Wrong types, or an image that is too small.

    Examples
    --------
    >>> import bonelift
    >>> patient = bonelift.virtual_patient(7, voxel_mm=2.0, whole_hand=False)
    >>> film = bonelift.virtual_radiograph(patient, shape_px=(160, 128), pixel_mm=0.5)
    >>> film.radiograph.pixels.shape, film.camera_from_patient.shape
    ((160, 128), (4, 4))
    """
    _check_patient(patient)
    chosen = cast("View", one_of(view, "view", ("pa", "lateral")))
    size = an_array(shape_px, "shape_px", "(rows, columns)", 1).tolist()
    if len(size) != 2:
        raise InputError(f"shape_px has {len(size)} numbers; expected (rows, columns)")
    rows, columns = (a_count(number, "shape_px", 32, 10_000) for number in size)
    spacing = a_number(pixel_mm, "pixel_mm", "mm")
    if not 0.05 <= spacing <= 2:
        raise InputError(f"pixel_mm is {spacing:g}; expected 0.05 to 2 mm at the wrist")
    rng = np.random.default_rng([a_count(seed, "seed"), 1])
    made = patient.made
    head = made.shape.landmarks["ulnar_head_centre"]
    geometry = draw_geometry(rng, chosen, (rows, columns), spacing, RADIOGRAPH_SPREAD, ulnar_head_mm=head)
    settings = draw_settings(rng, field_centre=geometry.origin_fraction)
    pixels = expose(made.body, geometry.camera, geometry.camera_from_radius, rng, settings)
    simulated = Origin("recorded", "simulated")
    known = ("side", "view", "pixel_spacing", "sdd", "source_to_object", "polarity")
    facts: dict[str, Origin] = dict.fromkeys(known, simulated)
    radiograph = Radiograph(
        np.asarray(pixels, dtype=np.float32), geometry.camera, "right", chosen, geometry.source_to_object_mm, facts
    )
    return VirtualRadiograph(radiograph, geometry.camera_from_radius @ invert_rigid(_PATIENT_FROM_RADIUS))


@in_python_words
def virtual_ct(patient: VirtualPatient, *, seed: int = 0) -> tuple[Volume, LabelMap]:
    """A simulated CT of a virtual patient with its segmentation.

    Parameters
    ----------
    patient
        From :func:`virtual_patient`.
    seed
        Seed of protocol and noise.

    Returns
    -------
    ct : Volume
        HU, in the patient frame (LPS), mm.
    labels : LabelMap
        1 radius, 2 ulna, on the same grid.

    Raises
    ------
    InputError
        Wrong types.

    Examples
    --------
    >>> import bonelift
    >>> patient = bonelift.virtual_patient(7, voxel_mm=2.0, whole_hand=False)
    >>> ct, labels = bonelift.virtual_ct(patient)
    >>> ct.values.shape == labels.labels.shape
    True
    """
    _check_patient(patient)
    rng = np.random.default_rng([a_count(seed, "seed"), 2])
    ct, labels = scan(patient.made.body, rng, draw_scan_settings(rng))
    return (
        Volume(ct.values, _PATIENT_FROM_RADIUS @ ct.world_from_voxel),
        LabelMap(labels.labels, _PATIENT_FROM_RADIUS @ labels.world_from_voxel, labels.names),
    )


def _check_patient(patient: object) -> None:
    if not isinstance(patient, VirtualPatient):
        raise InputError(f"patient is {shown(patient)}; expected what bonelift.virtual_patient gives")
