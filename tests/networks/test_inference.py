"""Readings of S in use: corrected by outlines where the model has readers for all pictures, weighed otherwise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bonelift.anatomy.shape_basis import BoneBasis
from bonelift.film.standard import FILM_SHAPE
from bonelift.images import View
from bonelift.learning.presets import load_preset
from bonelift.networks import inference
from bonelift.networks.bundle import ModelBundle, load_bundle, new_bundle, save_bundle
from bonelift.networks.inference import read_shape
from bonelift.networks.model import load_model
from bonelift.networks.occluding_contour import POSE, POSE_SD
from bonelift.networks.outlines import FEATURES, OutlineNetwork, OutlineReader, OutlineSigns, ReadTogether, Source
from bonelift.networks.shape_regressor import ShapeConfig, ShapeReader
from builders.spot_films import mean_reader, spot_bases
from builders.toy_cohort import LOCATOR

VIEWS: list[View] = ["pa", "lateral"]


@pytest.fixture(scope="module")
def bases() -> tuple[BoneBasis, BoneBasis]:
    return spot_bases()


@pytest.fixture(scope="module")
def bundle(bases) -> ModelBundle:
    """An S that answers with the mean bones in the nominal pose, and no outlines."""
    radius, ulna = bases
    lengths = (radius.length, ulna.length)
    network = mean_reader(bases, 1)
    config = ShapeConfig(
        sum(lengths), (4, 4, 4, 8), (1, 1, 1), 8, descent_steps=1, points=30, radius_outputs=lengths[0]
    )
    smoke = load_preset("smoke")
    made = new_bundle("toy", smoke.grid, smoke.tl, smoke.pix2pix, LOCATOR)
    return replace(made, shape=ShapeReader(network, config, radius, ulna))


def reader(source: Source, offset_px: float, numbers: int) -> OutlineReader:
    """Says of every outline that it lies so far out, and is not too sure of it: the step is to be believed."""
    width = FEATURES[source]
    network = OutlineNetwork(
        np.zeros(width, np.float32),
        np.ones(width, np.float32),
        (np.zeros((width, 2), np.float32),),
        (np.array([offset_px, np.log(4.0)], np.float32),),
    )
    return OutlineReader(network, np.eye(numbers))


def with_outlines(bundle: ModelBundle, offset_px: float, kinds: list[tuple[View, Source]]) -> ModelBundle:
    numbers = sum(basis.length for basis in bundle.bases.values()) + POSE
    return replace(bundle, outlines={(view, source): reader(source, offset_px, numbers) for view, source in kinds})


def width(bundle: ModelBundle, code: np.ndarray) -> float:
    """Extent of the radius across the shaft, mm."""
    radius = bundle.bases["radius"]
    return float(np.ptp(radius.decode(code[: radius.length]).vertices[:, 0]))


def drr(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random(FILM_SHAPE, dtype=np.float32)


def test_outlines_farther_out_make_wider_bones(bundle):
    as_read = read_shape([drr()], ["pa"], bundle)
    wider = read_shape([drr()], ["pa"], with_outlines(bundle, 1.0, [("pa", "drr")]))
    narrower = read_shape([drr()], ["pa"], with_outlines(bundle, -1.0, [("pa", "drr")]))
    assert width(bundle, wider.code) > width(bundle, as_read.code) + 0.1
    assert width(bundle, narrower.code) < width(bundle, as_read.code) - 0.1
    assert not np.allclose(wider.code, narrower.code)
    assert len(wider.motions) == len(as_read.motions) == 1


def test_without_a_reader_of_its_kind_a_picture_is_read_as_before(bundle):
    plain = read_shape([drr()], ["lateral"], bundle)
    others = with_outlines(bundle, 1.0, [("pa", "drr"), ("lateral", "film")])
    np.testing.assert_array_equal(read_shape([drr()], ["lateral"], others).code, plain.code)
    # A translated film is another kind of picture than the DRR of a CT.
    film = [drr(1)]
    assert not np.allclose(read_shape([drr()], ["lateral"], others, film).code, plain.code)
    # One of two pictures without a reader: both are weighed as they were read.
    both = [read_shape([drr(), drr(2)], VIEWS, model).code for model in (bundle, others)]
    np.testing.assert_array_equal(*both)


def test_two_pictures_have_a_pose_each_and_one_shape(bundle):
    reading = read_shape([drr(), drr(2)], VIEWS, with_outlines(bundle, 0.5, [("pa", "drr"), ("lateral", "drr")]))
    assert len(reading.motions) == 2
    assert not np.allclose(reading.motions[0], reading.motions[1])
    assert reading.code.shape == reading.sd.shape


SIGNS = OutlineSigns(0.07, (0.4, 0.9))


def test_poses_are_handed_on_in_rad_and_mm(bundle, monkeypatch):
    told = np.arange(1.0, POSE + 1) / 10
    monkeypatch.setattr(
        inference,
        "read_together",
        lambda seen, bones, outlines: ReadTogether(seen[0].reading[:-POSE], [told], (SIGNS,)),
    )
    reading = read_shape([drr()], ["pa"], with_outlines(bundle, 0.0, [("pa", "drr")]))
    np.testing.assert_allclose(reading.motions[0][:3, 3], (told * POSE_SD)[3:])
    assert reading.outline_signs == (SIGNS,)


def test_a_model_keeps_its_outlines(bundle, tmp_path):
    model = with_outlines(bundle, 0.7, [("pa", "drr"), ("lateral", "film")])
    save_bundle(model, tmp_path / "model")
    again = load_bundle(tmp_path / "model")
    assert again.outlines.keys() == model.outlines.keys()
    with torch.no_grad():
        codes = [read_shape([drr()], ["pa"], each).code for each in (model, again)]
    # Weights are stored as float16.
    np.testing.assert_allclose(*codes, atol=5e-3)


def test_torch_and_onnx_correct_alike():
    """The packaged model, whose readings of PA and lateral have readers of outlines."""
    pictures = [np.zeros(FILM_SHAPE, np.float32) for _ in VIEWS]
    for picture, columns in zip(pictures, (slice(40, 70), slice(50, 75)), strict=True):
        picture[60:, columns] = 0.8
    onnx, torches = load_model(), load_bundle()
    assert onnx.outlines.keys() == torches.outlines.keys() >= {("pa", "drr"), ("lateral", "film")}
    found = [read_shape(pictures, VIEWS, model) for model in (onnx, torches)]
    np.testing.assert_allclose(found[0].code, found[1].code, atol=2e-3)
    np.testing.assert_allclose(found[0].motions, found[1].motions, atol=2e-3)
