"""Samples of virtual patients, made on the way: cohorts that share nobody, told apart by their seeds.

``samples`` trains locator, pix2pix, P and D; ``shapes`` are wrists alone, for step 1; ``bones`` have DRRs alone, for S;
``films`` are of patients that the generator never sees, so that its DRRs of them err as they will in use;
``validation`` watches over all.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bonelift.errors import InputError
from bonelift.images import LabelGrid
from bonelift.learning.bare_samples import generate_bare_samples
from bonelift.learning.line import Kind, SampleFolders
from bonelift.learning.virtual_samples import VirtualSampleConfig, generate_samples, generate_shapes
from bonelift.storage.output_folder import claim_folder

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
SETTINGS_FILE = "virtual.json"
LEAST_PATIENTS = 3


@dataclass(frozen=True)
class VirtualSource:
    """See SampleSource. folder: has one folder for each part. seeds: of the patients of each part. films, images: of
    each patient of ``samples`` and ``validation``; drrs: of each of ``bones``; unseen_films: of each of ``films``."""

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

    def make(self, kinds: Collection[Kind]) -> None:
        """See SampleSource."""
        parts: list[Part] = [part for kind in kinds for part in PARTS[kind]]
        for part in dict.fromkeys(parts):
            self.make_part(part)

    def make_part(self, part: Part) -> None:
        """What is missing of one part."""
        folder, seeds = self.folder / part, self.seeds[part]
        if part == "shapes":
            generate_shapes(folder, seeds, self.grid)
        elif part == "bones":
            generate_bare_samples(folder, seeds, self.drrs, workers=self.workers)
        else:
            films = self.unseen_films if part == "films" else self.films
            config = VirtualSampleConfig(films=films, locator_images=0 if part == "films" else self.images)
            generate_samples(folder, seeds, self.grid, config, workers=self.workers)

    def folders(self, kind: Kind) -> SampleFolders:
        """See SampleSource."""
        training, validation = PARTS[kind]
        return SampleFolders(self.folder / training, self.folder / validation)

    def facts(self) -> dict[str, Any]:
        """See SampleSource."""
        return {
            "source": "virtual patients",
            "patients": {part: len(seeds) for part, seeds in self.seeds.items()},
            "first seeds": {part: int(seeds[0]) for part, seeds in self.seeds.items()},
            "images of each": {"films": self.films, "whole": self.images, "DRRs of bare bones": self.drrs,
                               "films unseen by pix2pix": self.unseen_films},
        }  # fmt: skip


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
