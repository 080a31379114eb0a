"""How a reconstruction shows itself in a notebook: the first film with the placed bones, verdict and measurements."""

from __future__ import annotations

import base64
import math
from io import BytesIO

from bonelift import RESEARCH_NOTICE
from bonelift.reconstruction.result import Reconstruction
from bonelift.reconstruction.save import report_films
from bonelift.report.overlay import overlay_image
from bonelift.report.page import page_template

WIDEST_PX = 640


def overlay_png(result: Reconstruction) -> bytes:
    """PNG of the first film with the outlines of the placed bones."""
    picture = overlay_image(report_films(result)[0])
    picture.thumbnail((WIDEST_PX, 2 * WIDEST_PX))
    stream = BytesIO()
    picture.save(stream, format="PNG")
    return stream.getvalue()


def reconstruction_html(result: Reconstruction, verdict: str) -> str:
    """A figure with the film, the verdict, the flags and the measurements."""
    picture = base64.b64encode(overlay_png(result)).decode("ascii")
    return page_template("bonelift.api", "reconstruction.html.j2").render(
        side=result.side,
        view=" and ".join("PA" if film.radiograph.view == "pa" else "lateral" for film in result.films),
        picture=picture,
        verdict=verdict,
        quality=result.quality,
        expected=result.expected or {},
        measurements=[value for value in result.measurements if math.isfinite(value.value)],
        notice=RESEARCH_NOTICE,
    )
