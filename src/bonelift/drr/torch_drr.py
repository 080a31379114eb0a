"""The projector as a differentiable torch operation: compiled kernels on the CPU, ``grid_sample`` on other devices.

Both are Joseph's method: bilinear samples on the slices of the axis along which a ray runs most. Everything of the
sampling path stays on the device of ``values``; it is plain torch, so that the CPU tests run the very code of a GPU.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from bonelift.drr.gradients import back_project, project_with_pose_pullback
from bonelift.drr.joseph import Rule, project
from bonelift.drr.ray_volume import MARCH_ORDER
from bonelift.errors import InputError

Path = Literal["auto", "compiled", "sampling"]
"""How to project: "compiled" needs tensors on the CPU; "auto" takes it there and "sampling" on any other device."""

SAMPLES_AT_ONCE = 2**24
"""Samples of all slices and pixels of one pose that are held at a time (about 200 MB with their coordinates)."""


def project_torch(
    values: Tensor,
    image_from_camera: Tensor,
    camera_from_voxel: Tensor,
    shape_px: tuple[int, int],
    twist: Tensor | None = None,
    rule: Rule = "joseph",
    path: Path = "auto",
) -> Tensor:
    """Line integrals (N, C, rows, columns) in value * mm, differentiable in ``values`` and ``twist``.

    values: (C, I, J, K) float32. image_from_camera: (3, 3). camera_from_voxel: (N, 4, 4); not differentiated.
    twist: (N, 6), rotation vector (rad) and translation (mm) of ``rigid_from_vector(twist) @ camera_from_voxel``.
    rule: as of :func:`bonelift.drr.joseph.project`.
    The compiled path takes the derivative with respect to ``twist`` where twist is 0, so give zeros there and fold
    steps into ``camera_from_voxel``; the sampling path takes any twist.
    """
    if values.ndim != 4 or camera_from_voxel.ndim != 3 or camera_from_voxel.shape[1:] != (4, 4):
        raise InputError(
            f"drr: values {tuple(values.shape)} and camera_from_voxel {tuple(camera_from_voxel.shape)}; "
            "expected (C, I, J, K) and (N, 4, 4)"
        )
    on_cpu = values.device.type == "cpu"
    if path == "compiled" and not on_cpu:
        raise InputError(f"drr: the compiled path runs on the CPU; values are on {values.device}; use path 'sampling'")
    if twist is None:
        twist = values.new_zeros(len(camera_from_voxel), 6)
    if path == "sampling" or not on_cpu:
        moved = _matrix_from_twist(twist.double()) @ camera_from_voxel.to(values.device, torch.float64)
        return project_by_sampling(values, image_from_camera, moved, shape_px, rule)
    if twist.detach().abs().max() > 0:
        raise InputError("drr: on the CPU twist is differentiated at 0; fold the step into camera_from_voxel")
    return _NumbaProjection.apply(values, twist, image_from_camera, camera_from_voxel, shape_px, rule)  # pyright: ignore[reportReturnType]


class _NumbaProjection(torch.autograd.Function):
    """CPU kernels behind autograd. Shapes as in :func:`project_torch`."""

    @staticmethod
    def forward(
        ctx: Any,
        values: Tensor,
        twist: Tensor,
        intrinsics: Tensor,
        poses: Tensor,
        shape_px: tuple[int, int],
        rule: Rule,
    ) -> Tensor:
        ctx.save_for_backward(values, intrinsics, poses)
        ctx.rule = rule
        images = project(values.detach().numpy(), intrinsics.numpy(), poses.numpy(), shape_px, None, _threads(), rule)
        return torch.from_numpy(images)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        values, intrinsics, poses = ctx.saved_tensors
        weights = gradients[0].contiguous().numpy()
        to_values = to_twist = None
        if ctx.needs_input_grad[0]:
            grid_shape = (values.shape[1], values.shape[2], values.shape[3])
            to_values = torch.from_numpy(
                back_project(weights, intrinsics.numpy(), poses.numpy(), grid_shape, _threads(), ctx.rule)
            )
        if ctx.needs_input_grad[1]:
            volume = values.detach().numpy()
            _, total = project_with_pose_pullback(
                volume, intrinsics.numpy(), poses.numpy(), weights, None, _threads(), ctx.rule
            )
            to_twist = torch.from_numpy(total.astype(np.float32))
        return to_values, to_twist, None, None, None, None


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
    values: Tensor,
    image_from_camera: Tensor,
    camera_from_voxel: Tensor,
    shape_px: tuple[int, int],
    rule: Rule = "joseph",
) -> Tensor:
    """The sum of :func:`project_torch` in plain torch, on any device, differentiable in ``camera_from_voxel`` too.

    Where ``values`` need no gradient, only the box of non-zero voxels is sampled. Batches of slices are recomputed in
    the backward pass rather than kept, so that memory does not grow with the volume.
    """
    channels = values.shape[0]
    values, first = (values, (0, 0, 0)) if values.requires_grad else _occupied(values)
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
        source = voxel_from_camera[:3, 3] - pixels.new_tensor(first)
        directions = rays @ voxel_from_camera[:3, :3].T
        dominant = directions.detach().abs().argmax(dim=1)
        image = values.new_zeros(channels, len(rays))
        for axis in range(3):
            chosen = torch.nonzero(dominant == axis)[:, 0]
            if len(chosen):
                image = image.index_add(
                    1, chosen, _march(values, source, directions[chosen], lengths_mm[chosen], axis, rule)
                )
        images.append(image.reshape(channels, *shape_px))
    return torch.stack(images)


def _occupied(values: Tensor) -> tuple[Tensor, tuple[int, int, int]]:
    """The box of non-zero voxels (one voxel at least) and its first index."""
    marked = (values != 0).any(dim=0)
    box = []
    for axis in range(3):
        present = torch.nonzero(marked.any(dim=tuple(a for a in range(3) if a != axis)))[:, 0]
        box.append((int(present[0]), int(present[-1]) + 1) if len(present) else (0, 1))
    (i0, i1), (j0, j1), (k0, k1) = box
    return values[:, i0:i1, j0:j1, k0:k1], (i0, j0, k0)


def _march(values: Tensor, source: Tensor, directions: Tensor, lengths_mm: Tensor, axis: int, rule: Rule) -> Tensor:
    """(C, M) integrals of M rays that run mostly along ``axis``; source and directions in voxels, float64."""
    across0, across1, along = MARCH_ORDER[axis]
    slabs = values.permute(along + 1, 0, across0 + 1, across1 + 1)  # (slices, C, P, Q)
    total = _sum_slices(slabs, source, directions, axis)
    if rule == "simpson":
        padded = functional.pad(slabs, (0, 0, 0, 0, 0, 0, 1, 1))
        shifted = source + torch.eye(3, dtype=source.dtype, device=source.device)[along] / 2
        total = total / 3 + _sum_slices((padded[:-1] + padded[1:]) / 2, shifted, directions, axis) * (2 / 3)
    return total * (lengths_mm / directions[:, along].abs()).to(values.dtype)


def _sum_slices(slabs: Tensor, source: Tensor, directions: Tensor, axis: int) -> Tensor:
    """(C, M) sums of bilinear samples on all ``slabs`` (slices, C, P, Q)."""
    total = slabs.new_zeros(slabs.shape[1], len(directions))
    batch = max(1, SAMPLES_AT_ONCE // len(directions))
    first = 0
    for slab in slabs.split(batch):
        if torch.is_grad_enabled() and (slabs.requires_grad or source.requires_grad):
            part = checkpoint(
                _sum_batch, slab, source, directions, axis, first, use_reentrant=False, preserve_rng_state=False
            )
        else:
            part = _sum_batch(slab, source, directions, axis, first)
        total = total + part
        first += len(slab)
    return total


def _sum_batch(slab: Tensor, source: Tensor, directions: Tensor, axis: int, first: int) -> Tensor:
    """(C, M): the slices ``first`` and on of :func:`_sum_slices`."""
    across0, across1, along = MARCH_ORDER[axis]
    size0, size1 = slab.shape[2:]
    offset = torch.arange(first, first + len(slab), device=slab.device)[:, None] - source[along]  # (slices, 1)
    at0, at1 = (source[a] + directions[:, a] / directions[:, along] * offset for a in (across0, across1))
    # grid_sample's (x, y): last axis first, -1 and 1 at the outer voxel edges (align_corners=False).
    grid = torch.stack([(2 * at1 + 1) / size1 - 1, (2 * at0 + 1) / size0 - 1], dim=-1).to(slab.dtype)
    samples = functional.grid_sample(slab, grid[:, None], padding_mode="zeros", align_corners=False)[:, :, 0]
    in_front = (offset * directions[:, along] > 0).to(slab.dtype)
    return (samples * in_front[:, None]).sum(dim=0)
