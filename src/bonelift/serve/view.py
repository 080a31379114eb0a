"""What the page shows of a result: outlines on the films, the bones as they can be turned, numbers, remarks."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonelift import RESEARCH_NOTICE, __version__
from bonelift.anatomy.landmarks import find_landmarks
from bonelift.anatomy.measurement_lines import measurement_lines
from bonelift.anatomy.shape_model import load_shape_model
from bonelift.errors import InputError
from bonelift.images.display import display_grey
from bonelift.networks.model import WristModel
from bonelift.origin import Origin
from bonelift.reconstruction.cut import PreparedFilm
from bonelift.reconstruction.expected import shown_sd_mm
from bonelift.reconstruction.measured import measurement_rows
from bonelift.reconstruction.place import PlacedFilm
from bonelift.reconstruction.result import Reconstruction
from bonelift.reconstruction.save import report_films
from bonelift.report.bone_views import anatomical
from bonelift.report.overlay import film_outlines
from bonelift.report.palette import error_colours, outline_colour, surface_colour
from bonelift.serve.facts import small_picture
from bonelift.serve.sentences import for_the_page
from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]
VIEW_NAME = "view.json"
LARGEST_SD_MM = 1.5
LARGEST_DISTANCE_MM = 3.0


def page_view(result: Reconstruction, model: WristModel, folder: Path) -> dict[str, Any]:
    """JSON-able; pictures of the films are written into ``folder`` as film-1.png, film-2.png.

    Points on films are (column, row) px of the radiograph as it was used; lengths are mm, in the radius frame of the
    patient's own side.
    """
    outlines = [film_outlines(film) for film in report_films(result)]
    placed: Sequence[PlacedFilm | None] = list(result.placed) or [None] * len(result.films)
    films = []
    for number, (film, there, lines) in enumerate(zip(result.films, placed, outlines, strict=True), start=1):
        name = f"film-{number}.png"
        small_picture(display_grey(film.radiograph.pixels)).save(folder / name)
        films.append({"picture": name, **_film(film, there, lines)})
    return {
        "version": __version__,
        "notice": RESEARCH_NOTICE,
        "side": result.side,
        "films": films,
        "scene": _scene(result, model),
        "measurements": _measurements(result),
        "expected_mm": {}
        if result.expected is None
        else {name: {"as_predicted": e.as_predicted_mm, "rigid": e.rigid_mm} for name, e in result.expected.items()},
        "quality": {
            "score": result.quality.score,
            "verdict": result.quality.verdict,
            "flags": [{"severity": flag.severity, "text": for_the_page(flag.text)} for flag in result.quality.flags],
        },
        "suggestions": [
            {"text": for_the_page(one.text), "image": one.image, "changes": dict(one.changes)}
            for one in result.suggestions
        ],
        "model": result.model_name,
        "seconds": sum(result.timings_s.values()),
    }


def _film(film: PreparedFilm, placed: PlacedFilm | None, outlines: Mapping[str, Sequence[Float]]) -> dict[str, Any]:
    radiograph, located = film.radiograph, film.located
    camera = radiograph.camera
    from_world = camera.image_from_camera @ camera.camera_from_world[:3]
    return {
        "view": radiograph.view,
        "hanging": radiograph.hanging,
        "size_px": [camera.width_px, camera.height_px],
        "px_per_mm": 1 / radiograph.spacing_at_wrist_mm,
        "recorded_from_image": np.linalg.inv(radiograph.image_from_recorded).tolist(),
        "facts": {name: _fact(origin) for name, origin in radiograph.provenance.items()},
        "outlines": {name: [np.round(line, 2).tolist() for line in lines] for name, lines in outlines.items()},
        "landmarks": {"origin": located.origin_px.tolist(), "shaft": located.shaft_px.tolist()},
        "look": None if placed is None else _look(film, placed).tolist(),
        "image_from_bone": {}
        if placed is None
        else {name: (from_world @ pose).tolist() for name, pose in placed.world_from_bone.items()},
    }


def _look(film: PreparedFilm, placed: PlacedFilm) -> Float:
    """(3, 3) rows: image right, image up, towards the viewer, in the radius frame: the wrist as the film shows it, or
    the nearest to that of a film that hangs mirrored, as bones cannot."""
    camera = film.radiograph.camera
    rotation = (camera.camera_from_world @ placed.world_from_radius)[:3, :3]
    up, viewer = -rotation[1], -rotation[2]
    return np.stack([np.cross(up, viewer), up, viewer])


def _fact(origin: Origin) -> dict[str, Any]:
    return {"kind": origin.kind, "text": origin.text, "value": origin.value}


def _scene(result: Reconstruction, model: WristModel) -> dict[str, Any]:
    sds = shown_sd_mm(result.bones, model) if result.bones else None
    surfaces = anatomical(result.bones.surfaces, result.side) if result.bones else {}
    ramp = error_colours(np.linspace(0, 1, 16), 1.0).round().astype(int).tolist()
    return {
        "side": result.side,
        "ramp": ramp,
        "largest_sd_mm": LARGEST_SD_MM,
        "largest_distance_mm": LARGEST_DISTANCE_MM,
        "meshes": [
            mesh_entry(name, mesh, None if sds is None else sds[name])
            for name, mesh in surfaces.items()
            if not mesh.is_empty
        ],
    }


def mesh_entry(name: str, mesh: TriangleMesh, sd_mm: Float | None) -> dict[str, Any]:
    """A mesh for the page's viewer: base64 of little-endian float32 and uint32."""
    return {
        "name": name,
        "colour": [channel / 255 for channel in surface_colour(name)],
        "line": list(outline_colour(name)),
        "positions": as_base64(mesh.vertices, "<f4"),
        "normals": as_base64(mesh.vertex_normals, "<f4"),
        "faces": as_base64(mesh.faces, "<u4"),
        "sd_mm": None if sd_mm is None else as_base64(sd_mm, "<f4"),
    }


