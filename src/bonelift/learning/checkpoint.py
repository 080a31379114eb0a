"""One file holds everything a run needs to go on: tensors as safetensors, the rest as JSON in its header."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from bonelift.errors import InputError
from bonelift.storage.whole import clear_partials, whole_file

CHECKPOINT_NAME = "checkpoint.safetensors"


def save_checkpoint(path: Path, tensors: dict[str, Tensor], state: dict[str, Any]) -> None:
    """Write ``tensors`` and the JSON-able ``state``; an earlier file at ``path`` is replaced only whole.

    The bytes are on the disk before the name is: neither kill -9 nor a power cut leaves half a checkpoint. Raises
    InputError where the disk takes no more; the earlier checkpoint then stands.
    """
    contiguous = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    try:
        with whole_file(path) as partial:
            save_file(contiguous, partial, metadata={"state": json.dumps(state)})
        clear_partials(path)
    except (OSError, SafetensorError) as error:
        raise InputError(
            f"{path}: the checkpoint cannot be written ({error}); the one before it is kept: free some space and run "
            "the same command again"
        ) from error


def read_state(path: Path) -> dict[str, Any]:
    """The state of a checkpoint without its tensors. InputError: see :func:`load_checkpoint`."""
    return _read(path, with_tensors=False)[1]


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What ``save_checkpoint`` wrote. InputError where the file is missing, cut short or not a checkpoint."""
    return _read(path, with_tensors=True)


def _read(path: Path, with_tensors: bool) -> tuple[dict[str, Tensor], dict[str, Any]]:
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint; expected a file that training wrote")
    try:
        with safe_open(path, framework="pt") as file:
            state = json.loads((file.metadata() or {})["state"])
            names = file.keys() if with_tensors else ()
            tensors = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise InputError(f"{path}: not a readable checkpoint ({error}); delete it to start again") from error
    if not isinstance(state, dict):
        raise InputError(f"{path}: not a checkpoint of bonelift; delete it to start again")
    return tensors, state


def network_tensors(networks: dict[str, nn.Module]) -> dict[str, Tensor]:
    return {
        f"network/{name}/{key}": tensor
        for name, network in networks.items()
        for key, tensor in network.state_dict().items()
    }


def restore_networks(networks: dict[str, nn.Module], tensors: dict[str, Tensor], source: Path) -> None:
    """Load the weights of each network in place; names and shapes must fit."""
    for name, network in networks.items():
        start = f"network/{name}/"
        weights = {key.removeprefix(start): tensor for key, tensor in tensors.items() if key.startswith(start)}
        try:
            network.load_state_dict(weights)
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()
            raise InputError(
                f"{source}: weights of {name} do not fit ({reason}); use the configuration they were trained with"
            ) from error


def load_networks(run_folder: Path, networks: dict[str, nn.Module]) -> None:
    """Give ``networks`` the weights that a run has reached."""
    path = run_folder / CHECKPOINT_NAME
    restore_networks(networks, load_checkpoint(path)[0], path)


def optimiser_tensors(optimisers: dict[str, Optimizer]) -> dict[str, Tensor]:
    """The state of each parameter (Adam's moments and step); learning rates are the loop's."""
    return {
        f"optimiser/{name}/{index}/{key}": torch.as_tensor(value)
        for name, optimiser in optimisers.items()
        for index, entry in optimiser.state_dict()["state"].items()
        for key, value in entry.items()
    }


def restore_optimisers(optimisers: dict[str, Optimizer], tensors: dict[str, Tensor], source: Path) -> None:
    for name, optimiser in optimisers.items():
        state: dict[int, dict[str, Tensor]] = {}
        start = f"optimiser/{name}/"
        for key, tensor in tensors.items():
            if key.startswith(start):
                index, entry = key.removeprefix(start).split("/")
                state.setdefault(int(index), {})[entry] = tensor
        try:
            optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
        except (ValueError, KeyError) as error:
            raise InputError(f"{source}: optimiser {name} does not fit ({error}); delete it to start again") from error
