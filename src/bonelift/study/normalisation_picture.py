"""A case in its radius frame, for the eye: the CT seen palmar and from the radial side, outlines, axes, landmarks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage
from skimage.measure import find_contours

from bonelift import RESEARCH_NOTICE
from bonelift.drr.normalised_case import NormalisedCase
from bonelift.images import LabelGrid, Volume
from bonelift.images.resampling import resample_volume
from bonelift.report.palette import lettering, outline_colour, scale_bar
from bonelift.report.rasterise import fill_mask
from bonelift.study.folder import StudyCase
from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]

SHOWN = LabelGrid((100, 100, 120), 0.8, (-32.0, -40.0, -68.0))
"""What is shown: x -32 to 47, y -40 to 39, z -68 to 27 mm."""
PX_PER_MM = 8
_GAP_PX, _TOP_PX, _STRIP_PX = 16, 40, 64
_DARK, _LIGHT, _AXES, _POINT = (18, 20, 24), (235, 238, 242), (120, 220, 140), (255, 90, 120)
_VIEWS = (("x: ulnar to the right", 0), ("y: palmar to the right", 1))


def frame_picture(
    case: StudyCase, normalised: NormalisedCase, ct: Volume, landmarks: Mapping[str, Float]
) -> Image.Image:
    """Mean attenuation of the CT along y and along x, with the bones' outlines, the axes through the origin, the
    reference line and the landmarks. ct, landmarks: in the radius frame of a right wrist, mm."""
    values = np.asarray(resample_volume(ct, SHOWN.shape, SHOWN.radius_from_voxel).values, dtype=np.float32)
    panels = [_panel(values, normalised, landmarks, along) for _, along in _VIEWS]
    width = sum(panel.width for panel in panels) + 3 * _GAP_PX
    sheet = Image.new("RGB", (width, panels[0].height + _TOP_PX + _STRIP_PX), _DARK)
    draw = ImageDraw.Draw(sheet)
    column = _GAP_PX
    for panel, (title, _) in zip(panels, _VIEWS, strict=True):
        sheet.paste(panel, (column, _TOP_PX))
        draw.text((column, 12), title, fill=_LIGHT, font=lettering(18))
        column += panel.width + _GAP_PX
    mirrored = ", mirrored to a right one" if case.side == "left" else ""
    below = panels[0].height + _TOP_PX
    scale_bar(sheet, PX_PER_MM, (_GAP_PX, below + 32), _LIGHT, 14)
    text = f"{case.case}: {case.side} wrist{mirrored}; radius frame: green; landmarks: red"
    draw.text((_GAP_PX + 130, below + 32), text, fill=_LIGHT, font=lettering(17), anchor="ls")
    draw.text((_GAP_PX, below + _STRIP_PX - 10), RESEARCH_NOTICE, fill=_LIGHT, font=lettering(13), anchor="ls")
    return sheet


def _panel(
    values: NDArray[np.float32], normalised: NormalisedCase, landmarks: Mapping[str, Float], along: int
) -> Image.Image:
    """One projection; ``along``: axis shown to the right (0: x, 1: y); z is up."""
    summed = np.clip(values + 1000, 0, None).mean(axis=1 - along).T[::-1]
    low, high = np.percentile(summed, [2, 99.7])
    grey = (np.clip((summed - low) / max(high - low, 1e-6), 0, 1) * 255).astype(np.uint8)
    scale = SHOWN.spacing_mm * PX_PER_MM
    size = (round(grey.shape[1] * scale), round(grey.shape[0] * scale))
    panel = Image.fromarray(grey).resize(size, Image.Resampling.BICUBIC).convert("RGB")
    draw = ImageDraw.Draw(panel)
    for name, mesh in (("radius", normalised.radius), ("ulna", normalised.ulna)):
        for line in _outline(mesh, along, (size[1], size[0])):
            draw.line([(float(u), float(v)) for u, v in line], fill=outline_colour(name), width=3)
    shaft = _px(np.array([[0.0, 0, -66.0], [0, 0, 24.0]]), along)
    across = _px(np.array([[-26.0, -26.0, 0.0], [40.0, 34.0, 0]]), along)
    for ends in (shaft, across):
        draw.line([(float(u), float(v)) for u, v in ends], fill=_AXES, width=2)
    points = _px(np.array([landmarks[name] for name in sorted(landmarks)]), along)
    for u, v in points:
        draw.ellipse((u - 5, v - 5, u + 5, v + 5), outline=_POINT, width=3)
    return panel


def _px(points_mm: Float, along: int) -> Float:
    """(N, 2) (column, row) of the panel for points (N, 3) of the radius frame."""
    first, steps = np.asarray(SHOWN.first_centre_mm), np.asarray(SHOWN.shape)
    u = (points_mm[:, along] - first[along] + SHOWN.spacing_mm / 2) * PX_PER_MM
    top = first[2] + (steps[2] - 0.5) * SHOWN.spacing_mm
    return np.column_stack([u, (top - points_mm[:, 2]) * PX_PER_MM])


def _outline(mesh: TriangleMesh, along: int, shape: tuple[int, int]) -> list[Float]:
    """Silhouette of the mesh as (N, 2) (column, row) lines."""
    mask = fill_mask(_px(mesh.vertices, along)[mesh.faces], shape)
    smooth = ndimage.gaussian_filter(mask.astype(np.float32), 1.5, mode="nearest")
    return [line[:, ::-1] for line in find_contours(smooth, 0.5) if len(line) > 60]
