"""Training of pix2pix: the generator from radiograph film to DRR, against the patch discriminator."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bonelift.learning import losses
from bonelift.learning.augmentation import AffineRange, random_affines, vary_film
from bonelift.learning.loop import LoopConfig, Stage, train
from bonelift.learning.precision import backward, half_precision, place
from bonelift.learning.samples import FilmSamples, load_growing, load_samples
from bonelift.learning.tl import VALIDATION_BATCH
from bonelift.networks.film_warp import warp
from bonelift.networks.pix2pix import Discriminator, Generator, Pix2pixConfig
from bonelift.networks.tl_embedding import DRR_SCALE


@dataclass(frozen=True)
class Pix2pixTraining:
    """Adam with beta1 0.5, as in Isola et al. affine, variation: of the pair, and of the film's grey values."""

    loop: LoopConfig
    batch: int = 8
    l1_weight: float = losses.PIX2PIX_L1_WEIGHT
    beta1: float = 0.5
    affine: AffineRange = field(default_factory=lambda: AffineRange(8.0, 6.0, 0.04, 0.03))
    variation: float = 1.0
    bfloat16: bool = True
    device: str = "cpu"


@dataclass(frozen=True)
class Pix2pixNetworks:
    generator: Generator
    discriminator: Discriminator


def build_pix2pix(config: Pix2pixConfig, seed: int, device: str = "cpu") -> Pix2pixNetworks:
    """New networks with weights drawn from ``seed``."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = Pix2pixNetworks(Generator(config), Discriminator(config))
    place(made.generator, device)
    place(made.discriminator, device)
    return made


def _pair(films: FilmSamples, chosen: NDArray[np.int64] | slice, device: str) -> tuple[Tensor, Tensor, Tensor]:
    """Film (N, 1, H, W), DRR / DRR_SCALE (N, 1, H, W), view (N,)."""
    film = torch.from_numpy(films.radiograph[chosen].astype(np.float32))[:, None].to(device)
    drr = torch.from_numpy(films.drr[chosen].astype(np.float32))[:, None].to(device) / DRR_SCALE
    return film, drr, torch.from_numpy(films.view[chosen]).to(device)


def pix2pix_step(
    networks: Pix2pixNetworks,
    optimisers: dict[str, torch.optim.Optimizer],
    pair: tuple[Tensor, Tensor, Tensor],
    config: Pix2pixTraining,
) -> dict[str, float]:
    """One update of the discriminator, then one of the generator, on the same translated batch."""
    film, drr, view = pair
    generator, discriminator = networks.generator, networks.discriminator
    with half_precision(config.bfloat16, config.device):
        translated = generator(film, view)
        real = discriminator(film, view, drr)
        fake = discriminator(film, view, translated.detach())
    judge_loss = losses.discriminator_loss(real, fake)
    if backward(judge_loss, optimisers["discriminator"]):
        optimisers["discriminator"].step()
    discriminator.requires_grad_(False)
    with half_precision(config.bfloat16, config.device):
        fake = discriminator(film, view, translated)
    loss, absolute = losses.generator_loss(fake, translated, drr, config.l1_weight)
    if backward(loss, optimisers["generator"]):
        optimisers["generator"].step()
    discriminator.requires_grad_(True)
    return {"generator": loss.item(), "discriminator": judge_loss.item(), "drr_mae": DRR_SCALE * absolute.item()}


def train_pix2pix(
    samples: Path, validation: Path, networks: Pix2pixNetworks, config: Pix2pixTraining, run: Path
) -> dict[str, float]:
    """Train generator and discriminator. Both folders hold FilmSamples. Resumes where ``run`` stands."""
    betas = (config.beta1, 0.999)
    optimisers: dict[str, torch.optim.Optimizer] = {
        "generator": torch.optim.Adam(networks.generator.parameters(), config.loop.learning_rate, betas),
        "discriminator": torch.optim.Adam(networks.discriminator.parameters(), config.loop.learning_rate, betas),
    }
    validation_films = load_samples(validation, FilmSamples)

    def step(held: tuple[FilmSamples, int], generator: np.random.Generator, progress: float) -> dict[str, float]:
        chosen = generator.integers(0, len(held[0].drr), config.batch)
        film, drr, view = _pair(held[0], chosen, config.device)
        both = torch.cat([film, drr], dim=1)
        both = warp(both, random_affines(len(both), config.affine, both.device))
        return pix2pix_step(networks, optimisers, (vary_film(both[:, :1], config.variation), both[:, 1:], view), config)

    def validate() -> dict[str, float]:
        predicted = translate_films(networks.generator, validation_films, config.device, config.bfloat16)
        error = np.abs(predicted.astype(np.float32) - validation_films.drr.astype(np.float32))
        bone = validation_films.drr > 0
        return {"drr_mae": float(error.mean()), "drr_mae_in_bone": float(error[bone].mean()) if bone.any() else 0.0}

    stage = Stage(
        "pix2pix",
        {"generator": networks.generator, "discriminator": networks.discriminator},
        optimisers,
        lambda held: load_growing(samples, FilmSamples, held),
        step,
        validate,
        {k: v for k, v in asdict(config).items() if k not in ("loop", "device")},
    )
    networks.generator.train()
    networks.discriminator.train()
    metrics = train(stage, config.loop, run)
    networks.generator.eval()
    return metrics


@torch.no_grad()
def translate_films(
    generator: Generator, films: FilmSamples, device: str = "cpu", bfloat16: bool = True
) -> NDArray[np.float16]:
    """The generator's DRR of every film: (N, H, W) float16 line integrals; what train_predictor takes as gan_drr."""
    generator.eval()
    translated = np.empty(films.drr.shape, dtype=np.float16)
    for start in range(0, len(films.drr), VALIDATION_BATCH):
        part = slice(start, start + VALIDATION_BATCH)
        film, _, view = _pair(films, part, device)
        with half_precision(bfloat16, device):
            drr = generator(film, view)
        translated[part] = (DRR_SCALE * drr[:, 0].float()).cpu().numpy()
    return translated
