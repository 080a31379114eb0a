"""100 random 2D affines of each registration-DRR pair (33 x 100 in Shiode et al. 2021), and a sheet to look at them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

from bonelift import RESEARCH_NOTICE
from bonelift.errors import InputError
from bonelift.learning.augmentation import AffineRange, random_affines
from bonelift.networks.film_warp import warp
from bonelift.report.palette import lettering

PAIRS_PER_RADIOGRAPH = 100

_TILE_PX = 96
_GAP_PX = 6
_STRIP_PX = 40
_DARK, _LIGHT = (18, 20, 24), (235, 238, 242)


@dataclass(frozen=True, eq=False)
class AffinePairs:
    """films, drrs: (N, rows, columns) float32, pair n under one affine; old_from_new: (N, 2, 3), px from the middle."""

    films: NDArray[np.float32]
    drrs: NDArray[np.float32]
    old_from_new: NDArray[np.float32]


def affine_pairs(
    film: ArrayLike, drr: ArrayLike, seed: int, spread: AffineRange, count: int = PAIRS_PER_RADIOGRAPH
) -> AffinePairs:
    """``count`` pictures of one pair, film and DRR moved alike: translation, rotation, scale and shear. Outside is 0.

    film, drr: (rows, columns) on one pixel grid. The same seed gives the same pairs; torch's own generator is left
    alone. Raises InputError where the shapes differ.
    """
    pair = np.asarray(film, dtype=np.float32), np.asarray(drr, dtype=np.float32)
    if pair[0].ndim != 2 or pair[0].shape != pair[1].shape or count < 1:
        raise InputError(
            f"affine pairs: film {pair[0].shape}, DRR {pair[1].shape}, {count} pairs; expected one 2D shape and a count"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        old_from_new = random_affines(count, spread, torch.device("cpu"))
    images = torch.from_numpy(np.stack(pair)).expand(count, -1, -1, -1)
    films, drrs = warp(images, old_from_new).numpy().transpose(1, 0, 2, 3)
    return AffinePairs(np.ascontiguousarray(films), np.ascontiguousarray(drrs), old_from_new.numpy())


def contact_sheet(pairs: AffinePairs, title: str, columns: int = 10, shown: int = PAIRS_PER_RADIOGRAPH) -> Image.Image:
    """Every pair as film above DRR, ``columns`` pairs a row, all on one grey scale each. title: the case's name."""
    films, drrs = pairs.films[:shown], pairs.drrs[:shown]
    height = _TILE_PX * films.shape[1] // films.shape[2]
    rows = -(-len(films) // columns)
    cell = (_TILE_PX + _GAP_PX, 2 * height + 2 * _GAP_PX)
    sheet = Image.new("RGB", (columns * cell[0] + _GAP_PX, rows * cell[1] + _GAP_PX + 2 * _STRIP_PX), _DARK)
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP_PX, 12), f"{title}: {len(films)} of {len(pairs.films)} affine pairs, film above DRR", fill=_LIGHT,
              font=lettering(18))  # fmt: skip
    for images, below in ((films, 0), (drrs, height + 2)):
        for number, tile in enumerate(_tiles(images, (_TILE_PX, height))):
            column, row = number % columns, number // columns
            sheet.paste(tile, (_GAP_PX + column * cell[0], _STRIP_PX + row * cell[1] + below))
    draw.text((_GAP_PX, sheet.height - _STRIP_PX + 12), RESEARCH_NOTICE, fill=_LIGHT, font=lettering(13))
    return sheet


def _tiles(images: NDArray[np.float32], size: tuple[int, int]) -> Sequence[Image.Image]:
    """Pictures of one size; black is 0, white the 99.8th percentile of all."""
    white = max(float(np.percentile(images, 99.8)), 1e-9)
    grey = (np.clip(images / white, 0, 1) * 255).astype(np.uint8)
    return [Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR).convert("RGB") for picture in grey]
