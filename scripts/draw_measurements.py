"""A drawing of each measurement, from the bones of a virtual patient: docs/images/measurements/KEY.png.

python scripts/draw_measurements.py

Every point and line is what the code measures with; the number in the drawing is what it measures there.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray

from bonelift.anatomy import film_measurements as on_film
from bonelift.anatomy.film_measurements import FilmProjection, measure_lateral_film, measure_pa_film
from bonelift.anatomy.frame import fit_shaft_axis, section_segments
from bonelift.anatomy.landmarks import cap_mean
from bonelift.anatomy.measurement_facts import MEASUREMENTS
from bonelift.anatomy.measurements import (
    HEAD_BELOW_STYLOID_MM,
    NOTCH_DEPTH_MM,
    head_circle,
    measure,
    notch_circle,
    outermost,
    top_height,
    ulnar_dome,
    ulnar_head_centre,
)
from bonelift.anatomy.shape_model import load_shape_model, sample_wrist
from bonelift.geometry import rotation_about_axis
from bonelift.surface.mesh import TriangleMesh

matplotlib.use("agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.patches import Circle

Float = NDArray[np.float64]

LINE, HELP, POINT = "#1587b8", "#8a8f98", "#d0692a"
ARROW = {"arrowstyle": "<->", "color": LINE, "lw": 1.6, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 8}
BONE = {"radius": (0.86, 0.83, 0.76), "ulna": (0.76, 0.81, 0.84)}
LATERAL_SUPINATED_DEG = 12.0
"""The lateral is drawn of a wrist supinated so far from the radius frame's own lateral, as usual films show it."""


class Wrist:
    """A virtual patient's wrist and all that is drawn of it."""

    def __init__(self, seed: int) -> None:
        drawn = sample_wrist(load_shape_model(), np.random.default_rng(seed))
        self.marks = dict(drawn.landmarks)
        self.bones = {"radius": drawn.radius, "ulna": drawn.ulna}
        self.values = asdict(measure(self.bones["radius"], self.bones["ulna"], self.marks))
        self.tip, self.volar, self.dorsal = (
            self.marks[n] for n in ("radial_styloid_tip", "sigmoid_notch_volar", "sigmoid_notch_dorsal")
        )
        self.reference = (self.volar + self.dorsal) / 2
        self.head = ulnar_head_centre(self.bones["ulna"], self.marks["ulnar_styloid_tip"])
        dome = ulnar_dome(self.bones["ulna"], self.marks["ulnar_styloid_tip"], self.head)
        self.film_values: dict[str, float] = {}
        self.dome_z = top_height(dome[:, 2])


