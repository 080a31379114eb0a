"""A cohort of two balls each, small enough to train on in seconds; shared by the tests of networks and training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from bonelift.images import LabelGrid
from bonelift.learning.augmentation import AffineRange
from bonelift.learning.locator import LocatorTraining
from bonelift.learning.loop import LoopConfig
from bonelift.learning.pix2pix import Pix2pixTraining
from bonelift.learning.samples import FilmSamples, LocatorSamples, ShapeSamples, save_chunk
from bonelift.learning.tl import AutoencoderTraining, PredictorTraining
from bonelift.networks.locator import LocatorConfig
from bonelift.networks.pix2pix import Pix2pixConfig
from bonelift.networks.tl_embedding import TlConfig

# One thread: layers this small only lose time by sharing them, and sums keep their order.
torch.set_num_threads(1)

GRID = LabelGrid((16, 16, 16), 1.0, (-7.5, -7.5, -7.5))
TL = TlConfig(
    grid_shape=(16, 16, 16),
    latent=8,
    encoder_channels=(8, 16),
    decoder_channels=(16, 8),
    film_shape=(32, 32),
    predictor_channels=(8, 8, 16, 16),
    predictor_blocks=(1, 1, 1),
    predictor_hidden=16,
)
PIX2PIX = Pix2pixConfig((8, 16, 16), 4)
LOCATOR = LocatorConfig((8, 16, 16), (32, 32))
STILL = AffineRange()

LOOP = LoopConfig(40, 3e-3, log_every=10, validate_every=20)
AUTOENCODER = AutoencoderTraining(LOOP, batch=4)
PREDICTOR = PredictorTraining(replace(LOOP, updates=30), batch=4, latent_warmup=0.3)
PIX2PIX_TRAINING = Pix2pixTraining(LOOP, batch=4)
LOCATOR_TRAINING = LocatorTraining(LOOP, batch=4, affine=AffineRange(2.0, 20.0, 0.1, 0.0))


def toy_shapes(count: int, seed: int = 0) -> ShapeSamples:
    """Radius: a ball about (-3, 0, 0); ulna: a smaller one about (4, 0, 0); radii differ from patient to patient."""
    rng = np.random.default_rng(seed)
    centres = GRID.centres_mm()
    fields = []
    for _ in range(count):
        pair = []
        for middle, radius in ((-3.0, rng.uniform(2.5, 4.5)), (4.0, rng.uniform(1.5, 3.0))):
            distance = np.linalg.norm(centres - [middle, 0.0, rng.uniform(-2, 2)], axis=-1) - radius
            pair.append(np.clip(0.5 - distance, 0, 1))
        fields.append(pair)
    return ShapeSamples(np.round(255 * np.array(fields)).astype(np.uint8))


def toy_films(shapes: ShapeSamples) -> FilmSamples:
    """Parallel projections along y at 0.5 mm; the "radiograph" is a fixed monotone function of the DRR plus a ramp."""
    thickness_mm = shapes.occupancy.sum(axis=(1, 3)).astype(np.float32) / 255
    upright = thickness_mm.transpose(0, 2, 1)[:, ::-1]
    drr = 0.05 * np.repeat(np.repeat(upright, 2, axis=1), 2, axis=2)
    film = 0.2 + 0.8 * np.sqrt(drr) + np.linspace(0, 0.2, drr.shape[2], dtype=np.float32)
    count = len(drr)
    views = (np.arange(count) % 2).astype(np.uint8)
    return FilmSamples(film.astype(np.float16), drr.astype(np.float16), np.arange(count, dtype=np.int32), views)


def toy_locator(count: int, seed: int = 0) -> LocatorSamples:
    """Three blobs of different size in a row, somewhere; every fourth picture is empty."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:32, :32]
    images, landmarks = [], []
    for index in range(count):
        start = rng.uniform(8, 16, 2)
        points = start + np.array([[0, 0], [0, 9.0], [7, 0]])
        blobs = [
            np.exp(-((columns - c) ** 2 + (rows - r) ** 2) / (2 * s**2))
            for (c, r), s in zip(points, (2.0, 1.0, 3.0), strict=True)
        ]
        empty = index % 4 == 3
        images.append(np.zeros((32, 32)) if empty else np.clip(sum(blobs), 0, 1.2))
        landmarks.append(np.full((3, 2), np.nan) if empty else points)
    marks = np.array(landmarks, dtype=np.float32)
    return LocatorSamples(np.array(images, dtype=np.float16), marks, np.isfinite(marks).all(axis=(1, 2)))


def write_cohort(folder: Path, count: int = 8, seed: int = 0) -> Path:
    shapes = toy_shapes(count, seed)
    save_chunk(folder, 0, shapes)
    save_chunk(folder, 0, toy_films(shapes))
    save_chunk(folder, 0, toy_locator(count, seed))
    return folder
