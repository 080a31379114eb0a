"""Samples of virtual patients: reproducible, in their ranges, and films, DRRs and labels that show the same bones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from bonelift.anatomy.shape_model import load_shape_model
from bonelift.film.standard import FILM_SHAPE
from bonelift.images import LAPTOP_GRID, Radiograph
from bonelift.learning.samples import FilmSamples, LocatorSamples, ShapeSamples, SurfaceSamples, load_samples
from bonelift.learning.virtual_samples import (
    VirtualSampleConfig,
    cut_film,
    draw_hanging,
    draw_turn_deg,
    generate_samples,
    generate_shapes,
    sample_patient,
    sample_whole_image,
)
from bonelift.networks.locator_input import LOCATOR_SHAPE
from bonelift.phantom.patient import make_patient
from bonelift.phantom.xray_geometry import draw_geometry

CONFIG = VirtualSampleConfig(films=2, locator_images=2, blank_fraction=0.0, turned_fraction=0.0, mirrored_fraction=0.0)
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


def test_only_an_upright_right_wrist_is_one_to_find():
    patient = make_patient(SEED, load_shape_model(), spacing_mm=1.5)
    for hanging in ("upright", "turned", "mirrored", "blank"):
        rng = np.random.default_rng(3)
        sample = sample_whole_image(patient.body, patient.shape, rng, "pa", CONFIG, hanging)
        assert sample.hanging == hanging
        assert sample.present == (hanging == "upright")
        assert np.isfinite(sample.landmarks_px).all() == sample.present
    shares = VirtualSampleConfig()
    rng = np.random.default_rng(1)
    drawn = [draw_hanging(rng, shares) for _ in range(2000)]
    for hanging, share in (("blank", 0.04), ("turned", 0.1), ("mirrored", 0.15)):
        assert drawn.count(hanging) / 2000 == pytest.approx(share, abs=0.03)  # four standard errors of 0.008


def test_turns_are_small_enough_to_find_or_too_large():
    rng = np.random.default_rng(2)
    found = np.array([draw_turn_deg(rng, "upright") for _ in range(500)])
    assert 40 < np.abs(found).max() <= 45
    turned = np.array([draw_turn_deg(rng, "turned") for _ in range(500)])
    assert turned.min() >= 65
    assert turned.max() <= 295


def test_a_mirrored_picture_is_the_mirror_image_of_the_upright_one():
    """Of one generator, the same exposure: only the hanging differs."""
    patient = make_patient(SEED, load_shape_model(), spacing_mm=1.5)
    shown, mirrored = (
        sample_whole_image(patient.body, patient.shape, np.random.default_rng(4), "pa", CONFIG, hanging).image
        for hanging in ("upright", "mirrored")
    )
    # The picture lies in the middle of the locator's, so mirroring it mirrors the whole.
    np.testing.assert_allclose(mirrored, shown[:, ::-1], atol=0.02)
    assert np.abs(shown - shown[:, ::-1]).mean() > 0.01


def test_a_cut_errs_along_the_shaft_by_what_it_is_told():
    config = replace(CONFIG, landmark_error_mm=0.0, landmark_error_deg=0.0, landmark_along_mm=3.0)
    rng = np.random.default_rng(6)
    geometry = draw_geometry(rng, "pa", (400, 400), 0.25, turn_deg=30.0)
    assumed_mm = geometry.camera.sdd_mm - 35.0
    radiograph = Radiograph(np.zeros((400, 400), np.float32), geometry.camera, "right", "pa", assumed_mm)
    origins = np.array(
        [
            (film.film_from_image @ [*geometry.origin_px, 1.0])[:2]
            for film in (cut_film(radiograph, geometry, rng, config) for _ in range(200))
        ]
    )
    # On the film the shaft runs down: the origin stays in its column and moves along the rows, 6 px (3 mm) SD; the SD
    # of 200 draws has a standard error of 5 %.
    np.testing.assert_allclose(origins[:, 0], 48.0, atol=1e-6)
    assert origins[:, 1].std() == pytest.approx(6.0, rel=0.2)
    assert origins[:, 1].mean() == pytest.approx(60.0, abs=1.8)


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


def test_films_are_added_after_a_chunk_that_ended_a_cohort(tmp_path):
    config = VirtualSampleConfig(films=1, locator_images=0)
    for end in (700_011, 700_013):
        generate_samples(tmp_path / "grown", range(700_010, end), LAPTOP_GRID, config, chunk=2)
    generate_samples(tmp_path / "whole", range(700_010, 700_013), LAPTOP_GRID, config)
    grown, whole = (load_samples(tmp_path / name, SurfaceSamples).radius for name in ("grown", "whole"))
    np.testing.assert_array_equal(grown, whole)
    assert load_samples(tmp_path / "grown", FilmSamples).patient.tolist() == [0, 1, 2]


def test_shapes_are_added_after_a_chunk_that_ended_a_cohort(tmp_path):
    for count in (1, 4):
        generate_shapes(tmp_path / "grown", range(count), LAPTOP_GRID, chunk=2)
    generate_shapes(tmp_path / "whole", range(4), LAPTOP_GRID)
    grown, whole = (load_samples(tmp_path / name, ShapeSamples).occupancy for name in ("grown", "whole"))
    np.testing.assert_array_equal(grown, whole)


def test_shapes_alone(tmp_path):
    generate_shapes(tmp_path, range(2), LAPTOP_GRID, chunk=1)
    occupancy = load_samples(tmp_path, ShapeSamples).occupancy
    assert occupancy.shape == (2, 2, *LAPTOP_GRID.shape)
    assert not np.array_equal(occupancy[0], occupancy[1])
