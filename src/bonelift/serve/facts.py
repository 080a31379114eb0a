"""What is known of a film that was dropped, each fact with where it is known from, and what nobody has said yet."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bonelift.images.display import display_grey
from bonelift.images.missing_facts import missing_facts
from bonelift.images.reading import RadiographOptions, radiograph_of, read_recorded

LONGEST_PX = 1400
"""Of the picture that the page shows."""
_STAND_IN = {"side": "right", "view": "pa", "pixel_spacing": 0.15}
"""For what is missing, so that all the rest can be told already; none of them is shown."""


@dataclass(frozen=True, eq=False)
class FilmFacts:
    """size_px: (columns, rows) of the image as recorded. picture: all of it, bone bright, 0 to 255.
    facts: name -> {value, kind, text}; kind is one of ``Origin.kind``, "missing", or "later": read from the picture by
    the reconstruction. image_from_recorded: see Radiograph."""

    size_px: tuple[int, int]
    facts: dict[str, dict[str, Any]]
    picture: NDArray[np.uint8]
    image_from_recorded: NDArray[np.float64]

    @property
    def missing(self) -> list[str]:
        return [name for name, fact in self.facts.items() if fact["kind"] == "missing"]


def film_facts(path: Path, options: RadiographOptions) -> FilmFacts:
    """Read a film whatever is missing of it. Raises InputError for what is no film, or contradicts itself."""
    recorded = read_recorded(path, options.frame)
    missing = missing_facts(recorded, options.side, options.view, options.pixel_spacing_mm is not None)
    stand_in = {("pixel_spacing_mm" if m.name == "pixel_spacing" else m.name): _STAND_IN[m.name] for m in missing}
    radiograph = radiograph_of(recorded, path.name, replace(options, **stand_in))
    values: dict[str, Any] = {
        "side": radiograph.side,
        "view": radiograph.view,
        "hanging": radiograph.hanging,
        "polarity": "bones dark" if "inverted" in radiograph.provenance["polarity"].text else "bones bright",
    }
    facts = {
        name: {**asdict(origin), "value": values.get(name, origin.value)}
        for name, origin in radiograph.provenance.items()
    }
    facts.setdefault("hanging", {"kind": "later", "text": "told with the result", "value": None})
    for fact in missing:
        facts[fact.name] = {"kind": "missing", "text": fact.reason, "value": None}
    rows, columns = recorded.pixels.shape
    bright = recorded.pixels if values["polarity"] == "bones bright" else recorded.pixels.max() - recorded.pixels
    grey = display_grey(bright)
    return FilmFacts((columns, rows), facts, grey, radiograph.image_from_recorded)


def small_picture(grey: NDArray[np.uint8]) -> Image.Image:
    """At most LONGEST_PX long."""
    picture = Image.fromarray(grey)
    scale = LONGEST_PX / max(picture.size)
    if scale >= 1:
        return picture
    return picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.LANCZOS)
