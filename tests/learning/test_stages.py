"""Each stage: one batch overfits, the same seed gives the same weights, results are usable."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from bonelift.errors import InputError
from bonelift.images import LAPTOP_GRID
from bonelift.learning.checkpoint import load_checkpoint
from bonelift.learning.locator import build_locator, gaussian_heatmaps, train_locator
from bonelift.learning.loop import CURVE_NAME
from bonelift.learning.pix2pix import build_pix2pix, train_pix2pix, translate_films
from bonelift.learning.presets import load_preset, with_minutes
from bonelift.learning.samples import FilmSamples, load_samples, save_chunk
from bonelift.learning.tl import (
    build_tl,
    encode_shapes,
    label_metrics,
    labels_from_occupancy,
    load_tl,
    train_autoencoder,
    train_finetune,
    train_predictor,
)
from builders.toy_cohort import (
    AUTOENCODER,
    LOCATOR,
    LOCATOR_TRAINING,
    PIX2PIX,
    PIX2PIX_TRAINING,
    PREDICTOR,
    STILL,
    TL,
    toy_films,
    toy_locator,
    toy_shapes,
    write_cohort,
)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return write_cohort(tmp_path_factory.mktemp("cohort"), 8)


@pytest.fixture(scope="module")
def one_batch(tmp_path_factory):
    return write_cohort(tmp_path_factory.mktemp("one"), 4)


def _exact(config, updates):
    """float32, no augmentation, constant rate: what remains is learning."""
    plain = {"affine": STILL, "variation": 0.0} if hasattr(config, "affine") else {}
    loop = replace(config.loop, updates=updates, log_every=updates // 5, validate_every=updates)
    return replace(config, loop=loop, bfloat16=False, **plain)


def _losses(run, name="loss"):
    rows = [json.loads(line) for line in (run / CURVE_NAME).read_text().splitlines()]
    return [row[name] for row in rows if name in row]


def _train_stage(stage, folder, run, loop_changes=None, **changes):
    """Train one stage briefly on the toy cohort from seed 0 and return its networks."""
    if stage in ("autoencoder", "predictor", "finetune"):
        networks = build_tl(TL, 0)
        config = AUTOENCODER if stage == "autoencoder" else PREDICTOR
        call = {"autoencoder": train_autoencoder, "predictor": train_predictor, "finetune": train_finetune}[stage]
    elif stage == "pix2pix":
        networks, config, call = build_pix2pix(PIX2PIX, 0), PIX2PIX_TRAINING, train_pix2pix
    else:
        networks, config, call = build_locator(LOCATOR, 0), LOCATOR_TRAINING, train_locator
    config = replace(config, loop=replace(config.loop, **(loop_changes or {})), **changes)
    call(folder, folder, networks, config, run)
    return networks


STAGES = ["autoencoder", "predictor", "finetune", "pix2pix", "locator"]


@pytest.mark.parametrize("stage", STAGES)
def test_same_seed_same_weights(stage, cohort, tmp_path):
    short = {"updates": 4, "log_every": 1, "validate_every": 4}
    for run in ("first", "second"):
        _train_stage(stage, cohort, tmp_path / run, short)
    first, second = (load_checkpoint(tmp_path / run / "checkpoint.safetensors")[0] for run in ("first", "second"))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert np.isfinite(_losses(tmp_path / "first", next(iter(_scalars(tmp_path / "first"))))).all()


def _scalars(run):
    row = json.loads((run / CURVE_NAME).read_text().splitlines()[0])
    return [name for name in row if name not in ("update", "minutes", "learning_rate")]


def test_autoencoder_overfits_one_batch(one_batch, tmp_path):
    networks = build_tl(TL, 0)
    config = replace(_exact(AUTOENCODER, 150), label_noise_sd=0.0)
    metrics = train_autoencoder(one_batch, one_batch, networks, config, tmp_path)
    losses = _losses(tmp_path)
    assert losses[-1] < 0.25 * losses[0]
    assert metrics["excess_nats"] < 0.1
    assert metrics["dice_radius"] > 0.75


@pytest.fixture(scope="module")
def trained_autoencoder(one_batch, tmp_path_factory):
    run = tmp_path_factory.mktemp("autoencoder")
    train_autoencoder(one_batch, one_batch, build_tl(TL, 0), _exact(AUTOENCODER, 150), run)
    return run


@pytest.mark.parametrize("warmup", [0.0, 1.0])
def test_predictor_overfits_one_batch_with_and_without_warmup(warmup, one_batch, trained_autoencoder, tmp_path):
    networks = build_tl(TL, 1)
    load_tl(networks, trained_autoencoder, None, None)
    fixed = [tensor.clone() for net in (networks.encoder, networks.decoder) for tensor in net.state_dict().values()]
    config = replace(_exact(PREDICTOR, 100), latent_warmup=warmup)
    train_predictor(one_batch, one_batch, networks, config, tmp_path)
    losses = _losses(tmp_path, "latent_loss" if warmup else "loss")
    assert losses[-1] < 0.5 * losses[0]
    now = [tensor for net in (networks.encoder, networks.decoder) for tensor in net.state_dict().values()]
    assert all(torch.equal(a, b) for a, b in zip(fixed, now, strict=True))


def test_finetuning_moves_predictor_and_decoder_but_not_the_encoder(one_batch, trained_autoencoder, tmp_path):
    networks = build_tl(TL, 1)
    load_tl(networks, trained_autoencoder, None, None)
    encoder = [tensor.clone() for tensor in networks.encoder.state_dict().values()]
    decoder = {name: tensor.clone() for name, tensor in networks.decoder.state_dict().items()}
    train_finetune(one_batch, one_batch, networks, _exact(PREDICTOR, 60), tmp_path)
    losses = _losses(tmp_path)
    assert losses[-1] < losses[0]
    assert all(torch.equal(a, b) for a, b in zip(encoder, networks.encoder.state_dict().values(), strict=True))
    for name, tensor in networks.decoder.state_dict().items():
        is_statistic = "running" in name or "num_batches" in name
        assert torch.equal(tensor, decoder[name]) == is_statistic, name


def test_predictor_reads_the_generators_drrs_where_given(one_batch, trained_autoencoder, tmp_path):
    films = load_samples(one_batch, FilmSamples)
    runs = []
    for name, gan in (("true", None), ("gan", np.zeros_like(films.drr))):
        networks = build_tl(TL, 1)
        load_tl(networks, trained_autoencoder, None, None)
        config = replace(_exact(PREDICTOR, 5), gan_fraction=1.0, latent_warmup=0.0)
        metrics = train_predictor(one_batch, one_batch, networks, config, tmp_path / name, gan, gan)
        runs.append((_losses(tmp_path / name), metrics))
    assert runs[0][0] != runs[1][0]
    assert "gan_dice_radius" in runs[1][1]
    assert "gan_dice_radius" not in runs[0][1]


def test_pix2pix_overfits_one_batch(one_batch, tmp_path):
    networks = build_pix2pix(replace(PIX2PIX, dropout=0.0), 0)
    config = _exact(PIX2PIX_TRAINING, 150)
    metrics = train_pix2pix(one_batch, one_batch, networks, config, tmp_path)
    errors = _losses(tmp_path, "drr_mae")
    assert errors[-1] < 0.5 * errors[0]
    assert metrics["drr_mae"] < 0.05
    films = toy_films(toy_shapes(4))
    translated = translate_films(networks.generator, films)
    assert translated.shape == films.drr.shape
    assert translated.dtype == np.float16
    assert translated.min() >= 0


def test_locator_overfits_one_batch(tmp_path):
    save_chunk(tmp_path / "samples", 0, toy_locator(8))
    config = replace(_exact(LOCATOR_TRAINING, 150), batch=8, turned_fraction=0.0)
    metrics = train_locator(
        tmp_path / "samples", tmp_path / "samples", build_locator(LOCATOR, 0), config, tmp_path / "run"
    )
    assert metrics["presence_right"] == 1.0
    # Cells are 4 mm wide; an overfitted heatmap finds its Gaussian to under half of one.
    assert max(metrics[name] for name in ("origin_mm", "shaft_mm", "ulnar_head_mm")) < 2.0


def test_target_heatmaps_have_their_mean_on_the_landmark_and_vanish_outside():
    marks = torch.tensor([[[30.5, 20.25], [np.nan, np.nan], [70.0, 10.0]]])
    maps = gaussian_heatmaps(marks, (32, 32), (64, 64))
    centres = (torch.arange(32) + 0.5) * 2 - 0.5
    assert (maps[0, 0].sum(0) * centres).sum().item() == pytest.approx(30.5, abs=1e-2)
    assert (maps[0, 0].sum(1) * centres).sum().item() == pytest.approx(20.25, abs=1e-2)
    assert maps[0, 0].sum().item() == pytest.approx(1.0)
    assert maps[0, 1:].abs().max() == 0


def test_labels_sum_to_one_even_where_bones_overlap():
    occupancy = np.zeros((1, 2, 2, 2, 2), dtype=np.uint8)
    occupancy[0, :, 0, 0, 0] = [255, 255]
    occupancy[0, :, 1, 1, 1] = [102, 51]
    labels = labels_from_occupancy(occupancy)
    torch.testing.assert_close(labels.sum(1), torch.ones(1, 2, 2, 2))
    torch.testing.assert_close(labels[0, :, 0, 0, 0], torch.tensor([0.0, 0.5, 0.5]))
    torch.testing.assert_close(labels[0, :, 1, 1, 1], torch.tensor([0.4, 0.4, 0.2]))


def test_metrics_of_perfect_logits():
    labels = labels_from_occupancy(toy_shapes(2).occupancy)
    scalars = label_metrics(labels.clamp_min(1e-7).log(), labels)
    assert scalars["excess_nats"] == pytest.approx(0, abs=1e-5)
    assert scalars["dice_radius"] == scalars["dice_ulna"] == 1.0
    assert scalars["volume_error_radius"] == pytest.approx(0, abs=1e-4)


def test_latents_of_shapes_do_not_depend_on_the_batch():
    shapes = toy_shapes(20)
    encoder = build_tl(TL, 0).encoder
    latents = encode_shapes(encoder, shapes)
    assert latents.shape == (20, 8)
    torch.testing.assert_close(latents[17:], encode_shapes(encoder, type(shapes)(shapes.occupancy[17:])))


def test_films_without_a_shape_are_refused(tmp_path):
    shapes = toy_shapes(4)
    save_chunk(tmp_path, 0, type(shapes)(shapes.occupancy[:2]))
    save_chunk(tmp_path, 0, toy_films(shapes))
    with pytest.raises(InputError, match="no shape"):
        train_predictor(tmp_path, tmp_path, build_tl(TL, 0), PREDICTOR, tmp_path / "run")


def test_presets():
    for name in ("smoke", "laptop", "paper"):
        assert load_preset(name).tl.grid_shape == load_preset(name).grid.shape
    assert load_preset("laptop").grid == LAPTOP_GRID
    assert with_minutes(load_preset("paper").autoencoder_training.loop, 5).max_minutes == 5
    with pytest.raises(InputError, match="no such preset"):
        load_preset("huge")
