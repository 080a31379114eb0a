"""Random changes to a batch on its way into a network. All draw from torch's global generator."""

from __future__ import annotations

from dataclasses import dataclass
from math import radians

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class AffineRange:
    """Uniform ranges, each way, of a random affine about the middle of the picture."""

    translation_px: float = 0.0
    rotation_deg: float = 0.0
    scale: float = 0.0
    shear: float = 0.0


def _uniform(count: int, half_width: float, device: torch.device) -> Tensor:
    return (2 * torch.rand(count, device=device) - 1) * half_width


def random_affines(count: int, ranges: AffineRange, device: torch.device) -> Tensor:
    """(N, 2, 3) float32: pixel offsets from the middle in the new picture to offsets from the middle in the old one."""
    angle = _uniform(count, radians(ranges.rotation_deg), device)
    scale = 1 + _uniform(count, ranges.scale, device)
    shear = _uniform(count, ranges.shear, device)
    cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
    column = torch.stack([cosine, -sine + shear * cosine, _uniform(count, ranges.translation_px, device)], dim=1)
    row = torch.stack([sine, cosine + shear * sine, _uniform(count, ranges.translation_px, device)], dim=1)
    return torch.stack([column, row], dim=1)


def move_points(points_px: Tensor, old_from_new: Tensor, shape: tuple[int, int]) -> Tensor:
    """(N, L, 2) (column, row) points of the old pictures to where ``warp`` shows them in the new ones."""
    middle = torch.tensor([(shape[1] - 1) / 2, (shape[0] - 1) / 2], device=points_px.device)
    offset = points_px - middle - old_from_new[:, None, :, 2]
    return torch.linalg.solve(old_from_new[:, None, :, :2], offset[..., None]).squeeze(-1) + middle


def move_projections(px_from_mm: Tensor, old_from_new: Tensor, shape: tuple[int, int]) -> Tensor:
    """(N, 3, 4) projections onto the old pictures as those onto what ``warp`` makes of them."""
    middle = torch.tensor([(shape[1] - 1) / 2, (shape[0] - 1) / 2], device=px_from_mm.device)
    linear = torch.linalg.inv(old_from_new[:, :, :2])
    shift = middle - (linear @ (middle + old_from_new[:, :, 2])[..., None])[..., 0]
    # In homogeneous coordinates: u_new w = linear (u_old w) + shift w.
    return torch.cat([linear @ px_from_mm[:, :2] + shift[..., None] * px_from_mm[:, 2:], px_from_mm[:, 2:]], dim=1)


def _each(count: int, low: float, high: float, device: torch.device) -> Tensor:
    return (low + (high - low) * torch.rand(count, device=device)).view(-1, 1, 1, 1)


def vary_film(film: Tensor, strength: float) -> Tensor:
    """Gamma, contrast, brightness and noise of films (N, 1, H, W) in [0, 1.2]; ``strength`` 0 changes nothing."""
    count, device = len(film), film.device
    gamma = torch.exp(_each(count, -0.35, 0.35, device) * strength)
    gain = 1 + _each(count, -0.12, 0.12, device) * strength
    offset = _each(count, -0.06, 0.06, device) * strength
    noise = _each(count, 0.0, 0.03, device) * strength
    varied = film.clamp_min(1e-4) ** gamma * gain + offset + noise * torch.randn_like(film)
    return varied.clamp(0.0, 1.2)


_BINOMIAL = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16.0


def vary_drr(drr: Tensor, strength: float) -> Tensor:
    """Blur, gain and noise (white, and in blobs of 8 px) of DRRs / DRR_SCALE (N, 1, H, W); never negative."""
    count, device = len(drr), drr.device
    kernel = _BINOMIAL.to(device)
    blurred = functional.conv2d(drr, kernel.view(1, 1, 5, 1), padding=(2, 0))
    blurred = functional.conv2d(blurred, kernel.view(1, 1, 1, 5), padding=(0, 2))
    share = _each(count, 0.0, 1.0, device) * strength
    varied = (1 - share) * drr + share * blurred
    coarse = torch.randn(count, 1, drr.shape[2] // 8, drr.shape[3] // 8, device=device)
    blobs = functional.interpolate(coarse, size=list(drr.shape[-2:]), mode="bilinear", align_corners=False)
    noise = _each(count, 0.0, 0.03, device) * torch.randn_like(drr) + _each(count, 0.0, 0.06, device) * blobs
    gain = 1 + _each(count, -0.04, 0.04, device) * strength
    # Errors of a translation stand where bone is or is nearly; air stays air.
    return (varied * gain + strength * noise * (varied > 0.02)).clamp_min(0.0)


def bend_drr(drr: Tensor, strength: float) -> Tensor:
    """Changes of a DRR (N, 1, H, W), >= 0, that no scale undoes: a power of 0.8 to 1.25 about its greatest value, as
    beam hardening or a translator's contrast makes it, and a smooth change of gain over the picture (SD 8 %)."""
    count, device = len(drr), drr.device
    greatest = drr.amax(dim=(1, 2, 3), keepdim=True).clamp_min(1e-3)
    power = torch.exp(_each(count, -0.223, 0.223, device) * strength)
    bent = greatest * (drr / greatest).clamp_min(1e-6) ** power
    coarse = torch.randn(count, 1, 4, 3, device=device)
    smooth = functional.interpolate(coarse, size=list(drr.shape[-2:]), mode="bicubic", align_corners=True)
    return torch.where(drr > 0, bent, drr) * torch.exp(0.08 * strength * smooth)
