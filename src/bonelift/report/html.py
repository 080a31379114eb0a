"""The report page: one HTML file that needs nothing else, holds no identity and makes no request."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from bonelift import RESEARCH_NOTICE, __version__
from bonelift.images.radiograph import Side
from bonelift.report.bone_views import VIEWS, anatomical, edge_words, view_name, view_picture
from bonelift.report.content import ReportContent, ReportFilm, TruthComparison
from bonelift.report.film_svg import outlines_svg
from bonelift.report.overlay import film_figure, film_outlines, gan_drr_picture
from bonelift.report.page import page_template
from bonelift.report.palette import (
    ERROR_STOPS,
    data_uri,
    error_colours,
    hex_colour,
    outline_colour,
    photo_uri,
    surface_colour,
)
from bonelift.report.words import (
    EXPECTED_WORDS,
    INTENDED_FOR,
    MEASUREMENT_KINDS,
    OVERLAY_WORDS,
    QUALITY_WORDS,
    STEP_WORDS,
    VIEW_NAMES,
    by_severity,
    expected_range,
    grave_flags,
    quantity,
)
from bonelift.surface.distance import SurfaceDistances, distance_to_surface
from bonelift.surface.mesh import TriangleMesh

_LARGEST_ERROR_MM = 3.0
_VIEW_PX_PER_MM = 7.0


def write_report(path: str | Path, content: ReportContent) -> None:
    """Write the page (UTF-8) to ``path``."""
    Path(path).write_text(render_report(content), encoding="utf-8")


def render_report(content: ReportContent) -> str:
    """The page as text. All text from outside is escaped; pictures and meshes are inside the page."""
    bones = {name: mesh for name, mesh in content.bones.items() if not mesh.is_empty}
    errors = _errors_mm(bones, content.truth)
    colours = {name: error_colours(values, _LARGEST_ERROR_MM) for name, values in errors.items()}
    return page_template("bonelift.report", "report.html.j2").render(
        content=content,
        flags=by_severity(content.flags),
        grave=grave_flags(content.flags),
        films=[_film_pictures(film, content.side) for film in content.films],
        views=_view_pictures(bones, content.side),
        scene=Markup(_scene_json(bones, content.side, colours)) if bones else None,
        truth=_truth_tables(content.truth),
        error_maps=_view_pictures(bones, content.side, colours) if errors else [],
        has_measured_truth=any(measurement.truth is not None for measurement in content.measurements),
        measurement_kinds=MEASUREMENT_KINDS,
        quantity=quantity,
        expected_range=expected_range,
        steps=[(step, STEP_WORDS.get(step, ""), seconds) for step, seconds in content.timings_s.items()],
        settings_json=json.dumps(content.settings, indent=1),
        bone_colours=[
            (name, hex_colour(outline_colour(name)), hex_colour(surface_colour(name))) for name in content.bones
        ],
        error_ramp=", ".join(hex_colour(stop) for stop in ERROR_STOPS),
        largest_error_mm=_LARGEST_ERROR_MM,
        intended_for=INTENDED_FOR,
        overlay_words=OVERLAY_WORDS,
        quality_words=QUALITY_WORDS,
        expected_words=EXPECTED_WORDS,
        notice=RESEARCH_NOTICE,
        version=__version__,
    )


def _film_pictures(film: ReportFilm, side: Side) -> dict[str, Any]:
    outlines = film_outlines(film)
    placed = any(outlines.values())
    name = VIEW_NAMES[film.view]
    found: dict[str, Any] = {"name": name, "flipped": film.flipped, "placed": placed, "close": None, "gan_drr": None}
    for key, close_up, longest_px in (("whole", False, 1000), *((("close", True, 1200),) if placed else ())):
        figure = film_figure(film, outlines, side, close_up=close_up, longest_px=longest_px)
        found[key] = {
            "uri": photo_uri(figure.picture),
            "size": figure.picture.size,
            "svg": outlines_svg(figure, "Outlines of the projected bones") if placed else "",
            "bar_percent": 1000 * figure.px_per_mm / figure.picture.width,
            "edges": figure.edges,
        }
    if film.gan_drr is not None:
        picture, largest, px_per_mm = gan_drr_picture(film.gan_drr, 800)
        found["gan_drr"] = {
            "uri": photo_uri(picture),
            "size": picture.size,
            "largest": largest,
            "bar_percent": 1000 * px_per_mm / picture.width,
        }
    return found


def _view_pictures(
    bones: Mapping[str, TriangleMesh], side: Side, colours: Mapping[str, NDArray[np.float64]] | None = None
) -> list[dict[str, Any]]:
    """Every side; the widths in px share a line out so that all have one scale."""
    found = []
    for view in VIEWS if bones else ():
        picture = view_picture(bones, side, view, _VIEW_PX_PER_MM, colours)
        found.append(
            {
                "name": view_name(view),
                "edges": edge_words(view, side),
                "size": picture.size,
                "uri": data_uri(picture),
                "bar_percent": 1000 * _VIEW_PX_PER_MM / picture.width,
            }
        )
    return found


def _errors_mm(bones: Mapping[str, TriangleMesh], truth: TruthComparison | None) -> dict[str, NDArray[np.float64]]:
    """name -> (V,) mm: distance of each reconstructed vertex from the true surface, as predicted (not aligned)."""
    if truth is None:
        return {}
    return {
        name: distance_to_surface(mesh.vertices, truth.bones[name])
        for name, mesh in bones.items()
        if name in truth.bones and not truth.bones[name].is_empty
    }


def _truth_tables(truth: TruthComparison | None) -> list[tuple[str, list[tuple[str, str, SurfaceDistances]]]]:
    """(heading, rows of (bone, what, distances)), as predicted and after alignment kept apart."""
    if truth is None:
        return []
    found = []
    for heading, reconstructed, mean_bone in (
        ("As predicted (same frame, nothing moved)", truth.as_predicted, truth.mean_bone),
        ("After rigid alignment of each bone", truth.after_rigid_alignment, truth.mean_bone_aligned),
    ):
        rows = []
        for name, distances in reconstructed.items():
            rows.append((name, "this reconstruction", distances))
            if name in mean_bone:
                rows.append((name, "no skill: mean bone", mean_bone[name]))
        found.append((heading, rows))
    return found


def _scene_json(bones: Mapping[str, TriangleMesh], side: Side, colours: Mapping[str, NDArray[np.float64]]) -> str:
    """The bones for the page's viewer: base64 of little-endian float32 positions and uint32 indices."""
    meshes = []
    for name, mesh in anatomical(bones, side).items():
        entry = {
            "name": name,
            "colour": [channel / 255 for channel in surface_colour(name)],
            "positions": _base64(mesh.vertices, "<f4"),
            "normals": _base64(np.round(mesh.vertex_normals * 127), "i1"),
            "faces": _base64(mesh.faces, "<u4"),
        }
        if name in colours:
            entry["errors"] = _base64(colours[name], "u1")
        meshes.append(entry)
    # "<" never appears in base64 or in numbers; names could hold it.
    return json.dumps({"side": side, "meshes": meshes}).replace("<", "\\u003c")


def _base64(values: NDArray[Any], kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values).astype(kind).tobytes()).decode("ascii")
