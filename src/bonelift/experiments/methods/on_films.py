"""The ground of real films: the bones of any method placed and judged as the main job does with its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from bonelift.networks.model import WristModel
from bonelift.networks.own_network import WristImage
from bonelift.reconstruction.bones import Bones
from bonelift.reconstruction.expected import expected_errors
from bonelift.reconstruction.judge import judge
from bonelift.reconstruction.place import place, stand
from bonelift.reconstruction.reading import Reading
from bonelift.reconstruction.result import Reconstruction


def image_of(found: Reconstruction) -> WristImage | None:
    """What the main job cut out of one film, and its translation; None where it found no wrist."""
    if not found.drrs:
        return None
    film = found.films[0]
    return WristImage(film.radiograph.view, found.drrs[0], np.asarray(film.film.pixels, dtype=np.float32))


def with_bones(
    found: Reconstruction, bones: Bones, model: WristModel, start: Literal["nominal", "read"] = "nominal"
) -> Reconstruction:
    """``found`` with other bones, which are registered to the same bone-only image and judged by the same checks.

    Parameters
    ----------
    found
        Of one film in which a wrist was found.
    bones
        Of any method.
    start
        Where the search for the pose begins: where a straight wrist lies, alike for all methods, or at the pose that
        the shape regressor read, as the main job does it.

    Returns
    -------
    Reconstruction
        As if the main job had read these bones from the film that it cut out. Measurements and suggestions are still
        those of ``found``.
    """
    how = found.settings
    bones = replace(bones, motions=()) if start == "nominal" else bones
    stances = stand(bones, found.films, found.drrs, together=False, settings=how.place, seed=how.seed)
    placed = place(bones, stances, how.seed)
    sightings = tuple(film.sighting for film in found.films)
    reading = Reading(sightings, found.films, found.drrs, bones, stances, cameras_apart=False)
    expected = expected_errors(bones, model)
    quality = judge(reading, bones, placed, expected, model)
    return replace(found, bones=bones, placed=placed, quality=quality, expected=expected)
