"""Training of the TL-embedding network: autoencoder (step 1), predictor (step 2), predictor and decoder (step 3)."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bonelift.errors import InputError
from bonelift.learning import losses
from bonelift.learning.augmentation import AffineRange, random_affines, vary_drr
from bonelift.learning.checkpoint import load_networks
from bonelift.learning.loop import LoopConfig, Stage, train
from bonelift.learning.precision import clip_and_update, half_precision, place
from bonelift.learning.samples import FilmSamples, ShapeSamples, load_growing, load_samples
from bonelift.networks.film_warp import warp
from bonelift.networks.tl_embedding import DRR_SCALE, Decoder, Encoder, Predictor, TlConfig

VALIDATION_BATCH = 16


@dataclass(frozen=True)
class AutoencoderTraining:
    """Step 1. label_noise_sd: of the Gaussian noise on the soft labels that E reads."""

    loop: LoopConfig
    batch: int = 16
    label_noise_sd: float = 0.1
    clip_norm: float = 1.0
    bfloat16: bool = True
    device: str = "cpu"


@dataclass(frozen=True)
class PredictorTraining:
    """Steps 2 and 3.

    latent_warmup: first part (0 to 1) of step 2 that regresses P(x) on E(y) instead of decoding (ours: on a CPU an
        update costs a third; 0 is the paper's way).
    gan_fraction: share of the inputs that are the generator's DRR of the film instead of the true one, where given.
    variation: strength of blur, gain and noise on the DRR; 0 is none, 1 is as large as a generator's errors.
    affine: of the DRR. Small: films already carry the error of their landmarks, and scale carries the bone's size.
    """

    loop: LoopConfig
    batch: int = 16
    latent_warmup: float = 0.0
    gan_fraction: float = 0.5
    variation: float = 1.0
    affine: AffineRange = field(default_factory=lambda: AffineRange(2.0, 2.0, 0.003, 0.005))
    clip_norm: float = 1.0
    bfloat16: bool = True
    device: str = "cpu"


@dataclass(frozen=True)
class TlNetworks:
    encoder: Encoder
    decoder: Decoder
    predictor: Predictor


def build_tl(config: TlConfig, seed: int, device: str = "cpu") -> TlNetworks:
    """New networks with weights drawn from ``seed``."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = TlNetworks(Encoder(config), Decoder(config), Predictor(config))
    for network in (made.encoder, made.decoder):
        place(network, device, three_dimensional=True)
    place(made.predictor, device)
    return made


def labels_from_occupancy(occupancy: NDArray[np.uint8], device: str = "cpu") -> Tensor:
    """(N, 2, I, J, K) uint8 to soft labels (N, 3, I, J, K) float32 that sum to 1: background, radius, ulna."""
    bones = torch.from_numpy(np.ascontiguousarray(occupancy)).to(device).float() / 255
    bones = bones / bones.sum(dim=1, keepdim=True).clamp_min(1.0)
    return torch.cat([1 - bones.sum(dim=1, keepdim=True), bones], dim=1).clamp(0.0, 1.0)


def label_metrics(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Validation scalars of a batch.

    excess_nats: cross entropy above the entropy of the soft labels. dice_*: of both fields cut at one half.
    volume_error_*: volume between both soft labels over that of the voxels that the surface crosses: a rough error of
    the surface, in voxels.
    """
    probability = logits.float().softmax(dim=1)
    scalars = {"excess_nats": float(losses.cross_entropy(logits, labels) - losses.label_entropy(labels))}
    for index, bone in ((1, "radius"), (2, "ulna")):
        field_, truth = probability[:, index], labels[:, index]
        inside, true_inside = field_ >= 0.5, truth >= 0.5
        overlap = (inside & true_inside).sum((1, 2, 3)).float()
        total = (inside.sum((1, 2, 3)) + true_inside.sum((1, 2, 3))).clamp_min(1)
        crossed = ((truth > 0) & (truth < 1)).sum((1, 2, 3)).clamp_min(1)
        scalars[f"dice_{bone}"] = float((2 * overlap / total).mean())
        scalars[f"volume_error_{bone}"] = float(((field_ - truth).abs().sum((1, 2, 3)) / crossed).mean())
    return scalars


def _mean_metrics(batches: list[tuple[int, dict[str, float]]]) -> dict[str, float]:
    total = sum(count for count, _ in batches)
    return {name: sum(count * scalars[name] for count, scalars in batches) / total for name in batches[0][1]}


def train_autoencoder(
    samples: Path, validation: Path, networks: TlNetworks, config: AutoencoderTraining, run: Path
) -> dict[str, float]:
    """Step 1: E and D. Both folders hold ShapeSamples. Resumes where ``run`` stands."""
    encoder, decoder = networks.encoder, networks.decoder
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=config.loop.learning_rate)
    validation_shapes = load_samples(validation, ShapeSamples)

    def step(held: tuple[ShapeSamples, int], generator: np.random.Generator, progress: float) -> dict[str, float]:
        occupancy = held[0].occupancy
        labels = labels_from_occupancy(occupancy[generator.integers(0, len(occupancy), config.batch)], config.device)
        noised = labels + config.label_noise_sd * torch.randn_like(labels)
        with half_precision(config.bfloat16, config.device):
            latent = encoder(noised)
            logits = decoder(latent)
        loss = losses.autoencoder_loss(logits, labels, latent)
        clip_and_update(loss, optimiser, parameters, config.clip_norm)
        return {"loss": loss.item()}

    def validate() -> dict[str, float]:
        batches = []
        for start in range(0, len(validation_shapes.occupancy), VALIDATION_BATCH):
            chosen = validation_shapes.occupancy[start : start + VALIDATION_BATCH]
            labels = labels_from_occupancy(chosen, config.device)
            with half_precision(config.bfloat16, config.device):
                logits = decoder(encoder(labels))
            batches.append((len(chosen), label_metrics(logits, labels)))
        return _mean_metrics(batches)

    stage = Stage(
        "autoencoder",
        {"encoder": encoder, "decoder": decoder},
        {"adam": optimiser},
        lambda held: load_growing(samples, ShapeSamples, held),
        step,
        validate,
        {k: v for k, v in asdict(config).items() if k not in ("loop", "device")},
    )
    encoder.train()
    decoder.train()
    metrics = train(stage, config.loop, run)
    encoder.eval()
    decoder.eval()
    return metrics


@dataclass(frozen=True)
class _PairSamples:
    """Films and shapes of one folder with the latents E(y) of the shapes; see ``load_growing`` for the pairs."""

    films: tuple[FilmSamples, int]
    shapes: tuple[ShapeSamples, int]
    latents: Tensor


@torch.no_grad()
def encode_shapes(encoder: Encoder, shapes: ShapeSamples, device: str = "cpu", bfloat16: bool = False) -> Tensor:
    """(P, latent) latents E(y) of all shapes, without noise, E on its running statistics."""
    encoder.eval()
    parts = []
    for start in range(0, len(shapes.occupancy), VALIDATION_BATCH):
        labels = labels_from_occupancy(shapes.occupancy[start : start + VALIDATION_BATCH], device)
        with half_precision(bfloat16, device):
            parts.append(encoder(labels).float())
    return torch.cat(parts)


def _load_pairs(
    folder: Path, encoder: Encoder, config: PredictorTraining, previous: _PairSamples | None
) -> _PairSamples:
    # Films first: the shape of every film that is there is there too.
    films = load_growing(folder, FilmSamples, previous.films if previous else None)
    shapes = load_growing(folder, ShapeSamples, previous.shapes if previous else None)
    if films[0].patient.max() >= len(shapes[0].occupancy) or films[0].patient.min() < 0:
        raise InputError(
            f"{folder}: films name patients that have no shape; write the shapes of a chunk before its films"
        )
    if previous is not None and shapes is previous.shapes:
        return _PairSamples(films, shapes, previous.latents)
    known = previous.latents if previous else torch.empty(0, device=config.device)
    new = ShapeSamples(shapes[0].occupancy[len(known) :])
    latents = encode_shapes(encoder, new, config.device, config.bfloat16)
    return _PairSamples(films, shapes, torch.cat([known, latents]) if len(known) else latents)


def _drr_batch(drr: NDArray[np.float16], device: str) -> Tensor:
    return torch.from_numpy(drr.astype(np.float32))[:, None].to(device) / DRR_SCALE


@dataclass(frozen=True)
class _Inputs:
    """What P reads: DRR / DRR_SCALE (N, 1, H, W), view (N,), and the row of each film's patient (N,)."""

    drr: Tensor
    view: Tensor
    patient: NDArray[np.int32]


def _draw_inputs(
    films: FilmSamples, gan_drr: NDArray[np.float16] | None, config: PredictorTraining, generator: np.random.Generator
) -> _Inputs:
    """A random batch: each film's true DRR or the generator's, moved and varied."""
    chosen = generator.integers(0, len(films.drr), config.batch)
    use_gan = generator.random(config.batch) < config.gan_fraction
    drr = films.drr[chosen]
    if gan_drr is not None:
        use_gan &= chosen < len(gan_drr)
        drr[use_gan] = gan_drr[chosen[use_gan]]
    picture = _drr_batch(drr, config.device)
    picture = warp(picture, random_affines(len(picture), config.affine, picture.device))
    view = torch.from_numpy(films.view[chosen]).to(config.device)
    return _Inputs(vary_drr(picture, config.variation), view, films.patient[chosen])


def _predictor_loss(
    networks: TlNetworks, held: _PairSamples, inputs: _Inputs, config: PredictorTraining, finetune: bool
) -> Tensor:
    """Loss of step 2, or of step 3 where ``finetune``."""
    with half_precision(config.bfloat16, config.device):
        latent = networks.predictor(inputs.drr, inputs.view)
        logits = networks.decoder(latent)
        reencoded = networks.encoder(logits.float().softmax(dim=1)) if finetune else None
    labels = labels_from_occupancy(held.shapes[0].occupancy[inputs.patient], config.device)
    if reencoded is None:
        return losses.autoencoder_loss(logits, labels, latent)
    true_latent = held.latents[torch.from_numpy(inputs.patient).long()]
    return losses.finetune_loss(logits, labels, latent, true_latent, reencoded)


def _warmup_loss(networks: TlNetworks, held: _PairSamples, inputs: _Inputs, config: PredictorTraining) -> Tensor:
    with half_precision(config.bfloat16, config.device):
        latent = networks.predictor(inputs.drr, inputs.view)
    true_latent = held.latents[torch.from_numpy(inputs.patient).long()]
    # A single shape has no spread; its latent is then taken in its own unit.
    spread = held.latents.var(dim=0).mean() if len(held.latents) > 1 else torch.ones((), device=latent.device)
    return losses.latent_regression_loss(latent, true_latent, spread)


def _validate_predictor(
    networks: TlNetworks,
    pairs: _PairSamples,
    gan_drr: NDArray[np.float16] | None,
    config: PredictorTraining,
) -> dict[str, float]:
    """``label_metrics`` from the true DRRs ("drr_...") and, where given, the generator's ("gan_...")."""
    films, shapes = pairs.films[0], pairs.shapes[0]
    scalars: dict[str, float] = {}
    for source, drrs in (("drr", films.drr), ("gan", gan_drr)):
        if drrs is None:
            continue
        batches = []
        for start in range(0, len(drrs), VALIDATION_BATCH):
            part = slice(start, start + VALIDATION_BATCH)
            labels = labels_from_occupancy(shapes.occupancy[films.patient[part]], config.device)
            view = torch.from_numpy(films.view[part]).to(config.device)
            with half_precision(config.bfloat16, config.device):
                logits = networks.decoder(networks.predictor(_drr_batch(drrs[part], config.device), view))
            batches.append((len(labels), label_metrics(logits, labels)))
        scalars |= {f"{source}_{key}": value for key, value in _mean_metrics(batches).items()}
    return scalars


def _predictor_stage(
    name: Literal["predictor", "finetune"],
    samples: Path,
    validation: Path,
    networks: TlNetworks,
    config: PredictorTraining,
    gan_drr: NDArray[np.float16] | None,
    validation_gan_drr: NDArray[np.float16] | None,
) -> Stage[_PairSamples]:
    finetune = name == "finetune"
    trained: dict[str, nn.Module] = {"predictor": networks.predictor}
    if finetune:
        trained["decoder"] = networks.decoder
    parameters = [parameter for network in trained.values() for parameter in network.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=config.loop.learning_rate)
    validation_pairs = _load_pairs(validation, networks.encoder, config, None)

    def step(held: _PairSamples, generator: np.random.Generator, progress: float) -> dict[str, float]:
        inputs = _draw_inputs(held.films[0], gan_drr, config, generator)
        if not finetune and progress < config.latent_warmup:
            loss, label = _warmup_loss(networks, held, inputs, config), "latent_loss"
        else:
            loss, label = _predictor_loss(networks, held, inputs, config, finetune), "loss"
        clip_and_update(loss, optimiser, parameters, config.clip_norm)
        return {label: loss.item()}

    return Stage(
        name,
        trained,
        {"adam": optimiser},
        lambda held: _load_pairs(samples, networks.encoder, config, held),
        step,
        lambda: _validate_predictor(networks, validation_pairs, validation_gan_drr, config),
        {k: v for k, v in asdict(config).items() if k not in ("loop", "device")},
    )


def _fix(network: nn.Module) -> None:
    """Running statistics, and no gradient to the weights; gradients still pass through."""
    network.eval()
    network.requires_grad_(False)


def train_predictor(
    samples: Path,
    validation: Path,
    networks: TlNetworks,
    config: PredictorTraining,
    run: Path,
    gan_drr: NDArray[np.float16] | None = None,
    validation_gan_drr: NDArray[np.float16] | None = None,
) -> dict[str, float]:
    """Step 2: P, with D (and E, which the warm-up reads) fixed. Resumes where ``run`` stands.

    samples, validation: folders with FilmSamples and ShapeSamples.
    gan_drr: (M, H, W) float16 line integrals, the generator's DRRs of the first M films of ``samples``;
    validation_gan_drr: of those of ``validation``.
    """
    _fix(networks.encoder)
    _fix(networks.decoder)
    stage = _predictor_stage("predictor", samples, validation, networks, config, gan_drr, validation_gan_drr)
    networks.predictor.train()
    metrics = train(stage, config.loop, run)
    networks.predictor.eval()
    return metrics


def train_finetune(
    samples: Path,
    validation: Path,
    networks: TlNetworks,
    config: PredictorTraining,
    run: Path,
    gan_drr: NDArray[np.float16] | None = None,
    validation_gan_drr: NDArray[np.float16] | None = None,
) -> dict[str, float]:
    """Step 3: P and D, with E fixed; arguments as in ``train_predictor``. D keeps its running statistics."""
    _fix(networks.encoder)
    networks.decoder.requires_grad_(True).eval()
    stage = _predictor_stage("finetune", samples, validation, networks, config, gan_drr, validation_gan_drr)
    networks.predictor.train()
    metrics = train(stage, config.loop, run)
    networks.predictor.eval()
    return metrics


def load_tl(
    networks: TlNetworks, autoencoder_run: Path | None, predictor_run: Path | None, decoder_run: Path | None
) -> None:
    """Load E (and D) from an autoencoder's run, P from a predictor's or fine-tuning's run, D from fine-tuning's run."""
    if autoencoder_run is not None:
        load_networks(autoencoder_run, {"encoder": networks.encoder, "decoder": networks.decoder})
    if predictor_run is not None:
        load_networks(predictor_run, {"predictor": networks.predictor})
    if decoder_run is not None:
        load_networks(decoder_run, {"decoder": networks.decoder})
    for network in (networks.encoder, networks.decoder, networks.predictor):
        network.eval()
