"""Training samples of a study folder's cases, a chunk a case.

A case is read once for all kinds of samples that are missing. What S is to tell are corresponding points, which labels
of a CT do not have: the shape model's template is laid on each bone (:mod:`bonelift.anatomy.correspondence`), of
imported and of virtual patients alike.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bonelift import progress
from bonelift.anatomy.correspondence import corresponding_points
from bonelift.anatomy.shape_model import load_shape_model
from bonelift.drr.normalised_case import NormalisedCase, PosedRadiograph, case_occupancy
from bonelift.errors import InputError
from bonelift.images import View
from bonelift.images.volume import BONES
from bonelift.learning.line import Kind, SampleFolders
from bonelift.learning.presets import Preset
from bonelift.learning.samples import (
    DrrSamples,
    FilmSamples,
    LocatorSamples,
    ShapeSamples,
    SurfaceSamples,
    chunk_path,
    save_chunk,
)
from bonelift.learning.study_samples import ct_drr_samples, film_sample, locator_samples
from bonelift.learning.virtual_samples import FilmSample, film_samples, locator_images, projections_of
from bonelift.networks.views import view_codes
from bonelift.study.folder import StudyCase
from bonelift.study.normalised_cases import read_study_case

CUT_ERROR_MM, CUT_ERROR_DEG = 1.5, 2.5
"""Standard deviations of the errors with which films are cut, as the locator's will be."""
PARTS = ("training", "validation")
GROUPS: dict[Kind, str] = {
    "locator": "locator",
    "pix2pix": "pix2pix",
    "shapes": "tl",
    "tl": "tl",
    "bones": "shape",
    "films": "shape",
    "tuning": "shape",
}
"""The folder in which a kind of samples lies: kinds that belong together share one."""
_LAST = {"locator": LocatorSamples, "pix2pix": FilmSamples, "tl": FilmSamples, "shape": DrrSamples}
"""What is written last of a case, so that it tells that all of it is there."""


def has_pose(case: StudyCase) -> bool:
    """Whether a radiograph of the case has a known pose."""
    return any(entry.pose_file for entry in case.radiographs)


@dataclass(frozen=True)
class StudySource:
    """See SampleSource. folder: keeps the samples. seed: of DRRs' poses and films' cuts."""

    study_folder: Path
    training: Sequence[StudyCase]
    validation: Sequence[StudyCase]
    preset: Preset
    folder: Path
    seed: int
    origin: str
    tl_reads_gan: bool = False
    shape_from_readings: bool = False

    @property
    def has_films(self) -> bool:
        """Whether both parts have a radiograph of known pose."""
        return all(any(has_pose(case) for case in cases) for cases in (self.training, self.validation))

    def make(self, kinds: Collection[Kind]) -> None:
        """See SampleSource. Raises InputError that names the case which cannot be used."""
        groups = list(dict.fromkeys(GROUPS[kind] for kind in kinds))
        with progress.bar(len(self.training) + len(self.validation), "cases") as bar:
            for part, cases in zip(PARTS, (self.training, self.validation), strict=True):
                for index, case in enumerate(cases):
                    self._make_case(groups, part, index, case)
                    bar.done(case.case)

    def folders(self, kind: Kind) -> SampleFolders:
        """See SampleSource."""
        return SampleFolders(*(self.folder / GROUPS[kind] / part for part in PARTS))

    def facts(self) -> dict[str, Any]:
        """See SampleSource."""
        cases = [*self.training, *self.validation]
        patients = {part: len({case.patient for case in getattr(self, part)}) for part in PARTS}
        return {
            "source": f"a study: {self.origin}",
            "patients": patients,
            "CTs": {part: len(getattr(self, part)) for part in PARTS},
            "radiographs of known pose": sum(bool(entry.pose_file) for case in cases for entry in case.radiographs),
            "CT-DRRs of each CT": self.preset.ct_drrs,
            "poses of the CT-DRRs": self.preset.drr_poses,
            "films cut from each radiograph": self.preset.films_per_radiograph,
            "targets of S": "the shape model's template laid on the surface of each CT's labels",
        }

    def _make_case(self, groups: Sequence[str], part: str, index: int, case: StudyCase) -> None:
        usable = [group for group in groups if has_pose(case) or group not in ("locator", "pix2pix")]
        missing = [g for g in usable if not chunk_path(self.folder / g / part, _LAST[g], index).is_dir()]
        if not missing:
            return
        try:
            normalised, posed = read_study_case(self.study_folder, case)
            images = CaseSamples(normalised, posed, self.preset, (self.seed, PARTS.index(part), index))
            for group in missing:
                _WRITERS[group](self.folder / group / part, index, images)
        except InputError as error:
            raise InputError(f"case {case.case}: {error}") from error


