"""Each 3D measurement of anatomical bones against a second computation that shares no code with the first."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from bonelift.anatomy.measurements import measure
from bonelift.anatomy.shape_model import load_shape_model, sample_wrist
from builders.independent_measurements import independent_measurements

TOLERANCES = {
    # Between the same points: rounding alone.
    "radial_inclination_deg": 1e-6,
    "palmar_tilt_deg": 1e-6,
    "radial_height_mm": 1e-6,
    "radius_width_mm": 1e-6,
    "radius_depth_mm": 1e-6,
    # The highest of 20000 points and the mean of the three highest vertices, some 1 mm apart on a dome that may end in
    # an edge: 0.3 mm.
    "ulnar_variance_mm": 0.3,
    # Callipers every half degree: a quarter off at most, on jaws whose points of touch lie up to 5 mm apart: 0.02 mm.
    "ulnar_head_diameter_mm": 0.03,
    # Algebraic and geometric circles of 120 degrees of an outline that is round to some 0.2 mm.
    "ulnar_head_radius_mm": 0.5,
    # As above, and the line through 8 centroids.
    "ulnar_head_offset_mm": 0.25,
    # Lines through heights 0.5 mm apart, ends included, and 0.25 mm apart, ends left out, where the cortex bends.
    "palmar_cortical_angle_medial_deg": 1.5,
    "palmar_cortical_angle_lateral_deg": 1.5,
}


@pytest.fixture(scope="module", params=[983_000, 983_001, 983_002, 983_003])
def pair(request) -> tuple[dict[str, float], dict[str, float]]:
    wrist = sample_wrist(load_shape_model(), np.random.default_rng(request.param))
    parts = (wrist.radius, wrist.ulna, wrist.landmarks)
    return asdict(measure(*parts)), independent_measurements(*parts)


@pytest.mark.parametrize("name", list(TOLERANCES))
def test_two_computations_agree(pair, name):
    ours, other = pair
    assert ours[name] == pytest.approx(other[name], abs=TOLERANCES[name])


def test_both_see_the_same_notch(pair):
    """The radius of a shallow arc: 0.1 mm of its depth of some 1 mm are a tenth of the curvature."""
    ours, other = (values["sigmoid_notch_radius_mm"] for values in pair)
    assert 1 / ours == pytest.approx(1 / other, abs=0.012)
