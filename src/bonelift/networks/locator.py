"""The locator: finds three landmarks of an upright right wrist in a small picture of the whole radiograph."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from bonelift.errors import InputError
from bonelift.networks.locator_input import LOCATOR_SHAPE

LANDMARKS = ("radius_origin", "radius_shaft", "ulnar_head")
"""Origin of the radius frame; point of the shaft axis at z = -40 mm; centre of the ulnar head."""
CELL_PX = 2
"""Heatmaps have one cell for CELL_PX x CELL_PX pixels of the input."""


@dataclass(frozen=True)
class LocatorConfig:
    """channels: at 1/2, 1/4, 1/8, ... of the input, finest first."""

    channels: tuple[int, ...] = (16, 32, 48, 64, 96)
    input_shape: tuple[int, int] = LOCATOR_SHAPE

    def __post_init__(self) -> None:
        step = 2 ** len(self.channels)
        if len(self.channels) < 2 or any(n % step for n in self.input_shape):
            raise InputError(
                f"LocatorConfig: {len(self.channels)} levels and input {self.input_shape}; expected at least 2 levels "
                f"and sides that are multiples of {step}"
            )


def _convolve(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class Locator(nn.Module):
    """U-Net with one heatmap a landmark, and a logit for "there is an upright wrist in this picture"."""

    def __init__(self, config: LocatorConfig) -> None:
        super().__init__()
        widths = config.channels
        self.down = nn.ModuleList([_convolve(1, widths[0], stride=2)])
        for inputs, outputs in pairwise(widths):
            self.down.append(nn.Sequential(_convolve(inputs, outputs, stride=2), _convolve(outputs, outputs)))
        self.up = nn.ModuleList(_convolve(c + f, f) for c, f in zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.to_heatmaps = nn.Conv2d(widths[0], len(LANDMARKS), 1)
        self.to_presence = nn.Sequential(nn.Linear(2 * widths[-1], 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """image: (N, 1, 160, 160) in [0, 1.2]. Returns heatmap logits (N, 3, 80, 80) and presence logits (N,)."""
        features = image
        skips = []
        for layer in self.down:
            features = layer(features)
            skips.append(features)
        pooled = torch.cat([features.mean((2, 3)), features.amax((2, 3))], dim=1)
        for layer, skip in zip(self.up, reversed(skips[:-1]), strict=True):
            larger = nn.functional.interpolate(features, scale_factor=2.0, mode="nearest")
            features = layer(torch.cat([larger, skip], dim=1))
        return self.to_heatmaps(features), self.to_presence(pooled).squeeze(1)


def heatmap_centres_px(shape: tuple[int, ...], like: Tensor) -> tuple[Tensor, Tensor]:
    """Columns (w,) and rows (h,) of the cell centres in pixels of the input, for heatmaps of ``shape`` (h, w)."""
    rows, columns = (
        (torch.arange(n, dtype=torch.float32, device=like.device) + 0.5) * CELL_PX - 0.5 for n in shape[-2:]
    )
    return columns, rows


def soft_argmax_px(heatmap_logits: Tensor, radius_px: float = 10.0) -> tuple[Tensor, Tensor]:
    """Sub-pixel peaks of heatmaps.

    heatmap_logits: (N, L, h, w). The softmax is averaged only within ``radius_px`` of its highest cell, so that a
    second, lower peak does not drag the answer between the two.
    Returns (N, L, 2) column, row in pixels of the input and (N, L) the share of the probability inside that window.
    """
    count, landmarks, height, width = heatmap_logits.shape
    columns, rows = heatmap_centres_px((height, width), heatmap_logits)
    probability = heatmap_logits.float().flatten(2).softmax(-1)
    peak = probability.argmax(-1)
    peak_column, peak_row = columns[peak % width], rows[peak // width]
    near_columns = (columns - peak_column[..., None]).abs() <= radius_px
    near_rows = (rows - peak_row[..., None]).abs() <= radius_px
    window = near_rows[..., :, None] & near_columns[..., None, :]
    near = probability.view(count, landmarks, height, width) * window
    share = near.sum((2, 3))
    column = (near.sum(2) * columns).sum(-1) / share
    row = (near.sum(3) * rows).sum(-1) / share
    return torch.stack([column, row], dim=-1), share
