"""Further training of the translator by what S reads from its DRRs.

pix2pix weighs every pixel alike. What S needs is another thing: where the edges of the bones lie, and less how bright
the middle of the shaft is. So the generator goes on learning with S behind it, whose weights stay as they are: to the
mean absolute error of the DRR comes the distance between the surfaces that S reads from it and the true ones.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bonelift.learning.augmentation import AffineRange, vary_film
from bonelift.learning.loop import LoopConfig, Stage, train
from bonelift.learning.pix2pix import translate_films
from bonelift.learning.precision import clip_and_update, half_precision, place
from bonelift.learning.samples import FilmSamples, load_samples
from bonelift.learning.shape_regression import (
    Bases,
    Coded,
    Rows,
    film_distances,
    moved,
    rows_of,
    true_drrs,
    validate_shape,
)
from bonelift.networks.pix2pix import Generator
from bonelift.networks.shape_regressor import ShapeRegressor, metric_matrices, surface_errors


@dataclass(frozen=True)
class TuningTraining:
    """l1_weight: of the mean absolute error of the DRR, in units of DRR_SCALE. predicted_weight, rigid_weight: of the
    distance of each bone as predicted and after rigid alignment, mm. film_weight: of the distance on the film, see
    ShapeTraining. affine, variation: as in Pix2pixTraining."""

    loop: LoopConfig
    batch: int = 8
    l1_weight: float = 100.0
    predicted_weight: float = 0.5
    rigid_weight: float = 2.0
    film_weight: float = 1.0
    affine: AffineRange = field(default_factory=lambda: AffineRange(4.0, 4.0, 0.01, 0.01))
    variation: float = 1.0
    clip_norm: float = 20.0
    bfloat16: bool = True
    device: str = "cpu"


def train_tuning(
    samples: Path,
    validation: Path,
    generator: Generator,
    network: ShapeRegressor,
    bases: Bases,
    config: TuningTraining,
    run: Path,
) -> dict[str, float]:
    """Train the generator; resumes where ``run`` stands. Both folders hold FilmSamples and SurfaceSamples.

    Returns the last validation: errors of S in mm from the generator's DRRs with their films (film, or gan where S
    reads no films), and the mean absolute error of these DRRs inside bone (drr_mae_in_bone).
    """
    network.to(config.device).eval().requires_grad_(False)
    generator.requires_grad_(True)
    place(generator, config.device)
    parameters = list(generator.parameters())
    optimiser = torch.optim.Adam(parameters, config.loop.learning_rate)
    metrics = metric_matrices(*bases).to(config.device)
    weights = torch.tensor([config.predicted_weight, config.rigid_weight], device=config.device)
    watching, watching_films = true_drrs(validation, bases), load_samples(validation, FilmSamples)

    def load(held: Coded | None) -> Coded:
        return held or true_drrs(samples, bases)

    def step(held: Coded, draw: np.random.Generator, progress: float) -> dict[str, float]:
        film, drr, view, codes, pose = _varied(rows_of(held, draw.integers(0, len(held.drr), config.batch)), config)
        with half_precision(config.bfloat16, config.device):
            translated = generator(film, view)
        reading = _read(network, torch.cat([translated.float(), film], dim=1), view, config)
        errors = surface_errors(reading[:, : network.outputs], codes, metrics)
        absolute = (translated.float() - drr).abs().mean()
        loss = config.l1_weight * absolute + (errors.mean(dim=0) @ weights).sum()
        if len(network.descent):
            on_film = film_distances(network, reading, view, codes, pose)
            loss = loss + config.film_weight * on_film.nansum() / len(on_film)
        clip_and_update(loss, optimiser, parameters, config.clip_norm)
        return {"loss": loss.item(), "mm": float(errors[:, :, 1].detach().mean()), "drr_l1": absolute.item()}

    def validate() -> dict[str, float]:
        translated = translate_films(generator, watching_films, config.device, config.bfloat16)
        generator.train()
        name = "film" if network.reads_film else "gan"
        source = replace(watching, drr=translated, film=watching.film if network.reads_film else None)
        scalars = validate_shape(network, {name: source}, metrics, config.device)
        network.eval()
        bone = watching.drr > 0
        error = np.abs(translated.astype(np.float32) - watching.drr.astype(np.float32))
        return scalars | {"drr_mae_in_bone": float(error[bone].mean()) if bone.any() else 0.0}

    stage = Stage(
        "translator through S",
        {"generator": generator},
        {"adam": optimiser},
        load,
        step,
        validate,
        {k: v for k, v in asdict(config).items() if k not in ("loop", "device")},
    )
    generator.train()
    result = train(stage, config.loop, run)
    generator.eval()
    return result


def _varied(rows: Rows, config: TuningTraining) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Film and DRR (N, 1, H, W) moved together, the film's grey values changed; view, codes, projections."""
    pictures, view, codes, pose = (tensor.to(config.device) for tensor in rows)
    pictures, pose = moved(pictures, pose, config.affine)
    return vary_film(pictures[:, 1:], config.variation), pictures[:, :1], view, codes, pose


def _read(network: ShapeRegressor, pictures: Tensor, view: Tensor, config: TuningTraining) -> Tensor:
    """The last reading of S; its convolutions in half precision, its descent steps not: they add up many features."""
    shown = network.shown(pictures)
    with half_precision(config.bfloat16, config.device):
        first, _ = network.first_reading(shown, view)
    return network.corrected(shown, first.float(), view, len(network.descent))
