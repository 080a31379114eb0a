"""Training of the shape regressor S on DRRs of bare bones, then also on the generator's DRRs of films."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bonelift.anatomy.shape_basis import BoneBasis
from bonelift.film.standard import FILM_SPACING_MM
from bonelift.images.volume import BONES
from bonelift.learning.augmentation import (
    AffineRange,
    bend_drr,
    move_projections,
    random_affines,
    vary_drr,
    vary_film,
)
from bonelift.learning.loop import LoopConfig, Stage, train
from bonelift.learning.precision import clip_and_update, half_precision, place
from bonelift.learning.samples import DrrSamples, FilmSamples, SurfaceSamples, chunk_folders, load_growing, load_samples
from bonelift.networks.film_warp import warp
from bonelift.networks.shape_regressor import ShapeConfig, ShapeRegressor, metric_matrices, surface_errors
from bonelift.networks.supervised_descent import projected
from bonelift.networks.tl_embedding import DRR_SCALE
from bonelift.networks.views import LATERAL, PA

VALIDATION_BATCH = 64
Bases = tuple[BoneBasis, BoneBasis]
"""Radius, ulna."""
Rows = tuple[Tensor, Tensor, Tensor, Tensor]
"""Pictures (N, 2, H, W), views, codes, projections (N, 3, 4)."""


@dataclass(frozen=True)
class ShapeTraining:
    """film_share: part of each batch that comes from films, where given; gan_share: part of those that is the
    generator's DRR instead of the true one. film_hidden: part of the generator's DRRs that come without their film,
    where S reads films; true DRRs always do. affine, variation: as in PredictorTraining. rigid_weight: of the error
    after rigid alignment beside that as predicted. film_weight: of the distance on the film, in mm at the wrist,
    between the bones' points as read and posed and as they are, where S has descent steps. bending: strength of
    bend_drr. error_weight: of the likelihood of the errors that S expects, where it tells them; the codes do not learn
    from it. start_rate: learning rate where S starts from a trained one."""

    loop: LoopConfig
    start_rate: float = 3e-4
    batch: int = 32
    film_share: float = 0.5
    gan_share: float = 0.75
    film_hidden: float = 0.3
    rigid_weight: float = 1.5
    film_weight: float = 1.0
    affine: AffineRange = field(default_factory=lambda: AffineRange(2.0, 2.0, 0.003, 0.005))
    variation: float = 1.0
    bending: float = 0.0
    error_weight: float = 0.01
    clip_norm: float = 1.0
    bfloat16: bool = True
    device: str = "cpu"


@dataclass(frozen=True, eq=False)
class FilmDrrs:
    """Films that S may learn from.

    folder: FilmSamples and SurfaceSamples. gan_drr: (N, H, W) float16 of its films; None to validate on true DRRs
    alone, and then the folder may hold DrrSamples in the place of films. read_codes: (N, outputs) that S is
    to read from the generator's DRRs: what an S trained on true DRRs reads from theirs, which only what the generator
    lost keeps it from, so that the patients are not learned by heart; None: the true codes.
    """

    folder: Path
    gan_drr: NDArray[np.float16] | None
    read_codes: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class Coded:
    """DRRs with the codes of their patients."""

    drr: NDArray[np.float16]
    view: NDArray[np.uint8]
    codes: Tensor
    """(N, outputs) of each DRR's patient."""
    px_from_radius: NDArray[np.float32]
    """(N, 3, 4), NaN where the pose is not known."""
    film: NDArray[np.float16] | None = None
    """(N, H, W), what the DRRs were translated from."""


