"""Where and in which precision a network runs, and the one way in which its weights are updated."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


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
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(parameters, clip_norm)
    if torch.isfinite(norm):
        optimiser.step()
