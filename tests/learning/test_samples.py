"""Samples come back as saved, grow chunk by chunk, and are refused when they are not what they should be."""

import numpy as np
import pytest

from bonelift.errors import InputError
from bonelift.learning.samples import (
    FilmSamples,
    LocatorSamples,
    ShapeSamples,
    chunk_folders,
    load_growing,
    load_samples,
    save_chunk,
)
from builders.toy_cohort import toy_films, toy_locator, toy_shapes


def test_round_trip_in_the_order_of_the_chunks(tmp_path):
    first, second = toy_shapes(2, seed=0), toy_shapes(3, seed=1)
    save_chunk(tmp_path, 10, second)
    save_chunk(tmp_path, 2, first)
    loaded = load_samples(tmp_path, ShapeSamples)
    np.testing.assert_array_equal(loaded.occupancy, np.concatenate([first.occupancy, second.occupancy]))


def test_every_field_of_films_and_pictures(tmp_path):
    films, pictures = toy_films(toy_shapes(3)), toy_locator(5)
    save_chunk(tmp_path, 0, films)
    save_chunk(tmp_path, 0, pictures)
    for made, kind in ((films, FilmSamples), (pictures, LocatorSamples)):
        loaded = load_samples(tmp_path, kind)
        for name, array in vars(made).items():
            np.testing.assert_array_equal(getattr(loaded, name), array)


def test_only_new_chunks_are_read(tmp_path):
    save_chunk(tmp_path, 0, toy_shapes(2))
    held = load_growing(tmp_path, ShapeSamples, None)
    assert load_growing(tmp_path, ShapeSamples, held) is held
    save_chunk(tmp_path, 1, toy_shapes(3, seed=1))
    grown, chunks = load_growing(tmp_path, ShapeSamples, held)
    assert chunks == 2
    assert len(grown.occupancy) == 5
    np.testing.assert_array_equal(grown.occupancy[:2], held[0].occupancy)


def test_an_unfinished_chunk_is_not_seen(tmp_path):
    save_chunk(tmp_path, 0, toy_shapes(1))
    (tmp_path / ".shapes-00001.partial").mkdir()
    assert len(chunk_folders(tmp_path, ShapeSamples)) == 1


def test_bad_samples(tmp_path):
    with pytest.raises(InputError, match="no shapes samples"):
        load_samples(tmp_path, ShapeSamples)
    with pytest.raises(InputError, match="occupancy is float32"):
        ShapeSamples(np.zeros((1, 2, 4, 4, 4), dtype=np.float32))  # type: ignore[arg-type]
    films = toy_films(toy_shapes(3))
    with pytest.raises(InputError, match="3 rows"):
        FilmSamples(films.radiograph, films.drr[:2], films.patient, films.view)
    chunk = save_chunk(tmp_path, 0, toy_shapes(1))
    (chunk / "occupancy.npy").write_bytes(b"\x93NUMPY junk")
    with pytest.raises(InputError, match="cannot be read"):
        load_samples(tmp_path, ShapeSamples)
