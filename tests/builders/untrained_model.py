"""Networks of the smallest size that nobody trained: they load and run, and know nothing."""

from __future__ import annotations

from pathlib import Path

import torch

from bonelift.images import LAPTOP_GRID
from bonelift.networks.bundle import new_bundle, save_bundle
from bonelift.networks.locator import LocatorConfig
from bonelift.networks.pix2pix import Pix2pixConfig
from bonelift.networks.tl_embedding import TlConfig


def untrained_model(folder: Path) -> Path:
    """A model folder."""
    torch.manual_seed(1)
    tl = TlConfig(encoder_channels=(2, 2, 2), decoder_channels=(4, 2, 2), predictor_channels=(2, 2, 2, 4),
                  predictor_hidden=4)  # fmt: skip
    save_bundle(new_bundle("untrained", LAPTOP_GRID, tl, Pix2pixConfig((2, 2), 2), LocatorConfig((2, 2))), folder)
    return folder
