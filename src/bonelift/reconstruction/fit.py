"""Bones laid against the films themselves: what the networks predict is only where that begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from bonelift.anatomy.shape_basis import PLACEMENT, BoneBasis
from bonelift.errors import InputError
from bonelift.geometry import invert_rigid
from bonelift.networks.model import WristModel
from bonelift.reconstruction.bones import BONES, Bones, FitRecord, bones_of_code, code_by_bone
from bonelift.reconstruction.cut import PreparedFilm
from bonelift.reconstruction.place import PlaceSettings, Stance, film_view
from bonelift.registration import PoseSettings, register
from bonelift.registration.image_fit import ImageFitSettings, fit_to_image
from bonelift.registration.shape_fit import ShapedWrist, ShapeFit, ShapeFitSettings, compared, fit_shape
from bonelift.registration.similarity import Similarity
from bonelift.registration.views import FixedView

_EDGES: Similarity = "local_gradient_correlation"
_SEARCH = PoseSettings(
    start_sigma=(0.25, 0.20, 0.10, 4.0, 4.0, 15.0),
    prior_sigma=(0.35, 0.35, 0.30, 12.0, 12.0, 25.0),
    cost_of_sigma=0.0005,
    starts=3,
    generations=20,
    coarse_factor=3,
    similarity=_EDGES,
    last_iterations=0,
)
_RADIUS = PoseSettings(
    start_sigma=(0.03, 0.03, 0.03, 0.7, 0.7, 1.0),
    prior_sigma=(0.15, 0.15, 0.30, 4.0, 4.0, 6.0),
    cost_of_sigma=0.001,
    starts=2,
    population=12,
    generations=12,
    coarse_factor=2,
    fine_factor=1,
    similarity=_EDGES,
    last_iterations=4,
)
_ULNA = replace(_RADIUS, start_sigma=(0.05, 0.05, 0.15, 1.5, 1.5, 3.0))
_WRIST = replace(
    PlaceSettings().wrist,
    similarity=_EDGES,
    cost_of_sigma=0.0005,
    start_sigma=(0.08, 0.08, 0.06, 2.0, 2.0, 8.0),
    starts_in_doubt=0,
)
_BONE = replace(PlaceSettings().bone, similarity=_EDGES)


@dataclass(frozen=True)
class FitSettings:
    """search: the predicted bones as one, before they are fitted: a view that the networks read wrongly leaves the
    wrist tilted by up to 20 degrees, which the films themselves tell.
    radius, ulna: then the radius, and the ulna beside it: its place is the part of a prediction that is off most.
    shape: the fit. search_margin_mm, margin_mm: how far around the bones films are compared: where the ulna is searched
    for, and where fitted bones are placed.
    wrist, bone: fitted bones as one, and each by itself. Films show soft tissue and carpals, so edges are compared,
    evened in strength.
    """

    search: PoseSettings = _SEARCH
    radius: PoseSettings = _RADIUS
    ulna: PoseSettings = _ULNA
    shape: ShapeFitSettings = field(default_factory=ShapeFitSettings)
    search_margin_mm: float = 4.0
    margin_mm: float = 2.5
    wrist: PoseSettings = _WRIST
    bone: PoseSettings = _BONE
    one_film: bool = False
    image: ImageFitSettings = field(default_factory=lambda: ImageFitSettings(share=0.5))
    least_gain: float = 0.1
    most_charge: float = 1.0


def fit(
    bones: Bones, stances: tuple[Stance, ...], model: WristModel, settings: FitSettings, seed: int = 0
) -> tuple[Bones, tuple[Stance, ...]]:
    """The bones as they match the films best, and where the wrist then stands.

    Bones of the shape regressor are moved and deformed where they stand in several films that share a world: two such
    films tell more than both predictions. In one film alone, where the settings ask for it, they are fitted to its
    bone-only image, and that is kept where the image says so (:func:`fit_one`). All others stay as they are, and so do
    bones that lie outside of a film.
    """
    if bones.method != "shape" or len(stances) != 1:
        return bones, stances
    stance = stances[0]
    if len(stance.films) == 1:
        if not settings.one_film:
            return bones, stances
        return fit_one(bones, stance, model, settings), stances
    views = film_views(stance.films)
    try:
        found = search_and_fit(bones, views, stance.pose.world_from_bone, model, settings, seed)
        near = tuple(compared(model.bases, views, found.wrist, settings.margin_mm))
    except InputError:
        return bones, stances
    fitted = bones_of_code(np.concatenate([found.wrist.codes[name] for name in BONES]), model, fitted=True)
    # What was expected before the fit: it is not worse after it.
    fitted = replace(fitted, code_sd=bones.code_sd, outline_signs=bones.outline_signs)
    pose = register(fitted.wrist_solid, near, found.wrist.world_from_radius, settings.wrist, seed=seed)
    return fitted, (Stance(stance.films, near, pose, settings.bone),)


def fit_one(bones: Bones, stance: Stance, model: WristModel, settings: FitSettings) -> Bones:
    """The bones fitted to the bone-only image of one film, or as they were, with the record of why."""
    if bones.code_sd is None:
        return bones
    codes, sds = code_by_bone(bones.code, model), code_by_bone(bones.code_sd, model)
    start = ShapedWrist(stance.pose.world_from_bone, codes)
    try:
        found = fit_to_image(model.bases, stance.views[0], start, sds, settings.image)
    except InputError as error:
        return replace(bones, fit=FitRecord(False, str(error)))
    # The radius' place in its own frame is not fitted; a share of the step was taken of the whole.
    step = {name: (found.wrist.codes[name] - codes[name]) / sds[name] / settings.image.share for name in BONES}
    charge = float(np.mean(np.square(np.concatenate([step["radius"][:-PLACEMENT], step["ulna"]]))))
    gain = 1 - found.misfit / found.start_misfit if found.start_misfit > 0 else 0.0
    moved = {name: _moved_mm(model.bases[name], codes[name], found.wrist.codes[name]) for name in BONES}
    if gain < settings.least_gain:
        reason = f"the image's misfit fell by {100 * gain:.0f} % only; expected {100 * settings.least_gain:.0f} %"
        return replace(bones, fit=FitRecord(False, reason, gain, charge, moved))
    if charge > settings.most_charge:
        reason = f"the shape would move by {charge**0.5:.1f} of the errors expected of it; too far to be believed"
        return replace(bones, fit=FitRecord(False, reason, gain, charge, moved))
    fitted = bones_of_code(np.concatenate([found.wrist.codes[name] for name in BONES]), model, fitted=True)
    reason = f"the image's misfit fell by {100 * gain:.0f} %"
    record = FitRecord(True, reason, gain, charge, moved)
    return replace(fitted, code_sd=bones.code_sd, outline_signs=bones.outline_signs, fit=record)


def _moved_mm(basis: BoneBasis, code: NDArray[np.floating], other: NDArray[np.floating]) -> float:
    """Root mean square distance of two codes' surfaces along their normals after rigid alignment, mm."""
    change = np.asarray(other, dtype=np.float64) - code
    return float(np.sqrt(max(change @ basis.error_metrics()[1] @ change, 0.0)))


