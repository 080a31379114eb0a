"""The translator goes on learning by what S reads: S stays as it is, and reads better."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from bonelift.learning.augmentation import AffineRange
from bonelift.learning.descent import train_descent
from bonelift.learning.loop import LoopConfig, read_curve
from bonelift.learning.pix2pix import build_pix2pix
from bonelift.learning.shape_regression import FilmDrrs
from bonelift.learning.tuning import TuningTraining, train_tuning
from bonelift.networks.pix2pix import Pix2pixConfig
from builders.spot_films import STILL, mean_reader, spot_bases, spot_folders

LOOP = LoopConfig(40, 1e-2, validate_every=20, log_every=10)
# The picture itself counts for nothing: what gets better does so by what S reads.
READING = TuningTraining(LOOP, batch=4, l1_weight=0.0, affine=AffineRange(), variation=0.0)


@pytest.fixture(scope="module")
def taught(tmp_path_factory):
    """Bases, folders with films that show what their DRRs show, and an S that reads these DRRs."""
    bases, whole = spot_bases(), tmp_path_factory.mktemp("tuning")
    training, validation = spot_folders(whole, bases, films=True)
    network = mean_reader(bases, steps=1)
    train_descent(training, FilmDrrs(validation, None), network, bases, STILL, whole / "descent")
    return bases, training, validation, network


def test_s_reads_better_through_it_and_stays_as_it_is(taught, tmp_path):
    bases, training, validation, network = taught
    generator = build_pix2pix(Pix2pixConfig((4, 8), 4, dropout=0.0), 0).generator
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    once = replace(READING, loop=replace(LOOP, updates=1, learning_rate=1e-12))
    untrained = train_tuning(training, validation, generator, network, bases, once, tmp_path / "untrained")
    trained = train_tuning(training, validation, generator, network, bases, READING, tmp_path / "trained")
    assert trained["gan_on_film_mm"] < 0.7 * untrained["gan_on_film_mm"]
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_the_picture_is_held_to_the_true_drr(taught, tmp_path):
    bases, training, validation, network = taught
    config = replace(READING, l1_weight=100.0, predicted_weight=0.0, rigid_weight=0.0, film_weight=0.0)
    generator = build_pix2pix(Pix2pixConfig((4, 8), 4, dropout=0.0), 0).generator
    train_tuning(training, validation, generator, network, bases, config, tmp_path)
    errors = [row["validation/drr_mae_in_bone"] for row in read_curve(tmp_path) if "validation/drr_mae_in_bone" in row]
    assert errors[-1] < 0.7 * errors[0]
