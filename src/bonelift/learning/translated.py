"""The generator's DRRs of films that another network learns from, kept beside the films."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonelift.learning.pix2pix import translate_films
from bonelift.learning.samples import FilmSamples, load_samples
from bonelift.networks.pix2pix import Generator
from bonelift.storage.whole import whole_file


def translated(folder: Path, generator: Generator) -> NDArray[np.float16]:
    """(N, H, W) the generator's DRR of every film in ``folder``, line integrals. What was translated before by the same
    weights is read from beside the films, so that a stage is taken up again soon and films may be added."""
    weights = hashlib.sha256(b"".join(t.cpu().numpy().tobytes() for t in generator.state_dict().values())).hexdigest()
    device = str(next(generator.parameters()).device)
    path = folder / f"translated-{weights[:12]}.npy"
    films = load_samples(folder, FilmSamples)
    known = np.load(path, allow_pickle=False) if path.exists() else np.empty((0, *films.drr.shape[1:]), np.float16)
    new = later_films(films, len(known))
    if len(new.drr):
        known = np.concatenate([known, translate_films(generator, new, device, bfloat16=False)])
        with whole_file(path) as partial, partial.open("wb") as file:
            np.save(file, known, allow_pickle=False)
    return known


def later_films(films: FilmSamples, first: int) -> FilmSamples:
    """The films from number ``first`` on."""
    return FilmSamples(**{field.name: getattr(films, field.name)[first:] for field in fields(films)})
