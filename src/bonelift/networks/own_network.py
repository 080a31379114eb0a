"""A network of one's own in the place of a model's translator or predictor, and what it has to give back.

What comes back from foreign code is looked at before anything is made of it: NaN, an open mesh, another frame or
nothing at all become an InputError with what was got and what was expected.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bonelift.anatomy.frame import SHOWN_ABOVE_MM
from bonelift.anatomy.shape_basis import BoneBasis
from bonelift.anatomy.shape_model import load_shape_model
from bonelift.errors import InputError
from bonelift.images import LabelGrid, View
from bonelift.images.volume import BONES
from bonelift.networks.inference import translate
from bonelift.networks.model import WristModel
from bonelift.networks.model_files import Program
from bonelift.networks.outlines import Outlines
from bonelift.networks.views import view_of
from bonelift.surface.clip import clip_below
from bonelift.surface.mesh import TriangleMesh

MOST_OPEN_ABOVE_MM = 2.0
"""How far above the cut at SHOWN_ABOVE_MM a bone may be open or begin: two voxels of a coarse grid."""
FARTHEST_FROM_MEAN_MM = 20.0
"""How far the middle of a bone may lie from the mean bone's. Between adults it differs by some 5 mm; a mirrored ulna is
off by 40 mm, another frame by more."""
_DROPPED = ("latent", "shape_code", "expected_error", "shape_sd_factor", "shape_error_sd")
"""What a model's metadata say about its own predictor alone."""


@dataclass(frozen=True, eq=False)
class WristImage:
    """What a method sees of one radiograph, upright and as a right wrist, on the standard film.

    Parameters
    ----------
    view
        ``"pa"`` or ``"lateral"``.
    drr
        (160, 128) float32 line integrals of the bones' attenuation (dimensionless, 0 or more): a CT-DRR, or what the
        translator made of the film. Pixels are 0.5 mm at the wrist. None where only the film is given.
    film
        (160, 128) float32, the film itself, bone bright, about 0 to 1.2. None for an image of a CT.
    """

    view: View
    drr: NDArray[np.float32] | None
    film: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.view, str) or self.view not in ("pa", "lateral"):
            raise InputError(f"view is {self.view!r:.40}; expected 'pa' or 'lateral'")
        for name, image in (("drr", self.drr), ("film", self.film)):
            if image is not None and (not isinstance(image, np.ndarray) or image.ndim != 2):
                got = f"an array of shape {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
                raise InputError(f"{name} is {got}; expected an array (rows, columns), or None")


Bones3D = Mapping[str, TriangleMesh]
"""``"radius"`` and ``"ulna"``: surfaces in the radius frame of a right wrist, mm, closed at and above z = -40 mm."""
Translator = Callable[[NDArray[np.float32], View], NDArray[np.floating]]
"""(film (160, 128) as in :class:`WristImage`, view) -> line integrals (160, 128), 0 or more, dimensionless."""
Predictor = Callable[[Sequence[WristImage]], Bones3D]
"""(images of one wrist, one for each radiograph) -> bones."""


@runtime_checkable
class PredictsBones(Protocol):
    """A model that turns images into surfaces itself, without shape codes or label fields."""

    def predict_bones(self, images: Sequence[WristImage]) -> dict[str, TriangleMesh]:
        """Checked bones of one wrist. Raises InputError."""
        ...


class OwnTranslator:
    """``base`` with another translator from film to bone-only image; everything else is the base's."""

    def __init__(self, base: WristModel, translator: Translator) -> None:
        self._base, self._translator = base, translator

    @property
    def name(self) -> str:
        return f"{self._base.name}, translator {_name_of(self._translator)}"

    @property
    def grid(self) -> LabelGrid:
        return self._base.grid

    @property
    def film_shape(self) -> tuple[int, int]:
        return self._base.film_shape

    @property
    def bases(self) -> Mapping[str, BoneBasis]:
        return self._base.bases

    @property
    def reads_film(self) -> bool:
        return self._base.reads_film

    @property
    def outlines(self) -> Outlines:
        """None: those of the base were learned from the DRRs of its own translator."""
        return {}

    @property
    def metadata(self) -> Mapping[str, Any]:
        return self._base.metadata

    @property
    def weights_sha256(self) -> str:
        return self._base.weights_sha256

    def run(self, program: Program, *inputs: NDArray[Any]) -> tuple[NDArray[np.float32], ...]:
        """Outputs of a program, see :class:`bonelift.networks.model.WristModel`."""
        if program != "translate":
            return self._base.run(program, *inputs)
        film, view = inputs
        made = self._translator(film[0, 0], view_of(int(view[0])))
        return (checked_drr(made, self.film_shape, _name_of(self._translator))[None, None],)


