"""A film that ends within the ulna: the ulna is read from what the film shows of it, and the result says so."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from bonelift.images import Radiograph
from bonelift.networks.model import WristModel, load_model
from bonelift.reconstruction.against_truth import distances_from_truth
from bonelift.reconstruction.beyond_the_film import BeyondSettings
from bonelift.reconstruction.demo_case import load_demo_case
from bonelift.reconstruction.inputs import read_radiographs
from bonelift.reconstruction.job import Reconstruction, reconstruct
from bonelift.reconstruction.settings import JobSettings
from bonelift.surface.mesh import TriangleMesh

AS_IT_IS = JobSettings(beyond=BeyondSettings(least_hidden=2.0))


@cache
def model() -> WristModel:
    return load_model(None)


@cache
def whole() -> tuple[Radiograph, Reconstruction]:
    (film,) = read_radiographs([load_demo_case().image])
    return film, reconstruct([film], model())


@cache
def through_the_ulna(kind: str) -> Radiograph:
    """The film without the outer half of the ulnar head: it ends there, or a blade hides the rest."""
    film, found = whole()
    ulna = found.placed[0].bones_world["ulna"].vertices
    radius = found.placed[0].bones_world["radius"].vertices
    columns = film.camera.project(ulna)[:, 0]
    middle, right = columns.mean(), columns.mean() > film.camera.project(radius)[:, 0].mean()
    keep = np.arange(film.pixels.shape[1]) < middle if right else np.arange(film.pixels.shape[1]) > middle
    if kind == "blade":
        return replace(film, pixels=np.where(keep[None], film.pixels, film.pixels.min()).astype(np.float32))
    start, end = int(np.flatnonzero(keep)[0]), int(np.flatnonzero(keep)[-1]) + 1
    moved = np.eye(3)
    moved[0, 2] = -start
    pixels = np.ascontiguousarray(film.pixels[:, start:end])
    return replace(film, pixels=pixels, camera=film.camera.viewed_through(moved, end - start, pixels.shape[0]))


def expected_mm(name: str) -> float:
    """Of the whole film."""
    _, found = whole()
    return next(check.value for check in found.quality.checks if check.name == f"expected error, {name} (mm)")


def off_mm(ulna: TriangleMesh) -> list[float]:
    truth = load_demo_case().truth["ulna"]
    return [distances_from_truth(ulna, truth, alignment).asd_surface_mm for alignment in ("rigid", "as predicted")]


@pytest.mark.parametrize("kind", ["end", "blade"])
def test_the_ulna_is_read_from_what_the_film_shows_of_it(kind):
    film = through_the_ulna(kind)
    seen = reconstruct([film], model())
    assert seen.bones is not None
    # This patient's ulna is an unusual one: nobody who sees the half of it can do much better than the mean.
    for mine, mean in zip(off_mm(seen.bones.surfaces["ulna"]), off_mm(load_demo_case().mean_bone["ulna"]), strict=True):
        assert mine < 1.1 * mean
    checks = {check.name: check for check in seen.quality.checks}
    hidden = checks["hidden part of the ulna, PA view"]
    assert 0.2 < hidden.value < 0.8
    assert hidden.flag is not None
    assert "% of the end of the ulna lie beyond the picture or behind a collimator" in hidden.flag.text
    assert checks["expected error, ulna (mm)"].value > 1.2 * expected_mm("ulna")
    assert checks["expected error, radius (mm)"].value == pytest.approx(expected_mm("radius"), rel=0.1)
    assert checks["hidden part of the radius, PA view"].flag is None
    assert seen.quality.verdict != "no objection"


def test_a_whole_film_is_read_as_before():
    film, found = whole()
    other = reconstruct([film], model(), AS_IT_IS)
    assert found.bones is not None
    assert other.bones is not None
    np.testing.assert_array_equal(found.bones.code, other.bones.code)
    assert max(check.value for check in found.quality.checks if check.name.startswith("hidden part")) < 0.1
