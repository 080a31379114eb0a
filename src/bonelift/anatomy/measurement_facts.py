"""What is measured: for each number its one name, its unit, what it means, who defined it, and what is normal.

A measurement is either *3D* (on the bones, in the radius frame) or *film* (in the plane of one film, of the bones as
they lay before the X-ray); its name says which, so that no name stands for two values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["3D", "film"]
Unit = Literal["mm", "deg"]


@dataclass(frozen=True)
class NormalRange:
    """What healthy adults have. low, high: in the measurement's unit; source: publication, subjects, and how the range
    was made of its numbers."""

    low: float
    high: float
    source: str

    @classmethod
    def of_mean(cls, mean: float, deviation: float, source: str) -> NormalRange:
        """Mean +- 2 standard deviations: about 95 in 100 healthy adults."""
        low, high = round(mean - 2 * deviation, 1), round(mean + 2 * deviation, 1)
        return cls(low, high, f"{source}: {mean:g} ± {deviation:g}, range here ± 2 SD")


@dataclass(frozen=True)
class MeasurementFacts:
    """key: for programs ("palmar_tilt_3d"). name: for people. view: film of a "film" measurement ("pa", "lateral").
    field: where the measuring dataclass holds it. definition: one or two sentences. source: of the definition.
    normal: None where no published range of the same definition is known, and then ``no_range`` says what there is."""

    key: str
    name: str
    unit: Unit
    kind: Kind
    view: str | None
    field: str
    definition: str
    source: str
    normal: NormalRange | None = None
    no_range: str = ""


_MANN = "Mann, Wilson, Gilula 1992, Radiology 184:15-24"
_MEDOFF = "Medoff 2005, Hand Clin 21:279-288 (central reference point)"
_PALMER = "Palmer, Glisson, Werner 1982, J Hand Surg Am 7:376 (perpendiculars)"
_CT_PAIRS = "J Hand Surg Am 2019, bilateral symmetry of the distal radii, CT of 37 pairs of male cadaver arms"
_DRUJ = "Daneshvar, Willing, King 2014, Am Soc Peripheral Nerve, CT of 70 cadaver forearms"
_FURRER = "Furrer et al. 2022, BMC Musculoskelet Disord 23, CT of 40 adults"
_OPPERMANN = "Oppermann et al. 2015, Arch Orthop Trauma Surg 135:133-139, 49 cadaver radii"
_SCHUIND = "Schuind et al. 1992, J Bone Joint Surg Am 74:1418-1429, PA films of 120 adults"
_HADI = "Hadi, Wijiono 2013, Med J Indones 22:173-177, films of 400 adult wrists"

_ALL = (
    MeasurementFacts(
        "radial_inclination_3d", "radial inclination (3D)", "deg", "3D", None, "radial_inclination_deg",
        "In the coronal plane of the radius: the line from the tip of the radial styloid to the central reference "
        "point, against the perpendicular of the shaft. The central reference point lies midway between the volar and "
        "dorsal edges of the sigmoid notch.",
        f"{_MANN}; {_MEDOFF}",
        NormalRange.of_mean(24.1, 3.0, _CT_PAIRS),
    ),
    MeasurementFacts(
        "palmar_tilt_3d", "palmar tilt (3D)", "deg", "3D", None, "palmar_tilt_deg",
        "In the sagittal plane of the radius: the line from the dorsal to the volar rim of the lunate facet, against "
        "the perpendicular of the shaft. It is positive where the joint faces palmar.",
        _MANN,
        NormalRange.of_mean(10.8, 3.5, _CT_PAIRS),
    ),
    MeasurementFacts(
        "radial_height_3d", "radial height (3D)", "mm", "3D", None, "radial_height_mm",
        "The tip of the radial styloid above the central reference point, along the shaft.",
        f"{_MANN}; {_MEDOFF}",
        NormalRange.of_mean(12.8, 1.7, _CT_PAIRS),
    ),
    MeasurementFacts(
        "ulnar_variance_3d", "ulnar variance (3D)", "mm", "3D", None, "ulnar_variance_mm",
        "The distal surface of the ulnar head, without its styloid, above the central reference point, along the "
        "shaft of the radius. It is positive where the ulna is longer.",
        f"{_PALMER}; {_MEDOFF}",
        NormalRange.of_mean(-0.9, 1.8, _DRUJ),
    ),
    MeasurementFacts(
        "radius_width_styloid_to_notch_3d", "radius width, styloid to notch (3D)", "mm", "3D", None,
        "radius_width_mm",
        "From the tip of the radial styloid to the volar edge of the sigmoid notch, across the shaft.",
        "this project: the reference line of Shiode et al. 2021, Methods",
        no_range="no published range of this definition is known to us",
    ),
    MeasurementFacts(
        "radius_depth_rim_to_rim_3d", "radius depth, rim to rim (3D)", "mm", "3D", None, "radius_depth_mm",
        "From the dorsal to the volar rim of the lunate facet, in the palmar direction.",
        "Medoff 2005, Hand Clin 21:279-288 (AP distance), in 3D",
        no_range="no published range of this definition is known to us",
    ),
    MeasurementFacts(
        "ulnar_head_diameter_3d", "ulnar head diameter (3D)", "mm", "3D", None, "ulnar_head_diameter_mm",
        "The least width of the cross-section of the ulnar head, as callipers would find it, 8 mm below the tip of the "
        "ulnar styloid.",
        "this project; Furrer et al. 2022 fit a cylinder to the head instead",
        NormalRange.of_mean(15.8, 1.5, _FURRER),
    ),
    MeasurementFacts(
        "ulnar_head_radius_3d", "ulnar head radius at the joint (3D)", "mm", "3D", None, "ulnar_head_radius_mm",
        "Radius of the circle through the part of the head's cross-section that faces the sigmoid notch, 7.5 mm below "
        "the tip of the ulnar styloid.",
        "Daneshvar, Willing, King 2014 (radius of curvature in the axial plane)",
        NormalRange.of_mean(8.2, 1.3, _DRUJ),
    ),
    MeasurementFacts(
        "sigmoid_notch_radius_3d", "sigmoid notch radius (3D)", "mm", "3D", None, "sigmoid_notch_radius_mm",
        "Radius of the circle through the hollow of the sigmoid notch, in the cross-section 3.5 mm below its edges. A "
        "flat notch has none.",
        "Daneshvar, Willing, King 2014 (radius of curvature in the axial plane)",
        NormalRange.of_mean(18.2, 8.5, _DRUJ),
    ),
    MeasurementFacts(
        "ulnar_head_offset_3d", "ulnar head offset (3D)", "mm", "3D", None, "ulnar_head_offset_mm",
        "Distance of the centre of the ulnar head from the axis of the ulna's shaft.",
        "Furrer et al. 2022 (axis of the medullary canal; here of the outer surface)",
        NormalRange.of_mean(3.9, 0.8, _FURRER),
    ),
    MeasurementFacts(
        "palmar_cortical_angle_medial_3d", "palmar cortical angle, medial (3D)", "deg", "3D", None,
        "palmar_cortical_angle_medial_deg",
        "Angle between the palmar cortex of the shaft and of the flaring metaphysis, in the sagittal plane at 58 % of "
        "the width from the styloid (intermediate column). 180 is straight.",
        "Oppermann et al. 2015",
        NormalRange.of_mean(148.3, 6.8, _OPPERMANN),
    ),
    MeasurementFacts(
        "palmar_cortical_angle_lateral_3d", "palmar cortical angle, lateral (3D)", "deg", "3D", None,
        "palmar_cortical_angle_lateral_deg",
        "The same angle in the sagittal plane at 25 % of the width from the styloid (lateral column).",
        "Oppermann et al. 2015",
        NormalRange.of_mean(156.1, 7.0, _OPPERMANN),
    ),
    MeasurementFacts(
        "radial_inclination_pa_film", "radial inclination (PA film)", "deg", "film", "pa", "radial_inclination_deg",
        "On the film: the line from the tip of the radial styloid to the central reference point, against the "
        "perpendicular of the radius's long axis.",
        f"{_MANN}; {_MEDOFF}",
        NormalRange(19.0, 29.0, f"{_SCHUIND}: mean 24, range 19 to 29"),
    ),
    MeasurementFacts(
        "radial_height_pa_film", "radial height (PA film)", "mm", "film", "pa", "radial_height_mm",
        "On the film: the tip of the radial styloid above the central reference point, along the long axis. "
        "Millimetres on the detector: magnification is not taken out.",
        f"{_MANN}; {_MEDOFF}",
        NormalRange.of_mean(11.3, 1.7, _HADI),
    ),
    MeasurementFacts(
        "ulnar_variance_pa_film", "ulnar variance (PA film)", "mm", "film", "pa", "ulnar_variance_mm",
        "On the film: the most distal edge of the ulnar head, without its styloid, above the central reference point, "
        "along the radius's long axis. It is positive where the ulna is longer. Millimetres on the detector.",
        f"{_PALMER}; {_MEDOFF}",
        NormalRange(-4.2, 2.3, f"{_SCHUIND}: mean -0.9, normal range -4.2 to 2.3"),
    ),
    MeasurementFacts(
        "radius_width_pa_film", "radius width (PA film)", "mm", "film", "pa", "radius_width_mm",
        "On the film: the extent of the radius across its long axis, within 15 mm of the tip of the styloid. "
        "Millimetres on the detector.",
        "this project",
        no_range="no published range of this definition is known to us",
    ),
    MeasurementFacts(
        "palmar_tilt_lateral_film", "palmar tilt (lateral film)", "deg", "film", "lateral", "palmar_tilt_deg",
        "On the film: the line from the outermost point of the dorsal rim of the joint to that of the palmar rim, the "
        "radial styloid left out, against the perpendicular of the radius's long axis. It is positive where the joint "
        "faces palmar.",
        _MANN,
        NormalRange.of_mean(13.8, 4.4, _HADI),
    ),
    MeasurementFacts(
        "radius_depth_lateral_film", "radius depth (lateral film)", "mm", "film", "lateral", "radius_depth_mm",
        "On the film: from the outermost point of the dorsal rim of the joint to that of the palmar rim, across the "
        "long axis. Millimetres on the detector.",
        "Medoff 2005, Hand Clin 21:279-288 (AP distance)",
        no_range="no published range of this definition is known to us",
    ),
)  # fmt: skip

MEASUREMENTS: Mapping[str, MeasurementFacts] = {facts.key: facts for facts in _ALL}
"""key -> facts, in the order in which they are shown: 3D, then film."""


def facts_of(kind: Kind, view: str | None = None) -> tuple[MeasurementFacts, ...]:
    """The measurements of one kind, of one view."""
    return tuple(facts for facts in _ALL if facts.kind == kind and facts.view == view)
