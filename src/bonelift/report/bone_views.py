"""Shaded views of the bones from the sides a surgeon names, drawn without a display or a graphics card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from bonelift.images.radiograph import Side
from bonelift.report.palette import INK, PAPER, error_colours, lettering, scale_bar, surface_colour
from bonelift.report.rasterise import render_attributes
from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]
BoneView = Literal["palmar", "dorsal", "radial", "ulnar", "distal"]
VIEWS: tuple[BoneView, ...] = ("palmar", "dorsal", "radial", "ulnar", "distal")

_SUPERSAMPLE = 2
_MARGIN_MM = 4.0
_CAPTION_PX = 30
_MIRROR = np.diag([-1.0, 1.0, 1.0, 1.0])


def anatomical(bones: Mapping[str, TriangleMesh], side: Side) -> dict[str, TriangleMesh]:
    """Bones of the radius frame (canonical right) as the patient has them: a left wrist is mirrored back."""
    return {name: mesh.transformed(_MIRROR) if side == "left" else mesh for name, mesh in bones.items()}


def view_axes(view: BoneView, side: Side) -> Float:
    """(3, 3) rows: image right, image up, towards the viewer, in the frame of :func:`anatomical` bones."""
    if view == "distal":  # seen from the fingers, dorsum up
        up, viewer = np.array([0.0, -1, 0]), np.array([0.0, 0, 1])
    else:
        radialwards = np.array([-1.0, 0, 0]) if side == "right" else np.array([1.0, 0, 0])
        palmarwards = np.array([0.0, 1, 0])
        viewer = {"palmar": palmarwards, "dorsal": -palmarwards, "radial": radialwards, "ulnar": -radialwards}[view]
        up = np.array([0.0, 0, 1])
    return np.stack([np.cross(up, viewer), up, viewer])


def edge_words(view: BoneView, side: Side) -> tuple[str, str]:
    """Which side of the wrist lies at the left and at the right edge of a view: ("ulnar", "radial") and the like."""
    x, y, _ = view_axes(view, side)[0]
    ulnarwards = x if side == "right" else -x
    if abs(y) > abs(x):
        return ("dorsal", "palmar") if y > 0 else ("palmar", "dorsal")
    return ("radial", "ulnar") if ulnarwards > 0 else ("ulnar", "radial")


def view_name(view: BoneView) -> str:
    return "distal end, dorsum up" if view == "distal" else f"{view} side"


def render_view(
    bones: Mapping[str, TriangleMesh],
    side: Side,
    view: BoneView,
    px_per_mm: float = 6.0,
    vertex_colours: Mapping[str, Float] | None = None,
) -> Image.Image:
    """One shaded picture on white with its name and a 10 mm bar below; see :func:`view_picture`."""
    bare = view_picture(bones, side, view, px_per_mm, vertex_colours)
    picture = Image.new("RGB", bare.size, PAPER)
    picture.paste(bare, (0, 0), bare)
    return _captioned(picture, view_name(view), px_per_mm)


def view_picture(
    bones: Mapping[str, TriangleMesh],
    side: Side,
    view: BoneView,
    px_per_mm: float = 6.0,
    vertex_colours: Mapping[str, Float] | None = None,
) -> Image.Image:
    """One shaded picture (RGBA) on nothing.

    bones: name -> mesh in the radius frame (canonical right), mm; empty ones are skipped, all empty raises ValueError.
    vertex_colours: name -> (V, 3) sRGB 0..255, for error maps; else each bone has its own tint.
    """
    shown = {name: mesh for name, mesh in anatomical(bones, side).items() if not mesh.is_empty}
    if not shown:
        raise ValueError("no bone to draw: all meshes are empty")
    axes = view_axes(view, side)
    colours = vertex_colours or {}
    points = np.concatenate([mesh.vertices for mesh in shown.values()]) @ axes.T
    tints = [
        np.broadcast_to(colours.get(name, np.array(surface_colour(name), dtype=np.float64)), mesh.vertices.shape)
        for name, mesh in shown.items()
    ]
    attributes = np.hstack(
        [np.concatenate([mesh.vertex_normals for mesh in shown.values()]) @ axes.T, np.concatenate(tints)]
    )
    offsets = np.cumsum([0, *(len(mesh.vertices) for mesh in shown.values())])
    faces = np.concatenate([mesh.faces + offset for mesh, offset in zip(shown.values(), offsets, strict=False)])

    low, high = points.min(axis=0) - _MARGIN_MM, points.max(axis=0) + _MARGIN_MM
    scale = px_per_mm * _SUPERSAMPLE
    width, height = (int(np.ceil(extent * px_per_mm)) * _SUPERSAMPLE for extent in (high - low)[:2])
    points_px = np.column_stack([(points[:, 0] - low[0]) * scale, (high[1] - points[:, 1]) * scale])
    depth, seen = render_attributes(points_px, -points[:, 2], faces.astype(np.int32), attributes, (height, width))
    return Image.fromarray(_shade(depth, seen, scale)).resize(
        (width // _SUPERSAMPLE, height // _SUPERSAMPLE), Image.Resampling.BOX
    )


def render_error_maps(
    bones: Mapping[str, TriangleMesh],
    errors_mm: Mapping[str, Float],
    side: Side,
    views: Sequence[BoneView] = ("palmar", "dorsal", "radial", "distal"),
    px_per_mm: float = 6.0,
    largest_mm: float = 3.0,
) -> Image.Image:
    """Views beside each other, coloured by ``errors_mm`` (name -> (V,)) from 0 to ``largest_mm``, with a colour bar."""
    colours = {name: error_colours(errors_mm[name], largest_mm) for name in bones if name in errors_mm}
    pictures = [render_view(bones, side, view, px_per_mm, colours) for view in views]
    return beside([*pictures, _colour_bar(max(picture.height for picture in pictures), largest_mm)])


def beside(pictures: Sequence[Image.Image], gap_px: int = 16) -> Image.Image:
    """Pictures in a row on white, their lower edges in line."""
    height = max(picture.height for picture in pictures)
    sheet = Image.new("RGB", (sum(p.width for p in pictures) + gap_px * (len(pictures) - 1), height), PAPER)
    column = 0
    for picture in pictures:
        sheet.paste(picture, (column, height - picture.height))
        column += picture.width + gap_px
    return sheet


def _shade(depth: NDArray[np.float32], seen: NDArray[np.float32], px_per_mm: float) -> NDArray[np.uint8]:
    """(rows, columns, 4) sRGB and alpha: two lights, darker rims, hollows darkened by how deep they lie."""
    covered = np.isfinite(depth)
    normals, tint = seen[..., :3], seen[..., 3:]
    normals = normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-6)
    inner = normals[..., 2] < 0  # the inside of an open end
    normals = np.where(inner[..., None], -normals, normals)
    key = np.clip(normals @ _unit(-0.45, 0.55, 0.75), 0, 1)
    fill = np.clip(normals @ _unit(0.8, -0.1, 0.45), 0, 1)
    light = 0.38 + 0.6 * key + 0.22 * fill
    light *= 1 - 0.45 * (1 - np.clip(normals[..., 2], 0, 1)) ** 3
    light *= 1 - 0.3 * np.clip(_hollowness_mm(depth, px_per_mm) / 3.0, -0.2, 1)
    light = np.where(inner, 0.45 * light, light)
    gloss = 24 * np.clip(normals @ _unit(-0.25, 0.35, 0.9), 0, 1) ** 40 * ~inner
    colour = np.clip(tint * light[..., None] + gloss[..., None], 0, 255)
    return np.where(covered[..., None], np.dstack([colour, np.full(depth.shape, 255.0)]), 0).astype(np.uint8)


def _hollowness_mm(depth: NDArray[np.float32], px_per_mm: float) -> NDArray[np.float32]:
    """How far a pixel lies behind the mean depth of its surroundings (2 mm), mm; 0 on the background.

    Unsharp masking of the depth buffer. Source: Luft et al. 2006 (doi:10.1145/1179352.1142016). The mean is smooth, so
    a quarter of the pixels is enough.
    """
    coarse = depth[::4, ::4]
    covered = np.isfinite(coarse)
    reach_px = 2.0 * px_per_mm / 4
    weight = ndimage.gaussian_filter(covered.astype(np.float32), reach_px)
    around = ndimage.gaussian_filter(np.where(covered, coarse, 0), reach_px) / np.maximum(weight, 1e-3)
    rows, columns = depth.shape
    smooth = np.asarray(Image.fromarray(around).resize((columns, rows), Image.Resampling.BILINEAR))
    return np.where(np.isfinite(depth), depth - smooth, 0).astype(np.float32)


def _unit(x: float, y: float, z: float) -> NDArray[np.float32]:
    return (np.array([x, y, z]) / np.linalg.norm([x, y, z])).astype(np.float32)


def _captioned(picture: Image.Image, caption: str, px_per_mm: float) -> Image.Image:
    text_px = 15
    wide = max(picture.width, round(lettering(text_px).getlength(caption) + 10 * px_per_mm + 40))
    sheet = Image.new("RGB", (wide, picture.height + _CAPTION_PX), PAPER)
    sheet.paste(picture, ((wide - picture.width) // 2, 0))
    draw = ImageDraw.Draw(sheet)
    draw.text((10, sheet.height - 8), caption, fill=INK, font=lettering(text_px), anchor="ls")
    scale_bar(sheet, px_per_mm, (round(wide - 10 * px_per_mm - 10), sheet.height - 6), INK, 13)
    return sheet


def _colour_bar(height_px: int, largest_mm: float) -> Image.Image:
    sheet = Image.new("RGB", (96, height_px), PAPER)
    draw = ImageDraw.Draw(sheet)
    top, bottom = 34, height_px - _CAPTION_PX - 10
    ramp = error_colours(np.linspace(largest_mm, 0, bottom - top), largest_mm).astype(np.uint8)
    sheet.paste(Image.fromarray(np.repeat(ramp[:, None], 20, axis=1)), (12, top))
    draw.rectangle((12, top, 32, bottom), outline=INK)
    draw.text((12, top - 12), "error, mm", fill=INK, font=lettering(13), anchor="ls")
    for part in np.linspace(0, 1, 4):
        row = bottom - part * (bottom - top)
        more = "+" if part == 1 else ""
        draw.line((32, row, 38, row), fill=INK)
        draw.text((42, row), f"{part * largest_mm:.1f}{more}", fill=INK, font=lettering(13), anchor="lm")
    return sheet
