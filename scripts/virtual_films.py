"""Whole films of virtual patients, reconstructed, with where the wrist truly stands: for scripts that score poses."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from bonelift.anatomy.shape_model import load_shape_model
from bonelift.images.radiograph import View
from bonelift.networks.model import load_model
from bonelift.phantom.patient import VirtualPatient, make_patient
from bonelift.phantom.whole_film import simulated_film
from bonelift.reconstruction.job import reconstruct
from bonelift.reconstruction.result import Reconstruction


@dataclass(frozen=True, eq=False)
class ReadFilm:
    """world_from_radius: (4, 4), true, in the world of the radiograph's camera."""

    seed: int
    patient: VirtualPatient
    view: View
    result: Reconstruction
    world_from_radius: NDArray[np.float64]


def seeds_and_file(description: str | None, count: int) -> argparse.Namespace:
    """The command line: ``first``, ``count`` and ``out``."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=957000, help="seed of the first virtual patient")
    parser.add_argument("--count", type=int, default=count)
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


def read_films(first: int, count: int) -> Iterator[ReadFilm]:
    """One film of each view of so many virtual patients (right wrists, as recorded), by the packaged model."""
    model, shapes = load_model(None), load_shape_model()
    views: tuple[View, ...] = get_args(View)
    for seed in range(first, first + count):
        patient = make_patient(seed, shapes)
        for index, view in enumerate(views):
            film, truth = simulated_film(patient, np.random.default_rng([seed, 7, index]), view, "right")
            yield ReadFilm(seed, patient, view, reconstruct([film], model), truth)


def write_rows(path: Path, rows: Sequence[dict[str, str]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
