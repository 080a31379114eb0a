"""The predicted bones: continuous fields, and the surfaces taken from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bonelift.anatomy.frame import SHOWN_ABOVE_MM
from bonelift.images import LAPTOP_GRID, LabelGrid, View
from bonelift.images.volume import BONES
from bonelift.networks.inference import Hidden, decode_fields, latent_of_views, read_shape
from bonelift.networks.model import WristModel
from bonelift.networks.outlines import OutlineSigns
from bonelift.networks.own_network import PredictsBones, WristImage
from bonelift.registration import MovingBone, moving_bone
from bonelift.registration.nominal_bone import nominal_attenuation
from bonelift.surface.clip import clip_below
from bonelift.surface.isosurface import extract_surface, largest_piece
from bonelift.surface.mesh import TriangleMesh
from bonelift.surface.voxelize import soft_label

SURFACE_LEVEL = 0.5


Method = Literal["shape", "tl"]
"""shape: the shape regressor S. tl: the paper's TL-embedding network."""
MadeBy = Literal["shape", "tl", "own"]
"""What predicted bones: a Method, or a predictor that the caller gave (:mod:`bonelift.networks.own_network`)."""


@dataclass(frozen=True)
class FitRecord:
    """What a fit to the bone-only image of one film came to. kept: whether the bones are the fitted ones. reason: why,
    or why not. gain: share of the image's misfit that it took away. charge: mean square of the whole step in SD of the
    errors expected. moved_mm: bone -> root mean square change of its shape."""

    kept: bool
    reason: str
    gain: float = float("nan")
    charge: float = float("nan")
    moved_mm: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Bones:
    """fields: (2, I, J, K) soft labels in [0, 1] on ``grid``. surfaces: name -> mesh, radius frame (right wrist), mm;
    empty where the field never reaches one half. method: what predicted them; code: S's shape code or P's latent.
    fitted: whether the prediction was then fitted to the films (:mod:`bonelift.reconstruction.fit`).
    code_sd: standard deviation expected of the error of each number of S's code; None for the TL-embedding network.
    fit: record of the fit to one film; None where there was none. motions: (4, 4), and outline_signs, for each film:
    see :class:`bonelift.networks.inference.ShapeReading`."""

    fields: NDArray[np.float32]
    grid: LabelGrid
    surfaces: Mapping[str, TriangleMesh]
    code: NDArray[np.floating]
    method: MadeBy = "tl"
    fitted: bool = False
    code_sd: NDArray[np.floating] | None = None
    fit: FitRecord | None = None
    motions: tuple[NDArray[np.float64], ...] = ()
    outline_signs: tuple[OutlineSigns, ...] = ()

    @property
    def complete(self) -> bool:
        return not any(mesh.is_empty for mesh in self.surfaces.values())

    @cached_property
    def solids(self) -> Mapping[str, MovingBone]:
        """name -> the bone as it can be projected: with a wall and an inside. Both on one grid."""
        return {
            name: moving_bone(*nominal_attenuation(field, self.grid))
            for name, field in zip(BONES, self.fields, strict=True)
        }

    @cached_property
    def wrist_solid(self) -> MovingBone:
        """Both :attr:`solids` as one rigid object."""
        radius, ulna = (self.solids[name] for name in BONES)
        return moving_bone(radius.volume.values[0] + ulna.volume.values[0], radius.bone_from_voxel)


def predict(
    drrs: Sequence[NDArray[np.floating]],
    views: Sequence[View],
    model: WristModel,
    method: Method | None = None,
    films: Sequence[NDArray[np.floating]] | None = None,
    hidden: Sequence[Hidden] | None = None,
) -> Bones:
    """Bones from the bone-only images of one wrist.

    method: None takes S where the model has one, which beats the TL-embedding network (docs/results/holdout.md).
    films: what the images were translated from (``Film.pixels``), which S may read beside them; None for DRRs of a CT.
    hidden: of each image, what it does not show, for S.
    Raises InputError where S is asked of a model that has none.
    """
    if method is None and isinstance(model, PredictsBones):
        return _from_own_predictor(drrs, views, model, films)
    chosen: Method = method or ("shape" if model.bases else "tl")
    return _from_shape(drrs, views, model, films, hidden) if chosen == "shape" else _from_latents(drrs, views, model)


def _from_latents(drrs: Sequence[NDArray[np.floating]], views: Sequence[View], model: WristModel) -> Bones:
    """D(P(DRR)); the latents of several images are averaged."""
    latent = latent_of_views(drrs, views, model)
    fields = decode_fields(latent, model)
    surfaces = {name: bone_surface(field, model.grid) for name, field in zip(BONES, fields, strict=True)}
    return Bones(fields, model.grid, surfaces, latent)


def _from_shape(
    drrs: Sequence[NDArray[np.floating]],
    views: Sequence[View],
    model: WristModel,
    films: Sequence[NDArray[np.floating]] | None,
    hidden: Sequence[Hidden] | None,
) -> Bones:
    """S(DRR, film)."""
    reading = read_shape(drrs, views, model, films, hidden)
    bones = bones_of_code(reading.code, model)
    return replace(bones, code_sd=reading.sd, motions=reading.motions, outline_signs=reading.outline_signs)


def _from_own_predictor(
    drrs: Sequence[NDArray[np.floating]],
    views: Sequence[View],
    model: PredictsBones,
    films: Sequence[NDArray[np.floating]] | None,
) -> Bones:
    """Surfaces that somebody else's network gave; the fields are their voxels. There is no code."""
    images = [
        WristImage(view, np.asarray(drr, np.float32), None if film is None else np.asarray(film, np.float32))
        for drr, view, film in zip(drrs, views, films or [None] * len(drrs), strict=True)
    ]
    whole = model.predict_bones(images)
    fields = np.stack([soft_label(whole[name], LAPTOP_GRID) for name in BONES])
    surfaces = {name: clip_below(mesh, SHOWN_ABOVE_MM) for name, mesh in whole.items()}
    return Bones(fields, LAPTOP_GRID, surfaces, np.zeros(0), "own")


def code_by_bone(code: NDArray[np.floating], model: WristModel) -> dict[str, NDArray[np.float64]]:
    """S's code, or what belongs to each of its numbers, taken apart: name -> the part of its basis."""
    parts = np.split(np.asarray(code, dtype=np.float64), [model.bases["radius"].length])
    return dict(zip(BONES, parts, strict=True))


def bones_of_code(code: NDArray[np.floating], model: WristModel, fitted: bool = False) -> Bones:
    """Surfaces of a shape code; the fields are their voxels on a grid that holds every wrist."""
    whole = {name: model.bases[name].decode(part) for name, part in code_by_bone(code, model).items()}
    fields = [soft_label(whole[name], LAPTOP_GRID) for name in BONES]
    surfaces = {name: clip_below(mesh, SHOWN_ABOVE_MM) for name, mesh in whole.items()}
    return Bones(np.stack(fields), LAPTOP_GRID, surfaces, code, "shape", fitted)


def bone_surface(field: NDArray[np.floating], grid: LabelGrid) -> TriangleMesh:
    """The largest piece of the surface at one half, cut at SHOWN_ABOVE_MM."""
    surface = extract_surface(field, grid.radius_from_voxel, SURFACE_LEVEL, inside="above")
    return surface if surface.is_empty else clip_below(largest_piece(surface), SHOWN_ABOVE_MM)
