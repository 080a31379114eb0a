"""Use of a model: arrays in, arrays out, float32, the same numbers for the same input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

from bonelift.anatomy.shape_basis import BoneBasis
from bonelift.errors import InputError
from bonelift.geometry import rigid_from_vector
from bonelift.images import Radiograph, View
from bonelift.images.volume import BONES
from bonelift.networks.locator_input import locator_inputs
from bonelift.networks.model import WristModel
from bonelift.networks.occluding_contour import POSE_SD, OutlinedBones
from bonelift.networks.outlines import Hidden, OutlineSigns, SeenWrist, read_together
from bonelift.networks.views import VIEW_CODES

WRIST_FOUND = 0.5
"""Confidence of the locator below which no wrist is reported, no landmark counts and no bone is written."""
UPRIGHT_BONUS = 0.4
"""Log odds by which a picture that need not be turned is ahead: films mostly are upright."""


@dataclass(frozen=True)
class LocatedWrist:
    """Landmarks in px (column, row) of the radiograph, float64.

    origin_px, shaft_px, ulnar_head_px: origin of the radius frame, point of the shaft axis at z = -40 mm (so the two
        give ``film_from_landmarks`` its arguments), centre of the ulnar head.
    confidence: 0 to 1, that an upright wrist was seen; under WRIST_FOUND the landmarks mean nothing.
    peak_share: (3,) 0 to 1, share of each heatmap within 20 mm of its peak; low where the answer is ambiguous.
    turn_deg: by how many degrees clockwise the radiograph was turned for this look; its fingers then point up.
    from_ulnar: a lateral whose palm points right (once a left wrist is mirrored): the source was on the ulnar side.
    """

    origin_px: NDArray[np.float64]
    shaft_px: NDArray[np.float64]
    ulnar_head_px: NDArray[np.float64]
    confidence: float
    peak_share: NDArray[np.float64]
    turn_deg: float
    from_ulnar: bool = False

    @property
    def evidence(self) -> float:
        """Log odds that this is an upright wrist, less what is unclear about where its landmarks are."""
        odds = max(self.confidence, 1e-12) / max(1 - self.confidence, 1e-12)
        return float(np.log(odds * self.peak_share.mean()))


def look(radiograph: Radiograph, model: WristModel, looks: Sequence[tuple[float, bool]]) -> list[LocatedWrist]:
    """What the locator sees in a whole radiograph turned by so many degrees clockwise, one answer for each of
    ``looks``: (turn_deg, from_ulnar)."""
    pictures, matrices = locator_inputs(radiograph, looks)
    points, share, presence = (array.astype(np.float64) for array in model.run("locate", pictures[:, None]))
    confidence = special.expit(presence)
    seen = []
    for n, (matrix, (turn_deg, from_ulnar)) in enumerate(zip(matrices, looks, strict=True)):
        origin, shaft, ulnar_head = points[n] @ matrix[:2, :2].T + matrix[:2, 2]
        seen.append(LocatedWrist(origin, shaft, ulnar_head, float(confidence[n]), share[n], turn_deg, from_ulnar))
    return seen


def looks_of(radiograph: Radiograph, turns_deg: Sequence[float]) -> list[tuple[float, bool]]:
    """Every turn; of a lateral with the palm pointing to either side."""
    palms = (False, True) if radiograph.view == "lateral" else (False,)
    return [(turn_deg, from_ulnar) for from_ulnar in palms for turn_deg in turns_deg]


def locate(radiograph: Radiograph, model: WristModel, turns_deg: Sequence[float] = (0, 90, 180, 270)) -> LocatedWrist:
    """Find the wrist in a whole radiograph; every turn is tried and the most wrist-like one taken.

    Upright is kept unless another turn is much more wrist-like: films mostly are upright.
    """
    seen = look(radiograph, model, looks_of(radiograph, turns_deg))
    return max(seen, key=lambda located: located.evidence + (UPRIGHT_BONUS if located.turn_deg == 0 else 0.0))


def translate(film_pixels: NDArray[np.floating], view: View, model: WristModel) -> NDArray[np.float32]:
    """GAN-DRR of a film: FILM_SHAPE line integrals of the bones' attenuation (dimensionless, >= 0).

    film_pixels: FILM_SHAPE, as in ``Film.pixels``.
    """
    (drr,) = model.run("translate", _picture("film", film_pixels, model), _view(view))
    return drr[0, 0]


def predict_latent(drr: NDArray[np.floating], view: View, model: WristModel) -> NDArray[np.float32]:
    """P: (latent,) float32 of a DRR (FILM_SHAPE, line integrals)."""
    (latent,) = model.run("read_latent", _picture("DRR", drr, model), _view(view))
    return latent[0]


def decode_fields(latent: NDArray[np.floating], model: WristModel) -> NDArray[np.float32]:
    """D: (2, I, J, K) float32 soft labels of radius and ulna in [0, 1] on ``model.grid``, in the radius frame.

    A soft label is the part of a voxel that is bone, so the surface is the level 0.5.
    """
    (fields,) = model.run("decode", np.asarray(latent, dtype=np.float32)[None])
    return fields[0]


@dataclass(frozen=True, eq=False)
class ShapeReading:
    """code: (outputs,) shape codes of radius and ulna, in SD of the population. sd: (outputs,) standard deviation
    expected of the error of each number. motions: (4, 4) for each DRR, the wrist's motion in the radius frame from its
    nominal pose (``Film.nominal_camera_from_radius``) to where S read it; none where the model reads no pose.
    outline_signs: for each DRR, what its outlines say of how well it was read; none where nothing was corrected by
    outlines."""

    code: NDArray[np.float64]
    sd: NDArray[np.float64]
    motions: tuple[NDArray[np.float64], ...] = ()
    outline_signs: tuple[OutlineSigns, ...] = ()


def read_shape(
    drrs: Sequence[NDArray[np.floating]],
    views: Sequence[View],
    model: WristModel,
    films: Sequence[NDArray[np.floating]] | None = None,
    hidden: Sequence[Hidden] | None = None,
) -> ShapeReading:
    """S: shape codes of radius and ulna from DRRs of one wrist (FILM_SHAPE, line integrals).

    films: what the DRRs were translated from (``Film.pixels``); None for DRRs of a CT. A model that does not read films
    ignores them. hidden: of each, what it does not show.
    Each film is read several times (programs.JITTERS), a little moved and turned, and the readings averaged. Then they
    are corrected together by the outlines of the bones (:func:`bonelift.networks.outlines.read_together`), where the
    model has a reader of outlines for each of them; otherwise several films are weighed, number by number, by the
    inverse square of the error expected of each (:func:`_expected_sd`).
    """
    if not model.bases:
        raise InputError(f"model {model.name}: has no shape regressor; pass --method tl, or another model")
    if not drrs or len(drrs) != len(views):
        raise InputError(f"got {len(drrs)} DRRs and {len(views)} views; expected one view for each DRR")
    codes, sds, poses = [], [], []
    shown = films or [None] * len(drrs)
    for drr, view, film in zip(drrs, views, shown, strict=True):
        pictures = [_picture("DRR", drr, model)]
        if model.reads_film:
            pictures.append(np.zeros_like(pictures[0]) if film is None else _picture("film", film, model))
        code, *told = model.run("read_shape", np.concatenate(pictures, axis=1), _view(view))
        codes.append(code[0].astype(np.float64))
        sds.append(_expected_sd(told[0][0] if told else np.ones(len(code[0])), view, model))
        poses += [pose[0].astype(np.float64) for pose in told[1:]]
    weights = 1 / np.square(sds)
    seen = [
        SeenWrist(view, np.concatenate([code, pose / POSE_SD]), drr, film, unseen)
        for drr, view, film, unseen, code, pose in zip(
            drrs, views, shown, hidden or [None] * len(drrs), codes, poses, strict=False
        )
    ]
    together = None
    sd = weights.sum(axis=0) ** -0.5
    if model.outlines:
        sd[_hidden_everywhere(hidden, model)] = 1.0
        together = read_together(seen, _outlined_bones(*(model.bases[bone] for bone in BONES)), model.outlines)
    if together is None:
        code = (weights * np.stack(codes)).sum(axis=0) / weights.sum(axis=0)
        return ShapeReading(code, sd, tuple(rigid_from_vector(pose) for pose in poses))
    motions = tuple(rigid_from_vector(pose * POSE_SD) for pose in together.poses)
    return ShapeReading(together.code, sd, motions, together.signs)


def _hidden_everywhere(hidden: Sequence[Hidden] | None, model: WristModel) -> NDArray[np.bool_]:
    """(outputs,) the numbers of bones of which every picture hides so much that the population alone tells them."""
    of_bones = [set(picture.bones) for picture in hidden or ()]
    numbers = set.intersection(*of_bones) if of_bones else set()
    return np.concatenate([np.full(model.bases[bone].length, n in numbers) for n, bone in enumerate(BONES)])


@lru_cache(maxsize=4)
def _outlined_bones(radius: BoneBasis, ulna: BoneBasis) -> OutlinedBones:
    return OutlinedBones([radius, ulna])


def _expected_sd(told: NDArray[np.floating], view: View, model: WristModel) -> NDArray[np.float64]:
    """(outputs,) what S tells of its error, times what that was found to be short of on validation patients (metadata
    "shape_sd_factor", by view and number). A model that does not tell errors has those of its view on validation
    patients instead ("shape_error_sd"); one that knows neither has 1 everywhere."""
    factor = model.metadata.get("shape_sd_factor", {}).get(view)
    if factor is None:
        return np.asarray(model.metadata.get("shape_error_sd", {}).get(view, np.ones(len(told))), dtype=np.float64)
    return np.asarray(told, dtype=np.float64) * np.asarray(factor, dtype=np.float64)


def latent_of_views(
    drrs: Sequence[NDArray[np.floating]], views: Sequence[View], model: WristModel
) -> NDArray[np.float32]:
    """P of several DRRs of one wrist: the mean of their latents (latent,); D of it gives the bones."""
    if not drrs or len(drrs) != len(views):
        raise InputError(f"got {len(drrs)} DRRs and {len(views)} views; expected one view for each DRR")
    latents = [predict_latent(drr, view, model) for drr, view in zip(drrs, views, strict=True)]
    return np.asarray(np.mean(latents, axis=0), dtype=np.float32)


def _picture(name: str, pixels: NDArray[np.floating], model: WristModel) -> NDArray[np.float32]:
    """(1, 1, rows, columns)."""
    if pixels.shape != model.film_shape:
        raise InputError(f"{name} has {pixels.shape} pixels; expected {model.film_shape} (rows, columns)")
    if not np.isfinite(pixels).all():
        raise InputError(f"{name} holds NaN or infinite pixels")
    return np.asarray(pixels, dtype=np.float32)[None, None]


def _view(view: View) -> NDArray[np.int64]:
    return np.array([VIEW_CODES[view]], dtype=np.int64)