def mesh_of_view(path: Path, bone: str) -> TriangleMesh:
    """A bone as the page shows it: open at its cut, in the radius frame of the patient's own side, mm.

    Raises InputError where the result holds no such bone.
    """
    for entry in json.loads(path.read_bytes())["scene"]["meshes"]:
        if entry["name"] == bone:
            vertices = np.frombuffer(base64.b64decode(entry["positions"]), "<f4").reshape(-1, 3)
            faces = np.frombuffer(base64.b64decode(entry["faces"]), "<u4").reshape(-1, 3)
            return TriangleMesh(vertices.astype(np.float64), faces.astype(np.int32))
    raise InputError(f"this result holds no {bone}")


def as_base64(values: NDArray[Any], kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values).astype(kind).tobytes()).decode("ascii")


def _measurements(result: Reconstruction) -> list[dict[str, Any]]:
    """What the files say of each measurement, with its lines in the radius frame of the patient's own side."""
    lines = _lines(result)
    return [
        {**row, "lines": lines.get(value.facts.field, [])}
        for value, row in zip(result.measurements, measurement_rows(result.measurements), strict=True)
    ]


def _lines(result: Reconstruction) -> dict[str, list[dict[str, Any]]]:
    if result.bones is None or not result.bones.complete:
        return {}
    radius, ulna = (result.bones.surfaces[name] for name in ("radius", "ulna"))
    try:
        found = measurement_lines(radius, ulna, find_landmarks(radius, ulna, load_shape_model().landmarks))
    except InputError:
        return {}
    own_side = np.array([-1.0 if result.side == "left" else 1.0, 1, 1])
    return {
        field: [{"bone": line.bone, "points": np.round(line.points * own_side, 3).tolist()} for line in parts]
        for field, parts in found.items()
    }
