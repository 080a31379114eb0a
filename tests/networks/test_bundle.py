"""The bundle comes back as it was saved, or with one line that says what is wrong."""

import json

import numpy as np
import pytest
import torch

from bonelift.errors import InputError
from bonelift.geometry import XrayCamera
from bonelift.images import Radiograph
from bonelift.networks.bundle import CONFIG_NAME, WEIGHTS_NAME, load_bundle, new_bundle, save_bundle
from bonelift.networks.inference import (
    decode_fields,
    latent_of_views,
    locate,
    predict_latent,
    translate,
)
from bonelift.networks.locator import LocatorConfig
from builders.toy_cohort import GRID, LOCATOR, PIX2PIX, TL


def _bundle(locator=LOCATOR):
    torch.manual_seed(0)
    return new_bundle("toy", GRID, TL, PIX2PIX, locator, {"patients": 3})


@pytest.fixture
def saved(tmp_path):
    bundle = _bundle()
    digest = save_bundle(bundle, tmp_path / "model")
    return bundle, tmp_path / "model", digest


def _film(seed=0):
    return np.random.default_rng(seed).random((32, 32), dtype=np.float32)


def test_round_trip(saved):
    bundle, folder, digest = saved
    loaded = load_bundle(folder)
    assert (loaded.name, loaded.weights_sha256, loaded.metadata) == ("toy", digest, {"patients": 3})
    assert (loaded.grid, loaded.tl, loaded.pix2pix, loaded.locator_config) == (GRID, TL, PIX2PIX, LOCATOR)
    assert not any(network.training for network in loaded.networks.values())
    # Half precision keeps 11 bits: a relative 5e-4 a weight; ten times that through a few layers.
    drr = translate(_film(), "pa", bundle)
    np.testing.assert_allclose(translate(_film(), "pa", loaded), drr, rtol=5e-3, atol=1e-4)
    fields = decode_fields(predict_latent(drr, "pa", bundle), bundle)
    np.testing.assert_allclose(decode_fields(predict_latent(drr, "pa", loaded), loaded), fields, atol=5e-3)


def test_saving_a_loaded_bundle_changes_nothing(saved, tmp_path):
    _, folder, digest = saved
    assert save_bundle(load_bundle(folder), tmp_path / "again") == digest


def test_answers_have_shape_and_range(saved):
    bundle, _, _ = saved
    drr = translate(_film(), "lateral", bundle)
    assert drr.shape == (32, 32)
    assert drr.dtype == np.float32
    assert drr.min() >= 0
    fields = decode_fields(predict_latent(drr, "lateral", bundle), bundle)
    assert fields.shape == (2, 16, 16, 16)
    assert fields.dtype == np.float32
    assert fields.min() >= 0
    assert fields.sum(axis=0).max() <= 1 + 1e-6


def test_two_views_average_their_latents(saved):
    bundle, _, _ = saved
    films = [_film(1), _film(2)]
    latents = [predict_latent(films[0], "pa", bundle), predict_latent(films[1], "lateral", bundle)]
    np.testing.assert_allclose(
        latent_of_views(films, ["pa", "lateral"], bundle), (latents[0] + latents[1]) / 2, atol=1e-6
    )
    with pytest.raises(InputError, match="one view for each"):
        latent_of_views(films, ["pa"], bundle)


def test_pixels_that_cannot_be_are_refused(saved):
    bundle, _, _ = saved
    with pytest.raises(InputError, match="expected \\(32, 32\\)"):
        translate(np.zeros((30, 32)), "pa", bundle)
    with pytest.raises(InputError, match="NaN"):
        predict_latent(np.full((32, 32), np.nan), "pa", bundle)


def test_locate_answers_in_pixels_of_the_radiograph():
    bundle = _bundle(LocatorConfig((4, 8, 8)))
    camera = XrayCamera(np.array([[5e3, 0, 100], [0, 5e3, 150], [0, 0, 1.0]]), np.eye(4), 200, 300, 1000.0)
    radiograph = Radiograph(np.random.default_rng(0).random((300, 200), dtype=np.float32), camera, "left", "pa", 950.0)
    found = locate(radiograph, bundle)
    assert found.origin_px.shape == found.shaft_px.shape == found.ulnar_head_px.shape == (2,)
    assert 0 <= found.confidence <= 1
    assert found.turn_deg in (0, 90, 180, 270)
    assert np.isfinite([found.origin_px, found.shaft_px, found.ulnar_head_px]).all()


def test_missing_folder_and_files(tmp_path, saved):
    with pytest.raises(InputError, match="no model there"):
        load_bundle(tmp_path / "nowhere")
    _, folder, _ = saved
    (folder / WEIGHTS_NAME).unlink()
    with pytest.raises(InputError, match=r"weights\.safetensors: no such file"):
        load_bundle(folder)


def test_damaged_weights(saved):
    _, folder, _ = saved
    content = bytearray((folder / WEIGHTS_NAME).read_bytes())
    content[-3] ^= 1
    (folder / WEIGHTS_NAME).write_bytes(bytes(content))
    with pytest.raises(InputError, match="sha256"):
        load_bundle(folder)


def _edit(folder, change):
    path = folder / CONFIG_NAME
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(schema_version=99), "schema_version is 99"),
        (lambda c: c["tl"].update(latent=9), "do not fit"),
        (lambda c: c["tl"].update(surprise=1), "not a usable model configuration"),
        (lambda c: c["tl"].update(latent="many"), "not a usable model configuration"),
        (lambda c: c["grid"].update(shape=[16, 16]), "not a usable model configuration"),
        (lambda c: c["grid"].update(shape=[16, 16, 32]), "networks for"),
        (lambda c: c.update(drr_scale=0), "not a usable model configuration"),
        (lambda c: c.pop("pix2pix"), "not a usable model configuration"),
    ],
)
def test_config_that_does_not_fit(saved, change, message):
    _, folder, _ = saved
    _edit(folder, change)
    with pytest.raises(InputError, match=message):
        load_bundle(folder)


def test_config_that_is_not_json(saved):
    _, folder, _ = saved
    (folder / CONFIG_NAME).write_text("{")
    with pytest.raises(InputError, match="cannot be read as JSON"):
        load_bundle(folder)


def test_weights_that_are_no_safetensors(saved):
    import hashlib

    _, folder, _ = saved
    junk = b"\x80\x04pickle"
    (folder / WEIGHTS_NAME).write_bytes(junk)
    _edit(folder, lambda c: c.update(weights_sha256=hashlib.sha256(junk).hexdigest()))
    with pytest.raises(InputError, match="not a safetensors file"):
        load_bundle(folder)


def test_diverged_weights_are_not_saved(tmp_path):
    bundle = _bundle()
    with torch.no_grad():
        next(bundle.decoder.parameters()).fill_(float("nan"))
    with pytest.raises(InputError, match="diverged"):
        save_bundle(bundle, tmp_path / "model")
