"""Samples of virtual patients: reproducible, in their ranges, and films, DRRs and labels that show the same bones."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from bonelift.anatomy.shape_model import load_shape_model
from bonelift.images import LAPTOP_GRID
from bonelift.images.film import FILM_SHAPE
from bonelift.learning.samples import FilmSamples, LocatorSamples, ShapeSamples, load_samples
from bonelift.learning.virtual_samples import (
    VirtualSampleConfig,
    generate_samples,
    generate_shapes,
    sample_patient,
)
from bonelift.networks.locator_input import LOCATOR_SHAPE

CONFIG = VirtualSampleConfig(films=2, locator_images=2, blank_fraction=0.0, turned_fraction=0.0)
SEED = 700_001


@pytest.fixture(scope="module")
def patient():
    return sample_patient(SEED, load_shape_model(), LAPTOP_GRID, CONFIG)


def test_shapes_and_ranges(patient):
    assert patient.occupancy.shape == (2, *LAPTOP_GRID.shape)
    assert patient.occupancy.dtype == np.uint8
    for film in patient.films:
        assert film.pixels.shape == film.drr.shape == FILM_SHAPE
        assert 0 <= film.pixels.min() <= film.pixels.max() <= 1.2 + 1e-6
        # 30 mm of pure cortex at 0.06 /mm would be 1.8; nothing in a wrist is more.
        assert 0 <= film.drr.min() < 0.2 < film.drr.max() < 2.5
    for image in patient.images:
        assert image.image.shape == LOCATOR_SHAPE
        assert image.present
        assert np.isfinite(image.landmarks_px).all()


def test_the_same_seed_is_the_same_patient(patient):
    again = sample_patient(SEED, load_shape_model(), LAPTOP_GRID, CONFIG)
    np.testing.assert_array_equal(again.occupancy, patient.occupancy)
    for first, second in zip(again.films, patient.films, strict=True):
        np.testing.assert_array_equal(first.pixels, second.pixels)
        np.testing.assert_array_equal(first.drr, second.drr)


def test_labels_are_as_large_as_the_bones():
    from bonelift.anatomy.shape_model import sample_wrist
    from bonelift.learning.virtual_samples import patient_occupancy
    from bonelift.surface.clip import clip_below
    from bonelift.surface.distance import surface_distances
    from bonelift.surface.isosurface import extract_surface

    shape = sample_wrist(load_shape_model(), np.random.default_rng(3))
    field = patient_occupancy(shape, LAPTOP_GRID)[0].astype(np.float32) / 255
    surface = extract_surface(field, LAPTOP_GRID.radius_from_voxel, 0.5, inside="above")
    distance = surface_distances(clip_below(surface, -40.0), clip_below(shape.radius, -40.0)).asd_surface_mm
    # Partial volumes of 1.25 mm voxels: the measured floor is 0.04 mm; a shift by half a voxel would be 0.3 mm or more.
    assert distance < 0.08


def test_the_film_shows_the_bones_where_the_drr_has_them(patient):
    """Bone is brighter than its surroundings on the film: the DRR's outline must lie on the film's edges."""
    for film in patient.films:
        inside = ndimage.binary_erosion(film.drr > 0.15, iterations=3)
        around = ndimage.binary_dilation(film.drr > 0, iterations=8) & ~ndimage.binary_dilation(
            film.drr > 0, iterations=3
        )
        rows = slice(80, 150)  # Below the joint: soft tissue only beside the bones.
        assert np.median(film.pixels[rows][inside[rows]]) > np.median(film.pixels[rows][around[rows]])


def test_generation_writes_chunks_in_order_and_goes_on(tmp_path):
    config = VirtualSampleConfig(films=1, locator_images=1)
    generate_samples(tmp_path, range(700_010, 700_012), LAPTOP_GRID, config, chunk=1)
    before = load_samples(tmp_path, FilmSamples)
    generate_samples(tmp_path, range(700_010, 700_013), LAPTOP_GRID, config, chunk=1)
    films, shapes = load_samples(tmp_path, FilmSamples), load_samples(tmp_path, ShapeSamples)
    assert films.patient.tolist() == [0, 1, 2]
    assert len(shapes.occupancy) == len(load_samples(tmp_path, LocatorSamples).image) == 3
    np.testing.assert_array_equal(films.drr[:2], before.drr)


def test_shapes_alone(tmp_path):
    generate_shapes(tmp_path, range(2), LAPTOP_GRID, chunk=1)
    occupancy = load_samples(tmp_path, ShapeSamples).occupancy
    assert occupancy.shape == (2, 2, *LAPTOP_GRID.shape)
    assert not np.array_equal(occupancy[0], occupancy[1])
