"""Training samples made from virtual patients: nothing is stored but what the networks read.

Each patient gives one occupancy grid (for the TL-embedding network), a few films with their DRRs (for pix2pix and the
predictor) and a few small whole radiographs with landmarks (for the locator). Patients are told apart by seed, so a
range of seeds is a cohort: ranges that do not overlap share no patient.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bonelift import progress
from bonelift.anatomy.shape_model import ShapeModel, WristShape, load_shape_model, sample_wrist
from bonelift.drr.joseph import project
from bonelift.drr.subject import bone_attenuation
from bonelift.film.standard import Film, film_from_landmarks, normalise_film
from bonelift.geometry import apply_transform
from bonelift.images import LabelGrid, Radiograph, View, Volume
from bonelift.images.reading import OBJECT_TO_DETECTOR_MM
from bonelift.learning.samples import (
    FilmSamples,
    LocatorSamples,
    ShapeSamples,
    SurfaceSamples,
    chunk_folders,
    rows_in,
    save_chunk,
)
from bonelift.networks.locator_input import LOCATOR_SHAPE, LOCATOR_SPACING_MM, locator_input
from bonelift.networks.views import view_codes
from bonelift.phantom.bare_bones import around_bones
from bonelift.phantom.body import Body
from bonelift.phantom.ct import draw_scan_settings, scan
from bonelift.phantom.patient import make_patient
from bonelift.phantom.xray import draw_settings, expose
from bonelift.phantom.xray_geometry import LOCATOR_SPREAD, WristGeometry, draw_geometry
from bonelift.surface.voxelize import soft_label

Float = NDArray[np.float64]
Made = TypeVar("Made")


@dataclass(frozen=True)
class VirtualSampleConfig:
    """What is made of each virtual patient.

    films, locator_images: number a patient. lateral_fraction: share of both that are lateral; the rest are PA.
    landmark_error_mm, landmark_error_deg: standard deviation of the error with which a film is cut out and turned
        upright, as the locator's will be. landmark_along_mm: of a further error along the shaft, where a joint line
        under a flexed carpus is hard to see.
    exposure_px, exposure_spacing_mm: size and pixel side (at the wrist) of the image that films are cut from.
    whole_image_mm: heights (at the wrist) of the whole radiographs are drawn from this range; widths are 0.55 to 1.1 of
        them.
    collimated_fraction: share of the whole radiographs whose field is narrowed to the wrist.
    palm_up_fraction: share of the PA films that are AP films, hung like PA ones.
    turned_fraction, mirrored_fraction, blank_fraction: share of locator images that are turned by more than
        UPRIGHT_DEG, that are mirrored (a right wrist hung like a left one), and that hold nothing but smooth noise: "no
        upright right wrist here".
    """

    films: int = 6
    locator_images: int = 4
    lateral_fraction: float = 0.3
    landmark_error_mm: float = 1.5
    landmark_error_deg: float = 3.0
    landmark_along_mm: float = 2.5
    exposure_px: tuple[int, int] = (384, 312)
    exposure_spacing_mm: float = 0.25
    whole_image_mm: tuple[float, float] = (110.0, 310.0)
    collimated_fraction: float = 0.5
    palm_up_fraction: float = 0.08
    turned_fraction: float = 0.1
    mirrored_fraction: float = 0.15
    blank_fraction: float = 0.04


UPRIGHT_DEG = 45.0
"""A wrist turned in the image by no more than this is one to find."""
TURNED_DEG = 65.0
"""One turned by more than this, either way, is not."""
SMALLEST_FIELD_MM = 70.0
FOREARM_END_MM = -178.0
"""Virtual forearms end here (radius frame z); films end before."""


@dataclass(frozen=True)
class FilmSample:
    """pixels, drr: FILM_SHAPE float32; drr holds dimensionless line integrals of radius and ulna on the film's rays.
    px_from_radius: (3, 4) px of the film from mm of the radius frame; NaN where the pose is not known."""

    pixels: NDArray[np.float32]
    drr: NDArray[np.float32]
    view: View
    px_from_radius: Float = field(default_factory=lambda: np.full((3, 4), np.nan))


def patient_occupancy(shape: WristShape, grid: LabelGrid) -> NDArray[np.uint8]:
    """(2, I, J, K) partial-volume labels of radius and ulna on the grid of the radius frame, 0 to 255."""
    return np.round(255 * np.stack([soft_label(bone, grid) for bone in (shape.radius, shape.ulna)])).astype(np.uint8)


def cut_film(
    radiograph: Radiograph, geometry: WristGeometry, rng: np.random.Generator, config: VirtualSampleConfig
) -> Film:
    """The standard film along the true landmarks, moved and turned by a random error of ``config``'s spreads."""
    spacing_mm = radiograph.spacing_at_wrist_mm
    shift_px = rng.normal(0, config.landmark_error_mm / spacing_mm, 2)
    angle = np.deg2rad(rng.normal(0, config.landmark_error_deg))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    down = geometry.proximal_px - geometry.origin_px
    along_px = rng.normal(0, config.landmark_along_mm / spacing_mm)
    origin = geometry.origin_px + shift_px + along_px * down / np.linalg.norm(down)
    return film_from_landmarks(radiograph, origin, origin + turn @ down)