@dataclass(frozen=True)
class CaseSamples:
    """What is made of one case, each once and only if asked for. seed: of the random numbers of the case."""

    case: NormalisedCase
    posed: Sequence[PosedRadiograph]
    preset: Preset
    seed: tuple[int, ...]

    @cached_property
    def films(self) -> list[FilmSample]:
        """Films of the radiographs whose pose is known, each cut several times."""
        rng = np.random.default_rng([*self.seed, 1])
        repeated = [posed for posed in self.posed for _ in range(self.preset.films_per_radiograph)]
        return [film_sample(self.case, posed, rng, CUT_ERROR_MM, CUT_ERROR_DEG) for posed in repeated]

    @cached_property
    def ct_drrs(self) -> list[FilmSample]:
        """Random CT-DRRs in the views that the case has; a case without a radiograph is seen from palmar."""
        views: list[View] = [posed.radiograph.view for posed in self.posed] or ["pa"]
        chosen: list[View] = [views[number % len(views)] for number in range(self.preset.ct_drrs)]
        rng = np.random.default_rng([*self.seed, 2])
        return ct_drr_samples(self.case, chosen, rng, CUT_ERROR_MM, CUT_ERROR_DEG, self.preset.drr_poses)

    @cached_property
    def points(self) -> SurfaceSamples:
        """Corresponding points of both bones."""
        model = load_shape_model()
        radius, ulna = (corresponding_points(getattr(self.case, bone), getattr(model, bone)) for bone in BONES)
        return SurfaceSamples(radius[None].astype(np.float32), ulna[None].astype(np.float32))


def _write_locator(folder: Path, index: int, samples: CaseSamples) -> None:
    rng = np.random.default_rng([*samples.seed, 3])
    images = [image for posed in samples.posed for image in locator_samples(samples.case, posed, rng)]
    save_chunk(folder, index, locator_images(images))


def _write_pix2pix(folder: Path, index: int, samples: CaseSamples) -> None:
    save_chunk(folder, index, film_samples(samples.films, [index] * len(samples.films)))


def _write_tl(folder: Path, index: int, samples: CaseSamples) -> None:
    save_chunk(folder, index, ShapeSamples(case_occupancy(samples.case, samples.preset.grid)[None]))
    save_chunk(folder, index, film_samples(samples.ct_drrs, [index] * len(samples.ct_drrs)))


def _write_shape(folder: Path, index: int, samples: CaseSamples) -> None:
    save_chunk(folder, index, samples.points)
    if samples.films:
        _write_pix2pix(folder, index, samples)
    drrs = np.stack([sample.drr for sample in samples.ct_drrs]).astype(np.float16)
    rows = np.full(len(drrs), index, np.int32)
    views = view_codes([sample.view for sample in samples.ct_drrs])
    save_chunk(folder, index, DrrSamples(drrs, rows, views, projections_of(samples.ct_drrs)))


_WRITERS: dict[str, Callable[[Path, int, CaseSamples], None]] = {
    "locator": _write_locator,
    "pix2pix": _write_pix2pix,
    "tl": _write_tl,
    "shape": _write_shape,
}
