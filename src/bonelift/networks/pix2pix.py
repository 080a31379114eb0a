"""pix2pix: a U-Net that turns a radiograph film into a DRR, and the patch discriminator that judges it.

Source: Isola et al. 2017, https://doi.org/10.1109/CVPR.2017.632: 4x4 kernels, batch normalisation, LeakyReLU(0.2) on
the way down, dropout 0.5 in the deepest three layers on the way up, 70x70 PatchGAN conditioned on the input. Ours: the
output is a non-negative line integral, not an image in [-1, 1]; the view enters as a constant channel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bonelift.errors import InputError
from bonelift.networks.tl_embedding import with_view

DROPPED_LEVELS = 3
"""Layers of the way up, deepest first, that have dropout."""


@dataclass(frozen=True)
class Pix2pixConfig:
    """Sizes of the generator and of the discriminator.

    generator_channels: output channels of each stride-2 convolution; the film is halved once for each.
    discriminator_channels: of the first of the discriminator's layers; they double three times (64 in Isola et al.).
    dropout: probability, in training only.
    """

    generator_channels: tuple[int, ...] = (32, 64, 128, 256, 256)
    discriminator_channels: int = 16
    dropout: float = 0.5

    def __post_init__(self) -> None:
        if len(self.generator_channels) < 2 or min(self.generator_channels) < 1:
            raise InputError(f"Pix2pixConfig: generator_channels {self.generator_channels}; expected at least two")
        if not 0 <= self.dropout < 1:
            raise InputError(f"Pix2pixConfig: dropout {self.dropout}; expected 0 <= dropout < 1")


def _down(inputs: int, outputs: int, normalise: bool) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=not normalise)]
    if normalise:
        layers.append(nn.BatchNorm2d(outputs))
    return nn.Sequential(*layers, nn.LeakyReLU(0.2))


def _up(inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    if dropout:
        layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers, nn.ReLU())


class Generator(nn.Module):
    """U-Net: film (N, 1, H, W) in [0, 1.2] and view (N,) to DRR / DRR_SCALE (N, 1, H, W), not negative.

    H and W are multiples of 2 ** len(generator_channels).
    """

    def __init__(self, config: Pix2pixConfig) -> None:
        super().__init__()
        widths = config.generator_channels
        levels = len(widths)
        # As in Isola et al., the first layer is not normalised; nor is the deepest, whose map may be a few pixels.
        self.down = nn.ModuleList(
            _down(i, o, 0 < level < levels - 1) for level, (i, o) in enumerate(zip((2, *widths), widths, strict=False))
        )
        self.up = nn.ModuleList()
        for depth in range(levels - 1):
            inputs = widths[-1] if depth == 0 else 2 * widths[-1 - depth]
            self.up.append(_up(inputs, widths[-2 - depth], config.dropout if depth < DROPPED_LEVELS else 0.0))
        self.to_drr = nn.ConvTranspose2d(2 * widths[0], 1, 4, stride=2, padding=1)

    def forward(self, film: Tensor, view: Tensor) -> Tensor:
        features = with_view(film, view)
        skips = []
        for layer in self.down:
            features = layer(features)
            skips.append(features)
        for layer, skip in zip(self.up, reversed(skips[:-1]), strict=True):
            features = torch.cat([layer(features), skip], dim=1)
        # A ReLU with a rounded corner: zero stays reachable and its gradient does not die.
        return functional.softplus(cast(Tensor, self.to_drr(features)).float(), beta=10.0)


class Discriminator(nn.Module):
    """70x70 PatchGAN: (film, view, DRR / DRR_SCALE) to logits (N, 1, h, w); one for each patch, high means real."""

    def __init__(self, config: Pix2pixConfig) -> None:
        super().__init__()
        width = config.discriminator_channels
        layers: list[nn.Module] = [
            _down(3, width, False),
            _down(width, 2 * width, True),
            _down(2 * width, 4 * width, True),
        ]
        layers += [
            nn.Conv2d(4 * width, 8 * width, 4, padding=1, bias=False),
            nn.BatchNorm2d(8 * width),
            nn.LeakyReLU(0.2),
            nn.Conv2d(8 * width, 1, 4, padding=1),
        ]
        self.layers = nn.Sequential(*layers)

    def forward(self, film: Tensor, view: Tensor, drr: Tensor) -> Tensor:
        return self.layers(torch.cat([with_view(film, view), drr], dim=1))