def film_views(films: Sequence[PreparedFilm]) -> list[FixedView]:
    """The films themselves in the canonical world of the first, weighted wherever they are recorded.

    A view that the networks never learned, an oblique, still shows its edges; its translation need not.
    """
    first = films[0].film
    return [
        replace(film_view(film.film, film.film.pixels, first), weights=film.film.recorded.astype(float))
        for film in films
    ]


def search_and_fit(
    bones: Bones,
    views: Sequence[FixedView],
    canonical_from_start: NDArray[np.float64],
    model: WristModel,
    settings: FitSettings,
    seed: int = 0,
) -> ShapeFit:
    """Predicted bones searched for from a start (4, 4), then fitted. Raises InputError where they lie outside a view.

    The start itself, refined as it is, is one of the ends of that search, for a search over edges alone may wander off.
    The search tells where the ulna lies beside the radius, or is misled by an edge of the radius in front of it: the
    first stage is fitted from the predicted place, too, and goes on from what matches better.
    """
    start = canonical_from_start
    found = register(bones.wrist_solid, views, start, settings.search, seed=seed, guesses=[start])
    predicted = ShapedWrist(found.world_from_bone, code_by_bone(bones.code, model))
    starts = [predicted, _with_ulna_found(predicted, bones, views, model.bases, settings, seed)]
    first, rest = settings.shape.stages[:1], settings.shape.stages[1:]
    begun = [fit_shape(model.bases, views, start, replace(settings.shape, stages=first)) for start in starts]
    best = max(begun, key=lambda end: np.mean(end.similarity_per_view))
    return fit_shape(model.bases, views, best.wrist, replace(settings.shape, stages=rest))


def _with_ulna_found(
    wrist: ShapedWrist,
    bones: Bones,
    views: Sequence[FixedView],
    bases: Mapping[str, BoneBasis],
    settings: FitSettings,
    seed: int,
) -> ShapedWrist:
    """The wrist with the radius, and the ulna beside it, each registered by itself as predicted."""
    at, solids = wrist.world_from_radius, bones.solids
    near = compared(bases, views, wrist, settings.search_margin_mm)
    radius = register(solids["radius"], near, at, settings.radius, [(solids["ulna"], at)], seed).world_from_bone
    ulna = register(solids["ulna"], near, at, settings.ulna, [(solids["radius"], radius)], seed).world_from_bone
    code = wrist.codes["ulna"]
    radius_from_reference = invert_rigid(radius) @ ulna @ bases["ulna"].radius_from_reference(code)
    return ShapedWrist(radius, {**wrist.codes, "ulna": bases["ulna"].placed(code, radius_from_reference)})
