"""Clinical measurements of the distal radius and ulna in 3D, from meshes and landmarks in the radius frame.

The coronal plane is x-z, the sagittal plane y-z, and the shaft is z: what an exactly positioned PA and lateral film of
parallel rays would show. Degrees and mm. Definitions after Mann et al. 1992 (radiographic inclination, tilt, height),
Medoff 2005 (central reference point) and Palmer et al. 1982 (ulnar variance, perpendiculars method). What a film shows
of a wrist as it lay: :mod:`bonelift.anatomy.film_measurements`; names, sources and normal ranges:
:mod:`bonelift.anatomy.measurement_facts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

from bonelift.anatomy.frame import fit_shaft_axis, section_segments
from bonelift.errors import InputError
from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Measurements:
    """NaN where the surface that a measurement needs is not there.

    radial_inclination_deg: in the coronal plane, the line from the styloid's tip to the central reference point
        (midway between the volar and dorsal edges of the sigmoid notch) against the perpendicular of the shaft.
    palmar_tilt_deg: in the sagittal plane, the line from the dorsal to the volar rim against that perpendicular;
        positive where the joint faces palmar.
    radial_height_mm: styloid tip above the central reference point, along the shaft.
    ulnar_variance_mm: ulnar head's distal surface (without styloid) above the central reference point; positive for a
        long ulna.
    radius_width_mm: styloid tip to volar edge of the sigmoid notch, across the shaft. radius_depth_mm: dorsal to volar
        rim.
    ulnar_head_diameter_mm: smallest calliper width of the ulnar head's section. ulnar_head_radius_mm: circle through
        its joint side in the cross-section of the joint. sigmoid_notch_radius_mm: circle through the notch there.
    ulnar_head_offset_mm: centre of the head off the axis of the ulna's shaft.
    palmar_cortical_angle_medial_deg, _lateral_deg: between the palmar cortex of the shaft and of the metaphysis, in
        the sagittal planes at 58 % and 25 % of the width from the styloid; 180 is straight.
    """

    radial_inclination_deg: float
    palmar_tilt_deg: float
    radial_height_mm: float
    ulnar_variance_mm: float
    radius_width_mm: float
    radius_depth_mm: float
    ulnar_head_diameter_mm: float
    ulnar_head_radius_mm: float
    sigmoid_notch_radius_mm: float
    ulnar_head_offset_mm: float
    palmar_cortical_angle_medial_deg: float
    palmar_cortical_angle_lateral_deg: float


def measure(radius: TriangleMesh, ulna: TriangleMesh, landmarks: Mapping[str, Float]) -> Measurements:
    """All measurements of a right wrist in its radius frame; landmarks as :func:`find_landmarks` returns them."""
    tip, volar, dorsal = (landmarks[n] for n in ("radial_styloid_tip", "sigmoid_notch_volar", "sigmoid_notch_dorsal"))
    rim_volar, rim_dorsal = landmarks["volar_rim"], landmarks["dorsal_rim"]
    reference = (volar + dorsal) / 2
    centre = ulnar_head_centre(ulna, landmarks["ulnar_styloid_tip"])
    medial, lateral = (tip[0] + fraction * (volar[0] - tip[0]) for fraction in (0.58, 0.25))
    return Measurements(
        radial_inclination_deg=_angle_deg(tip[2] - reference[2], reference[0] - tip[0]),
        palmar_tilt_deg=_angle_deg(rim_dorsal[2] - rim_volar[2], rim_volar[1] - rim_dorsal[1]),
        radial_height_mm=float(tip[2] - reference[2]),
        ulnar_variance_mm=float(ulnar_dome_height(ulna, landmarks["ulnar_styloid_tip"], centre) - reference[2]),
        radius_width_mm=float(np.linalg.norm((volar - tip)[:2])),
        radius_depth_mm=float(rim_volar[1] - rim_dorsal[1]),
        ulnar_head_diameter_mm=_head_width(ulna, centre),
        ulnar_head_radius_mm=head_circle(ulna, centre, volar, dorsal)[1],
        sigmoid_notch_radius_mm=_notch_radius(radius, centre, volar, dorsal),
        ulnar_head_offset_mm=_head_offset(ulna, centre),
        palmar_cortical_angle_medial_deg=palmar_cortical_angle_deg(radius, float(medial)),
        palmar_cortical_angle_lateral_deg=palmar_cortical_angle_deg(radius, float(lateral)),
    )


def fit_circle(points: Float) -> tuple[Float, float]:
    """Centre (2,) and radius of the algebraic least-squares circle through points (n, 2), n >= 3 (Kasa 1976)."""
    if len(points) < 3:
        return np.full(2, np.nan), float("nan")
    middle = points.mean(axis=0)
    local = points - middle
    system = np.column_stack([2 * local, np.ones(len(points))])
    solution, *_ = np.linalg.lstsq(system, (local**2).sum(axis=1), rcond=None)
    return solution[:2] + middle, float(np.sqrt(max(solution[2] + solution[:2] @ solution[:2], 0.0)))


NOTCH_DEPTH_MM = 3.5
NARROWEST_NOTCH_MM = 4.0
HEAD_BELOW_STYLOID_MM = 9.0
"""The fullest section of the ulnar head lies about this far below the tip of the ulnar styloid."""


def ulnar_head_centre(ulna: TriangleMesh, styloid_tip: Float) -> Float:
    """(3,) centre of the circle through the ulnar head's side away from the styloid, in its fullest section."""
    height = float(styloid_tip[2] - HEAD_BELOW_STYLOID_MM)
    points = section_segments(ulna, height).reshape(-1, 2)
    if len(points) < 6:
        raise InputError(
            f"ulna: no section at z = {height:.0f} mm; expected the head {HEAD_BELOW_STYLOID_MM:.0f} mm "
            "below the styloid's tip"
        )
    away = points.mean(axis=0) - styloid_tip[:2]
    facing = (points - points.mean(axis=0)) @ (away / max(np.linalg.norm(away), 1e-9)) > -1.0
    return np.array([*fit_circle(points[facing])[0], height])


