"""Bones fitted to the films of calibrated cameras: what the networks predict is only where that begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

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
from bonelift.registration.shape_fit import ShapedWrist, compared, fit_shape
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
    first = films[0].film
    shown = [bone_view(film.film, film.film.pixels, film.recorded, first) for film in films]
    views = [replace(view, weights=film.recorded.astype(float)) for view, film in zip(shown, films, strict=True)]
    radius, ulna = np.split(np.asarray(bones.code, dtype=np.float64), [model.bases["radius"].length])
    both = moving_bone(
        solids["radius"].volume.values[0] + solids["ulna"].volume.values[0], solids["radius"].bone_from_voxel
    )
    found = register(both, views, placed[0].wrist.wrist.world_from_bone, FILM_SEARCH)
    try:
        fit = fit_shape(model.bases, views, ShapedWrist(found.world_from_bone, {"radius": radius, "ulna": ulna}))
        near = [compared(model.bases, view, fit.wrist, _MARGIN_MM) for view in views]
    except InputError:
        return bones, tuple(placed)
    fitted = bones_of_code(np.concatenate([fit.wrist.codes["radius"], fit.wrist.codes["ulna"]]), model)
    return fitted, _placed_again(fitted, fit.wrist, films, near, shown)


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
