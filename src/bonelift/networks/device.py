"""The device that networks run on, looked at before anything is made for it."""

from __future__ import annotations

from bonelift.errors import InputError
from bonelift.extras import is_there, missing


def check_device(device: object) -> str:
    """``device`` where PyTorch can work on it here; "cpu" needs no PyTorch.

    Raises InputError, one line: no device of that name, none on this computer, or PyTorch is not installed.
    """
    if not isinstance(device, str):
        raise InputError(f"--device is {type(device).__name__} {device!r:.40}; expected 'cpu' or 'cuda'")
    if device == "cpu":
        return device
    if not is_there("torch"):
        raise missing("torch", f"--device {device}")
    # Imported here: torch takes seconds, and the CPU needs no look.
    import torch

    try:
        torch.zeros(1, device=device).cpu()
    except (AssertionError, RuntimeError, TypeError, ValueError):  # whatever torch raises of a device that it lacks
        raise InputError(
            f"--device {device:.40}: PyTorch cannot use it on this computer; expected cpu, or cuda where there is an "
            "NVIDIA graphics card and PyTorch's CUDA build"
        ) from None
    return device
