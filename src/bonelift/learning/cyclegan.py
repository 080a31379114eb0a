"""CycleGAN: from film to DRR without pairs, in pix2pix's place. Films need no known pose: any films, any DRRs.

Two generators of pix2pix's layers, film to DRR and back, and a judge of each kind of picture; what went there and back
has to be what it was. As pix2pix's generator is used here, so is this one: running statistics, no dropout at test time.

Sources: Zhu et al. 2017, doi:10.1109/ICCV.2017.244 (least squares, cycle weight 10, Adam 2e-4 with beta1 0.5); Kasten
et al. 2020, doi:10.1007/978-3-030-61598-7_12 (unpaired translation of X-rays to DRRs).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from bonelift.learning.augmentation import random_affines, vary_film
from bonelift.learning.loop import Stage, train
from bonelift.learning.pix2pix import Pix2pixTraining, translate_films
from bonelift.learning.precision import backward
from bonelift.learning.samples import DrrSamples, FilmSamples, load_samples
from bonelift.networks.film_warp import warp
from bonelift.networks.pix2pix import Discriminator, Generator, Pix2pixConfig
from bonelift.networks.tl_embedding import DRR_SCALE

CYCLE_WEIGHT = 10.0
"""Of each absolute error after there and back, beside the judges' squares."""


@dataclass(frozen=True)
class CycleNetworks:
    """to_drr, to_film: generators. judge_drr, judge_film: of pictures alone; their other input is 0."""

    to_drr: Generator
    to_film: Generator
    judge_drr: Discriminator
    judge_film: Discriminator


def build_cyclegan(config: Pix2pixConfig, seed: int) -> CycleNetworks:
    """New networks with weights drawn from ``seed``, on the CPU."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return CycleNetworks(Generator(config), Generator(config), Discriminator(config), Discriminator(config))


def squares(logits: Tensor, target: float) -> Tensor:
    """Mean square of a judge's answers from what they should be."""
    return (logits.float() - target).square().mean()


def cyclegan_step(
    networks: CycleNetworks,
    optimisers: dict[str, torch.optim.Optimizer],
    film: Tensor,
    drr: Tensor,
    views: tuple[Tensor, Tensor],
) -> dict[str, float]:
    """One update of both generators, then one of both judges.

    film, drr: (N, 1, H, W), of other patients; drr / DRR_SCALE. views: of the films, of the DRRs.
    """
    film_view, drr_view = views
    made_drr, made_film = networks.to_drr(film, film_view), networks.to_film(drr, drr_view)
    back_film, back_drr = networks.to_film(made_drr, film_view), networks.to_drr(made_film, drr_view)
    empty = torch.zeros_like(film)
    judges = (networks.judge_drr, networks.judge_film)
    for judge in judges:
        judge.requires_grad_(False)
    fooled = squares(networks.judge_drr(empty, film_view, made_drr), 1.0)
    fooled = fooled + squares(networks.judge_film(empty, drr_view, made_film), 1.0)
    cycle = (back_film - film).abs().mean() + (back_drr - drr).abs().mean()
    loss = fooled + CYCLE_WEIGHT * cycle
    if backward(loss, optimisers["generators"]):
        optimisers["generators"].step()
    for judge in judges:
        judge.requires_grad_(True)
    seen = squares(networks.judge_drr(empty, drr_view, drr), 1.0)
    seen = seen + squares(networks.judge_drr(empty, film_view, made_drr.detach()), 0.0)
    seen = seen + squares(networks.judge_film(empty, film_view, film), 1.0)
    seen = seen + squares(networks.judge_film(empty, drr_view, made_film.detach()), 0.0)
    if backward(0.5 * seen, optimisers["judges"]):
        optimisers["judges"].step()
    return {"generators": loss.item(), "judges": seen.item(), "cycle": cycle.item()}


def train_cyclegan(
    films: Path, drrs: Path, validation: Path, networks: CycleNetworks, config: Pix2pixTraining, run: Path
) -> dict[str, float]:
    """Train, or go on where ``run`` stands; returns the error against the true DRRs of the validation films.

    films: folder with FilmSamples, of which only the films are looked at. drrs: with DrrSamples. validation: with
    FilmSamples, whose DRRs choose nothing. config: as pix2pix's, whose affines and variation each kind of picture gets.
    """
    generators = [*networks.to_drr.parameters(), *networks.to_film.parameters()]
    judges = [*networks.judge_drr.parameters(), *networks.judge_film.parameters()]
    betas = (config.beta1, 0.999)
    optimisers: dict[str, torch.optim.Optimizer] = {
        "generators": torch.optim.Adam(generators, config.loop.learning_rate, betas),
        "judges": torch.optim.Adam(judges, config.loop.learning_rate, betas),
    }
    watched = load_samples(validation, FilmSamples)

    def load(held: _Pictures | None) -> _Pictures:
        return held or _Pictures(load_samples(films, FilmSamples), load_samples(drrs, DrrSamples))

    def step(held: _Pictures, generator: np.random.Generator, progress: float) -> dict[str, float]:
        film, film_view = _drawn(held.films.radiograph, held.films.view, config, generator)
        drr, drr_view = _drawn(held.drrs.drr, held.drrs.view, config, generator)
        film = vary_film(film, config.variation)
        return cyclegan_step(networks, optimisers, film, drr / DRR_SCALE, (film_view, drr_view))

    def validate() -> dict[str, float]:
        error = np.abs(translate_films(networks.to_drr, watched, bfloat16=False).astype(np.float32) - watched.drr)
        networks.to_drr.train()
        return {"drr_mae": float(error.mean())}

    made: dict[str, nn.Module] = {
        name: getattr(networks, name) for name in ("to_drr", "to_film", "judge_drr", "judge_film")
    }
    facts = {k: v for k, v in asdict(config).items() if k not in ("loop", "device", "bfloat16", "l1_weight")}
    stage = Stage(
        "CycleGAN",
        made,
        optimisers,
        load,
        step,
        validate,
        facts,
    )
    for network in made.values():
        network.train()
    metrics = train(stage, config.loop, run)
    networks.to_drr.eval()
    return metrics


@dataclass(frozen=True, eq=False)
class _Pictures:
    films: FilmSamples
    drrs: DrrSamples


def _drawn(
    pictures: np.ndarray, views: np.ndarray, config: Pix2pixTraining, generator: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """A batch (N, 1, H, W), each moved by an affine of its own, and its views."""
    chosen = generator.integers(0, len(pictures), config.batch)
    batch = torch.from_numpy(pictures[chosen].astype(np.float32))[:, None]
    return warp(batch, random_affines(len(batch), config.affine, batch.device)), torch.from_numpy(views[chosen])
