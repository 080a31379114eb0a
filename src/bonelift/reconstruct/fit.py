"""Bones fitted to the films of calibrated cameras: what the networks predict is only where that begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bonelift.errors import InputError
from bonelift.networks.model import WristModel
from bonelift.reconstruct.bones import Bones, bones_of_code
from bonelift.reconstruct.place import (
    FILM_SEARCH,
    FITTED_BONE_SETTINGS,
    FITTED_WRIST_SETTINGS,
    PlacedFilm,
    bone_view,
    filled,
    place,
    placed_film,
)
from bonelift.reconstruct.prepare import PreparedFilm
from bonelift.registration import MovingBone, moving_bone, register
from bonelift.registration.shape_fit import ShapedWrist, ShapeFit, compared, fit_shape
from bonelift.registration.views import FixedView

_MARGIN_MM = 2.5
"""How far around the fitted bones the films are compared when they are placed."""


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
        near = [compared(model.bases, view, fit.wrist, _MARGIN_MM) for view in views]
    except InputError:
        return bones, tuple(placed)
    fitted = bones_of_code(np.concatenate([fit.wrist.codes["radius"], fit.wrist.codes["ulna"]]), model, fitted=True)
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
    """Predicted bones searched for as they are from a start (4, 4), then fitted. Raises InputError where they lie
    outside a view."""
    radius, ulna = np.split(np.asarray(bones.code, dtype=np.float64), [model.bases["radius"].length])
    both = moving_bone(
        solids["radius"].volume.values[0] + solids["ulna"].volume.values[0], solids["radius"].bone_from_voxel
    )
    found = register(both, views, canonical_from_start, FILM_SEARCH)
    return fit_shape(model.bases, views, ShapedWrist(found.world_from_bone, {"radius": radius, "ulna": ulna}))


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
