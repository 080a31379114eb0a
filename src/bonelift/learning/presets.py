"""The three sizes of training: smoke (tests), laptop (two CPU cores, about an hour), paper (DESIGN's numbers, GPU)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from bonelift.drr.poses import DrrPoses
from bonelift.errors import InputError
from bonelift.images import PAPER_GRID, LabelGrid
from bonelift.images.volume import LAPTOP_GRID
from bonelift.learning.augmentation import AffineRange
from bonelift.learning.locator import LocatorTraining
from bonelift.learning.loop import LoopConfig
from bonelift.learning.outlines import OutlineTraining
from bonelift.learning.pix2pix import Pix2pixTraining
from bonelift.learning.shape_regression import ShapeTraining
from bonelift.learning.tl import AutoencoderTraining, PredictorTraining
from bonelift.learning.tuning import TuningTraining
from bonelift.networks.locator import LocatorConfig
from bonelift.networks.pix2pix import Pix2pixConfig
from bonelift.networks.shape_regressor import ShapeConfig
from bonelift.networks.tl_embedding import TlConfig

PresetName = Literal["smoke", "laptop", "paper"]


@dataclass(frozen=True)
class Preset:
    """Every choice of one training, from grid to learning rates.

    shape: of S; its outputs, and whether it reads films, follow from what it is trained on. shape_modes: of each bone's
    basis, where there are patients enough. outline_training: of what corrects S by outlines. ct_drrs: random CT-DRRs of
    each CT for P and S; drr_poses: theirs. films_per_radiograph: films cut from each posed radiograph with different
    landmark errors.
    """

    name: PresetName
    grid: LabelGrid
    tl: TlConfig
    pix2pix: Pix2pixConfig
    locator: LocatorConfig
    autoencoder_training: AutoencoderTraining
    predictor_training: PredictorTraining
    finetune_training: PredictorTraining
    pix2pix_training: Pix2pixTraining
    shape: ShapeConfig
    shape_training: ShapeTraining
    shape_modes: int
    locator_training: LocatorTraining = field(
        default_factory=lambda: LocatorTraining(LoopConfig(6_000, 1e-3, "cosine", 100))
    )
    tuning_training: TuningTraining = field(
        default_factory=lambda: TuningTraining(LoopConfig(5_000, 2e-4, "cosine", 50))
    )
    outline_training: OutlineTraining = field(default_factory=OutlineTraining)
    ct_drrs: int = 40
    films_per_radiograph: int = 4
    drr_poses: DrrPoses = "positioning"


def load_preset(name: str, device: str = "cpu") -> Preset:
    """The preset of that name, with every stage on ``device``."""
    if name == "smoke":
        preset = _smoke()
    elif name == "laptop":
        preset = _laptop()
    elif name == "paper":
        preset = _without_variation(_paper())
    else:
        raise InputError(f"--preset {name}: no such preset; expected smoke, laptop or paper")
    return with_trainings(preset, lambda training: replace(training, device=device))


_TRAININGS = (AutoencoderTraining, PredictorTraining, Pix2pixTraining, LocatorTraining, ShapeTraining, TuningTraining)


def with_trainings(preset: Preset, change: Callable[[Any], Any]) -> Preset:
    """The preset with the settings of every stage's training changed."""
    values = {field.name: getattr(preset, field.name) for field in fields(preset)}
    return replace(preset, **{name: change(value) for name, value in values.items() if isinstance(value, _TRAININGS)})


def timed(preset: Preset, minutes: float) -> Preset:
    """Every stage of the preset ended by the clock."""
    return with_trainings(preset, lambda training: replace(training, loop=with_minutes(training.loop, minutes)))


def with_minutes(loop: LoopConfig, minutes: float) -> LoopConfig:
    """The same schedule, ended by the clock instead of by the number of updates."""
    return replace(loop, max_minutes=minutes, updates=10**7)


