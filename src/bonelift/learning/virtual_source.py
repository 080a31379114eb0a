"""Samples of virtual patients, made on the way: cohorts that share nobody, told apart by their seeds.

``samples`` trains locator, pix2pix, P and D; ``shapes`` are wrists alone, for step 1; ``bones`` have DRRs alone, for S;
``films`` are of patients that the generator never sees, so that its DRRs of them err as they will in use;
``validation`` watches over all. A folder of samples says which population (shape model) they were drawn from.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bonelift.anatomy.shape_model import ShapeModel, load_shape_model
from bonelift.errors import InputError
from bonelift.images import LabelGrid
from bonelift.learning.bare_samples import generate_bare_samples
from bonelift.learning.line import Kind, SampleFolders
from bonelift.learning.virtual_samples import VirtualSampleConfig, generate_samples, generate_shapes
from bonelift.storage.input_files import read_json
from bonelift.storage.output_folder import claim_folder
from bonelift.storage.whole import write_whole

Part = Literal["shapes", "samples", "bones", "films", "validation"]
PARTS: dict[Kind, tuple[Part, ...]] = {
    "locator": ("samples", "validation"),
    "pix2pix": ("samples", "validation"),
    "shapes": ("shapes", "validation"),
    "tl": ("samples", "validation"),
    "bones": ("bones", "validation"),
    "films": ("films", "validation"),
    "tuning": ("samples", "validation"),
}
"""The cohort that a kind of samples trains on, then the one that watches."""
SETTINGS_FILE, POPULATION_FILE = "virtual.json", "population.json"
LEAST_PATIENTS = 3


@dataclass(frozen=True)
class VirtualSource:
    """See SampleSource. folder: has one folder for each part. seeds: of the patients of each part. films, images: of
    each patient of ``samples`` and ``validation``; drrs: of each of ``bones``; unseen_films: of each of ``films``.
    shape_model: the population that patients are drawn from."""

    folder: Path
    grid: LabelGrid
    seeds: dict[Part, Sequence[int]]
    films: int = 4
    images: int = 2
    drrs: int = 8
    unseen_films: int = 4
    workers: int = 1
    has_films: bool = True
    tl_reads_gan: bool = True
    shape_from_readings: bool = True
    shape_model: ShapeModel = field(default_factory=load_shape_model)

    def make(self, kinds: Collection[Kind]) -> None:
        """See SampleSource."""
        parts: list[Part] = [part for kind in kinds for part in PARTS[kind]]
        for part in dict.fromkeys(parts):
            self.make_part(part)

    def make_part(self, part: Part) -> None:
        """What is missing of one part. Raises InputError where it was begun with patients of another population."""
        folder, seeds, model = self.folder / part, self.seeds[part], self.shape_model
        claim_population(folder, model)
        if part == "shapes":
            generate_shapes(folder, seeds, self.grid, model=model)
        elif part == "bones":
            generate_bare_samples(folder, seeds, self.drrs, model=model, workers=self.workers)
        else:
            films = self.unseen_films if part == "films" else self.films
            config = VirtualSampleConfig(films=films, locator_images=0 if part == "films" else self.images)
            generate_samples(folder, seeds, self.grid, config, model=model, workers=self.workers)

    def folders(self, kind: Kind) -> SampleFolders:
        """See SampleSource. Raises InputError where a folder holds patients of another population."""
        training, validation = PARTS[kind]
        for part in (training, validation):
            check_population(self.folder / part, self.shape_model)
        return SampleFolders(self.folder / training, self.folder / validation)

    def facts(self) -> dict[str, Any]:
        """See SampleSource."""
        return {
            "source": "virtual patients",
            "patients": {part: len(seeds) for part, seeds in self.seeds.items()},
            "first seeds": {part: int(seeds[0]) for part, seeds in self.seeds.items()},
            "images of each": {"films": self.films, "whole": self.images, "DRRs of bare bones": self.drrs,
                               "films unseen by pix2pix": self.unseen_films},
            "population": population_facts(self.shape_model),
        }  # fmt: skip


def population_facts(model: ShapeModel) -> dict[str, Any]:
    """Which shape model patients are drawn from, JSON-able."""
    return {"shape model": model.digest(), "without": list(model.without)}


def check_population(folder: Path, model: ShapeModel) -> None:
    """Raise InputError where ``folder`` holds virtual patients of another population than that of ``model``.

    Samples that do not say their population are from before it could be chosen: the packaged one.
    """
    known = folder / POPULATION_FILE
    if known.is_file():
        begun = read_json(known, "the population of virtual patients")
    elif folder.is_dir() and any(folder.iterdir()):
        begun = population_facts(load_shape_model())
    else:
        return
    now = population_facts(model)
    if begun != now:
        raise InputError(
            f"{folder}: holds virtual patients of another population ({_in_words(begun)}); expected {_in_words(now)}; "
            "pass the shape model that they were drawn from, or another folder"
        )


def claim_population(folder: Path, model: ShapeModel) -> None:
    """Write into ``folder`` which population its virtual patients are drawn from. Raises InputError: see
    :func:`check_population`."""
    check_population(folder, model)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / POPULATION_FILE, json.dumps(population_facts(model), indent=1) + "\n")


def _in_words(population: Any) -> str:
    facts = population if isinstance(population, dict) else {}
    without = facts.get("without") or ["nobody"]
    return f"shape model {facts.get('shape model')!s:.12}, without {', '.join(map(str, without))!s:.60}"


def virtual_source(folder: Path, patients: int, seed: int, grid: LabelGrid, workers: int = 1) -> VirtualSource:
    """A source of ``patients`` virtual patients with films, as many with DRRs alone, half as many films for S that
    pix2pix never sees, four times as many wrists for step 1, and 15 % (two at least) that validate.

    folder: keeps the samples and what they were made with. Raises InputError: fewer than three, or a folder that was
    begun with another number or seed.
    """
    if patients < LEAST_PATIENTS:
        raise InputError(f"--virtual {patients}: expected {LEAST_PATIENTS} virtual patients or more")
    counts: dict[Part, int] = {
        "shapes": 4 * patients,
        "samples": patients,
        "bones": patients,
        "films": max(2, patients // 2),
        "validation": max(2, round(0.15 * patients)),
    }
    settings = {"patients": patients, "seed": seed, "grid": _grid(grid)}
    claim_folder(folder, SETTINGS_FILE, settings, "virtual samples", "--run")
    seeds: dict[Part, Sequence[int]] = {
        part: virtual_seeds(seed, number, count) for number, (part, count) in enumerate(counts.items())
    }
    return VirtualSource(folder, grid, seeds, workers=workers)


def virtual_seeds(seed: int, part: int, count: int) -> list[int]:
    """Seeds of ``count`` patients: spread over 63 bits, so that cohorts of other seeds or parts, and the small seeds of
    the packaged model and of the evaluations, do not meet them."""
    states = [np.random.SeedSequence([seed, 7, part, index]).generate_state(2) for index in range(count)]
    return [(int(high) >> 1) << 32 | int(low) for low, high in states]


def _grid(grid: LabelGrid) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(grid).items()}
