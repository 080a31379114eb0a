"""Training of the locator: landmarks of upright right wrists, and pictures that hold none."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bonelift.learning import losses
from bonelift.learning.augmentation import AffineRange, move_points, random_affines, vary_film
from bonelift.learning.loop import LoopConfig, Stage, train
from bonelift.learning.precision import clip_and_update, half_precision, place
from bonelift.learning.samples import LocatorSamples, load_growing, load_samples
from bonelift.networks.film_warp import warp
from bonelift.networks.locator import Locator, LocatorConfig, heatmap_centres_px, soft_argmax_px
from bonelift.networks.locator_input import LOCATOR_SPACING_MM

TARGET_SD_PX = 2.0
"""Standard deviation of the Gaussian that the heatmaps are to show."""


@dataclass(frozen=True)
class LocatorTraining:
    """affine: of the picture, which is turned by up to 45 degrees already (virtual_samples.UPRIGHT_DEG).
    turned_fraction: share turned by 90, 180 or 270 degrees, which then count as no wrist.
    """

    loop: LoopConfig
    batch: int = 16
    affine: AffineRange = field(default_factory=lambda: AffineRange(12.0, 35.0, 0.25, 0.05))
    turned_fraction: float = 0.12
    variation: float = 1.0
    presence_weight: float = 0.5
    clip_norm: float = 5.0
    bfloat16: bool = True
    device: str = "cpu"


def build_locator(config: LocatorConfig, seed: int, device: str = "cpu") -> Locator:
    """A new network with weights drawn from ``seed``."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = Locator(config)
    place(made, device)
    return made


def gaussian_heatmaps(landmarks_px: Tensor, shape: tuple[int, ...], input_shape: tuple[int, ...]) -> Tensor:
    """(N, L, 2) landmarks to (N, L, h, w) distributions of SD TARGET_SD_PX; all 0 for one that is NaN or outside."""
    columns, rows = heatmap_centres_px(shape, landmarks_px)
    column, row = landmarks_px[..., 0:1], landmarks_px[..., 1:2]
    shown = (column >= 0) & (column <= input_shape[1] - 1) & (row >= 0) & (row <= input_shape[0] - 1)
    along = torch.exp(-0.5 * ((columns - column) / TARGET_SD_PX) ** 2)
    down = torch.exp(-0.5 * ((rows - row) / TARGET_SD_PX) ** 2)
    heatmaps = down[..., :, None] * along[..., None, :]
    heatmaps = heatmaps / heatmaps.sum((2, 3), keepdim=True).clamp_min(1e-12)
    return torch.where(shown[..., None], heatmaps, torch.zeros(()))


def _tensors(held: LocatorSamples, chosen: NDArray[np.int64] | slice, device: str) -> tuple[Tensor, Tensor, Tensor]:
    image = torch.from_numpy(held.image[chosen].astype(np.float32))[:, None].to(device)
    landmarks = torch.from_numpy(held.landmarks_px[chosen]).to(device)
    return image, landmarks, torch.from_numpy(held.present[chosen]).to(device)


def _augment(
    image: Tensor, landmarks: Tensor, present: Tensor, config: LocatorTraining
) -> tuple[Tensor, Tensor, Tensor]:
    affines = random_affines(len(image), config.affine, image.device)
    landmarks = move_points(landmarks, affines, (image.shape[2], image.shape[3]))
    image = vary_film(warp(image, affines), config.variation)
    turns = torch.randint(1, 4, (len(image),), device=image.device)
    turned = torch.rand(len(image), device=image.device) < config.turned_fraction
    pictures = [
        torch.rot90(picture, int(turn), (1, 2)) if flag else picture
        for picture, turn, flag in zip(image, turns, turned, strict=True)
    ]
    # A landmark outside the picture is masked; a wrist whose origin is outside is no wrist to find.
    origin = landmarks[:, 0]
    limit = torch.tensor([image.shape[3] - 1, image.shape[2] - 1], device=image.device)
    present = present & ~turned & ((origin >= 0) & (origin <= limit)).all(dim=1)
    landmarks = torch.where(present[:, None, None], landmarks, torch.nan)
    return torch.stack(pictures), landmarks, present


def train_locator(
    samples: Path, validation: Path, network: Locator, config: LocatorTraining, run: Path
) -> dict[str, float]:
    """Train the locator. Both folders hold LocatorSamples. Resumes where ``run`` stands."""
    parameters = list(network.parameters())
    optimiser = torch.optim.Adam(parameters, lr=config.loop.learning_rate)
    validation_samples = load_samples(validation, LocatorSamples)

    def step(held: tuple[LocatorSamples, int], generator: np.random.Generator, progress: float) -> dict[str, float]:
        chosen = generator.integers(0, len(held[0].image), config.batch)
        image, landmarks, present = _augment(*_tensors(held[0], chosen, config.device), config)
        with half_precision(config.bfloat16, config.device):
            heatmaps, presence = network(image)
        target = gaussian_heatmaps(landmarks, heatmaps.shape[2:], image.shape[2:])
        heatmap_loss, presence_loss = losses.locator_loss(heatmaps, target, presence, present)
        clip_and_update(heatmap_loss + config.presence_weight * presence_loss, optimiser, parameters, config.clip_norm)
        return {"heatmap": heatmap_loss.item(), "presence": presence_loss.item()}

    stage = Stage(
        "locator",
        {"locator": network},
        {"adam": optimiser},
        lambda held: load_growing(samples, LocatorSamples, held),
        step,
        lambda: _validate(network, validation_samples, config),
        {k: v for k, v in asdict(config).items() if k not in ("loop", "device")},
    )
    network.train()
    metrics = train(stage, config.loop, run)
    network.eval()
    return metrics


def _validate(network: Locator, samples: LocatorSamples, config: LocatorTraining) -> dict[str, float]:
    """Median landmark errors (mm at the wrist) without augmentation, and the share of right presence answers."""
    errors, right = [], []
    for start in range(0, len(samples.image), 32):
        image, landmarks, present = _tensors(samples, slice(start, start + 32), config.device)
        heatmaps, presence = network(image)
        points, _ = soft_argmax_px(heatmaps)
        errors.append(torch.linalg.vector_norm(points - landmarks, dim=-1)[present])
        right.append((presence > 0) == present)
    distance_mm = LOCATOR_SPACING_MM * torch.cat(errors)
    medians = distance_mm.nanmedian(dim=0).values.tolist() if len(distance_mm) else [float("nan")] * 3
    names = ("origin_mm", "shaft_mm", "ulnar_head_mm")
    return {**dict(zip(names, medians, strict=True)), "presence_right": float(torch.cat(right).float().mean())}