def film_drr(bones: Volume, film: Film, camera_from_radius: Float) -> NDArray[np.float32]:
    """FILM_SHAPE line integrals of the bones (1/mm, radius frame) along the film's rays: what translation aims at."""
    return project(
        np.asarray(bones.values[None], dtype=np.float32),
        film.camera.image_from_camera,
        camera_from_radius @ bones.world_from_voxel,
        film.camera.shape_px,
    )[0]


def sample_film(
    body: Body, bones: Volume, rng: np.random.Generator, view: View, config: VirtualSampleConfig
) -> FilmSample:
    """One exposure of a body, cut to a film as it would be in use: with the assumed height above the detector."""
    palm_up = view == "pa" and rng.random() < config.palm_up_fraction
    geometry = draw_geometry(rng, view, config.exposure_px, config.exposure_spacing_mm, from_palm=palm_up)
    pixels = expose(body, geometry.camera, geometry.camera_from_radius, rng, draw_settings(rng))
    assumed_mm = geometry.camera.sdd_mm - OBJECT_TO_DETECTOR_MM
    radiograph = Radiograph(pixels, geometry.camera, "right", view, assumed_mm)
    film = cut_film(radiograph, geometry, rng, config)
    drr = film_drr(bones, film, geometry.camera_from_radius)
    return FilmSample(film.pixels, drr, view, film.px_from_radius(geometry.camera_from_radius))


Hanging = Literal["upright", "turned", "mirrored", "cut off", "blank"]
"""How a wrist hangs in a picture: "cut off" for one whose landmarks lie outside, "blank" where there is none."""


@dataclass(frozen=True)
class LocatorSample:
    """image: LOCATOR_SHAPE float32. landmarks_px: (3, 2) of origin, shaft point and ulnar head, or NaN. hanging: only
    an upright one holds a wrist to find."""

    image: NDArray[np.float32]
    landmarks_px: NDArray[np.float32]
    hanging: Hanging

    @property
    def present(self) -> bool:
        return self.hanging == "upright"


def draw_hanging(rng: np.random.Generator, config: VirtualSampleConfig) -> Hanging:
    kinds: tuple[Hanging, ...] = ("blank", "turned", "mirrored", "upright")
    ends = np.cumsum([config.blank_fraction, config.turned_fraction, config.mirrored_fraction])
    return kinds[int(np.searchsorted(ends, rng.random(), side="right"))]


def draw_turn_deg(rng: np.random.Generator, hanging: Hanging) -> float:
    """Turn in the image, degrees. A turned picture: between TURNED_DEG and 360 less it; others half of the time normal
    of SD 8, half of the time anywhere up to UPRIGHT_DEG."""
    if hanging == "turned":
        return float(rng.uniform(TURNED_DEG, 360 - TURNED_DEG))
    if rng.random() < 0.5:
        return float(np.clip(rng.normal(0, 8.0), -UPRIGHT_DEG, UPRIGHT_DEG))
    return float(rng.uniform(-UPRIGHT_DEG, UPRIGHT_DEG))


