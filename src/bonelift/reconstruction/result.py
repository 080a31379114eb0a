"""What the main job found: frozen data for the report, the files and the tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bonelift.anatomy.shape_uncertainty import ExpectedDistance
from bonelift.images.radiograph import Side
from bonelift.reconstruction.bones import Bones
from bonelift.reconstruction.cut import PreparedFilm
from bonelift.reconstruction.judge import Quality
from bonelift.reconstruction.measured import MeasuredValue
from bonelift.reconstruction.measurement_errors import KnownErrors
from bonelift.reconstruction.place import PlacedFilm
from bonelift.reconstruction.reconsider import Hypothesis
from bonelift.reconstruction.settings import JobSettings
from bonelift.reconstruction.suggest import Suggestion


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """Everything the job found.

    films, drrs and placed run in parallel; of two images, one in which no wrist was seen is left out of all three, and
    flagged. Where no wrist was seen at all there are no drrs, no bones and nothing placed, and films are the middles of
    the images; where a bone came out empty nothing is placed.
    tried: for each image that was given, the hypotheses of where the wrist is that were carried through, best first;
    none where there was no doubt. suggestions: other facts that fit the films of a doubtful answer better than those
    that were given; the flags tell them in words. expected: error that each bone expects of itself; None where the
    model or the method does not tell it. measurements: on the bones in 3D and on each film;
    measurement_errors: where their expected errors come from, or why they are not known.
    """

    films: tuple[PreparedFilm, ...]
    drrs: tuple[NDArray[np.float32], ...]
    bones: Bones | None
    placed: tuple[PlacedFilm, ...]
    tried: tuple[tuple[Hypothesis, ...], ...]
    measurements: tuple[MeasuredValue, ...]
    measurement_errors: KnownErrors
    quality: Quality
    suggestions: tuple[Suggestion, ...]
    expected: Mapping[str, ExpectedDistance] | None
    model_name: str
    model_sha256: str
    settings: JobSettings
    timings_s: Mapping[str, float]

    @property
    def side(self) -> Side:
        return self.films[0].radiograph.side
