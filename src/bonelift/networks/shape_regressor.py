"""The shape regressor S: a DRR to the shape codes of radius and ulna, without a decoder of voxels in between.

Ours, beside the paper's TL-embedding network: the codes tell shape from place (anatomy.shape_basis), so the error that
S learns to lower is the distance between surfaces, as predicted and after rigid alignment, and an update costs no 3D
convolution. Several jittered readings of one film are averaged: what S sees of a bone must not depend on the crop.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bonelift.anatomy.shape_basis import BoneBasis
from bonelift.errors import InputError
from bonelift.images.film import FILM_SHAPE
from bonelift.networks.tl_embedding import FilmReader


@dataclass(frozen=True)
class ShapeConfig:
    """Sizes of S; see FilmReader. outputs: numbers in both bones' codes, radius first."""

    outputs: int
    channels: tuple[int, int, int, int] = (16, 32, 64, 128)
    blocks: tuple[int, int, int] = (1, 2, 2)
    hidden: int = 384
    film_shape: tuple[int, int] = FILM_SHAPE

    def __post_init__(self) -> None:
        if self.outputs < 1 or any(n % 16 for n in self.film_shape):
            raise InputError(f"ShapeConfig: {self}; expected outputs, and a film shape of multiples of 16")


class ShapeRegressor(FilmReader):
    """S: DRR film and view to codes (N, outputs) in standard deviations of the population."""

    def __init__(self, config: ShapeConfig) -> None:
        super().__init__(config.film_shape, config.channels, config.blocks, config.hidden, config.outputs)


@dataclass(frozen=True, eq=False)
class ShapeReader:
    """S with the bases that its codes are written in."""

    network: ShapeRegressor
    config: ShapeConfig
    radius: BoneBasis
    ulna: BoneBasis

    @property
    def bases(self) -> dict[str, BoneBasis]:
        return {"radius": self.radius, "ulna": self.ulna}

    def __post_init__(self) -> None:
        if self.config.outputs != self.radius.length + self.ulna.length:
            raise InputError(
                f"shape regressor: {self.config.outputs} outputs for codes of {self.radius.length} and "
                f"{self.ulna.length} numbers; expected their sum"
            )


def new_shape_reader(config: ShapeConfig, radius: BoneBasis, ulna: BoneBasis) -> ShapeReader:
    """An untrained S."""
    return ShapeReader(ShapeRegressor(config), config, radius, ulna)


def metric_matrices(radius: BoneBasis, ulna: BoneBasis) -> Tensor:
    """(2 bones, 2 alignments, outputs, outputs) float32 mm^2: mean square surface distance of a code difference.

    Alignments: as predicted, after rigid alignment (BoneBasis.error_metrics).
    """
    total = radius.length + ulna.length
    metrics = torch.zeros(2, 2, total, total)
    for index, (basis, start) in enumerate(((radius, 0), (ulna, radius.length))):
        part = slice(start, start + basis.length)
        for alignment, matrix in enumerate(basis.error_metrics()):
            metrics[index, alignment, part, part] = torch.from_numpy(matrix).float()
    return metrics


def surface_errors(codes: Tensor, true_codes: Tensor, metrics: Tensor) -> Tensor:
    """(N, 2, 2) root mean square surface distances, mm, by bone and alignment."""
    difference = codes.float() - true_codes.float()
    squares = torch.einsum("ni,baij,nj->nba", difference, metrics, difference)
    return (squares + 1e-6).sqrt()
