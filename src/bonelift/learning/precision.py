"""Where and in which precision a network runs, and the one way in which its weights are updated.

An update can be spread over several calls of a stage's step (gradient accumulation) and over several processes (data
parallel): the loop says which part of an update a step is, ``backward`` adds gradients until the last part and
then averages them over the processes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bonelift.learning.distributed import average_gradients

_PART: ContextVar[tuple[int, int]] = ContextVar("part of an update", default=(0, 1))


@contextmanager
def part_of_update(index: int, count: int) -> Iterator[None]:
    """The step inside is part ``index`` of ``count`` of one update; the last part makes it."""
    token = _PART.set((index, count))
    try:
        yield
    finally:
        _PART.reset(token)


def place(network: nn.Module, device: str, three_dimensional: bool = False) -> None:
    """Move to ``device``, channels last: faster convolutions on CPU and GPU, the same numbers."""
    layout = torch.channels_last_3d if three_dimensional else torch.channels_last
    network.to(device=device)
    network.to(memory_format=layout)  # pyright: ignore[reportCallIssue] - torch's stub lacks this overload


def half_precision(enabled: bool, device: str) -> AbstractContextManager[None]:
    """bfloat16 convolutions and matrix products; weights, losses and updates stay float32.

    On a CPU without AVX-512 torch only emulates bfloat16, tens of times slower than float32 (0.5 s against 19 s for a
    batch of 32 films through P and back on an AVX2 machine), so there everything stays float32.
    """
    kind = torch.device(device).type
    fast = kind != "cpu" or torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    return torch.autocast(kind, dtype=torch.bfloat16, enabled=enabled and fast)  # type: ignore[return-value]


def clip_and_update(loss: Tensor, optimiser: Optimizer, parameters: Sequence[nn.Parameter], clip_norm: float) -> None:
    """One update, its gradient's norm held below ``clip_norm``; left out where the gradient is not finite."""
    if backward(loss, optimiser):
        norm = nn.utils.clip_grad_norm_(parameters, clip_norm)
        if torch.isfinite(norm):
            optimiser.step()


def backward(loss: Tensor, optimiser: Optimizer) -> bool:
    """Add the gradient of ``loss``, a mean over the batch; True when the update's gradient is complete.

    It is then the mean over the parts of the update and over all processes.
    """
    index, count = _PART.get()
    if index == 0:
        optimiser.zero_grad(set_to_none=True)
    (loss / count if count > 1 else loss).backward()
    if index < count - 1:
        return False
    average_gradients(parameter for group in optimiser.param_groups for parameter in group["params"])
    return True