def _smoke() -> Preset:
    """Under a minute: shows that every stage runs, not that it learns."""
    tl = TlConfig(
        encoder_channels=(4, 8, 8), decoder_channels=(16, 8, 8), predictor_channels=(4, 8, 8, 16), predictor_hidden=16
    )
    loop = LoopConfig(4, 1e-3, validate_every=4, log_every=2)
    return Preset(
        "smoke",
        LAPTOP_GRID,
        tl,
        Pix2pixConfig((8, 8, 16), 4),
        LocatorConfig((8, 16, 16)),
        AutoencoderTraining(loop, batch=4),
        PredictorTraining(loop, batch=4, latent_warmup=0.5),
        PredictorTraining(loop, batch=4),
        Pix2pixTraining(loop, batch=4),
        ShapeConfig(
            1, (4, 8, 8, 16), (1, 1, 1), 16, gain_free=True, tells_error=True, descent_steps=1, film_steps=1, points=24
        ),
        ShapeTraining(loop, batch=4),
        shape_modes=6,
        # The one stage without which nothing is seen of the others: enough to find the wrists that it was shown.
        locator_training=LocatorTraining(LoopConfig(250, 3e-3, validate_every=50), batch=8),
        tuning_training=TuningTraining(loop, batch=4),
        outline_training=OutlineTraining(pictures=40, points=8, fewest=12, updates=20, batch=32, hidden=8),
        ct_drrs=3,
        films_per_radiograph=2,
    )


def _laptop() -> Preset:
    """Higher rates that fall along a cosine, and the latent warm-up: the most accuracy in an hour of two cores."""
    return Preset(
        "laptop",
        LAPTOP_GRID,
        TlConfig(),
        Pix2pixConfig(),
        LocatorConfig(),
        AutoencoderTraining(LoopConfig(6_000, 2e-3, "cosine", 100)),
        PredictorTraining(LoopConfig(10_000, 1e-3, "cosine", 100), latent_warmup=0.4),
        PredictorTraining(LoopConfig(2_000, 2e-4, "cosine", 50)),
        Pix2pixTraining(LoopConfig(10_000, 2e-4, "cosine")),
        ShapeConfig(1, gain_free=True, tells_error=True, descent_steps=2, film_steps=1),
        ShapeTraining(LoopConfig(10_000, 1e-3, "cosine", 100, validate_every=250), film_share=0.25),
        shape_modes=40,
    )


def _paper() -> Preset:
    """Updates and rates of Shiode et al. 2021; the grid is the one that DESIGN decided on."""
    tl = TlConfig(
        PAPER_GRID.shape,
        encoder_channels=(16, 32, 64, 128),
        decoder_channels=(256, 128, 64, 32),
        predictor_channels=(32, 64, 128, 256),
        predictor_blocks=(2, 2, 2),
        predictor_hidden=512,
    )
    return Preset(
        "paper",
        PAPER_GRID,
        tl,
        Pix2pixConfig((64, 128, 256, 512, 512), 64),
        LocatorConfig(),
        AutoencoderTraining(LoopConfig(35_000, 1e-4), batch=8),
        PredictorTraining(LoopConfig(35_000, 1e-4), batch=8),
        PredictorTraining(LoopConfig(15_000, 1e-5), batch=8),
        Pix2pixTraining(LoopConfig(200_000, 2e-4), batch=1),
        ShapeConfig(
            1, (32, 64, 128, 256), (2, 2, 2), 512, gain_free=True, tells_error=True, descent_steps=2, film_steps=1
        ),
        ShapeTraining(LoopConfig(35_000, 1e-3, "cosine", 100), film_share=0.25),
        shape_modes=60,
        drr_poses="paper",
    )


def _without_variation(preset: Preset) -> Preset:
    """As published: P reads DRRs as they were rendered, and pix2pix films whose grey levels nobody changed."""
    unmoved = AffineRange()
    return replace(
        preset,
        predictor_training=replace(preset.predictor_training, variation=0.0, affine=unmoved),
        finetune_training=replace(preset.finetune_training, variation=0.0, affine=unmoved),
        pix2pix_training=replace(preset.pix2pix_training, variation=0.0),
    )
