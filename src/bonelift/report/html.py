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
from bonelift.report.bone_views import VIEWS, anatomical, render_error_maps, render_view
from bonelift.report.content import ReportContent, ReportFilm, TruthComparison
from bonelift.report.overlay import film_outlines, gan_drr_image, overlay_image
from bonelift.report.page import page_template
from bonelift.report.palette import data_uri, error_colours, photo_uri, surface_colour
from bonelift.surface.distance import SurfaceDistances, distance_to_surface
from bonelift.surface.mesh import TriangleMesh

_SEVERITY_ORDER = {"severe": 0, "warning": 1, "info": 2}
_VIEW_NAMES = {"pa": "PA", "lateral": "lateral"}
_LARGEST_ERROR_MM = 3.0


def write_report(path: str | Path, content: ReportContent) -> None:
    """Write the page (UTF-8) to ``path``."""
    Path(path).write_text(render_report(content), encoding="utf-8")


def render_report(content: ReportContent) -> str:
    """The page as text. All text from outside is escaped; pictures and meshes are inside the page."""
    bones = {name: mesh for name, mesh in content.bones.items() if not mesh.is_empty}
    errors = _errors_mm(bones, content.truth)
    return page_template("bonelift.report", "report.html.j2").render(
        content=content,
        flags=sorted(content.flags, key=lambda flag: _SEVERITY_ORDER[flag.severity]),
        films=[_film_pictures(film) for film in content.films],
        views=_view_pictures(bones, content.side),
        scene=Markup(_scene_json(bones, content.side, errors)) if bones else None,
        truth=_truth_tables(content.truth),
        error_maps=data_uri(render_error_maps(bones, errors, content.side, largest_mm=_LARGEST_ERROR_MM))
        if errors
        else None,
        has_measured_truth=any(measurement.truth is not None for measurement in content.measurements),
        notice=RESEARCH_NOTICE,
        version=__version__,
    )


def _film_pictures(film: ReportFilm) -> dict[str, Any]:
    outlines = film_outlines(film)
    placed = any(outlines.values())
    return {
        "name": _VIEW_NAMES[film.view],
        "shown_flipped": film.flipped,
        "input": photo_uri(overlay_image(film, {})),
        "gan_drr": None if film.gan_drr is None else photo_uri(gan_drr_image(film.gan_drr)),
        "overlay": photo_uri(overlay_image(film, outlines)) if placed else None,
        "close_up": photo_uri(overlay_image(film, outlines, close_up=True)) if placed else None,
    }


def _view_pictures(bones: Mapping[str, TriangleMesh], side: Side) -> list[tuple[str, int, str]]:
    """(view, width in px, picture) of every side; the widths share a line out so that all have one scale."""
    pictures = [(view, render_view(bones, side, view)) for view in VIEWS] if bones else []
    return [(view, picture.width, data_uri(picture)) for view, picture in pictures]


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


def _scene_json(bones: Mapping[str, TriangleMesh], side: Side, errors: Mapping[str, NDArray[np.float64]]) -> str:
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
        if name in errors:
            entry["errors"] = _base64(error_colours(errors[name], _LARGEST_ERROR_MM), "u1")
        meshes.append(entry)
    # "<" never appears in base64 or in numbers; names could hold it.
    return json.dumps({"side": side, "meshes": meshes}).replace("<", "\\u003c")


def _base64(values: NDArray[Any], kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values).astype(kind).tobytes()).decode("ascii")
