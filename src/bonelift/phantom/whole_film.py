"""A film of a virtual patient as a clinic's is: the whole wrist in a field of its own, not cut out yet."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bonelift.geometry.camera import mirrored_camera
from bonelift.images import Radiograph, Side, View
from bonelift.images.reading import OBJECT_TO_DETECTOR_MM
from bonelift.phantom.patient import VirtualPatient
from bonelift.phantom.xray import draw_settings, expose
from bonelift.phantom.xray_geometry import FILM_SPREAD, draw_geometry


def simulated_film(
    patient: VirtualPatient, rng: np.random.Generator, view: View, side: Side
) -> tuple[Radiograph, NDArray[np.float64]]:
    """A film, and the pose camera_from_radius (4, 4) of the right wrist that it shows or mirrors."""
    geometry = draw_geometry(rng, view, (1300, 1000), 0.18, replace(FILM_SPREAD, shift_mm=15.0))
    settings = draw_settings(rng, field_half_size=(0.35, 0.7), field_centre=geometry.origin_fraction)
    pixels = expose(patient.body, geometry.camera, geometry.camera_from_radius, rng, settings)
    camera = geometry.camera
    if side == "left":
        camera = mirrored_camera(camera)
        pixels = np.ascontiguousarray(pixels[:, ::-1])
    radiograph = Radiograph(pixels, camera, side, view, camera.sdd_mm - OBJECT_TO_DETECTOR_MM)
    return radiograph, geometry.camera_from_radius
