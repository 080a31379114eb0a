"""Trained stages of a run folder put into a model bundle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bonelift.learning.checkpoint import load_networks
from bonelift.learning.locator import build_locator
from bonelift.learning.pix2pix import build_pix2pix
from bonelift.learning.presets import Preset
from bonelift.learning.tl import build_tl, load_tl
from bonelift.networks.bundle import ModelBundle


def with_trained(bundle: ModelBundle, run: Path, preset: Preset, seed: int) -> ModelBundle:
    """``bundle`` with the networks of the stages that ``run`` holds a folder of: finetune (with autoencoder: E, D and
    P), pix2pix, locator. Raises InputError where a folder holds no checkpoint."""
    if (run / "finetune").is_dir():
        tl = build_tl(preset.tl, seed)
        load_tl(tl, run / "autoencoder", run / "finetune", run / "finetune")
        bundle = replace(
            bundle, grid=preset.grid, tl=preset.tl, encoder=tl.encoder, decoder=tl.decoder, predictor=tl.predictor
        )
    if (run / "pix2pix").is_dir():
        translators = build_pix2pix(preset.pix2pix, seed)
        load_networks(run / "pix2pix", {"generator": translators.generator})
        bundle = replace(bundle, pix2pix=preset.pix2pix, generator=translators.generator)
    if (run / "locator").is_dir():
        locator = build_locator(preset.locator, seed)
        load_networks(run / "locator", {"locator": locator})
        bundle = replace(bundle, locator_config=preset.locator, locator=locator)
    return bundle
