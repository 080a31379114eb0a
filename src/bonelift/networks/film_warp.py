"""Moving pictures by small affines: in training and where several readings of one film are averaged."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def warp(images: Tensor, old_from_new: Tensor) -> Tensor:
    """Bilinear resampling of (N, C, H, W) under (N, 2, 3) affines; 0 outside.

    old_from_new: pixel offsets from the middle in the new picture to offsets from the middle in the old one.
    """
    height, width = images.shape[-2:]
    # affine_grid works on -1..1 across the outer edges (align_corners=False): pixels * 2 / size.
    size = torch.tensor([width, height], dtype=torch.float32, device=images.device)
    theta = old_from_new.clone()
    theta[:, :, :2] *= size[None, None, :] / size[None, :, None]
    theta[:, :, 2] *= 2 / size[None, :]
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="zeros", align_corners=False)
