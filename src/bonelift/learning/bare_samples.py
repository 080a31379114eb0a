"""Training samples of bones alone: many patients with many DRRs each, for networks that read nothing but the DRR.

A patient costs a fifth of one with films (no carpus, no soft tissue, no X-ray physics), and what limits a shape
network is the number of different bones that it has seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonelift.anatomy.shape_model import ShapeModel, WristShape, load_shape_model
from bonelift.drr.subject import bone_attenuation
from bonelift.images import Radiograph, View, Volume
from bonelift.images.reading import OBJECT_TO_DETECTOR_MM
from bonelift.learning.samples import DrrSamples, SurfaceSamples, chunk_folders, rows_in, save_chunk
from bonelift.learning.virtual_samples import (
    FilmSample,
    VirtualSampleConfig,
    cut_film,
    film_drr,
    made_in_chunks,
    projections_of,
    surface_samples,
)
from bonelift.networks.views import view_codes
from bonelift.phantom.bare_bones import bare_bones
from bonelift.phantom.body import draw_anatomy
from bonelift.phantom.ct import draw_unknown_scanner, hardened, scan
from bonelift.phantom.patient import wrist_of
from bonelift.phantom.xray_geometry import draw_geometry


@dataclass(frozen=True)
class BarePatient:
    """shape: surfaces in the radius frame. drrs: (N, H, W) float32 line integrals. views: (N,) uint8. px_from_radius:
    (N, 3, 4) float32, px of each DRR from mm of the radius frame."""

    shape: WristShape
    drrs: NDArray[np.float32]
    views: NDArray[np.uint8]
    px_from_radius: NDArray[np.float32]


def bare_patient(seed: int, model: ShapeModel, drrs: int, config: VirtualSampleConfig) -> BarePatient:
    """The bones of virtual patient ``seed`` through a virtual CT, and ``drrs`` DRRs of them on films that are cut as in
    :func:`bonelift.learning.virtual_samples.sample_film`. The shape is that of ``make_patient(seed)``. Nothing is known
    of the CT (:func:`bonelift.phantom.ct.draw_unknown_scanner`): scale, kernel and hardening are its own."""
    _, anatomy_seed, tissue_seed = np.random.SeedSequence(seed).spawn(3)
    shape = wrist_of(seed, model)
    anatomy = draw_anatomy(shape, np.random.default_rng(anatomy_seed))
    body = bare_bones(shape, anatomy, np.random.default_rng(tissue_seed))
    rng = np.random.default_rng([seed, 4])
    scanner = draw_unknown_scanner(rng)
    bones = bone_attenuation(*scan(body, rng, scanner))
    lateral = rng.random(drrs) < config.lateral_fraction
    views: list[View] = ["lateral" if is_lateral else "pa" for is_lateral in lateral]
    films = [bare_film(bones, rng, view, config) for view in views]
    images = [hardened(film.drr, scanner.hardening) for film in films]
    return BarePatient(shape, np.stack(images), view_codes(views), projections_of(films))


def bare_film(bones: Volume, rng: np.random.Generator, view: View, config: VirtualSampleConfig) -> FilmSample:
    """A DRR at a random pose on a film that is blank itself, cut with the errors of ``config``."""
    geometry = draw_geometry(rng, view, config.exposure_px, config.exposure_spacing_mm)
    blank = np.zeros(config.exposure_px, dtype=np.float32)
    assumed_mm = geometry.camera.sdd_mm - OBJECT_TO_DETECTOR_MM
    radiograph = Radiograph(blank, geometry.camera, "right", view, assumed_mm)
    film = cut_film(radiograph, geometry, rng, config)
    drr = film_drr(bones, film, geometry.camera_from_radius)
    return FilmSample(film.pixels, drr, view, film.px_from_radius(geometry.camera_from_radius))


def generate_bare_samples(
    folder: Path,
    seeds: Sequence[int],
    drrs: int = 8,
    config: VirtualSampleConfig | None = None,
    *,
    model: ShapeModel | None = None,
    chunk: int = 32,
    workers: int = 1,
) -> None:
    """DrrSamples and SurfaceSamples of the patients ``seeds`` in chunks; chunks that exist already are kept.

    model: population of shapes; None is the packaged one.
    """
    config = config or VirtualSampleConfig()
    done = min(len(chunk_folders(folder, SurfaceSamples)), len(chunk_folders(folder, DrrSamples)))
    make = partial(bare_patient, model=model or load_shape_model(), drrs=drrs, config=config)
    first_row = rows_in(folder, SurfaceSamples, done)
    for index, patients in made_in_chunks(make, seeds[first_row:], chunk, done, workers, "virtual bones", first_row):
        save_bare_patients(folder, index, first_row, patients)
        first_row += len(patients)


def save_bare_patients(folder: Path, index: int, first_row: int, patients: Sequence[BarePatient]) -> None:
    """Write chunk ``index``. first_row: patients in the chunks before it. Surfaces come before the DRRs of them."""
    save_chunk(folder, index, surface_samples([patient.shape for patient in patients]))
    rows = [np.full(len(patient.drrs), first_row + row, np.int32) for row, patient in enumerate(patients)]
    drrs = np.concatenate([patient.drrs for patient in patients]).astype(np.float16)
    views = np.concatenate([patient.views for patient in patients])
    projections = np.concatenate([patient.px_from_radius for patient in patients])
    save_chunk(folder, index, DrrSamples(drrs, np.concatenate(rows), views, projections))
