"""Bones of which a part lies beyond the film, or behind a collimator's blade.

S has learned from films that show both bones whole, and takes the end of a film for the edge of a bone. So where a part
of a bone's distal end is hidden, what S read of that bone is not believed. It is expected to be as the population is,
and corrected by its outlines where the film shows them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from bonelift.anatomy.shape_basis import BoneBasis
from bonelift.film.standard import Film
from bonelift.film.unseen import falls_in, unseen
from bonelift.geometry import apply_transform
from bonelift.images.radiograph import View
from bonelift.networks.inference import Hidden
from bonelift.networks.model import WristModel
from bonelift.reconstruction.bones import BONES, Bones, Method, predict
from bonelift.reconstruction.cut import PreparedFilm

Float = NDArray[np.float64]


@dataclass(frozen=True)
class BeyondSettings:
    """least_hidden: share of the picture of a bone's distal ``distal_mm`` from which on it counts as partly hidden. A
    short forearm hides shafts, and S reads those well (docs/results/hidden.md)."""

    least_hidden: float = 0.1
    distal_mm: float = 20.0


@dataclass(frozen=True, eq=False)
class SeenPart:
    """bones: as they were read. films: as they were given; of one that hides a part of a bone, ``recorded`` leaves out
    what it does not show. hidden: of each film, name -> the part of a bone's distal end that it does not show."""

    bones: Bones
    films: tuple[PreparedFilm, ...]
    hidden: tuple[Mapping[str, float], ...]


def predict_from_what_is_seen(
    films: Sequence[PreparedFilm],
    drrs: Sequence[NDArray[np.float32]],
    model: WristModel,
    method: Method | None,
    settings: BeyondSettings,
) -> SeenPart:
    """:func:`predict`; once more, without belief in what was read of a bone, where a part of it is hidden.

    films, drrs: in parallel; the drrs are what the films were translated to. A method that reads no pose is taken as it
    is: without one, nothing is known to be hidden.
    """
    views: list[View] = [film.radiograph.view for film in films]
    pixels = [film.film.pixels for film in films]
    bones = predict(drrs, views, model, method, pixels)
    if not bones.motions:
        return SeenPart(bones, tuple(films), ({},) * len(films))
    masks = [unseen(film.film.pixels, film.film.recorded) for film in films]
    ends = {name: _distal_end(model.bases[name], settings.distal_mm) for name in BONES}
    rows = list(zip(films, masks, bones.motions, strict=True))
    hidden = tuple(_hidden_parts(ends, film.film, mask, motion) for film, mask, motion in rows)
    partly = [tuple(n for n, name in enumerate(BONES) if of[name] >= settings.least_hidden) for of in hidden]
    if not any(partly):
        return SeenPart(bones, tuple(films), hidden)
    told = [Hidden(mask, numbers) for mask, numbers in zip(masks, partly, strict=True)]
    shown = tuple(
        replace(film, film=replace(film.film, recorded=~mask)) if numbers else film
        for film, mask, numbers in zip(films, masks, partly, strict=True)
    )
    return SeenPart(predict(drrs, views, model, method, pixels, told), shown, hidden)


@lru_cache(maxsize=8)
def _distal_end(basis: BoneBasis, distal_mm: float) -> Float:
    """(N, 3) points of the mean bone, radius frame, mm."""
    points = basis.decode(np.zeros(basis.length)).vertices
    return points[points[:, 2] > points[:, 2].max() - distal_mm]


def _hidden_parts(ends: Mapping[str, Float], film: Film, mask: NDArray[np.bool_], motion: Float) -> dict[str, float]:
    """Name -> the share of the points of a bone's end that fall where the film shows nothing. motion: of the wrist from
    its nominal pose."""
    pose = film.nominal_camera_from_radius() @ motion
    return {
        name: float(falls_in(mask, film.camera.project(apply_transform(pose, points))).mean())
        for name, points in ends.items()
    }
