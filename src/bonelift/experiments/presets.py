"""The sizes of a whole study: smoke (a minute, in tests), small (minutes on one core: small networks that learn
something), laptop (two cores, some hours), paper (a GPU)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from bonelift.errors import InputError
from bonelift.learning.loop import LoopConfig
from bonelift.learning.presets import Preset, PresetName, load_preset, with_trainings
from bonelift.networks.pix2pix import Pix2pixConfig
from bonelift.networks.tl_embedding import TlConfig

FilmPlacing = Literal["landmarks", "locator"]


@dataclass(frozen=True)
class StudyPreset:
    """networks: grids, layers and training.

    ct_drrs: random CT-DRRs of each CT that the TL net trains on. test_drrs: of them, how many are reconstructed where
        the CT's patient is tested. films_per_pair: films cut from each registered radiograph with other landmark
        errors, for pix2pix; on top of them every batch draws new affines.
    tested_films: by what the film of each registered radiograph is placed that networks are tested on: its projected
        landmarks with a person's error, or the landmarks that the packaged locator finds.
    pair_share: of the patients with a radiograph, those that can be pairs, which pix2pix may learn from; None: the
        paper's (folds.PAIR_SHARE).
    """

    networks: Preset
    ct_drrs: int
    test_drrs: int
    films_per_pair: int
    tested_films: FilmPlacing = "landmarks"
    pair_share: float | None = None


def load_study_preset(name: str, device: str = "cpu") -> StudyPreset:
    """The preset of that name. Raises InputError for another one."""
    if name == "small":
        return StudyPreset(_some_minutes(load_preset("smoke", device)), ct_drrs=8, test_drrs=1, films_per_pair=3)
    networks = load_preset(name, device)
    if name == "smoke":
        return StudyPreset(_one_minute(networks), ct_drrs=3, test_drrs=1, films_per_pair=2)
    if name == "laptop":
        return StudyPreset(_some_hours(networks), ct_drrs=16, test_drrs=2, films_per_pair=8)
    return StudyPreset(networks, ct_drrs=40, test_drrs=40, films_per_pair=1)


def _one_minute(preset: Preset) -> Preset:
    """Enough updates that the networks give a bone, if nobody's in particular."""
    return replace(
        preset,
        autoencoder_training=replace(preset.autoencoder_training, loop=LoopConfig(60, 1e-2, validate_every=60)),
        finetune_training=replace(preset.finetune_training, loop=LoopConfig(10, 3e-3, validate_every=10)),
    )


def _some_minutes(smoke: Preset) -> Preset:
    """Small networks, trained until a method that reads shape differs from one that does not."""
    return replace(
        smoke,
        name=cast(PresetName, "small"),  # a size that studies alone have
        tl=TlConfig(
            encoder_channels=(4, 8, 16),
            decoder_channels=(32, 16, 8),
            predictor_channels=(8, 16, 16, 32),
            predictor_hidden=64,
        ),
        pix2pix=Pix2pixConfig((8, 16, 32), 8),
        shape=replace(smoke.shape, channels=(8, 16, 16, 32), hidden=64),
        shape_modes=12,  # of their own, where two thirds of two dozen patients train
        autoencoder_training=replace(smoke.autoencoder_training, loop=_falling(800, 5e-3)),
        predictor_training=replace(
            smoke.predictor_training, batch=8, gan_fraction=0.0, loop=_falling(800, 2e-3), latent_warmup=0.75
        ),
        finetune_training=replace(smoke.finetune_training, gan_fraction=0.0, loop=_falling(120, 5e-4)),
        pix2pix_training=replace(smoke.pix2pix_training, loop=_falling(800, 5e-4)),
        shape_training=replace(smoke.shape_training, batch=16, loop=_falling(800, 2e-3)),
    )


def _falling(updates: int, rate: float) -> LoopConfig:
    return LoopConfig(updates, rate, "cosine", updates // 20, validate_every=max(updates // 2, 1))


def _some_hours(preset: Preset) -> Preset:
    """Four TL nets and five pix2pix in six hours of one core: docs/experiments.md has the measured steps."""
    return replace(
        preset,
        autoencoder_training=replace(preset.autoencoder_training, batch=8, loop=LoopConfig(1_500, 2e-3, "cosine", 100)),
        predictor_training=replace(
            preset.predictor_training,
            batch=16,
            gan_fraction=0.0,
            loop=LoopConfig(2_400, 1e-3, "cosine", 100, validate_every=600),
            latent_warmup=0.75,
        ),
        finetune_training=replace(
            preset.finetune_training,
            batch=8,
            gan_fraction=0.0,
            loop=LoopConfig(600, 2e-4, "cosine", 50, validate_every=300),
        ),
        pix2pix_training=replace(preset.pix2pix_training, loop=LoopConfig(1_500, 2e-4, "cosine")),
        shape_training=replace(preset.shape_training, loop=LoopConfig(1_500, 1e-3, "cosine", 100)),
    )


MOST_UPDATES = 100.0
"""Times those of a preset."""


def with_share_of_updates(preset: StudyPreset, share: float) -> StudyPreset:
    """Every stage with ``share`` of its updates, one at least. Raises InputError unless 0 < share <= MOST_UPDATES."""
    if not 0 < share <= MOST_UPDATES:
        raise InputError(f"--updates-share {share:g}; expected more than 0 and at most {MOST_UPDATES:g}")
    return replace(preset, networks=trainings_with_share(preset.networks, share))


def trainings_with_share(preset: Preset, share: float) -> Preset:
    """Every stage with ``share`` of its updates, one at least, and of its warm-up."""

    def shared(training: Any) -> Any:
        loop = training.loop
        updates, warmup = max(1, round(share * loop.updates)), round(share * loop.warmup_updates)
        return replace(training, loop=replace(loop, updates=updates, warmup_updates=warmup))

    return with_trainings(preset, shared)
