"""Both wrists, or both views, on one film: the half that was asked for is taken, and said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bonelift.images import Radiograph
from bonelift.networks.model import load_model
from bonelift.origin import Origin
from bonelift.reconstruction.demo_case import load_demo_case
from bonelift.reconstruction.inputs import read_radiographs
from bonelift.reconstruction.one_of_two import WIDE_MM, one_wrist
from bonelift.reconstruction.settings import JobSettings

HOW = JobSettings()


@pytest.fixture(scope="module")
def model():
    return load_model(None, "cpu")


@pytest.fixture(scope="module")
def demo() -> Radiograph:
    """The packaged PA film as a plain film of a right wrist that hangs as recorded, with 110 mm of width or more."""
    (film,) = read_radiographs([load_demo_case().image])
    pixels = film.pixels if film.side == "right" else film.pixels[:, ::-1]
    air = np.full((film.pixels.shape[0], round(110 / film.spacing_at_wrist_mm)), np.percentile(pixels, 2))
    missing = max(0, air.shape[1] - pixels.shape[1])
    padded = np.pad(pixels, ((0, 0), (missing // 2, missing - missing // 2)), constant_values=float(air[0, 0]))
    return framed(film, padded)


def framed(film: Radiograph, pixels: np.ndarray) -> Radiograph:
    camera = film.camera.viewed_through(np.eye(3), pixels.shape[1], pixels.shape[0])
    return Radiograph(np.ascontiguousarray(pixels, np.float32), camera, "right", "pa", film.source_to_object_mm)


def two_hands(demo: Radiograph) -> Radiograph:
    """As the source sees two hands on one film: the left hand on the left."""
    return framed(demo, np.concatenate([demo.pixels[:, ::-1], demo.pixels], axis=1))


@pytest.mark.parametrize(
    ("side", "hanging", "half"),
    [("right", None, "right"), ("left", None, "left"), ("right", "mirrored", "left"), ("left", "mirrored", "right")],
)
def test_the_wrist_of_the_side_is_taken_and_said(demo, model, side, hanging, half):
    film = replace(two_hands(demo), side=side)
    if hanging is not None:
        film = film.hung(hanging, Origin("option", "option --hanging"))
    chosen = one_wrist(film, model, HOW.locate, HOW.suggest)
    assert f"in the {half} half of the picture" in chosen.remark
    assert f"the {side} one" in chosen.remark
    columns = film.pixels.shape[1]
    kept = film.pixels[:, : columns // 2] if half == "left" else film.pixels[:, columns // 2 :]
    np.testing.assert_array_equal(chosen.radiograph.pixels, kept)
    assert chosen.radiograph.provenance["hanging"].kind == ("assumed" if hanging is None else "option")
    # A point of the world falls on the same spot of the picture, in its half.
    point = film.camera.back_project(np.array([columns * (0.2 if half == "left" else 0.7), 200.0]), 970.0)
    whole, part = (picture.camera.project(point) for picture in (film, chosen.radiograph))
    moved = chosen.radiograph.image_from_recorded @ [*whole, 1.0]
    np.testing.assert_allclose(part, moved[:2], atol=1e-6)


def test_one_wrist_is_left_as_it_is(demo, model):
    """On a narrow film, and in the middle of a wide one, where either half shows a part of it."""
    assert one_wrist(demo, model, HOW.locate, HOW.suggest).radiograph is demo
    side_mm = WIDE_MM / 2
    margin = np.full((demo.pixels.shape[0], round(side_mm / demo.spacing_at_wrist_mm)), float(demo.pixels.min()))
    wide = framed(demo, np.concatenate([margin, demo.pixels, margin], axis=1))
    chosen = one_wrist(wide, model, HOW.locate, HOW.suggest)
    assert chosen.radiograph is wide
    assert chosen.remark == ""


def test_two_films_of_the_same_hand_are_not_told_apart(demo, model):
    twice = framed(demo, np.concatenate([demo.pixels, demo.pixels], axis=1))
    chosen = one_wrist(twice, model, HOW.locate, HOW.suggest)
    assert chosen.radiograph is twice
    assert "pass --roi" in chosen.remark
