"""What each step of training compares with what: watched from outside, on networks that are not trained yet."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from bonelift.learning import losses
from bonelift.learning.loop import LoopConfig
from bonelift.learning.pix2pix import build_pix2pix, pix2pix_step
from bonelift.learning.samples import ShapeSamples, load_samples
from bonelift.learning.tl import build_tl, encode_shapes, train_autoencoder, train_finetune
from builders.toy_cohort import AUTOENCODER, PIX2PIX, PIX2PIX_TRAINING, PREDICTOR, TL, write_cohort

ONCE = LoopConfig(1, 1e-4, log_every=1, validate_every=1)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return write_cohort(tmp_path_factory.mktemp("cohort"), 8)


def watched(network: torch.nn.Module) -> list[tuple[tuple[torch.Tensor, ...], torch.Tensor]]:
    """(inputs, output) of every call that a gradient may pass, from now on."""
    calls = []

    def note(_module, inputs, output):
        if torch.is_grad_enabled():
            calls.append((tuple(tensor.detach().clone() for tensor in inputs), output.detach().clone()))

    network.register_forward_hook(note)
    return calls


def test_the_autoencoder_reads_labels_with_the_noise_that_was_asked_for(cohort, tmp_path):
    networks = build_tl(TL, 0)
    calls = watched(networks.encoder)
    config = replace(AUTOENCODER, loop=ONCE, label_noise_sd=0.1, bfloat16=False)
    train_autoencoder(cohort, cohort, networks, config, tmp_path)
    (labels,) = calls[0][0]
    # Corners lie outside of both bones: their labels are 1, 0, 0, and what is off is the noise. 4 patients, 3 x 8
    # corners of 3^3 voxels: 2,592 draws, whose standard deviation is known to 1.4 %; five such allowed.
    ends = torch.tensor([0, 1, 2, 13, 14, 15])
    corners = labels[:, :, ends][:, :, :, ends][:, :, :, :, ends]
    noise = corners - torch.tensor([1.0, 0, 0])[None, :, None, None, None]
    assert noise.std().item() == pytest.approx(0.1, rel=0.07)
    assert abs(noise.mean().item()) < 0.01


def test_step_three_encodes_label_fields_and_compares_them_with_the_true_latent(cohort, tmp_path, monkeypatch):
    networks = build_tl(TL, 0)
    with torch.no_grad():  # an untrained decoder is nearly even: make its fields uneven, so that nothing is alike
        for parameter in networks.decoder.parameters():
            parameter.mul_(3.0)
    encoded, predicted, decoded = (watched(n) for n in (networks.encoder, networks.predictor, networks.decoder))
    seen = []
    whole = losses.finetune_loss

    def noting(*tensors):
        seen.append([tensor.detach().clone() for tensor in tensors])
        return whole(*tensors)

    monkeypatch.setattr(losses, "finetune_loss", noting)
    latents = encode_shapes(networks.encoder, load_samples(cohort, ShapeSamples))
    train_finetune(cohort, cohort, networks, replace(PREDICTOR, loop=ONCE, bfloat16=False), tmp_path)
    (read,), again = encoded[0]
    logits, _, latent, true_latent, reencoded = seen[0]
    torch.testing.assert_close(logits, decoded[0][1])
    torch.testing.assert_close(latent, predicted[0][1])
    # E reads what the labels are: three fields that sum to one.
    torch.testing.assert_close(read, logits.softmax(dim=1))
    # L2 of step 3 is between E(D(P(x))) and the latent of the true shape, not between either and P(x).
    torch.testing.assert_close(reencoded, again)
    for row in true_latent:
        assert (latents - row).abs().amax(dim=1).min() < 1e-5
    assert (true_latent - latent).abs().max() > 1e-3


def test_the_discriminator_is_told_real_from_translated():
    networks = build_pix2pix(replace(PIX2PIX, dropout=0.0), 0)
    generated, judged = watched(networks.generator), watched(networks.discriminator)
    rng = torch.Generator().manual_seed(0)
    film, drr = (torch.rand(4, 1, 32, 32, generator=rng) for _ in range(2))
    view = torch.tensor([0, 1, 0, 1])
    optimisers = {
        "generator": torch.optim.SGD(networks.generator.parameters(), 1e-3),
        "discriminator": torch.optim.SGD(networks.discriminator.parameters(), 1e-3),
    }
    pix2pix_step(networks, optimisers, (film, drr, view), replace(PIX2PIX_TRAINING, bfloat16=False))
    translated = generated[0][1]
    assert (translated - drr).abs().max() > 0.01
    # Real, translated, and translated again for the generator's own loss: each beside its film.
    assert len(judged) == 3
    for (inputs, _), shown in zip(judged, (drr, translated, translated), strict=True):
        torch.testing.assert_close(inputs[0], film)
        torch.testing.assert_close(inputs[2], shown)