def sample_whole_image(
    body: Body,
    shape: WristShape,
    rng: np.random.Generator,
    view: View,
    config: VirtualSampleConfig,
    hanging: Hanging | None = None,
) -> LocatorSample:
    """A small whole radiograph with the wrist anywhere in it, as the locator sees it; sometimes no upright wrist.

    hanging: None draws one.
    """
    hanging = draw_hanging(rng, config) if hanging is None else hanging
    landmarks = np.full((3, 2), np.nan, dtype=np.float32)
    if hanging == "blank":
        return LocatorSample(_blank_image(rng), landmarks, hanging)
    geometry = _whole_image_geometry(shape, rng, view, draw_turn_deg(rng, hanging), config)
    settings = draw_settings(rng)
    if rng.random() < config.collimated_fraction:
        smallest = min(SMALLEST_FIELD_MM / (LOCATOR_SPACING_MM / 2 * min(geometry.camera.shape_px)), 0.7)
        settings = draw_settings(rng, field_half_size=(max(smallest, 0.3), 0.8), field_centre=geometry.origin_fraction)
    pixels = expose(body, geometry.camera, geometry.camera_from_radius, rng, settings)
    if hanging == "mirrored":
        pixels = np.ascontiguousarray(pixels[:, ::-1])
    assumed_mm = geometry.camera.sdd_mm - OBJECT_TO_DETECTOR_MM
    radiograph = Radiograph(pixels, geometry.camera, "right", view, assumed_mm)
    image, image_from_locator = locator_input(radiograph)
    if hanging == "upright":
        points = np.stack([geometry.origin_px, geometry.proximal_px, geometry.ulnar_head_px])
        locator_from_image = np.linalg.inv(image_from_locator)
        landmarks[:] = points @ locator_from_image[:2, :2].T + locator_from_image[:2, 2]
    return LocatorSample(image, landmarks, hanging)


def _whole_image_geometry(
    shape: WristShape, rng: np.random.Generator, view: View, turn_deg: float, config: VirtualSampleConfig
) -> WristGeometry:
    """A wrist anywhere in a whole radiograph whose borders the forearm passes: where the virtual forearm's end would
    show, the place is drawn anew."""
    spacing_mm = 0.5 * LOCATOR_SPACING_MM
    height_mm = rng.uniform(*config.whole_image_mm)
    shape_px = (int(height_mm / spacing_mm), int(height_mm * rng.uniform(0.55, 1.1) / spacing_mm))
    spread = replace(LOCATOR_SPREAD, in_plane_deg=0.0, shift_mm=0.3 * spacing_mm * min(shape_px))
    palm_up = view == "pa" and rng.random() < config.palm_up_fraction
    head = shape.landmarks["ulnar_head_centre"]
    draw = partial(draw_geometry, rng, view, shape_px, spacing_mm, spread, head, turn_deg, palm_up)
    geometry = draw()
    for _ in range(8):
        if not _shows_the_forearm_end(geometry):
            break
        geometry = draw()
    return geometry


def _shows_the_forearm_end(geometry: WristGeometry) -> bool:
    end = apply_transform(geometry.camera_from_radius, np.array([0.0, 0.0, FOREARM_END_MM]))
    column, row = geometry.camera.project(end)
    return bool(0 <= column < geometry.camera.width_px and 0 <= row < geometry.camera.height_px)


def _blank_image(rng: np.random.Generator) -> NDArray[np.float32]:
    """Smooth noise of a random scale inside a random rectangle."""
    noise = ndimage.gaussian_filter(rng.standard_normal(LOCATOR_SHAPE), rng.uniform(0.5, 20))
    inside = np.zeros(LOCATOR_SHAPE, dtype=bool)
    top, left = rng.integers(0, 60, 2)
    inside[top : LOCATOR_SHAPE[0] - top, left : LOCATOR_SHAPE[1] - left] = True
    return normalise_film(noise, inside)


@dataclass(frozen=True)
class PatientSamples:
    """shape: the patient's surfaces in the radius frame. occupancy: (2, I, J, K) uint8, radius and ulna, 0 to 255."""

    shape: WristShape
    occupancy: NDArray[np.uint8]
    films: list[FilmSample]
    images: list[LocatorSample]


def sample_patient(seed: int, model: ShapeModel, grid: LabelGrid, config: VirtualSampleConfig) -> PatientSamples:
    """Everything made of the virtual patient ``seed``; the same arguments give the same samples."""
    patient = make_patient(seed, model, whole_hand=config.locator_images > 0)
    rng = np.random.default_rng([seed, 1])
    bones = bone_attenuation(*scan(around_bones(patient.body), rng, draw_scan_settings(rng)))

    def views(count: int) -> list[View]:
        return ["lateral" if rng.random() < config.lateral_fraction else "pa" for _ in range(count)]

    films = [sample_film(patient.body, bones, rng, view, config) for view in views(config.films)]
    images = [
        sample_whole_image(patient.body, patient.shape, rng, view, config) for view in views(config.locator_images)
    ]
    return PatientSamples(patient.shape, patient_occupancy(patient.shape, grid), films, images)


