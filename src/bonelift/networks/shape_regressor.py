"""The shape regressor S: a DRR to the shape codes of radius and ulna, without a decoder of voxels in between.

Ours, beside the paper's TL-embedding network: the codes tell shape from place (anatomy.shape_basis), so the error that
S learns to lower is the distance between surfaces, as predicted and after rigid alignment, and an update costs no 3D
convolution. Several jittered readings of one film are averaged: what S sees of a bone must not depend on the crop.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bonelift.anatomy.shape_basis import PLACEMENT, BoneBasis
from bonelift.errors import InputError
from bonelift.film.standard import FILM_SHAPE
from bonelift.networks.occluding_contour import POSE
from bonelift.networks.supervised_descent import DescentStep, ProjectedPoints, feature_count, features
from bonelift.networks.tl_embedding import FilmReader, with_view


@dataclass(frozen=True)
class ShapeConfig:
    """Sizes of S; see FilmReader. outputs: numbers in both bones' codes, radius first. reads_film: S sees the film that
    the DRR was translated from as a second picture, all 0 where there is none. gain_free: the DRR is divided by its own
    level (:func:`drr_level`) first, so that S reads the same from it at any scale. tells_error: S also tells the
    standard deviation that it expects of each number's error. descent_steps: corrections of the reading by what the
    picture shows around its own bones (:mod:`bonelift.networks.supervised_descent`); film_steps: further ones, where S
    reads films, that see the film beside the DRR and change nothing where there is none; points: of each bone that it
    is looked at from; radius_outputs: how many of the outputs are the radius' code."""

    outputs: int
    channels: tuple[int, int, int, int] = (16, 32, 64, 128)
    blocks: tuple[int, int, int] = (1, 2, 2)
    hidden: int = 384
    film_shape: tuple[int, int] = FILM_SHAPE
    reads_film: bool = False
    gain_free: bool = False
    tells_error: bool = False
    descent_steps: int = 0
    film_steps: int = 0
    points: int = 192
    radius_outputs: int = 0

    def __post_init__(self) -> None:
        if self.outputs < 1 or any(n % 16 for n in self.film_shape):
            raise InputError(f"ShapeConfig: {self}; expected outputs, and a film shape of multiples of 16")


