"""The packaged model as methods of ``bonelift evaluate --methods``: what more patients and longer training are worth.

    bonelift evaluate study --run run --preset small --folds 3 --pair-share 1 --fold fold-1 \\
        --methods scripts/packaged_methods.py:Shape scripts/packaged_methods.py:Tl

Nothing of the fold is learned: the model's translator, TL net and shape regressor come from thousands of other virtual
patients. So these rows are no comparison with methods that learned the fold; they say how far from their best those
are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bonelift.experiments.own_methods import MethodInput, TrainingFold
from bonelift.learning.pix2pix import translate_films
from bonelift.learning.samples import FilmSamples
from bonelift.networks.bundle import load_bundle
from bonelift.networks.own_network import Predictor, WristImage
from bonelift.networks.views import view_codes
from bonelift.reconstruction.bones import Method, predict
from bonelift.surface.mesh import TriangleMesh


class _Packaged:
    """reader: of the model's networks."""

    inputs: tuple[MethodInput, ...] = ("film",)
    reader: Method = "shape"
    learned_elsewhere = True
    name = title = ""

    def __init__(self) -> None:
        self.model = load_bundle()
        self.note = f"packaged model {self.model.name}, of other patients; learned nothing of the fold"

    def learn(self, fold: TrainingFold) -> Predictor:
        """See BoneMethod; nothing is learned."""

        def bones(images: Sequence[WristImage]) -> dict[str, TriangleMesh]:
            [image] = images
            film = np.asarray(image.film, dtype=np.float32)
            codes = view_codes([image.view])
            sample = FilmSamples(
                film[None].astype(np.float16), np.zeros((1, *film.shape), np.float16), np.zeros(1, np.int32), codes
            )
            drr = translate_films(self.model.generator, sample, bfloat16=False)[0].astype(np.float32)
            return dict(predict([drr], [image.view], self.model, self.reader, [film]).surfaces)

        return bones


class Shape(_Packaged):
    """The shape regressor: what ``reconstruct`` gives."""

    name, title, reader = "packaged-shape", "packaged model: shape regressor (ours)", "shape"


class Tl(_Packaged):
    """The TL net."""

    name, title, reader = "packaged-tl", "packaged model: TL net", "tl"