def bone_picture(panel: Axes, name: str, mesh: TriangleMesh, flat: Callable[[Float], Float], depth: Float) -> None:
    """Shaded triangles, far ones first. flat: (V, 3) -> (V, 2) of the drawing; depth: (V,), large is near."""
    order = np.argsort(depth[mesh.faces].mean(axis=1))
    corners = flat(mesh.vertices)[mesh.faces[order]]
    edge = mesh.vertices[mesh.faces[order]]
    normal = np.cross(edge[:, 1] - edge[:, 0], edge[:, 2] - edge[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    light = 0.68 + 0.32 * np.abs(normal @ np.array([0.45, 0.5, 0.74]))
    colours = np.clip(np.array(BONE[name])[None] * light[:, None], 0, 1)
    panel.add_collection(PolyCollection(corners, facecolors=colours, edgecolors=colours, linewidths=0.3))


def line(panel: Axes, *points: Float, colour: str = LINE, style: str = "-", width: float = 1.8) -> None:
    panel.plot(*np.array(points).T, style, color=colour, lw=width)


def dots(panel: Axes, *points: Float) -> None:
    panel.plot(*np.array(points).T, "o", color=POINT, ms=5, mec="white", mew=0.8)


def angle(panel: Axes, start: Float, end: Float) -> None:
    """The line of an angle, and the perpendicular of the shaft (level) from ``end``."""
    line(panel, start, end)
    line(panel, end, np.array([start[0], end[1]]), colour=HELP, style="--", width=1.2)
    dots(panel, start, end)


def height(panel: Axes, at: float, low: float, high: float, left: float, right: float) -> None:
    """A distance along the shaft between two levels."""
    for level in (low, high):
        line(panel, np.array([left, level]), np.array([right, level]), colour=HELP, style="--", width=1.2)
    panel.annotate("", (at, high), (at, low), arrowprops=ARROW)


def width(panel: Axes, at: float, left: float, right: float) -> None:
    panel.annotate("", (right, at), (left, at), arrowprops=ARROW)


def coronal(wrist: Wrist, key: str, panel: Axes) -> None:
    """x to the right, z up: as seen from the back of the hand."""
    for name, mesh in wrist.bones.items():
        bone_picture(panel, name, mesh, lambda v: v[:, [0, 2]], -mesh.vertices[:, 1])
    panel.set(xlim=(-24, 38), ylim=(-40, 16))
    tip, reference = wrist.tip[[0, 2]], wrist.reference[[0, 2]]
    line(panel, np.array([0.0, -40]), np.array([0.0, 14]), colour=HELP, style=":", width=1.2)
    if key.startswith("radial_inclination"):
        angle(panel, tip, reference)
    elif key.startswith("radial_height"):
        height(panel, -19, reference[1], tip[1], -22, 18)
        dots(panel, tip, reference)
    elif key.startswith("ulnar_variance"):
        height(panel, 33, reference[1], wrist.dome_z, 8, 36)
        dots(panel, reference)
    else:
        width(panel, -8, tip[0], wrist.volar[0])
        for point in (tip, wrist.volar[[0, 2]]):
            line(panel, point, np.array([point[0], -8]), colour=HELP, style="--", width=1.2)
        dots(panel, tip, wrist.volar[[0, 2]])


def sagittal(wrist: Wrist, key: str, panel: Axes) -> None:
    """y (palmar) to the right, z up."""
    bone_picture(panel, "radius", wrist.bones["radius"], lambda v: v[:, [1, 2]], wrist.bones["radius"].vertices[:, 0])
    panel.set(xlim=(-26, 26), ylim=(-32, 15))
    palmar, dorsal = wrist.marks["volar_rim"][[1, 2]], wrist.marks["dorsal_rim"][[1, 2]]
    line(panel, np.array([0.0, -32]), np.array([0.0, 13]), colour=HELP, style=":", width=1.2)
    if key.startswith("palmar_tilt"):
        angle(panel, dorsal, palmar)
    else:
        width(panel, -10, dorsal[0], palmar[0])
        for point in (palmar, dorsal):
            line(panel, point, np.array([point[0], -10]), colour=HELP, style="--", width=1.2)
        dots(panel, palmar, dorsal)


def cortical(wrist: Wrist, key: str, panel: Axes) -> None:
    """The sagittal section and the two lines that are laid on its palmar side."""
    share = 0.58 if "medial" in key else 0.25
    x = wrist.tip[0] + share * (wrist.volar[0] - wrist.tip[0])
    radius = wrist.bones["radius"]
    outline = section_segments(TriangleMesh(radius.vertices[:, [1, 2, 0]], radius.faces), x)
    for segment in outline:
        line(panel, *segment, colour="#55504a", width=1.4)
    panel.set(xlim=(-24, 26), ylim=(-42, 8))
    for low, high in ((-38.0, -22.0), (-14.0, -6.0)):
        heights = np.arange(low, high + 1e-9, 0.5)
        slope, at = np.polyfit(heights, outermost(outline, heights), 1)
        ends = np.array([low - 6, high + 6])
        line(panel, *np.column_stack([slope * ends + at, ends]))


def axial(wrist: Wrist, key: str, panel: Axes) -> None:
    """A cross-section seen from the fingers' side: x to the right, palmar up."""
    styloid = wrist.marks["ulnar_styloid_tip"]
    heights = {
        "ulnar_head_diameter_3d": wrist.head[2] + 1.0,
        "ulnar_head_radius_3d": wrist.head[2] + 1.5,
        "sigmoid_notch_radius_3d": wrist.reference[2] - NOTCH_DEPTH_MM,
        "ulnar_head_offset_3d": styloid[2] - HEAD_BELOW_STYLOID_MM,
    }
    sections = {name: section_segments(mesh, float(heights[key])) for name, mesh in wrist.bones.items()}
    for segments in sections.values():
        for segment in segments:
            line(panel, *segment, colour="#55504a", width=1.4)
    panel.set(xlim=(-18, 36), ylim=(-24, 20))
    if key == "ulnar_head_diameter_3d":
        points = sections["ulna"].reshape(-1, 2)
        turns = np.deg2rad(np.arange(0, 180, 0.5))
        directions = np.column_stack([np.cos(turns), np.sin(turns)])
        best = directions[np.ptp(points @ directions.T, axis=0).argmin()]
        ends = [points[(points @ best).argmin()], points[(points @ best).argmax()]]
        across = np.array([-best[1], best[0]])
        for end in ends:
            line(panel, end - 9 * across, end + 9 * across, colour=HELP, style="--", width=1.2)
        line(panel, ends[0], ends[0] + best * float((ends[1] - ends[0]) @ best))
    elif key == "ulnar_head_radius_3d":
        circle(panel, *head_circle(wrist.bones["ulna"], wrist.head, wrist.volar, wrist.dorsal))
    elif key == "sigmoid_notch_radius_3d":
        circle(panel, *notch_circle(wrist.bones["radius"], wrist.head, wrist.volar, wrist.dorsal))
    else:
        axis = fit_shaft_axis(wrist.bones["ulna"])
        at = axis.point + axis.direction * ((wrist.head[2] - axis.point[2]) / axis.direction[2])
        line(panel, at[:2], wrist.head[:2])
        dots(panel, at[:2], wrist.head[:2])


def circle(panel: Axes, middle: Float, size: float) -> None:
    panel.add_patch(Circle((middle[0], middle[1]), size, fill=False, color=LINE, lw=1.8))
    line(panel, middle, middle + np.array([-size, 0]), width=1.4)
    dots(panel, middle)


def film(wrist: Wrist, key: str, panel: Axes) -> None:
    """What a film shows: across and along the radius's axis, mm on the detector."""
    facts = MEASUREMENTS[key]
    pose = np.eye(4)
    axes = {"pa": [[1, 0, 0], [0, 0, -1], [0, 1, 0]], "lateral": [[0, -1, 0], [0, 0, -1], [1, 0, 0]]}
    turn = LATERAL_SUPINATED_DEG if facts.view == "lateral" else 0.0
    pose[:3, :3] = np.array(axes[facts.view or "pa"]) @ rotation_about_axis([0, 0, 1], np.deg2rad(turn))[:3, :3]
    pose[2, 3] = 970.0
    projection = FilmProjection(pose, pose, 1000.0, facts.view or "pa")
    panel.set_facecolor("#1c1f24")
    for mesh in wrist.bones.values():
        shown = projection.radius_mm(mesh.vertices)[mesh.faces]
        panel.add_collection(PolyCollection(shown, facecolors="white", edgecolors="none", alpha=0.09))
    wrist.film_values = asdict(
        measure_pa_film(wrist.bones["radius"], wrist.bones["ulna"], wrist.marks, projection)
        if facts.view == "pa"
        else measure_lateral_film(wrist.bones["radius"], wrist.marks, projection)
    )
    (film_pa if facts.view == "pa" else film_lateral)(wrist, key, panel, projection)


def film_pa(wrist: Wrist, key: str, panel: Axes, projection: FilmProjection) -> None:
    low = projection.radius_mm(np.zeros((1, 3)))[0, 1]
    panel.set(xlim=(-24, 40), ylim=(low - 40, low + 16))
    found = measure_pa_film(wrist.bones["radius"], wrist.bones["ulna"], wrist.marks, projection)
    reference = projection.radius_mm(np.stack([wrist.volar, wrist.dorsal])).mean(axis=0)
    shown = projection.radius_mm(wrist.bones["radius"].vertices)
    tip = reference + np.array([-found.radial_height_mm / np.tan(np.deg2rad(found.radial_inclination_deg)), 0])
    tip[1] += found.radial_height_mm
    line(panel, np.array([0.0, low - 40]), np.array([0.0, low + 14]), colour=HELP, style=":", width=1.2)
    if key.startswith("radial_inclination"):
        angle(panel, tip, reference)
    elif key.startswith("radial_height"):
        height(panel, -19, reference[1], tip[1], -22, 18)
        dots(panel, tip, reference)
    elif key.startswith("ulnar_variance"):
        height(panel, 34, reference[1], reference[1] + found.ulnar_variance_mm, 8, 38)
        dots(panel, reference)
    else:
        near = shown[shown[:, 1] > tip[1] - on_film.WIDTH_WITHIN_MM]
        level = tip[1] - on_film.WIDTH_WITHIN_MM
        width(panel, level, near[:, 0].min(), near[:, 0].max())
        for x in (near[:, 0].min(), near[:, 0].max()):
            line(panel, np.array([x, level - 3]), np.array([x, level + 18]), colour=HELP, style="--", width=1.2)


def film_lateral(wrist: Wrist, key: str, panel: Axes, projection: FilmProjection) -> None:
    low = projection.radius_mm(np.zeros((1, 3)))[0, 1]
    panel.set(xlim=(-28, 28), ylim=(low - 32, low + 18))
    rims = {which: projection.radius_mm(on_film.rim(wrist.bones["radius"], wrist.marks, which)) for which in
            ("volar", "dorsal")}  # fmt: skip
    palmar, dorsal = cap_mean(rims["volar"], (1.0, 0.0)), cap_mean(rims["dorsal"], (-1.0, 0.0))
    for rim in rims.values():
        line(panel, *rim, colour="#e0a458", width=1.0)
    line(panel, np.array([0.0, low - 32]), np.array([0.0, low + 16]), colour=HELP, style=":", width=1.2)
    if key.startswith("palmar_tilt"):
        angle(panel, dorsal, palmar)
    else:
        level = low - 10
        width(panel, level, dorsal[0], palmar[0])
        for point in (palmar, dorsal):
            line(panel, point, np.array([point[0], level]), colour=HELP, style="--", width=1.2)
        dots(panel, palmar, dorsal)


DRAWN: Mapping[str, tuple[Callable[[Wrist, str, Axes], None], str]] = {
    "radial_inclination_3d": (coronal, "from the back of the hand"),
    "radial_height_3d": (coronal, "from the back of the hand"),
    "ulnar_variance_3d": (coronal, "from the back of the hand"),
    "radius_width_styloid_to_notch_3d": (coronal, "from the back of the hand"),
    "palmar_tilt_3d": (sagittal, "from the ulnar side; palm to the right"),
    "radius_depth_rim_to_rim_3d": (sagittal, "from the ulnar side; palm to the right"),
    "ulnar_head_diameter_3d": (axial, "cross-section; palm up, ulna to the right"),
    "ulnar_head_radius_3d": (axial, "cross-section; palm up, ulna to the right"),
    "sigmoid_notch_radius_3d": (axial, "cross-section; palm up, ulna to the right"),
    "ulnar_head_offset_3d": (axial, "cross-section; palm up, ulna to the right"),
    "palmar_cortical_angle_medial_3d": (cortical, "sagittal section; palm to the right"),
    "palmar_cortical_angle_lateral_3d": (cortical, "sagittal section; palm to the right"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/images/measurements"))
    parser.add_argument("--seed", type=int, default=982_000)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    wrist = Wrist(arguments.seed)
    for key, facts in MEASUREMENTS.items():
        draw, seen = DRAWN.get(key, (film, "PA film" if facts.view == "pa" else "lateral film; palm to the right"))
        figure, panel = plt.subplots(figsize=(4.2, 3.8), layout="constrained")
        draw(wrist, key, panel)
        panel.set_aspect("equal")
        panel.set(xticks=[], yticks=[])
        value = (wrist.film_values if facts.kind == "film" else wrist.values)[facts.field]
        panel.set_title(f"{facts.name}: {value:.1f} {facts.unit}", fontsize=11)
        panel.set_xlabel(seen, fontsize=9)
        figure.savefig(arguments.out / f"{key}.png", dpi=100, pil_kwargs={"optimize": True})
        plt.close(figure)


if __name__ == "__main__":
    main()
