"""The TL-embedding network: encoder E and decoder D of label grids, predictor P from a DRR to the same latent.

Layers are ours (Shiode et al. 2021 do not give them) and small enough for two CPU cores. Batch normalisation in E and D
halved the error reached in the same time; both run on their running statistics wherever they are held fixed.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from bonelift.errors import InputError
from bonelift.film.standard import FILM_SHAPE
from bonelift.images import LAPTOP_GRID

CLASSES = 3
"""Background, radius, ulna."""
DRR_SCALE = 0.5
"""Line integral of attenuation (dimensionless) that networks see as 1."""


@dataclass(frozen=True)
class TlConfig:
    """Sizes of E, D and P.

    grid_shape: (I, J, K) of the label grid; each divisible by 2 ** len(decoder_channels).
    latent: numbers in a latent vector.
    encoder_channels: output channels of each stride-2 convolution of E, finest first.
    decoder_channels: channels of D, coarsest first; each entry is followed by one doubling of the grid.
    predictor_channels: channels of P at 1/2, 1/4, 1/8 and 1/16 of the film.
    predictor_blocks: residual blocks of P at 1/4, 1/8 and 1/16.
    predictor_hidden: width of the layer between P's flattened map and the latent.
    """

    grid_shape: tuple[int, int, int] = LAPTOP_GRID.shape
    latent: int = 64
    encoder_channels: tuple[int, ...] = (16, 32, 64)
    decoder_channels: tuple[int, ...] = (128, 64, 32)
    film_shape: tuple[int, int] = FILM_SHAPE
    predictor_channels: tuple[int, int, int, int] = (16, 32, 64, 128)
    predictor_blocks: tuple[int, int, int] = (1, 2, 2)
    predictor_hidden: int = 384

    def __post_init__(self) -> None:
        for name, channels in (("encoder", self.encoder_channels), ("decoder", self.decoder_channels)):
            step = 2 ** len(channels)
            if not channels or any(n % step for n in self.grid_shape):
                raise InputError(
                    f"TlConfig: {name} halves the grid {len(channels)} times but the grid is {self.grid_shape}; "
                    f"expected multiples of {step}"
                )
        if any(n % 16 for n in self.film_shape):
            raise InputError(f"TlConfig: film_shape is {self.film_shape}; expected multiples of 16")


def _coarse_shape(grid_shape: tuple[int, ...], halvings: int) -> tuple[int, ...]:
    return tuple(n // 2**halvings for n in grid_shape)


class Encoder(nn.Module):
    """E: soft labels (N, 3, I, J, K) in [0, 1] (background, radius, ulna) to latents (N, latent)."""

    def __init__(self, config: TlConfig) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        previous = CLASSES
        for channels in config.encoder_channels:
            layers += [nn.Conv3d(previous, channels, 4, stride=2, padding=1), nn.BatchNorm3d(channels), nn.SiLU()]
            previous = channels
        self.convolutions = nn.Sequential(*layers)
        voxels = prod(_coarse_shape(config.grid_shape, len(config.encoder_channels)))
        self.to_latent = nn.Linear(previous * voxels, config.latent)

    def forward(self, labels: Tensor) -> Tensor:
        return self.to_latent(self.convolutions(labels).flatten(1))


class Decoder(nn.Module):
    """D: latents (N, latent) to logits (N, 3, I, J, K); their softmax is the soft label."""

    def __init__(self, config: TlConfig) -> None:
        super().__init__()
        channels = config.decoder_channels
        self.coarse = (channels[0], *_coarse_shape(config.grid_shape, len(channels)))
        self.from_latent = nn.Sequential(nn.Linear(config.latent, prod(self.coarse)), nn.SiLU())
        layers: list[nn.Module] = []
        for finer, coarser in zip((*channels[1:], CLASSES), channels, strict=True):
            layers += [nn.ConvTranspose3d(coarser, finer, 4, stride=2, padding=1), nn.BatchNorm3d(finer), nn.SiLU()]
        self.upsampling = nn.Sequential(*layers[:-2])

    def forward(self, latent: Tensor) -> Tensor:
        return self.upsampling(self.from_latent(latent).unflatten(1, self.coarse))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with batch normalisation, added to the input; shape is kept."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        return torch.relu(features + self.body(features))


def _halve(inputs: int, outputs: int, kernel: int) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride=2, padding=kernel // 2, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]


class FilmReader(nn.Module):
    """Pictures on the standard film and their view to a vector.

    Batch normalisation rather than group or instance: those would cancel the film's overall gain, which carries the
    bone's thickness. The last map is flattened, not averaged: where things are is what has to be read.

    channels: at 1/2, 1/4, 1/8 and 1/16 of the film. blocks: residual blocks at 1/4, 1/8 and 1/16. hidden: width of the
    layer between the flattened map and the ``outputs`` numbers. pictures: channels of the input.
    """

    def __init__(
        self,
        film_shape: tuple[int, int],
        channels: tuple[int, int, int, int],
        blocks: tuple[int, int, int],
        hidden: int,
        outputs: int,
        pictures: int = 1,
    ) -> None:
        super().__init__()
        layers = _halve(pictures + 1, channels[0], 5)
        for before, after, count in zip(channels[:-1], channels[1:], blocks, strict=True):
            layers += _halve(before, after, 3)
            layers += [ResidualBlock(after) for _ in range(count)]
        squeezed = max(channels[-1] // 4, 1)
        layers += [nn.Conv2d(channels[-1], squeezed, 1), nn.BatchNorm2d(squeezed), nn.ReLU()]
        self.convolutions = nn.Sequential(*layers)
        pixels = prod(film_shape) // 16**2
        self.to_latent = nn.Sequential(nn.Linear(squeezed * pixels, hidden), nn.ReLU(), nn.Linear(hidden, outputs))

    def forward(self, pictures: Tensor, view: Tensor) -> Tensor:
        """pictures: (N, pictures, 160, 128), first the line integrals / DRR_SCALE; view: (N,) 0 PA, 1 lateral.
        Returns (N, outputs)."""
        return self.to_latent(self.convolutions(with_view(pictures, view)).flatten(1))


class Predictor(FilmReader):
    """P: DRR film and view to a latent."""

    def __init__(self, config: TlConfig) -> None:
        super().__init__(
            config.film_shape,
            config.predictor_channels,
            config.predictor_blocks,
            config.predictor_hidden,
            config.latent,
        )


def with_view(image: Tensor, view: Tensor) -> Tensor:
    """(N, C, H, W) and (N,) to (N, C + 1, H, W): the view becomes a constant channel, -1 PA or +1 lateral."""
    channel = (2.0 * view.to(image.dtype) - 1.0).view(-1, 1, 1, 1).expand_as(image[:, :1])
    return torch.cat([image, channel], dim=1)
