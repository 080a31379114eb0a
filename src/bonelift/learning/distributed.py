"""Data-parallel training under ``torchrun``: every process trains on its own batches, all make the same update.

Gradients are averaged just before an update instead of wrapping the networks (DistributedDataParallel, Lightning
Fabric): a step here runs several networks of which some are held fixed while gradients pass through them, twice with
two optimisers, and a wrapper has to be told of each such case. Fabric would add eleven packages, an HTTP client among
them, to do less.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn

from bonelift import progress
from bonelift.errors import InputError

_PATIENCE = timedelta(hours=6)
"""How long processes wait for the first one, which alone makes samples."""


@contextmanager
def process_group(device: str) -> Iterator[int]:
    """Joins the processes that torchrun started, gloo on CPU and nccl on CUDA; yields this one's rank, 0 if alone.

    Inside a group it changes nothing. Only the first process shows progress.
    """
    if in_group():
        yield rank()
        return
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        yield 0
        return
    on_gpu = torch.device(device).type == "cuda"
    if on_gpu:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    try:
        distributed.init_process_group("nccl" if on_gpu else "gloo", timeout=_PATIENCE)
    except (RuntimeError, ValueError) as error:
        raise InputError(f"torchrun: the processes cannot meet ({error}); start all of them with torchrun") from error
    try:
        with nullcontext() if rank() == 0 else progress.shown_by(progress.silent):
            yield rank()
    finally:
        distributed.destroy_process_group()


def in_group() -> bool:
    return distributed.is_available() and distributed.is_initialized()


def rank() -> int:
    """0 for the process that writes checkpoints and curves, or the only one."""
    return distributed.get_rank() if in_group() else 0


def world_size() -> int:
    return distributed.get_world_size() if in_group() else 1


def barrier() -> None:
    if in_group():
        distributed.barrier()


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace each gradient by its mean over the processes, in one message."""
    if not in_group():
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    flat /= world_size()
    start = 0
    for gradient in gradients:
        gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
        start += gradient.numel()


def share_buffers(networks: Iterable[nn.Module]) -> None:
    """Every process takes the first one's running statistics, so that the networks stay equal."""
    if in_group():
        for network in networks:
            for buffer in network.buffers():
                distributed.broadcast(buffer, 0)


def from_first(value: Any) -> Any:
    """The first process's ``value`` (small, JSON-like) in all of them."""
    if not in_group():
        return value
    box = [value]
    distributed.broadcast_object_list(box, 0)
    return box[0]


def any_of(flag: bool) -> bool:
    """Whether the flag is set in any process."""
    if not in_group():
        return flag
    device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    total = torch.tensor(int(flag), device=device)
    distributed.all_reduce(total)
    return bool(total.item())


def gathered(tensor: Tensor) -> list[Tensor]:
    """The CPU tensors of all processes, in order of rank; the same list everywhere."""
    if not in_group():
        return [tensor]
    parts: list[Any] = [None] * world_size()
    distributed.all_gather_object(parts, tensor.tolist())
    return [torch.tensor(part, dtype=tensor.dtype) for part in parts]
