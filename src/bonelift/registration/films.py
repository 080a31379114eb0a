"""Bones of a CT registered to radiographs: soft tissue, carpals and noise in the image, outlines drawn or not.

The search runs on what the drawn outline leaves of the image, at about 1.6 mm a pixel, where the outline itself guides
from far away. The refinement looks at the image as it is, just around the outline, at 0.8 and then 0.4 mm: a pose is
then no worse than the outline was drawn. Edges are compared evened out in strength (``local_gradient_correlation``): of
all variants measured it was the truest in angle and in the plane (docs/results/registration/registration.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bonelift.errors import InputError
from bonelift.registration.ct_bone import CtBone, Part
from bonelift.registration.film_views import (
    FilmView,
    away_from_cuts,
    bone_alone,
    bone_shadow,
    cut_to,
    dilated,
)
from bonelift.registration.objective import Objective, objective
from bonelift.registration.pose import PoseResult, PoseSettings, Stages, solve, start_chart
from bonelift.registration.starts import laid_on_outlines
from bonelift.registration.views import FixedView, MovingBone

Float = NDArray[np.float64]
Others = Sequence[tuple[CtBone, Float]]

_FILM_POSE = PoseSettings(
    similarity="local_gradient_correlation", cost_of_sigma=0.0005, last_iterations=10, finalists=2
)
"""What every search on a film has in common."""
_POSITIONED_POSE = replace(
    _FILM_POSE, prior_sigma=(0.2, 0.2, 0.3, 12.0, 12.0, 25.0), starts=3, population=12, generations=14
)


@dataclass(frozen=True)
class FilmSettings:
    """pose: the search; its factors are not used here but follow from ``level_mm``.

    level_mm: pixel side at the bone, in mm, of the search, the refinement of all starts, and the last refinement.
    search_margin_mm, margin_mm: how far beyond the outline images are compared.
    search_cut_mm, cut_mm: how much of a bone is left out where the CT cuts it off (at most a third of it).
    """

    pose: PoseSettings = _POSITIONED_POSE
    level_mm: tuple[float, float, float] = (1.6, 0.8, 0.4)
    search_margin_mm: float = 8.0
    margin_mm: float = 2.5
    search_cut_mm: float = 10.0
    cut_mm: float = 4.0


UNPOSITIONED = FilmSettings(
    pose=replace(
        _FILM_POSE,
        start_sigma=(0.15, 0.2, 0.08, 3.0, 3.0, 15.0),
        prior_sigma=(0.3, 0.4, 0.3, 12.0, 12.0, 25.0),
    )
)
"""For starts of a wrist straight in the beam: a forearm may be turned by 20 degrees about its length."""
RELATIVE = FilmSettings(
    pose=replace(
        _FILM_POSE,
        start_sigma=(0.06, 0.06, 0.06, 1.5, 1.5, 3.0),
        prior_sigma=(0.1, 0.2, 0.15, 6.0, 6.0, 6.0),
        starts=2,
        population=10,
        generations=10,
    )
)
"""For one bone after both were placed as one: the forearm was turned otherwise in the CT than on the radiograph."""


@dataclass(frozen=True)
class FilmPose:
    """pose: where the bone lies, and the record. overlap: Dice of its shadow and the drawn mask, least of the views;
    NaN where none was drawn. part: which bone."""

    pose: PoseResult
    overlap: float
    part: Part = "both"


def register_to_films(
    bone: CtBone,
    films: Sequence[FilmView],
    world_from_start: Float,
    settings: FilmSettings | None = None,
    others: Sequence[tuple[CtBone, Float]] = (),
    seed: int = 0,
) -> FilmPose:
    """Find world_from_ct (4, 4) near ``world_from_start``: the CT's world in the world that the cameras share.

    others: bones (bone, world_from_ct) that stay where they are and are part of every projection.
    Where outlines were drawn, the start is first laid on them, in the plane of each film and, from several, in depth.
    Errors: InputError without a film, for a start behind the source, or one that puts the bone outside every film.
    """
    settings = settings or FilmSettings()
    if not films:
        raise InputError("registration: no radiograph given; expected at least one")
    world_from_start = laid_on_outlines(bone, films, world_from_start)
    chart = start_chart(films[0].camera, world_from_start, bone.fine.centre_mm)
    for film in films:
        if film.mask is None and not bone_shadow(bone.coarse, film.camera, world_from_start).any():
            raise InputError("the start puts the bone outside the image; give another start, or a mask")
    stages = Stages(
        _search_stage(bone, films, world_from_start, settings, others),
        lambda pose: _stage(bone, films, pose, settings, settings.level_mm[1], others),
        lambda pose: _stage(bone, films, pose, settings, settings.level_mm[2], others),
    )
    found = solve(stages, chart, settings.pose, seed)
    return FilmPose(found, _overlap(bone, films, found.world_from_bone, settings), bone.part)


def _factor(film: FilmView, level_mm: float) -> int:
    return max(1, round(level_mm / film.pixel_mm))


def _search_stage(
    bone: CtBone, films: Sequence[FilmView], start: Float, settings: FilmSettings, others: Others
) -> Objective:
    views, factors = [], []
    for film in films:
        factor = _factor(film, settings.level_mm[0])
        drawn = film.mask if film.mask is not None else bone_shadow(bone.coarse, film.camera, start)
        near = dilated(drawn, settings.search_margin_mm / film.pixel_mm)
        image = film.image if film.mask is None else bone_alone(film.image, film.mask, film.pixel_mm)
        weights = near * _uncut(bone, film, start, settings.search_cut_mm)
        views.append(cut_to(FixedView(image, film.camera, _or_all(weights, near)), near, factor))
        factors.append(factor)
    still = [(other.coarse, pose) for other, pose in others]
    return _objective(bone.coarse, views, factors, settings, still)


def _stage(
    bone: CtBone, films: Sequence[FilmView], pose: Float, settings: FilmSettings, level_mm: float, others: Others
) -> Objective:
    views, factors = [], []
    for film in films:
        factor = _factor(film, level_mm)
        drawn = film.mask if film.mask is not None else bone_shadow(bone.coarse, film.camera, pose)
        near = dilated(drawn, settings.margin_mm / film.pixel_mm) if drawn.any() else np.ones(drawn.shape, dtype=bool)
        weights = near * _uncut(bone, film, pose, settings.cut_mm)
        views.append(cut_to(FixedView(film.image, film.camera, _or_all(weights, near)), near, factor))
        factors.append(factor)
    return _objective(bone.fine, views, factors, settings, [(other.fine, pose) for other, pose in others])


def _objective(
    bone: MovingBone,
    views: list[FixedView],
    factors: list[int],
    settings: FilmSettings,
    others: Sequence[tuple[MovingBone, Float]],
) -> Objective:
    """One objective from views that are shrunk by different factors."""
    pose = settings.pose
    parts = [
        objective(bone, [view], factor, pose.smoothing_px, others, pose.similarity, pose.response)
        for view, factor in zip(views, factors, strict=True)
    ]
    shrunk = tuple(view for part in parts for view in part.views)
    return replace(parts[0], views=shrunk, still=tuple(still for part in parts for still in part.still))


def _uncut(bone: CtBone, film: FilmView, pose: Float, margin_mm: float) -> Float:
    cuts = [(cut, min(margin_mm, cut.length_mm / 3)) for cut in bone.cuts]
    weights = np.ones(film.image.shape)
    for cut, margin in cuts:
        weights *= away_from_cuts([cut], film.camera, pose, margin)
    return weights


def _or_all(weights: Float, near: NDArray[np.bool_]) -> Float:
    """The weights, or the whole region where a bad start leaves nothing of it."""
    return weights if weights.sum() > 0.1 * near.sum() else near.astype(np.float64)


def _overlap(bone: CtBone, films: Sequence[FilmView], pose: Float, settings: FilmSettings) -> float:
    values = []
    for film in films:
        if film.mask is None:
            continue
        counted = _uncut(bone, film, pose, settings.cut_mm) > 0.5
        shadow, mask = bone_shadow(bone.fine, film.camera, pose) & counted, film.mask & counted
        total = int(shadow.sum()) + int(mask.sum())
        values.append(2 * int((shadow & mask).sum()) / total if total else 0.0)
    return min(values, default=float("nan"))
