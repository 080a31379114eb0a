"""Bones fitted to the films of calibrated cameras: what the networks predict is only where that begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bonelift.anatomy.shape_basis import BoneBasis
from bonelift.errors import InputError
from bonelift.geometry import invert_rigid
from bonelift.networks.model import WristModel
from bonelift.reconstruct.bones import BONES, Bones, bones_of_code, code_by_bone
from bonelift.reconstruct.place import (
    FILM_SEARCH,
    FILM_SEARCH_RADIUS,
    FILM_SEARCH_ULNA,
    FITTED_BONE_SETTINGS,
    FITTED_WRIST_SETTINGS,
    PlacedFilm,
    as_one,
    bone_view,
    filled,
    place,
    placed_film,
)
from bonelift.reconstruct.prepare import PreparedFilm
from bonelift.registration import MovingBone, register
from bonelift.registration.shape_fit import ShapedWrist, ShapeFit, ShapeFitSettings, compared, fit_shape
from bonelift.registration.views import FixedView

_SEARCH_MARGIN_MM, _MARGIN_MM = 4.0, 2.5
"""How far around the bones films are compared: where the ulna is searched for, and where fitted bones are placed."""


def fit_to_films(
    bones: Bones,
    solids: Mapping[str, MovingBone],
    placed: Sequence[PlacedFilm],
    films: Sequence[PreparedFilm],
    model: WristModel,
) -> tuple[Bones, tuple[PlacedFilm, ...]]:
    """The predicted bones moved and deformed until their projections match all films, and placed again.

    bones: of the shape regressor, ``placed`` on ``films`` together. solids: the same bones, filled.
    Compared are the films themselves and not their translations: a view that the networks never learned, an oblique,
    still shows its edges. Where the bones lie outside a film they are left as they were.
    """
    shown, views = film_views(films)
    try:
        fit = search_and_fit(bones, solids, views, placed[0].wrist.wrist.world_from_bone, model)
        near = compared(model.bases, views, fit.wrist, _MARGIN_MM)
    except InputError:
        return bones, tuple(placed)
    fitted = bones_of_code(np.concatenate([fit.wrist.codes[name] for name in BONES]), model, fitted=True)
    return fitted, _placed_again(fitted, fit.wrist, films, near, shown)


def film_views(films: Sequence[PreparedFilm]) -> tuple[list[FixedView], list[FixedView]]:
    """The films in the canonical world of the first: weighted as every placed film is; and wherever recorded."""
    first = films[0].film
    shown = [bone_view(film.film, film.film.pixels, film.recorded, first) for film in films]
    return shown, [replace(view, weights=film.recorded.astype(float)) for view, film in zip(shown, films, strict=True)]


def search_and_fit(
    bones: Bones,
    solids: Mapping[str, MovingBone],
    views: Sequence[FixedView],
    canonical_from_start: NDArray[np.float64],
    model: WristModel,
) -> ShapeFit:
    """Predicted bones searched for from a start (4, 4), then fitted. Raises InputError where they lie outside a view.

    The search tells where the ulna lies beside the radius, or is misled by an edge of the radius in front of it: the
    first stage is fitted from the predicted place, too, and goes on from what matches better.
    """
    found = register(as_one(solids["radius"], solids["ulna"]), views, canonical_from_start, FILM_SEARCH)
    predicted = ShapedWrist(found.world_from_bone, code_by_bone(bones.code, model))
    starts = [predicted, _with_ulna_found(predicted, solids, views, model.bases)]
    settings = ShapeFitSettings()
    first, rest = settings.stages[:1], settings.stages[1:]
    begun = [fit_shape(model.bases, views, start, replace(settings, stages=first)) for start in starts]
    best = max(begun, key=lambda fit: np.mean(fit.similarity_per_view))
    return fit_shape(model.bases, views, best.wrist, replace(settings, stages=rest))


def _with_ulna_found(
    wrist: ShapedWrist,
    solids: Mapping[str, MovingBone],
    views: Sequence[FixedView],
    bases: Mapping[str, BoneBasis],
) -> ShapedWrist:
    """The wrist with the radius, and the ulna beside it, each registered by itself as predicted."""
    at = wrist.world_from_radius
    near = compared(bases, views, wrist, _SEARCH_MARGIN_MM)
    radius = register(solids["radius"], near, at, FILM_SEARCH_RADIUS, [(solids["ulna"], at)]).world_from_bone
    ulna = register(solids["ulna"], near, at, FILM_SEARCH_ULNA, [(solids["radius"], radius)]).world_from_bone
    code = wrist.codes["ulna"]
    radius_from_reference = invert_rigid(radius) @ ulna @ bases["ulna"].radius_from_reference(code)
    return ShapedWrist(radius, {**wrist.codes, "ulna": bases["ulna"].placed(code, radius_from_reference)})


def _placed_again(
    bones: Bones,
    wrist: ShapedWrist,
    films: Sequence[PreparedFilm],
    near: Sequence[FixedView],
    shown: Sequence[FixedView],
) -> tuple[PlacedFilm, ...]:
    """The fitted bones registered to the films from where the fit left them: the record that a fit does not give.

    near: the films weighted about the bones, which are compared. shown: weighted as for every placed film.
    """
    solids = filled(bones)
    found = place(
        solids["radius"],
        solids["ulna"],
        near,
        wrist.world_from_radius,
        wrist_settings=FITTED_WRIST_SETTINGS,
        bone_settings=FITTED_BONE_SETTINGS,
    )
    return tuple(
        placed_film(bones, solids, found, film, view, view.camera.camera_from_world)
        for film, view in zip(films, shown, strict=True)
    )