class ShapeRegressor(FilmReader):
    """S: DRR, perhaps the film, and view to codes (N, outputs) in standard deviations of the population."""

    def __init__(self, config: ShapeConfig) -> None:
        super().__init__(
            config.film_shape,
            config.channels,
            config.blocks,
            config.hidden,
            config.outputs,
            pictures=2 if config.reads_film else 1,
        )
        self.reads_film = config.reads_film
        self.gain_free = config.gain_free
        self.to_log_sd = nn.Linear(config.hidden, config.outputs) if config.tells_error else None
        self.outputs = config.outputs
        self.descent = nn.ModuleList()
        self.film_steps = config.film_steps if config.reads_film and config.descent_steps else 0
        if config.descent_steps:
            self._add_descent(config)

    def _add_descent(self, config: ShapeConfig) -> None:
        lengths = (config.radius_outputs, config.outputs - config.radius_outputs)
        if min(lengths) < PLACEMENT:
            raise InputError(
                f"ShapeConfig: radius_outputs is {config.radius_outputs} of {config.outputs}; descent steps need the "
                "length of each bone's code"
            )
        self.projected_points = ProjectedPoints(lengths, config.points, config.film_shape)
        self.to_pose = nn.Linear(config.hidden, POSE)
        numbers = config.outputs + POSE
        for pictures, steps in ((1, config.descent_steps), (2, self.film_steps)):
            count = feature_count(2 * config.points, numbers, pictures)
            self.descent.extend(DescentStep(count, numbers) for _ in range(steps))

    def forward(self, pictures: Tensor, view: Tensor) -> Tensor:
        """See FilmReader.forward; codes (N, outputs)."""
        return self.codes_and_log_sd(pictures, view)[0]

    def codes_and_log_sd(self, pictures: Tensor, view: Tensor) -> tuple[Tensor, Tensor]:
        """Codes and the natural logarithm of the expected error of each of their numbers, both (N, outputs).

        The error is read from what the codes are read from, and its training changes nothing there. A network that
        does not tell its error answers 0: one standard deviation of the population.
        """
        readings, log_sd = self.readings(pictures, view)
        return readings[-1][:, : self.outputs], log_sd

    def readings(self, pictures: Tensor, view: Tensor) -> tuple[list[Tensor], Tensor]:
        """The first reading and what each descent step makes of it: codes and, where there are steps, poses,
        (N, outputs [+ POSE]). And the logarithm of the errors expected of the codes."""
        first, log_sd = self.first_reading(pictures, view)
        readings = [first]
        for number in range(len(self.descent)):
            readings.append(self.corrected_once(pictures, readings[-1], view, number))
        return readings, log_sd

    def first_reading(self, pictures: Tensor, view: Tensor) -> tuple[Tensor, Tensor]:
        """What the convolutions read, before any descent step; see :meth:`readings`."""
        hidden = self.to_latent[:2](self.convolutions(with_view(self._levelled(pictures), view)).flatten(1))
        reading = self.to_latent[2](hidden)
        log_sd = torch.zeros_like(reading) if self.to_log_sd is None else self.to_log_sd(hidden.detach())
        return (torch.cat([reading, self.to_pose(hidden)], dim=1) if len(self.descent) else reading), log_sd

    def shown(self, pictures: Tensor) -> Tensor:
        """Of pictures (N, 2, H, W), DRR and film, what this S reads."""
        return pictures if self.reads_film else pictures[:, :1]

    def corrected(self, pictures: Tensor, reading: Tensor, view: Tensor, steps: int) -> Tensor:
        """A first reading (N, outputs + POSE) after so many descent steps."""
        for number in range(steps):
            reading = self.corrected_once(pictures, reading, view, number)
        return reading

    def corrected_once(self, pictures: Tensor, reading: Tensor, view: Tensor, number: int) -> Tensor:
        """A reading after descent step ``number``, from 0."""
        change = self.descent[number](self.features(pictures, reading, view, number), view)
        if self.sees_film(number):
            change = torch.where(has_film(pictures)[:, None], change, torch.zeros_like(change))
        return reading + change

    def sees_film(self, number: int) -> bool:
        """Whether descent step ``number`` sees the film beside the DRR."""
        return number >= len(self.descent) - self.film_steps

    def features(self, pictures: Tensor, reading: Tensor, view: Tensor, number: int) -> Tensor:
        """What descent step ``number`` sees: the pictures around the bones of a reading (N, outputs + POSE)."""
        seen = self._levelled(pictures)[:, : 2 if self.sees_film(number) else 1]
        return features(seen, self.film_points(reading, view), reading)

    def _levelled(self, pictures: Tensor) -> Tensor:
        if not self.gain_free:
            return pictures
        return torch.cat([pictures[:, :1] / drr_level(pictures[:, :1]), pictures[:, 1:]], dim=1)

    def film_points(self, reading: Tensor, view: Tensor) -> Tensor:
        """(N, points of both bones, 2) (column, row) px of the film where a reading (N, outputs + POSE) puts them."""
        points = self.projected_points.points(reading[:, : self.outputs])
        return self.projected_points.on_film(points, reading[:, self.outputs :], view)


def has_film(pictures: Tensor) -> Tensor:
    """(N,) whether the second of pictures (N, 2, H, W) shows anything."""
    return pictures[:, 1].amax(dim=(1, 2)) > 0


def drr_level(drr: Tensor) -> Tensor:
    """(N, 1, 1, 1) level of DRRs (N, 1, H, W): their mean weighted by themselves, so that air does not count.

    It grows in proportion to the picture; an empty one has the level 1.
    """
    total = drr.sum(dim=(1, 2, 3), keepdim=True)
    level = drr.square().sum(dim=(1, 2, 3), keepdim=True) / total.clamp_min(1e-6)
    return torch.where(total > 1e-6, level, torch.ones_like(level))


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
