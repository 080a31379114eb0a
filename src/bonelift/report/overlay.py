"""The radiograph with the projected model's outline on it, and the translated image.

What is drawn on the radiograph is the silhouette of the placed 3D bones, projected by the film's camera: nothing is
traced, snapped or smoothed towards the image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage
from skimage.measure import find_contours

from bonelift import RESEARCH_NOTICE
from bonelift.film.standard import FILM_SPACING_MM
from bonelift.geometry import XrayCamera
from bonelift.images.display import display_grey
from bonelift.images.radiograph import Side
from bonelift.report.content import ReportFilm
from bonelift.report.palette import lettering, outline_colour, scale_bar
from bonelift.report.rasterise import fill_mask
from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]
Outlines = dict[str, list[Float]]

_LONGEST_PX = 1200
_STRIP_PX = 62
_STRIP = (18, 20, 24)
_LIGHT = (235, 238, 242)


def silhouette_outlines(mesh_world: TriangleMesh, camera: XrayCamera, subpixels: int = 4) -> list[Float]:
    """Outline of the projected mesh as closed or border-cut polylines, each (N, 2) as (column, row) px.

    mesh_world: in the camera's world, mm; triangles that reach behind the source are left out.
    subpixels: samples per pixel side. The line is right to about 0.5 / ``subpixels`` px.
    """
    if mesh_world.is_empty:
        return []
    fine_from_image = np.array(
        [[subpixels, 0, (subpixels - 1) / 2], [0, subpixels, (subpixels - 1) / 2], [0, 0, 1]], dtype=np.float64
    )
    fine = camera.viewed_through(fine_from_image, camera.width_px * subpixels, camera.height_px * subpixels)
    mask = fill_mask(fine.project(mesh_world.vertices)[mesh_world.faces], fine.shape_px)
    if not mask.any():
        return []
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    pad = 6
    first = np.array([max(rows[0] - pad, 0), max(columns[0] - pad, 0)])
    part = mask[first[0] : rows[-1] + pad, first[1] : columns[-1] + pad].astype(np.float32)
    # A Gaussian of one sample turns the stairs of the mask into a smooth line; straight edges stay in place.
    smooth = ndimage.gaussian_filter(part, 1.0, mode="nearest")
    outlines = [(line + first)[:, ::-1] for line in find_contours(smooth, 0.5)]
    longest = max((len(line) for line in outlines), default=0)
    # Specks below a fiftieth of the outline are seams between triangles that miss a sample.
    return [(line - (subpixels - 1) / 2) / subpixels for line in outlines if len(line) > longest / 50]


def film_outlines(film: ReportFilm) -> Outlines:
    """name -> outline of each bone as placed on ``film``, px; see :func:`silhouette_outlines`."""
    subpixels = int(np.clip(np.ceil(1.5 * _LONGEST_PX / max(film.camera.shape_px)), 1, 12))
    return {name: silhouette_outlines(mesh, film.camera, subpixels) for name, mesh in film.bones_world.items()}


@dataclass(frozen=True, eq=False)
class FilmFigure:
    """A film, or a part of it, as it is to be shown: nothing is drawn on it yet.

    picture: grey. outlines: bone -> lines, each (N, 2) as (x, y) px of the picture, 0 at its left and upper edge.
    px_per_mm: at the distance of the wrist. edges: "left", "right", "top" or "bottom" -> "radial", "ulnar", "palmar" or
    "dorsal", as the placed bones tell it.
    """

    picture: Image.Image
    outlines: Mapping[str, list[Float]]
    px_per_mm: float
    edges: Mapping[str, str]


def film_figure(
    film: ReportFilm, outlines: Outlines, side: Side | None = None, *, close_up: bool = False, longest_px: int = 1200
) -> FilmFigure:
    """The radiograph in its own orientation, ``longest_px`` along its longer side.

    outlines: from :func:`film_outlines`. side: of the patient; without it no edge is named.
    close_up: only what lies around the outlines.
    """
    whole = (0, 0, film.camera.width_px, film.camera.height_px)
    left, top, right, bottom = _frame(film, outlines) if close_up else whole
    scale = longest_px / max(right - left, bottom - top)
    size = (round((right - left) * scale), round((bottom - top) * scale))
    grey = Image.fromarray(display_grey(film.pixels)).crop((left, top, right, bottom))
    # Pixel centres are at integers: (u + 0.5) * scale is the place in a picture whose corner is at 0.
    lines = {name: [(line - (left, top) + 0.5) * scale for line in group] for name, group in outlines.items()}
    spacing_mm = film.camera.detector_spacing_mm * film.source_to_object_mm / film.camera.sdd_mm
    edges = {} if side is None else named_edges(film, side)
    return FilmFigure(grey.resize(size, Image.Resampling.LANCZOS), lines, scale / spacing_mm, edges)


def named_edges(film: ReportFilm, side: Side) -> dict[str, str]:
    """Which edges of the film are radial, ulnar, palmar or dorsal: where the bones' own axes point in the picture.

    An axis that is seen more from its end than from its side (over 45 degrees off the film) names no edge.
    """
    if film.world_from_radius is None:
        return {}
    ulnar = np.array([1.0 if side == "right" else -1.0, 0, 0])
    origin, found = film.world_from_radius[:3, 3], {}
    for axis, positive, negative in ((ulnar, "ulnar", "radial"), (np.array([0.0, 1, 0]), "palmar", "dorsal")):
        direction = film.world_from_radius[:3, :3] @ axis
        across, down, depth = film.camera.camera_from_world[:3, :3] @ direction
        if np.hypot(across, down) < abs(depth):
            continue
        start, end = film.camera.project(np.stack([origin, origin + 5 * direction]))
        x, y = end - start
        far, near = ("right", "left") if abs(x) >= abs(y) else ("bottom", "top")
        far, near = (far, near) if (x if abs(x) >= abs(y) else y) > 0 else (near, far)
        found.setdefault(far, positive)
        found.setdefault(near, negative)
    return found


def overlay_image(film: ReportFilm, outlines: Outlines | None = None, *, close_up: bool = False) -> Image.Image:
    """The radiograph in its own orientation, the outlines of its bones, a 10 mm bar and the research-use notice.

    outlines: from :func:`film_outlines`, made here where not given; ``{}`` shows the radiograph alone.
    close_up: only what lies around the outlines.
    """
    lines = film_outlines(film) if outlines is None else outlines
    figure = film_figure(film, lines, close_up=close_up, longest_px=_LONGEST_PX)
    picture = figure.picture.convert("RGB")
    if lines:
        _draw_outlines(picture, figure.outlines)
    return _with_strip(picture, list(lines), figure.px_per_mm, "")


def gan_drr_picture(gan_drr: NDArray[np.floating], longest_px: int = 1200) -> tuple[Image.Image, float, float]:
    """The translated film alone: picture (black 0, white the largest), the largest line integral, px per mm.

    gan_drr: (rows, columns), dimensionless, on the standard film (upright, right wrist, 0.5 mm at the wrist).
    """
    values = np.nan_to_num(np.asarray(gan_drr, dtype=np.float64))
    largest = float(values.max()) if values.max() > 0 else 1.0
    grey = (np.clip(values / largest, 0, 1) * 255).astype(np.uint8)
    scale = longest_px / max(grey.shape)
    size = (round(grey.shape[1] * scale), round(grey.shape[0] * scale))
    return Image.fromarray(grey).resize(size, Image.Resampling.BICUBIC), largest, scale / FILM_SPACING_MM


def gan_drr_image(gan_drr: NDArray[np.floating]) -> Image.Image:
    """The translated film with a 10 mm bar, the range of its line integrals and the notice written below it."""
    picture, largest, px_per_mm = gan_drr_picture(gan_drr, _LONGEST_PX)
    return _with_strip(
        picture.convert("RGB"), [], px_per_mm, f"line integral of attenuation: black 0, white {largest:.2f}"
    )


def _frame(film: ReportFilm, lines: Outlines) -> tuple[int, int, int, int]:
    """Left, top, right, bottom px around all outlines with a margin; the whole image where there are none."""
    width, height = film.camera.width_px, film.camera.height_px
    points = [line for group in lines.values() for line in group]
    if not points:
        return 0, 0, width, height
    low, high = np.concatenate(points).min(axis=0), np.concatenate(points).max(axis=0)
    margin = 0.2 * (high - low).max()
    left, top = np.floor((low - margin).clip(0)).astype(int)
    right, bottom = np.minimum(np.ceil(high + margin), [width, height]).astype(int)
    return int(left), int(top), int(right), int(bottom)


def _draw_outlines(picture: Image.Image, lines: Mapping[str, list[Float]]) -> None:
    """Antialiased by drawing at twice the size; a thin dark rim keeps the lines visible on bright bone."""
    layer = Image.new("RGBA", (picture.width * 2, picture.height * 2), (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    for width, rim in ((12, True), (7, False)):
        for name, group in lines.items():
            colour = (0, 0, 0, 120) if rim else (*outline_colour(name), 255)
            for line in group:
                draw.line([tuple(point) for point in 2 * line], fill=colour, width=width, joint="curve")
    layer = layer.resize(picture.size, Image.Resampling.BOX)
    picture.paste(layer, (0, 0), layer)


def _with_strip(picture: Image.Image, names: list[str], px_per_mm: float, text: str) -> Image.Image:
    """The picture over a dark strip with the scale, the legend and the notice: nothing is written on the image."""
    size = 17
    wide = max(picture.width, 760)
    sheet = Image.new("RGB", (wide, picture.height + _STRIP_PX), _STRIP)
    sheet.paste(picture, ((wide - picture.width) // 2, 0))
    draw = ImageDraw.Draw(sheet)
    baseline = picture.height + 26
    scale_bar(sheet, px_per_mm, (14, baseline + 3), _LIGHT, 12, note=" at the wrist")
    column = 14 + max(10 * px_per_mm, 130) + 30
    for name in names:
        draw.line((column, baseline - 6, column + 34, baseline - 6), fill=outline_colour(name), width=5)
        draw.text(
            (column + 42, baseline), f"{name}, projected 3D model", fill=_LIGHT, font=lettering(size), anchor="ls"
        )
        column += 42 + lettering(size).getlength(f"{name}, projected 3D model") + 28
    if text:
        draw.text((column, baseline), text, fill=_LIGHT, font=lettering(size), anchor="ls")
    draw.text(
        (14, picture.height + _STRIP_PX - 8), RESEARCH_NOTICE, fill=(170, 176, 184), font=lettering(14), anchor="ls"
    )
    return sheet
