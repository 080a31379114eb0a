"""The losses against closed forms."""

import math

import pytest
import torch

from bonelift.learning import losses


def test_cross_entropy_of_even_logits_is_log_three():
    labels = torch.rand(2, 3, 4, 4, 4).softmax(1)
    assert losses.cross_entropy(torch.zeros(2, 3, 4, 4, 4), labels).item() == pytest.approx(math.log(3), rel=1e-6)


def test_cross_entropy_is_least_at_the_labels_themselves():
    torch.manual_seed(0)
    labels = torch.randn(2, 3, 4, 4, 4).softmax(1)
    least = losses.label_entropy(labels)
    torch.testing.assert_close(losses.cross_entropy(labels.log(), labels), least)
    assert losses.cross_entropy(labels.log() + 0.3 * torch.randn_like(labels), labels) > least


def test_hard_labels_have_no_entropy():
    labels = torch.zeros(1, 3, 2, 2, 2)
    labels[:, 1] = 1
    assert losses.label_entropy(labels) == 0


def test_norms_are_sums_over_the_latent_and_means_over_the_batch():
    latent = torch.tensor([[3.0, -4.0], [0.0, 0.0]])
    assert losses.latent_l1(latent) == 3.5
    assert losses.latent_distance(latent, torch.zeros(2, 2)) == 2.5


def test_steps_one_and_three_are_the_papers_sums():
    labels = torch.full((1, 3, 2, 2, 2), 1 / 3)
    logits = torch.zeros(1, 3, 2, 2, 2)
    latent, other = torch.tensor([[3.0, -4.0]]), torch.zeros(1, 2)
    step_one = math.log(3) + 1e-4 * 7
    assert losses.autoencoder_loss(logits, labels, latent).item() == pytest.approx(step_one, rel=1e-6)
    step_three = losses.finetune_loss(logits, labels, latent, latent, other).item()
    assert step_three == pytest.approx(step_one + 1e-4 * 5, rel=1e-6)


def test_distance_of_equal_latents_has_a_finite_gradient():
    latent = torch.ones(2, 4, requires_grad=True)
    losses.latent_distance(latent, torch.ones(2, 4)).backward()
    assert latent.grad is not None
    assert torch.isfinite(latent.grad).all()


def test_adversarial_losses_at_an_undecided_discriminator():
    undecided = torch.zeros(2, 1, 3, 3)
    assert losses.discriminator_loss(undecided, undecided).item() == pytest.approx(math.log(2))
    loss, absolute = losses.generator_loss(undecided, torch.full((2, 1, 4, 4), 0.5), torch.zeros(2, 1, 4, 4))
    assert absolute == 0.5
    assert loss.item() == pytest.approx(math.log(2) + 100 * 0.5)


def test_locator_loss_counts_only_landmarks_that_are_shown():
    target = torch.zeros(2, 3, 2, 2)
    target[0, 0, 0, 0] = 1
    heatmap, presence = losses.locator_loss(torch.zeros(2, 3, 2, 2), target, torch.zeros(2), torch.tensor([1, 0]))
    assert heatmap.item() == pytest.approx(math.log(4))
    assert presence.item() == pytest.approx(math.log(2))