class OwnPredictor(OwnTranslator):
    """``base`` with another way from images to bones; its locator and, where none is given, its translator stay."""

    def __init__(self, base: WristModel, predictor: Predictor, translator: Translator | None = None) -> None:
        super().__init__(base, translator or _translator_of(base))
        self._own_translator, self._predictor = translator, predictor

    @property
    def name(self) -> str:
        start = super().name if self._own_translator else self._base.name
        return f"{start}, predictor {_name_of(self._predictor)}"

    @property
    def bases(self) -> Mapping[str, BoneBasis]:
        return {}

    @property
    def reads_film(self) -> bool:
        return False

    @property
    def metadata(self) -> Mapping[str, Any]:
        return {key: value for key, value in self._base.metadata.items() if key not in _DROPPED}

    def predict_bones(self, images: Sequence[WristImage]) -> dict[str, TriangleMesh]:
        """The predictor's bones, checked. Raises InputError."""
        return checked_bones(self._predictor(images), _name_of(self._predictor))


def with_own_networks(
    base: WristModel, translator: Translator | None = None, predictor: Predictor | None = None
) -> WristModel:
    """``base`` with what is given in the place of its own."""
    for role, given in (("translator", translator), ("predictor", predictor)):
        if given is not None and not callable(given):
            raise InputError(f"{role} is {type(given).__name__}; expected a function (docs/own-network.md)")
    if predictor is not None:
        return OwnPredictor(base, predictor, translator)
    return base if translator is None else OwnTranslator(base, translator)


def checked_drr(made: object, shape: tuple[int, int], who: str) -> NDArray[np.float32]:
    """``made`` as float32 line integrals. Raises InputError: nothing, another shape, NaN, or below 0."""
    wanted = f"expected line integrals, {shape} float32, finite and 0 or more"
    if made is None:
        raise InputError(f"{who}: gave back nothing (None); {wanted}")
    try:
        drr = np.asarray(made, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"{who}: gave back {type(made).__name__}; {wanted}") from error
    if drr.shape != shape:
        raise InputError(f"{who}: gave back an image of shape {drr.shape}; {wanted}")
    if not np.isfinite(drr).all():
        raise InputError(f"{who}: gave back NaN or infinite pixels; {wanted}")
    if drr.min() < -1e-4:
        raise InputError(f"{who}: gave back pixels down to {drr.min():.3g}; {wanted}")
    return np.maximum(drr, np.float32(0))


def checked_bones(found: object, who: str) -> dict[str, TriangleMesh]:
    """``found`` as bones by name, whole as they were given. Raises InputError, one line, naming ``who``: nothing, a
    bone missing, NaN, an open mesh, one that ends above the cut, or another frame than the radius frame."""
    if found is None:
        raise InputError(f"{who}: gave back nothing (None); expected bones named radius and ulna")
    if not isinstance(found, Mapping):
        raise InputError(f"{who}: gave back {type(found).__name__}; expected a mapping with radius and ulna")
    bones = {}
    for bone in BONES:
        mesh = cast("Mapping[str, object]", found).get(bone)
        if mesh is None:
            raise InputError(f"{who}: gave back no {bone}; expected bones named radius and ulna")
        if not isinstance(mesh, TriangleMesh):
            raise InputError(f"{who}: the {bone} is {type(mesh).__name__}; expected a bonelift.TriangleMesh")
        if reason := fault_of_bone(mesh, bone):
            raise InputError(f"{who}: {reason}")
        bones[bone] = mesh
    return bones


def fault_of_bone(mesh: TriangleMesh, bone: str) -> str:
    """What keeps a surface from being this bone of a right wrist in the radius frame, or ""."""
    if mesh.is_empty:
        return f"the {bone} has no surface (no triangles)"
    lowest = float(mesh.vertices[np.unique(mesh.faces), 2].min())
    shown = clip_below(mesh, SHOWN_ABOVE_MM)
    if shown.is_empty:
        return f"the {bone} lies below z = {SHOWN_ABOVE_MM:g} mm: another frame than the radius frame, or another unit"
    model = load_shape_model()
    expected = _middle(clip_below(getattr(model, bone).mean, SHOWN_ABOVE_MM))
    off_mm = float(np.linalg.norm(_middle(shown) - expected))
    if off_mm > FARTHEST_FROM_MEAN_MM:
        return (
            f"the {bone} lies {off_mm:.0f} mm from where a right wrist has it in the radius frame; expected at most "
            f"{FARTHEST_FROM_MEAN_MM:g} mm: another frame, side or unit"
        )
    if lowest > SHOWN_ABOVE_MM + MOST_OPEN_ABOVE_MM:
        return f"the {bone} ends at z = {lowest:.1f} mm; expected a bone down to {SHOWN_ABOVE_MM:g} mm"
    border = shown.vertices[shown.border_vertices()]
    high = int((border[:, 2] > SHOWN_ABOVE_MM + MOST_OPEN_ABOVE_MM).sum())
    if high:
        return (
            f"the {bone} is open: {high} vertices at holes above the cut at {SHOWN_ABOVE_MM:g} mm; expected it closed"
        )
    return ""


def _middle(mesh: TriangleMesh) -> NDArray[np.float64]:
    return (mesh.vertices[mesh.faces].min(axis=(0, 1)) + mesh.vertices[mesh.faces].max(axis=(0, 1))) / 2


def _translator_of(base: WristModel) -> Translator:
    """The base's own translator."""
    return lambda film, view: translate(film, view, base)


def _name_of(given: object) -> str:
    return str(getattr(given, "__name__", type(given).__name__))
