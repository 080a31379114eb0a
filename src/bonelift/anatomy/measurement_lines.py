"""The lines and levels between which the clinical measurements are taken, to be drawn on bones and films."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonelift.anatomy.measurements import ulnar_dome_height, ulnar_head_centre
from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MeasurementLine:
    """bone: whose pose carries it. points: (N, 3) mm, a polyline in the radius frame of a right wrist."""

    bone: str
    points: Float


def measurement_lines(
    radius: TriangleMesh, ulna: TriangleMesh, landmarks: Mapping[str, Float]
) -> dict[str, tuple[MeasurementLine, ...]]:
    """Field of ``Measurements`` -> its lines, of right bones in the radius frame; landmarks as
    :func:`bonelift.anatomy.landmarks.find_landmarks` returns them.

    An angle is two lines that meet at its vertex, a length one line, with the level that it is taken from where it has
    one. Measurements of circles and cortices have none. On a film the same lines lie where the X-ray throws them.
    Raises InputError where the ulnar head is missing.
    """
    tip, volar, dorsal = (landmarks[n] for n in ("radial_styloid_tip", "sigmoid_notch_volar", "sigmoid_notch_dorsal"))
    rim_volar, rim_dorsal = landmarks["volar_rim"], landmarks["dorsal_rim"]
    reference = (volar + dorsal) / 2
    styloid = landmarks["ulnar_styloid_tip"]
    centre = ulnar_head_centre(ulna, styloid)
    dome = np.array([centre[0], centre[1], ulnar_dome_height(ulna, styloid, centre)])
    below_tip = np.array([tip[0], tip[1], reference[2]])
    level_of_rim = np.array([rim_volar[0], rim_volar[1], rim_dorsal[2]])
    across = np.array([volar[0], volar[1], tip[2]])
    depth = np.array([rim_volar[0], rim_dorsal[1], rim_volar[2]])
    at_dome = np.array([dome[0], dome[1], reference[2]])
    lines = {
        "radial_inclination_deg": [("radius", [tip, reference, below_tip])],
        "palmar_tilt_deg": [("radius", [rim_volar, rim_dorsal, level_of_rim])],
        "radial_height_mm": [("radius", [tip, below_tip]), ("radius", [below_tip, reference])],
        "ulnar_variance_mm": [("radius", [reference, at_dome]), ("ulna", [at_dome, dome])],
        "radius_width_mm": [("radius", [tip, across]), ("radius", [across, volar])],
        "radius_depth_mm": [("radius", [depth, rim_volar])],
    }
    return {
        field: tuple(MeasurementLine(bone, np.stack(points)) for bone, points in parts)
        for field, parts in lines.items()
        if all(np.isfinite(points).all() for _, points in parts)
    }