def generate_samples(
    folder: Path,
    seeds: Sequence[int],
    grid: LabelGrid,
    config: VirtualSampleConfig,
    *,
    model: ShapeModel | None = None,
    chunk: int = 16,
    workers: int = 1,
) -> None:
    """Samples of the patients ``seeds`` in chunks of ``chunk`` patients; chunks that exist already are kept.

    model: population of shapes, here and below; None is the packaged one.
    Chunks appear in order, each whole, so that training can start on the first ones (samples.load_growing).
    """
    kinds = [
        ShapeSamples,
        SurfaceSamples,
        *([LocatorSamples] if config.locator_images else []),
        *([FilmSamples] if config.films else []),
    ]
    done = min(len(chunk_folders(folder, kind)) for kind in kinds)
    make = partial(sample_patient, model=model or load_shape_model(), grid=grid, config=config)
    first_row = rows_in(folder, SurfaceSamples, done)
    for index, patients in made_in_chunks(make, seeds[first_row:], chunk, done, workers, "virtual patients", first_row):
        save_patients(folder, index, first_row, patients)
        first_row += len(patients)


def made_in_chunks(
    make: Callable[[int], Made],
    seeds: Sequence[int],
    chunk: int,
    done: int,
    workers: int,
    title: str,
    made_before: int = 0,
) -> Iterator[tuple[int, list[Made]]]:
    """(index of the chunk, what ``make`` gives for each of its seeds), in order; indices go on after ``done`` chunks,
    which hold ``made_before`` patients."""
    todo = list(seeds)
    with (
        multiprocessing.get_context("spawn").Pool(workers) as pool,
        progress.bar(made_before + len(todo), title, made_before) as bar,
    ):
        results = pool.imap(make, todo)
        for index in range(done, done + -(-len(todo) // chunk)):
            patients = list(islice(results, chunk))
            yield index, patients
            bar.done(count=len(patients))


def generate_shapes(
    folder: Path, seeds: Sequence[int], grid: LabelGrid, *, model: ShapeModel | None = None, chunk: int = 64
) -> None:
    """Occupancy of wrists alone, which is all that the autoencoder needs, in chunks as in :func:`generate_samples`."""
    model = model or load_shape_model()
    done = len(chunk_folders(folder, ShapeSamples))
    made = rows_in(folder, ShapeSamples, done)
    with progress.bar(max(made, len(seeds)), "virtual shapes", made) as bar:
        for index, start in enumerate(range(made, len(seeds), chunk), done):
            part = seeds[start : start + chunk]
            wrists = [sample_wrist(model, np.random.default_rng(seed)) for seed in part]
            save_chunk(folder, index, ShapeSamples(np.stack([patient_occupancy(wrist, grid) for wrist in wrists])))
            bar.done(count=len(part))


def surface_samples(shapes: Sequence[WristShape]) -> SurfaceSamples:
    """The vertices of some wrists, one row each."""
    return SurfaceSamples(
        np.stack([shape.radius.vertices for shape in shapes]).astype(np.float32),
        np.stack([shape.ulna.vertices for shape in shapes]).astype(np.float32),
    )


def save_patients(folder: Path, index: int, first_row: int, patients: Sequence[PatientSamples]) -> None:
    """Write chunk ``index``. first_row: patients in the chunks before it. Films refer to shapes, which come first."""
    save_chunk(folder, index, ShapeSamples(np.stack([patient.occupancy for patient in patients])))
    save_chunk(folder, index, surface_samples([patient.shape for patient in patients]))
    films = [film for patient in patients for film in patient.films]
    images = [image for patient in patients for image in patient.images]
    if images:
        save_chunk(folder, index, locator_images(images))
    if films:
        rows = [first_row + row for row, patient in enumerate(patients) for _ in patient.films]
        save_chunk(folder, index, film_samples(films, rows))


def film_samples(films: Sequence[FilmSample], patients: Sequence[int]) -> FilmSamples:
    """Films as arrays. patients: the row of each film's patient."""
    return FilmSamples(
        np.stack([film.pixels for film in films]).astype(np.float16),
        np.stack([film.drr for film in films]).astype(np.float16),
        np.array(patients, dtype=np.int32),
        view_codes([film.view for film in films]),
        projections_of(films),
    )


def projections_of(films: Sequence[FilmSample]) -> NDArray[np.float32]:
    """(N, 3, 4) of each film, px from mm of the radius frame."""
    return np.stack([film.px_from_radius for film in films]).astype(np.float32)


def locator_images(images: Sequence[LocatorSample]) -> LocatorSamples:
    """Whole images as arrays."""
    return LocatorSamples(
        np.stack([sample.image for sample in images]).astype(np.float16),
        np.stack([sample.landmarks_px for sample in images]),
        np.array([sample.present for sample in images]),
    )