def ulnar_dome(ulna: TriangleMesh, styloid_tip: Float, centre: Float) -> Float:
    """(N, 3) vertices of the ulnar head's distal surface on the side away from the styloid, within 8 mm of the axis
    through its centre; N may be 0."""
    v = ulna.vertices
    away = centre[:2] - styloid_tip[:2]
    away /= max(np.linalg.norm(away), 1e-9)
    offset = v[:, :2] - centre[:2]
    return v[(offset @ away > 0.5) & (np.linalg.norm(offset, axis=1) < 8.0) & (v[:, 2] > centre[2])]


def top_height(heights: Float) -> float:
    """Mean of the three largest of ``heights`` (N,), so that one vertex of noise decides less; NaN of fewer than 3."""
    return float(np.sort(heights)[-3:].mean()) if len(heights) >= 3 else float("nan")


def ulnar_dome_height(ulna: TriangleMesh, styloid_tip: Float, centre: Float) -> float:
    """z of the ulnar head's most distal surface on the side away from the styloid."""
    return top_height(ulnar_dome(ulna, styloid_tip, centre)[:, 2])


def _head_width(ulna: TriangleMesh, centre: Float) -> float:
    """Smallest width of the head's section over all directions: callipers across the head, clear of the styloid."""
    points = section_segments(ulna, float(centre[2] + 1.0)).reshape(-1, 2)
    if len(points) == 0:
        return float("nan")
    angles = np.deg2rad(np.arange(0, 180, 0.5))
    across = points @ np.stack([np.cos(angles), np.sin(angles)])
    return float(np.ptp(across, axis=0).min())


def head_circle(ulna: TriangleMesh, centre: Float, volar: Float, dorsal: Float) -> tuple[Float, float]:
    """Circle through the part of the head's section that faces the notch, within 60 degrees."""
    points = section_segments(ulna, float(centre[2] + 1.5)).reshape(-1, 2)
    if len(points) == 0:
        return np.full(2, np.nan), float("nan")
    toward = (volar + dorsal)[:2] / 2 - centre[:2]
    offset = points - centre[:2]
    cosine = offset @ toward / np.linalg.norm(toward) / np.maximum(np.linalg.norm(offset, axis=1), 1e-9)
    return fit_circle(points[cosine > 0.5])


