"""The programs of a model as torch modules: what runs by torch, and what is exported to ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from bonelift.networks.film_warp import warp
from bonelift.networks.locator import soft_argmax_px
from bonelift.networks.model_files import NETWORK_OF, Program
from bonelift.networks.shape_regressor import ShapeRegressor

JITTERS = ((0.0, 0.0, 0.0), (1.0, 0.5, 0.7), (-1.0, -0.5, 0.7), (0.5, -1.0, -0.7), (-0.5, 1.0, -0.7))
"""(columns, rows, degrees) by which S's pictures are moved and turned: within what S was trained on."""


class Locate(nn.Module):
    def __init__(self, locator: nn.Module) -> None:
        super().__init__()
        self.locator = locator

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        heatmaps, presence = self.locator(picture)
        return *soft_argmax_px(heatmaps), presence


class Translate(nn.Module):
    def __init__(self, generator: nn.Module, drr_scale: float) -> None:
        super().__init__()
        self.generator, self.drr_scale = generator, drr_scale

    def forward(self, film: Tensor, view: Tensor) -> Tensor:
        return self.drr_scale * self.generator(film, view)


class ReadLatent(nn.Module):
    def __init__(self, predictor: nn.Module, drr_scale: float) -> None:
        super().__init__()
        self.predictor, self.drr_scale = predictor, drr_scale

    def forward(self, drr: Tensor, view: Tensor) -> Tensor:
        return self.predictor(drr / self.drr_scale, view)


class Decode(nn.Module):
    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, latent: Tensor) -> Tensor:
        return self.decoder(latent).softmax(dim=1)[:, 1:]


class ReadShape(nn.Module):
    """The mean of S over JITTERS, and the expected error of each number (1 where S does not tell it).

    Where S reads a pose as well, it is told too: (1, POSE), rad and mm. It comes from the picture that is not moved,
    because a moved picture shows a moved wrist.
    """

    def __init__(self, shape_regressor: ShapeRegressor, drr_scale: float) -> None:
        super().__init__()
        self.shape_regressor, self.drr_scale = shape_regressor, drr_scale
        self.reads_pose = len(shape_regressor.descent) > 0
        columns_px, rows_px, degrees = np.array(JITTERS).T
        cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
        old_from_new = np.stack([[cosine, -sine, columns_px], [sine, cosine, rows_px]]).transpose(2, 0, 1)
        self.old_from_new = torch.from_numpy(old_from_new.astype(np.float32))

    def forward(self, pictures: Tensor, view: Tensor) -> tuple[Tensor, ...]:
        scaled = torch.cat([pictures[:, :1] / self.drr_scale, pictures[:, 1:]], dim=1)
        moved = warp(scaled.expand(len(JITTERS), -1, -1, -1), self.old_from_new.to(pictures.device))
        readings, log_sd = self.shape_regressor.readings(moved, view.expand(len(JITTERS)))
        codes, pose = readings[-1].tensor_split([self.shape_regressor.outputs], dim=1)
        found = codes.mean(dim=0, keepdim=True), log_sd.mean(dim=0, keepdim=True).exp()
        return (*found, pose[:1] * self.shape_regressor.projected_points.pose_sd) if self.reads_pose else found


@dataclass(frozen=True)
class ProgramModule:
    """A program of one model. inputs, outputs: names, in order."""

    module: nn.Module
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def program_module(program: Program, networks: Mapping[str, nn.Module], drr_scale: float) -> ProgramModule:
    """networks: of a model, by name (NETWORK_OF); drr_scale: line integral that they see as 1."""
    network = networks[NETWORK_OF[program]]
    if program == "locate":
        made = ProgramModule(Locate(network), ("picture",), ("points", "share", "presence"))
    elif program == "translate":
        made = ProgramModule(Translate(network, drr_scale), ("film", "view"), ("drr",))
    elif program == "read_latent":
        made = ProgramModule(ReadLatent(network, drr_scale), ("drr", "view"), ("latent",))
    elif program == "decode":
        made = ProgramModule(Decode(network), ("latent",), ("fields",))
    else:
        assert isinstance(network, ShapeRegressor)
        read = ReadShape(network, drr_scale)
        made = ProgramModule(read, ("pictures", "view"), ("code", "sd", "pose") if read.reads_pose else ("code", "sd"))
    made.module.eval()
    return made
