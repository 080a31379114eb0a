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


def test_distance_of_latents_is_that_of_their_difference():
    # (3, 4) and (0, 0) apart: 5 and 0, mean 2.5. Neither latent is 0: a difference is no sum.
    latent, other = torch.tensor([[4.0, -1.0], [1.0, 2.0]]), torch.tensor([[1.0, -5.0], [1.0, 2.0]])
    assert losses.latent_distance(latent, other) == 2.5


def test_the_warm_up_is_the_mean_square_in_units_of_the_variance():
    # Squares 4, 1, 0, 9 of four differences: mean 3.5; a variance of 2 halves it.
    latent, other = torch.tensor([[3.0, 1.0], [2.0, -1.0]]), torch.tensor([[1.0, 2.0], [2.0, 2.0]])
    assert losses.latent_regression_loss(latent, other, torch.tensor(2.0)) == 1.75


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


def test_a_discriminator_that_is_right_has_a_small_loss_and_one_that_is_wrong_a_large_one():
    # Binary cross entropy of a logit z: log(1 + exp(-z)) where it should be real, log(1 + exp(z)) where fake.
    real, fake = torch.full((2, 1, 3, 3), 3.0), torch.full((2, 1, 3, 3), -1.0)
    right = 0.5 * (math.log1p(math.exp(-3)) + math.log1p(math.exp(-1)))
    wrong = 0.5 * (math.log1p(math.exp(1)) + math.log1p(math.exp(3)))
    assert losses.discriminator_loss(real, fake).item() == pytest.approx(right, rel=1e-6)
    assert losses.discriminator_loss(fake, real).item() == pytest.approx(wrong, rel=1e-6)


def test_a_generator_is_held_to_the_difference_of_the_pictures_and_to_what_is_taken_for_real():
    taken = torch.full((2, 1, 3, 3), 3.0)
    fake, true = torch.full((2, 1, 4, 4), 0.5), torch.full((2, 1, 4, 4), 0.75)
    loss, absolute = losses.generator_loss(taken, fake, true, l1_weight=8.0)
    assert absolute == 0.25
    assert loss.item() == pytest.approx(math.log1p(math.exp(-3)) + 8 * 0.25, rel=1e-6)


def test_locator_loss_counts_only_landmarks_that_are_shown():
    target = torch.zeros(2, 3, 2, 2)
    target[0, 0, 0, 0] = 1
    heatmap, presence = losses.locator_loss(torch.zeros(2, 3, 2, 2), target, torch.zeros(2), torch.tensor([1, 0]))
    assert heatmap.item() == pytest.approx(math.log(4))
    assert presence.item() == pytest.approx(math.log(2))


def test_locator_loss_is_least_where_heat_and_presence_are_right():
    target = torch.zeros(1, 3, 2, 2)
    target[0, :, 0, 1] = 1
    right, wrong = torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)
    right[0, :, 0, 1], wrong[0, :, 1, 0] = 2.0, 2.0
    # Softmax over the four pixels of one map, the mean over the three that are shown.
    total = math.log(3 + math.exp(2))
    for logits, presence_logit, expected in ((right, 3.0, total - 2), (wrong, -3.0, total)):
        heatmap, presence = losses.locator_loss(logits, target, torch.tensor([presence_logit]), torch.tensor([1]))
        assert heatmap.item() == pytest.approx(expected, rel=1e-6)
        assert presence.item() == pytest.approx(math.log1p(math.exp(-presence_logit)), rel=1e-6)
