"""A report of two balls on a made-up film: everything that a page shows, in a second, without a network."""

from __future__ import annotations

import numpy as np
import trimesh

from bonelift.anatomy.shape_uncertainty import ExpectedDistance
from bonelift.geometry import default_film_camera, translation
from bonelift.report.content import Fact, Flag, Measurement, ReportContent, ReportFilm, TruthComparison
from bonelift.surface.distance import surface_distances
from bonelift.surface.mesh import TriangleMesh


def ball(radius_mm: float, centre, subdivisions: int = 3) -> TriangleMesh:
    sphere = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius_mm)
    return TriangleMesh(np.asarray(sphere.vertices) + centre, np.asarray(sphere.faces))


def two_balls() -> dict[str, TriangleMesh]:
    """Radius frame (canonical right): the ulna is a smaller ball on the ulnar (+X) side."""
    return {"radius": ball(10.0, (0, 0, -12)), "ulna": ball(6.0, (20, 0, -14))}


def film_of_balls() -> ReportFilm:
    """A film of 120 x 150 px, 0.5 mm, on which the ulna stands to the right of the radius."""
    camera = default_film_camera(120, 150, 0.5)
    radius_axes = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    camera_from_radius = translation([-8, -12, 950]) @ radius_axes
    pixels = np.linspace(0, 4000, 120 * 150).reshape(150, 120)
    placed = {name: mesh.transformed(camera_from_radius) for name, mesh in two_balls().items()}
    drr = np.outer(np.arange(160.0), np.ones(128)) / 100
    return ReportFilm("pa", pixels, camera, 950.0, placed, drr, world_from_radius=camera_from_radius)


def full_content() -> ReportContent:
    """One of everything, the truth included."""
    bones = two_balls()
    distances = {name: surface_distances(mesh, ball(9.0, (0, 0, -12), 2)) for name, mesh in bones.items()}
    return ReportContent(
        title="Right wrist, PA view",
        side="right",
        films=(film_of_balls(),),
        bones=bones,
        facts=(Fact("Pixel spacing", "0.500 mm", "ImagerPixelSpacing (0018,1164)"),),
        measurements=(Measurement("palmar tilt", -10.83, "deg", 11.5), Measurement("ulnar variance", 1.0, "mm")),
        flags=(Flag("info", "the lesser remark"), Flag("warning", "a remark"), Flag("severe", "the graver remark")),
        quality_score=0.71,
        model_id="model-under-test",
        model_sha256="0123abcd" * 8,
        timings_s={"read": 0.12, "place": 1.5},
        truth=TruthComparison(bones, distances, distances, distances, distances),
        label="Case 12",
        settings={"seed": 0},
        expected={name: ExpectedDistance(0.7, 0.5) for name in bones},
    )