def build_shape_regressor(config: ShapeConfig, bases: Bases, seed: int, device: str = "cpu") -> ShapeRegressor:
    """A new network with weights drawn from ``seed``, that looks from the points of these bases."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = ShapeRegressor(config)
    if len(network.descent):
        network.projected_points.take_bases(bases)
    place(network, device)
    return network


def encode_surfaces(surfaces: SurfaceSamples, bases: Bases) -> NDArray[np.float32]:
    """(P, outputs) codes of all patients, radius first."""
    rows = [
        np.concatenate([bases[0].encode(radius.astype(np.float64)), bases[1].encode(ulna.astype(np.float64))])
        for radius, ulna in zip(surfaces.radius, surfaces.ulna, strict=True)
    ]
    return np.array(rows, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class HeldBones:
    drrs: tuple[DrrSamples, int]
    surfaces: tuple[SurfaceSamples, int]
    codes: NDArray[np.float32]
    coded: Coded


def load_bones(folder: Path, bases: Bases, previous: HeldBones | None) -> HeldBones:
    # DRRs first: the surface of every patient that has DRRs is there too.
    drrs = load_growing(folder, DrrSamples, previous.drrs if previous else None)
    surfaces = load_growing(folder, SurfaceSamples, previous.surfaces if previous else None)
    if previous is not None and drrs is previous.drrs:
        return previous
    known = previous.codes if previous else np.empty((0, bases[0].length + bases[1].length), np.float32)
    new = SurfaceSamples(surfaces[0].radius[len(known) :], surfaces[0].ulna[len(known) :])
    codes = np.concatenate([known, encode_surfaces(new, bases)]) if len(new.radius) else known
    coded = Coded(drrs[0].drr, drrs[0].view, torch.from_numpy(codes[drrs[0].patient]), drrs[0].px_from_radius)
    return HeldBones(drrs, surfaces, codes, coded)


def true_drrs(folder: Path, bases: Bases) -> Coded:
    """The true DRRs of films, beside the films."""
    samples = load_samples(folder, FilmSamples)
    codes = encode_surfaces(load_samples(folder, SurfaceSamples), bases)
    told = torch.from_numpy(codes[samples.patient])
    return Coded(samples.drr, samples.view, told, samples.px_from_radius, samples.radiograph)


def load_films(films: FilmDrrs, bases: Bases) -> tuple[Coded, Coded]:
    """(true, generator's) DRRs of the films that have both; the latter with their films."""
    assert films.gan_drr is not None
    seen = true_drrs(films.folder, bases)
    assert seen.film is not None
    count = min(len(seen.drr), len(films.gan_drr))
    true = Coded(seen.drr[:count], seen.view[:count], seen.codes[:count], seen.px_from_radius[:count])
    gan_codes = true.codes if films.read_codes is None else torch.from_numpy(films.read_codes[:count])
    return true, Coded(films.gan_drr[:count], true.view, gan_codes, true.px_from_radius, seen.film[:count])


def rows_of(source: Coded, rows: NDArray[np.int64]) -> Rows:
    """(rows, 2, H, W) of DRR / DRR_SCALE and film (0 where there is none), view, codes, px_from_radius."""
    drr = source.drr[rows].astype(np.float32) / DRR_SCALE
    film = np.zeros_like(drr) if source.film is None else source.film[rows].astype(np.float32)
    pictures, view = torch.from_numpy(np.stack([drr, film], 1)), torch.from_numpy(source.view[rows])
    return pictures, view, source.codes[rows], torch.from_numpy(source.px_from_radius[rows])


def _draw(source: Coded, count: int, generator: np.random.Generator) -> Rows:
    return rows_of(source, generator.integers(0, len(source.drr), count))


def _batch(
    bones: Coded, films: tuple[Coded, Coded] | None, config: ShapeTraining, generator: np.random.Generator
) -> Rows:
    from_films = round(config.film_share * config.batch) if films else 0
    parts = [_draw(bones, config.batch - from_films, generator)]
    if films:
        from_gan = round(config.gan_share * from_films)
        parts += [_draw(films[0], from_films - from_gan, generator), _draw(films[1], from_gan, generator)]
    pictures, view, codes, pose = (torch.cat(tensors).to(config.device) for tensors in zip(*parts, strict=True))
    return changed((pictures, view, codes, pose), config)


def changed(rows: Rows, config: ShapeTraining) -> Rows:
    """Pictures moved, bent and varied as S has to stand it, and the projections with them."""
    pictures, view, codes, pose = rows
    hidden = torch.rand(len(pictures), 1, 1, device=pictures.device) < config.film_hidden
    shown = (pictures[:, 1].amax(dim=(1, 2), keepdim=True) > 0) & ~hidden
    pictures, pose = moved(pictures, pose, config.affine)
    drr = vary_drr(bend_drr(pictures[:, :1], config.bending), config.variation)
    film = vary_film(pictures[:, 1:], config.variation)
    return torch.cat([drr, film * shown[:, None]], dim=1), view, codes, pose


def moved(pictures: Tensor, pose: Tensor, spread: AffineRange) -> tuple[Tensor, Tensor]:
    """Pictures (N, C, H, W) under random affines of ``spread``, and the projections (N, 3, 4) onto them."""
    affines = random_affines(len(pictures), spread, pictures.device)
    height, width = (int(n) for n in pictures.shape[-2:])
    return warp(pictures, affines), move_projections(pose, affines, (height, width))


def error_likelihood(error: Tensor, log_sd: Tensor) -> Tensor:
    """Negative log likelihood of errors (N, outputs) under independent normal distributions, without its constant; the
    mean over all numbers. log_sd: natural logarithm of their standard deviations."""
    return (log_sd + 0.5 * (error * torch.exp(-log_sd)) ** 2).mean()


def film_distances(network: ShapeRegressor, reading: Tensor, view: Tensor, codes: Tensor, pose: Tensor) -> Tensor:
    """(N,) mean distance on the film, mm at the wrist, of the bones' points as read (N, outputs + POSE) from where the
    true codes and projections (N, 3, 4) put them; NaN where the projection is not known."""
    px = network.film_points(reading, view)
    with torch.no_grad():
        true_px = projected(network.projected_points.points(codes), pose)
        known = torch.isfinite(true_px).flatten(1).all(dim=1)
        # Filled before the difference is taken: a gradient through NaN is NaN, even where nobody asks for it.
        true_px = torch.where(known[:, None, None], true_px, px)
    distances = ((px - true_px).square().sum(dim=-1) + 1e-6).sqrt().mean(dim=1) * FILM_SPACING_MM
    return torch.where(known, distances, torch.nan)


def validation_sources(validation: FilmDrrs, bases: Bases, reads_film: bool) -> dict[str, Coded]:
    if validation.gan_drr is None and chunk_folders(validation.folder, FilmSamples):
        return {"drr": replace(true_drrs(validation.folder, bases), film=None)}
    if validation.gan_drr is None:
        return {"drr": load_bones(validation.folder, bases, None).coded}
    true, gan_drrs = load_films(validation, bases)
    sources = {"drr": true, "gan": replace(gan_drrs, film=None)}
    return sources | ({"film": gan_drrs} if reads_film else {})


@torch.no_grad()
def validate_shape(
    network: ShapeRegressor, sources: dict[str, Coded], metrics: Tensor, device: str
) -> dict[str, float]:
    """Root mean square surface distance (mm, mean over films) by source, bone and alignment, and where S has
    descent steps the distance on the film; of PA films, or of laterals where there are no others."""
    network.eval()
    scalars = {}
    for name, source in sources.items():
        pa = np.flatnonzero(source.view == (PA if (source.view == PA).any() else LATERAL))
        errors, on_film = [], []
        for start in range(0, len(pa), VALIDATION_BATCH):
            rows = pa[start : start + VALIDATION_BATCH]
            seen, view, codes, pose = (tensor.to(device) for tensor in rows_of(source, rows))
            readings, _ = network.readings(network.shown(seen), view)
            errors.append(surface_errors(readings[-1][:, : network.outputs], codes, metrics))
            if len(network.descent):
                on_film.append(film_distances(network, readings[-1], view, codes, pose))
        mean = torch.cat(errors).mean(dim=0)
        if on_film and torch.isfinite(torch.cat(on_film)).any():
            scalars[f"{name}_on_film_mm"] = float(torch.nanmean(torch.cat(on_film)))
        for bone, row in zip(BONES, mean, strict=True):
            scalars[f"{name}_{bone}_mm"], scalars[f"{name}_{bone}_rigid_mm"] = (float(value) for value in row)
    network.train()
    return scalars


def train_shape_regressor(
    bones: Path,
    validation: FilmDrrs,
    network: ShapeRegressor,
    bases: Bases,
    config: ShapeTraining,
    run: Path,
    films: FilmDrrs | None = None,
) -> dict[str, float]:
    """Train the convolutions of S; its descent steps come after (:mod:`bonelift.learning.descent`). Resumes where
    ``run`` stands. Returns the last validation: errors in mm from true DRRs (drr), from the generator's (gan) and,
    where S reads films, from those with their films (film).

    bones: folder with DrrSamples and SurfaceSamples, which may grow. films: joins ``film_share`` of each batch.
    """
    metrics = metric_matrices(*bases).to(config.device)
    weights = torch.tensor([1.0, config.rigid_weight], device=config.device)
    parameters = list(network.parameters())
    optimiser = torch.optim.AdamW(parameters, lr=config.loop.learning_rate, weight_decay=1e-3)
    film_sources = load_films(films, bases) if films else None
    sources = validation_sources(validation, bases, network.reads_film)

    def step(held: HeldBones, generator: np.random.Generator, progress: float) -> dict[str, float]:
        picture, view, codes, pose = _batch(held.coded, film_sources, config, generator)
        with half_precision(config.bfloat16, config.device):
            reading, log_sd = network.first_reading(network.shown(picture), view)
        reading, log_sd = reading.float(), log_sd.float()
        errors = surface_errors(reading[:, : network.outputs], codes, metrics)
        loss = (errors.mean(dim=0) @ weights).sum()
        if len(network.descent):
            on_film = film_distances(network, reading, view, codes, pose)
            loss = loss + config.film_weight * on_film.nansum() / len(on_film)
        likelihood = error_likelihood(reading[:, : network.outputs].detach() - codes, log_sd)
        clip_and_update(loss + config.error_weight * likelihood, optimiser, parameters, config.clip_norm)
        return {
            "loss": loss.item(),
            "mm": float(errors[:, :, 1].detach().mean()),
            "error_likelihood": likelihood.item(),
        }

    stage = Stage(
        "shape regressor",
        {"shape_regressor": network},
        {"adam": optimiser},
        lambda held: load_bones(bones, bases, held),
        step,
        lambda: validate_shape(network, sources, metrics, config.device),
        {k: v for k, v in asdict(config).items() if k not in ("loop", "device")},
    )
    network.train()
    result = train(stage, config.loop, run)
    network.eval()
    return result
