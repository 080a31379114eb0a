"""What is drawn is what is measured: lengths and angles of the lines are the numbers."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from bonelift.anatomy.landmarks import find_landmarks
from bonelift.anatomy.measurement_lines import measurement_lines
from bonelift.anatomy.measurements import measure
from bonelift.anatomy.shape_model import load_shape_model
from bonelift.reconstruction.demo_case import load_demo_case

CORONAL, SAGITTAL = [0, 2], [1, 2]


def angle_deg(points: np.ndarray, plane: list[int]) -> float:
    """At the middle of three points, in a plane."""
    first, second = (points[[0, 2]] - points[1])[:, plane]
    cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
    return float(np.rad2deg(np.arccos(cosine)))


def test_lengths_and_angles_of_the_lines_are_the_measurements() -> None:
    radius, ulna = (load_demo_case().truth[name] for name in ("radius", "ulna"))
    landmarks = find_landmarks(radius, ulna, load_shape_model().landmarks)
    values = asdict(measure(radius, ulna, landmarks))
    lines = measurement_lines(radius, ulna, landmarks)
    drawn = {
        "radial_inclination_deg": angle_deg(lines["radial_inclination_deg"][0].points, CORONAL),
        "palmar_tilt_deg": angle_deg(lines["palmar_tilt_deg"][0].points, SAGITTAL),
        "radial_height_mm": np.linalg.norm(np.diff(lines["radial_height_mm"][0].points, axis=0)),
        "ulnar_variance_mm": np.linalg.norm(np.diff(lines["ulnar_variance_mm"][1].points, axis=0)),
        "radius_width_mm": np.linalg.norm(np.diff(lines["radius_width_mm"][0].points, axis=0)),
        "radius_depth_mm": np.linalg.norm(np.diff(lines["radius_depth_mm"][0].points, axis=0)),
    }
    assert drawn.keys() == lines.keys()
    for field, value in drawn.items():  # signs are not drawn
        np.testing.assert_allclose(value, abs(values[field]), rtol=1e-9)
