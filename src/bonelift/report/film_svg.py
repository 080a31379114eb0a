"""Outlines as lines of a page, drawn over the film's picture: sharp at any size, and a reader can hide them."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from skimage.measure import approximate_polygon

from bonelift.report.overlay import FilmFigure
from bonelift.report.palette import hex_colour, outline_colour

_TOLERANCE_PX = 0.15
"""A line may leave out points that move it by less: a tenth of the width that it is drawn with."""


def outlines_svg(figure: FilmFigure, title: str) -> Markup:
    """An ``<svg>`` of the size of ``figure.picture`` with one path a bone over its dark rim."""
    width, height = figure.picture.size
    paths = [(name, _path(lines)) for name, lines in figure.outlines.items() if lines]
    drawn = Markup("").join(
        Markup('<path class="{}" d="{}"{}/>').format(
            kind, path, Markup(' stroke="{}"').format(hex_colour(outline_colour(name))) if kind == "line" else ""
        )
        for kind in ("rim", "line")
        for name, path in paths
    )
    return Markup('<svg class="lines" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        width, height, title, drawn
    )


def _path(lines: list[NDArray[np.float64]]) -> str:
    parts = []
    for line in lines:
        points = approximate_polygon(line, _TOLERANCE_PX)
        parts.append("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points))
    return "".join(parts)
