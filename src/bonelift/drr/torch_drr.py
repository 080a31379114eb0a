"""The projector as a differentiable torch operation: compiled kernels on the CPU, ``grid_sample`` on other devices.

Both are Joseph's method: bilinear samples on the slices of the axis along which a ray runs most.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bonelift.drr.gradients import back_project, project_with_pose_pullback
from bonelift.drr.joseph import project
from bonelift.drr.ray_volume import MARCH_ORDER
from bonelift.errors import InputError

SAMPLES_AT_ONCE = 2**24
"""Samples of all slices, poses and pixels held at a time on a GPU (about 200 MB with their coordinates)."""


def project_torch(
    values: Tensor,
    image_from_camera: Tensor,
    camera_from_voxel: Tensor,
    shape_px: tuple[int, int],
    twist: Tensor | None = None,
) -> Tensor:
    """Line integrals (N, C, rows, columns) in value * mm, differentiable in ``values`` and ``twist``.

    values: (C, I, J, K) float32. image_from_camera: (3, 3). camera_from_voxel: (N, 4, 4); not differentiated.
    twist: (N, 6), rotation vector (rad) and translation (mm) of ``rigid_from_vector(twist) @ camera_from_voxel``.
    On the CPU the derivative with respect to ``twist`` is taken where twist is 0, so give zeros there and fold steps
    into ``camera_from_voxel``; elsewhere any twist.
    """
    if values.ndim != 4 or camera_from_voxel.ndim != 3 or camera_from_voxel.shape[1:] != (4, 4):
        raise InputError(
            f"drr: values {tuple(values.shape)} and camera_from_voxel {tuple(camera_from_voxel.shape)}; "
            "expected (C, I, J, K) and (N, 4, 4)"
        )
    if twist is None:
        twist = values.new_zeros(len(camera_from_voxel), 6)
    if values.device.type == "cpu":
        if twist.detach().abs().max() > 0:
            raise InputError("drr: on the CPU twist is differentiated at 0; fold the step into camera_from_voxel")
        return _NumbaProjection.apply(values, twist, image_from_camera, camera_from_voxel, shape_px)  # pyright: ignore[reportReturnType]
    return project_by_sampling(values, image_from_camera, _matrix_from_twist(twist) @ camera_from_voxel, shape_px)


class _NumbaProjection(torch.autograd.Function):
    """CPU kernels behind autograd. Shapes as in :func:`project_torch`."""

    @staticmethod
    def forward(
        ctx: Any, values: Tensor, twist: Tensor, intrinsics: Tensor, poses: Tensor, shape_px: tuple[int, int]
    ) -> Tensor:
        ctx.save_for_backward(values, intrinsics, poses)
        images = project(values.detach().numpy(), intrinsics.numpy(), poses.numpy(), shape_px, None, _threads())
        return torch.from_numpy(images)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        values, intrinsics, poses = ctx.saved_tensors
        weights = gradients[0].contiguous().numpy()
        to_values = to_twist = None
        if ctx.needs_input_grad[0]:
            grid_shape = (values.shape[1], values.shape[2], values.shape[3])
            to_values = torch.from_numpy(back_project(weights, intrinsics.numpy(), poses.numpy(), grid_shape))
        if ctx.needs_input_grad[1]:
            volume = values.detach().numpy()
            _, total = project_with_pose_pullback(volume, intrinsics.numpy(), poses.numpy(), weights, None, _threads())
            to_twist = torch.from_numpy(total.astype(np.float32))
        return to_values, to_twist, None, None, None


def _threads() -> int:
    return max(torch.get_num_threads(), 1)


def _matrix_from_twist(twist: Tensor) -> Tensor:
    """(N, 6) -> (N, 4, 4) rigid: rotation vector, then translation; smooth at 0."""
    zero = torch.zeros_like(twist[:, 0])
    x, y, z = twist[:, 0], twist[:, 1], twist[:, 2]
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).reshape(-1, 3, 3)
    top = torch.cat([torch.linalg.matrix_exp(skew), twist[:, 3:, None]], dim=2)
    bottom = twist.new_tensor([0.0, 0.0, 0.0, 1.0]).expand(len(twist), 1, 4)
    return torch.cat([top, bottom], dim=1)


def project_by_sampling(
    values: Tensor, image_from_camera: Tensor, camera_from_voxel: Tensor, shape_px: tuple[int, int]
) -> Tensor:
    """Joseph's sum in plain torch, on any device; arguments and result as in :func:`project_torch`."""
    channels = values.shape[0]
    rows, columns = torch.meshgrid(
        *(torch.arange(n, device=values.device, dtype=torch.float64) for n in shape_px), indexing="ij"
    )
    pixels = torch.stack([columns, rows, torch.ones_like(rows)], dim=-1).reshape(-1, 3)
    rays = pixels @ torch.linalg.inv(image_from_camera.to(pixels)).T
    rays = rays * torch.where(rays[:, 2:] < 0, -1.0, 1.0)
    lengths_mm = rays.norm(dim=1)
    images = []
    for pose in camera_from_voxel.to(pixels):
        voxel_from_camera = torch.linalg.inv(pose)
        directions = rays @ voxel_from_camera[:3, :3].T
        dominant = directions.detach().abs().argmax(dim=1)
        image = values.new_zeros(channels, len(rays))
        for axis in range(3):
            chosen = torch.nonzero(dominant == axis)[:, 0]
            if len(chosen):
                sums = _sum_slices(values, voxel_from_camera[:3, 3], directions[chosen], lengths_mm[chosen], axis)
                image = image.index_add(1, chosen, sums)
        images.append(image.reshape(channels, *shape_px))
    return torch.stack(images)


def _sum_slices(values: Tensor, source: Tensor, directions: Tensor, lengths_mm: Tensor, axis: int) -> Tensor:
    """(C, M) integrals of M rays that run mostly along ``axis``; source and directions in voxels, float64."""
    across0, across1, along = MARCH_ORDER[axis]
    slabs = values.permute(along + 1, 0, across0 + 1, across1 + 1)  # (slices, C, P, Q)
    slope0, slope1 = (directions[:, a] / directions[:, along] for a in (across0, across1))
    size0, size1 = slabs.shape[2:]
    total = values.new_zeros(values.shape[0], len(directions))
    batch = max(1, SAMPLES_AT_ONCE // len(directions))
    for first in range(0, len(slabs), batch):
        slab = slabs[first : first + batch]
        offset = torch.arange(first, first + len(slab), device=values.device)[:, None] - source[along]  # (slices, 1)
        at0, at1 = source[across0] + slope0 * offset, source[across1] + slope1 * offset
        # grid_sample's (x, y): last axis first, -1 and 1 at the outer voxel edges (align_corners=False).
        grid = torch.stack([(2 * at1 + 1) / size1 - 1, (2 * at0 + 1) / size0 - 1], dim=-1).to(values.dtype)
        samples = functional.grid_sample(slab, grid[:, None], padding_mode="zeros", align_corners=False)[:, :, 0]
        in_front = (offset * directions[:, along] > 0).to(values.dtype)
        total = total + (samples * in_front[:, None]).sum(dim=0)
    return total * (lengths_mm / directions[:, along].abs()).to(values.dtype)
