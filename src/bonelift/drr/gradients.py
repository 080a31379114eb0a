"""Derivatives of :func:`bonelift.drr.joseph.project`: with respect to the pose, and to the voxel values.

A pose changes by a twist xi, left-multiplied in the camera frame: ``rigid_from_vector(xi) @ camera_from_voxel``, with
xi = (rotation vector in rad, translation in mm). All derivatives are taken at xi = 0 and are exact for the sum that
``project`` computes; that sum is piecewise smooth, so a finite difference agrees up to its own step.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bonelift.drr.joseph import (
    NO_GRADIENT,
    NO_WEIGHTS,
    Rule,
    checked_poses,
    checked_shape,
    kernel_arguments,
    marches,
    ray_fans,
    ray_volume,
)
from bonelift.drr.joseph_kernels import BLOCK, march
from bonelift.drr.ray_volume import Box, RayVolume, from_half_slices, run_parts
from bonelift.drr.scatter_kernels import scatter
from bonelift.errors import InputError

Float32 = NDArray[np.float32]


def project_with_pose_gradient(
    values: ArrayLike | RayVolume,
    image_from_camera: ArrayLike,
    camera_from_voxel: ArrayLike,
    shape_px: tuple[int, int],
    box: Box | None = None,
    threads: int = 1,
    rule: Rule = "joseph",
) -> tuple[Float32, Float32]:
    """Line integrals, and their derivative with respect to the pose twist, in one march.

    Arguments as in :func:`bonelift.drr.joseph.project`.
    Returns the images (C, rows, columns) and (C, rows, columns, 6) in value * mm per rad (first three) and value * mm
    per mm; with N poses both have a leading axis N.
    """
    volume = ray_volume(values, box, threads)
    poses, single = checked_poses(camera_from_voxel)
    rows, columns = checked_shape(shape_px)
    images = np.zeros((len(poses), volume.values.shape[0], rows, columns), dtype=np.float32)
    gradients = np.zeros((*images.shape, 6), dtype=np.float32)
    jobs = [
        (*kernel_arguments(marched, fan), fan.voxel_from_camera, image, gradient)
        for own, image, gradient in zip(
            marches(volume, image_from_camera, poses, (rows, columns), rule), images, gradients, strict=True
        )
        for marched, fan in own
    ]

    def run(part: int) -> None:
        for *arguments, voxel_from_camera, image, gradient in jobs:
            outputs = [image, gradient, NO_WEIGHTS, np.zeros(6)]
            call: list[Any] = [*arguments, part, max(threads, 1), voxel_from_camera, *outputs]
            march(*call)

    run_parts(run, threads)
    return (images[0], gradients[0]) if single else (images, gradients)


def project_with_pose_pullback(
    values: ArrayLike | RayVolume,
    image_from_camera: ArrayLike,
    camera_from_voxel: ArrayLike,
    image_gradient: ArrayLike,
    box: Box | None = None,
    threads: int = 1,
    rule: Rule = "joseph",
) -> tuple[Float32, NDArray[np.float64]]:
    """Line integrals, and the derivative of a loss with respect to the pose twist, without an image-sized Jacobian.

    image_gradient: (C, rows, columns), or (N, C, rows, columns) for N poses: derivative of the loss with respect to
        each pixel.
    Returns the images, like ``image_gradient``, and (6,) or (N, 6): the loss per rad and per mm.
    """
    volume = ray_volume(values, box, threads)
    poses, single = checked_poses(camera_from_voxel)
    weights = _checked_images(image_gradient, len(poses), single, volume.values.shape[0])
    images = np.zeros_like(weights)
    totals = np.zeros((max(threads, 1), len(poses), 6))
    jobs = [
        (*kernel_arguments(marched, fan), fan.voxel_from_camera, index)
        for index, own in enumerate(marches(volume, image_from_camera, poses, checked_shape(weights.shape[2:]), rule))
        for marched, fan in own
    ]

    def run(part: int) -> None:
        for *arguments, voxel_from_camera, index in jobs:
            outputs = [images[index], NO_GRADIENT, weights[index], totals[part, index]]
            call: list[Any] = [*arguments, part, max(threads, 1), voxel_from_camera, *outputs]
            march(*call)

    run_parts(run, threads)
    total = totals.sum(axis=0)
    return (images[0], total[0]) if single else (images, total)


def back_project(
    image_gradient: ArrayLike,
    image_from_camera: ArrayLike,
    camera_from_voxel: ArrayLike,
    grid_shape: tuple[int, int, int],
    threads: int = 1,
    rule: Rule = "joseph",
) -> Float32:
    """The transpose of ``project``: derivative of a loss with respect to every voxel, summed over poses.

    image_gradient: (C, rows, columns), or (N, C, rows, columns) for N poses.
    grid_shape: (I, J, K). rule: that of the projection it belongs to.
    Returns (C, I, J, K) float32, the same for any number of threads; <project(x), y> = <x, back_project(y)>.
    """
    poses, single = checked_poses(camera_from_voxel)
    channels = np.shape(image_gradient)[-3] if np.ndim(image_gradient) >= 3 else 1
    weights = _checked_images(image_gradient, len(poses), single, channels)
    values = np.zeros((channels, *grid_shape), dtype=np.float32)
    everywhere = _marked_everywhere(values)
    share = 1.0 if rule == "joseph" else 1 / 3
    axes = _scatter_all(everywhere, image_from_camera, poses, weights, threads, share)
    if rule == "simpson":
        for axis in axes:
            between = np.zeros(tuple(n + (a == axis + 1) for a, n in enumerate(values.shape)), dtype=np.float32)
            shifted = poses.copy()
            shifted[:, :3, 3] -= 0.5 * poses[:, :3, axis]
            _scatter_all(_marked_everywhere(between), image_from_camera, shifted, weights, threads, 2 / 3, axis)
            values += from_half_slices(between, axis)
    return values


def _marked_everywhere(values: Float32) -> RayVolume:
    """``values`` to be written to: a voxel that is zero has a derivative too, so that nothing is skipped."""
    shape = (values.shape[1], values.shape[2], values.shape[3])
    blocks = tuple(-(-n // BLOCK) for n in shape)
    return RayVolume(values, ((0, 0, 0), shape), np.ones(blocks, dtype=np.uint8))


def _scatter_all(
    target: RayVolume, image_from_camera: ArrayLike, poses: NDArray[np.floating], weights: Float32, threads: int,
    share: float, only_axis: int | None = None,
) -> set[int]:  # fmt: skip
    """Add the weights of all poses into ``target.values``; returns the axes that were marched along."""
    jobs: dict[int, list[tuple[tuple[Any, ...], Float32]]] = {}
    fans = ray_fans(target, image_from_camera, poses, checked_shape(weights.shape[2:]))
    for weight, own in zip(weights, fans, strict=True):
        for fan in own:
            if only_axis in (None, fan.axis):
                jobs.setdefault(fan.axis, []).append((kernel_arguments(target, replace(fan, share=share)), weight))

    def run(axis: int, part: int) -> None:
        for arguments, weight in jobs[axis]:
            call: list[Any] = [*arguments, part, max(threads, 1), weight]
            scatter(*call)

    # One axis after the other: a part has its own slices of one axis, and those of another axis cut across them.
    for axis in jobs:
        run_parts(partial(run, axis), threads)
    return set(jobs)


def _checked_images(image_gradient: ArrayLike, poses: int, single: bool, channels: int) -> Float32:
    """(N, C, rows, columns) float32 from (C, rows, columns) for a single pose, or as it is."""
    images = np.asarray(image_gradient, dtype=np.float32)
    images = images[None] if single and images.ndim == 3 else images
    if images.ndim != 4 or images.shape[:2] != (poses, channels):
        raise InputError(
            f"drr: image gradient has shape {np.shape(image_gradient)}; expected {channels} channels of "
            f"(rows, columns) for each of {poses} poses"
        )
    return np.ascontiguousarray(images)
