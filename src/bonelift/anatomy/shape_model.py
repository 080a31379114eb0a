"""The packaged shape model of the distal radius and ulna, and virtual wrists drawn from it."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from bonelift.anatomy.population import draw_wrist
from bonelift.anatomy.statistical_shape import BoneModel, Sex, ShapeModel, WristShape, read_model

__all__ = ["BoneModel", "Sex", "ShapeModel", "WristShape", "load_shape_model", "sample_wrist"]

MODEL_FILE = Path(__file__).with_name("shape_model.npz")


@lru_cache(maxsize=4)
def load_shape_model(path: Path | None = None) -> ShapeModel:
    """The packaged model (see SHAPE_MODEL_CARD.md beside it for sources and limits), or the one in the file ``path``.

    A model with subjects left out (``scripts/build_shape_model.py --without``) draws a population that never saw them.
    Raises InputError where ``path`` holds no shape model.
    """
    return read_model(MODEL_FILE if path is None else path)


def sample_wrist(model: ShapeModel, rng: np.random.Generator, sex: Sex | None = None) -> WristShape:
    """One virtual adult right wrist in its own radius frame; the same generator state gives the same wrist.

    sex: drawn evenly if None. See :mod:`bonelift.anatomy.population` for what varies and by how much.
    """
    return draw_wrist(model, rng, sex)
