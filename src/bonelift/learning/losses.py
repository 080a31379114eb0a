"""The losses, as pure functions of tensors. Every one is a mean over the batch.

The soft-label cross entropy is also a mean over voxels, while ``|.|_1`` and ``|.|_2`` are norms over the latent, summed
over its numbers: at 1e-4 the penalties are a gentle pull, about a tenth of the cross entropy of a trained network.
Source: Shiode et al. 2021, Methods; Isola et al. 2017, eq. 1 to 4.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

L1_WEIGHT = 1e-4
L2_WEIGHT = 1e-4
PIX2PIX_L1_WEIGHT = 100.0


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over voxels of -sum_c labels_c log softmax(logits)_c. Both (N, 3, I, J, K); labels in [0, 1], sum 1."""
    return -(labels * functional.log_softmax(logits.float(), dim=1)).sum(dim=1).mean()


def label_entropy(labels: Tensor) -> Tensor:
    """The least that ``cross_entropy`` can be for these labels (they are soft, so it is not 0)."""
    return -torch.xlogy(labels, labels).sum(dim=1).mean()


def latent_l1(latent: Tensor) -> Tensor:
    return latent.float().abs().sum(dim=1).mean()


def latent_distance(latent: Tensor, other: Tensor) -> Tensor:
    return torch.linalg.vector_norm(latent.float() - other.float(), dim=1).mean()


def autoencoder_loss(logits: Tensor, labels: Tensor, latent: Tensor) -> Tensor:
    """Step 1: CE(D(E(y_noised)), y) + l1 |E(y_noised)|_1. Step 2 is the same with P(x) in the place of E(y_noised)."""
    return cross_entropy(logits, labels) + L1_WEIGHT * latent_l1(latent)


def finetune_loss(
    logits: Tensor, labels: Tensor, latent: Tensor, true_latent: Tensor, reencoded_latent: Tensor
) -> Tensor:
    """Step 3: CE(D(P(x)), y) + l1 |P(x)|_1 + l2 |E(y) - E(D(P(x)))|_2."""
    return autoencoder_loss(logits, labels, latent) + L2_WEIGHT * latent_distance(true_latent, reencoded_latent)


def latent_regression_loss(latent: Tensor, true_latent: Tensor, latent_variance: Tensor) -> Tensor:
    """Warm-up of P before step 2 (ours): mean square of P(x) - E(y) over the mean variance (0-d) of E(y)."""
    return (latent.float() - true_latent.float()).square().mean() / latent_variance


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Half the sum of both binary cross entropies, as in Isola et al., who slow the discriminator so."""
    real = functional.binary_cross_entropy_with_logits(real_logits.float(), torch.ones_like(real_logits).float())
    fake = functional.binary_cross_entropy_with_logits(fake_logits.float(), torch.zeros_like(fake_logits).float())
    return 0.5 * (real + fake)


def generator_loss(
    fake_logits: Tensor, fake_drr: Tensor, true_drr: Tensor, l1_weight: float = PIX2PIX_L1_WEIGHT
) -> tuple[Tensor, Tensor]:
    """(BCE of being taken for real + l1_weight x L1, and that L1 alone), DRRs in units of DRR_SCALE."""
    adversarial = functional.binary_cross_entropy_with_logits(fake_logits.float(), torch.ones_like(fake_logits).float())
    absolute = (fake_drr.float() - true_drr.float()).abs().mean()
    return adversarial + l1_weight * absolute, absolute


def locator_loss(
    heatmap_logits: Tensor, target_heatmaps: Tensor, presence_logits: Tensor, present: Tensor
) -> tuple[Tensor, Tensor]:
    """(heatmap cross entropy, presence BCE).

    target_heatmaps: (N, 3, h, w) distributions, or all 0 where a landmark is not in the picture: those do not count.
    present: (N,) 0 or 1.
    """
    log_probability = functional.log_softmax(heatmap_logits.float().flatten(2), dim=-1)
    target = target_heatmaps.flatten(2)
    shown = target.sum().clamp_min(1.0)
    heatmap = -(target * log_probability).sum() / shown
    return heatmap, functional.binary_cross_entropy_with_logits(presence_logits.float(), present.float())