def _notch_radius(radius: TriangleMesh, centre: Float, volar: Float, dorsal: Float) -> float:
    return notch_circle(radius, centre, volar, dorsal)[1]


def notch_circle(radius: TriangleMesh, centre: Float, volar: Float, dorsal: Float) -> tuple[Float, float]:
    """Centre (2,) and radius of the circle through the notch's section 3.5 mm below its edges; infinite where flat.

    The notch is what the section's convex hull bridges between the notch's edges, on the side of the ulnar head.
    """
    nowhere = np.full(2, np.nan)
    points = section_segments(radius, float((volar + dorsal)[2] / 2 - NOTCH_DEPTH_MM)).reshape(-1, 2)
    if len(points) < 8:
        return nowhere, float("nan")
    chord, middle = (volar - dorsal)[:2], (volar + dorsal)[:2] / 2
    toward = np.array([chord[1], -chord[0]]) / np.linalg.norm(chord)
    toward *= np.sign(toward @ (centre[:2] - middle))
    hull = points[ConvexHull(points).vertices]  # counter-clockwise
    bridge = np.roll(hull, -1, axis=0) - hull
    span = np.linalg.norm(bridge, axis=1)
    outward = np.column_stack([bridge[:, 1], -bridge[:, 0]]) / np.maximum(span, 1e-9)[:, None]
    # Longer hollows lie beside it: the grooves of the tendons on the dorsal side, whose bridges end at the same corner.
    beside = np.abs((hull + bridge / 2 - middle) @ chord) / (chord @ chord)
    spanned = np.where((outward @ toward > 0.6) & (beside < 0.5), span, 0.0)
    best = int(np.argmax(spanned))
    if spanned[best] < NARROWEST_NOTCH_MM:
        return nowhere, float("inf")
    offset = points - hull[best]
    along, depth = offset @ bridge[best] / span[best] ** 2, -(offset @ outward[best])
    arc = points[(along > 0.1) & (along < 0.9) & (depth < span[best] / 2)]
    middle, size = fit_circle(arc)
    is_hollow = (middle - arc.mean(axis=0)) @ outward[best] > 0
    return (middle, size) if is_hollow else (nowhere, float("inf"))


def _head_offset(ulna: TriangleMesh, centre: Float) -> float:
    try:
        axis = fit_shaft_axis(ulna)
    except InputError:
        return float("nan")
    offset = centre - axis.point
    return float(np.linalg.norm(offset - (offset @ axis.direction) * axis.direction))


def palmar_cortical_angle_deg(radius: TriangleMesh, x_mm: float) -> float:
    """Angle (deg) of the palmar outline at x = ``x_mm`` between the shaft (z -38..-22) and the flare (-14..-6).

    NaN where the outline is met over less than 4 mm of either.
    """
    turned = TriangleMesh(radius.vertices[:, [1, 2, 0]], radius.faces)
    outline = section_segments(turned, x_mm)  # (y, z)
    slopes = []
    for low, high in ((-38.0, -22.0), (-14.0, -6.0)):
        heights = np.arange(low, high + 1e-9, 0.5)
        palmar = outermost(outline, heights)
        met = np.isfinite(palmar)
        if met.sum() < 8:
            return float("nan")
        slopes.append(np.arctan(np.polyfit(heights[met], palmar[met], 1)[0]))
    return float(180 - np.rad2deg(slopes[1] - slopes[0]))


def outermost(outline: Float, heights: Float) -> Float:
    """(H,) the largest y at each of ``heights`` (H,) of an outline of segments (S, 2, 2) of (y, z); NaN where none."""
    (y0, z0), (y1, z1) = outline[:, 0].T[:, :, None], outline[:, 1].T[:, :, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (heights - z0) / (z1 - z0)
    y = np.where((share >= 0) & (share <= 1), y0 + share * (y1 - y0), -np.inf).max(axis=0, initial=-np.inf)
    return np.where(np.isfinite(y), y, np.nan)


def _angle_deg(rise: float, run: float) -> float:
    return float(np.rad2deg(np.arctan2(rise, run)))
