"""What a trained model is to those who use it, without torch: named programs on arrays, and what is known of it."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bonelift.anatomy.shape_basis import BoneBasis
from bonelift.extras import missing
from bonelift.images import LabelGrid
from bonelift.networks.device import check_device
from bonelift.networks.model_files import DEFAULT_MODEL, Program, read_config
from bonelift.networks.outlines import Outlines


class WristModel(Protocol):
    """A model ready to use.

    name: model id. grid: lattice of the TL-embedding network's fields, radius frame. film_shape: rows, columns of its
    films. bases: of radius and ulna, that the shape codes are written in; empty where the model has no shape regressor.
    reads_film: whether read_shape takes the film after the DRR. outlines: what corrects a reading by the outlines of
    its bones (:mod:`bonelift.networks.outlines`), for each kind of picture that there is a reader for.
    metadata: JSON-able facts of the training.
    weights_sha256: of the weights file; "" for one never saved.
    """

    @property
    def name(self) -> str: ...
    @property
    def grid(self) -> LabelGrid: ...
    @property
    def film_shape(self) -> tuple[int, int]: ...
    @property
    def bases(self) -> Mapping[str, BoneBasis]: ...
    @property
    def reads_film(self) -> bool: ...
    @property
    def outlines(self) -> Outlines: ...
    @property
    def metadata(self) -> Mapping[str, Any]: ...
    @property
    def weights_sha256(self) -> str: ...

    def run(self, program: Program, *inputs: NDArray[Any]) -> tuple[NDArray[np.float32], ...]:
        """Outputs of a program; see ``Program``. Pictures and latents float32, views int64 (0 PA, 1 lateral)."""
        ...


def load_model(folder: Path | str | None = None, device: str = "cpu") -> WristModel:
    """The model in ``folder``, ready to use; None is the one that comes with the package.

    On the CPU ONNX Runtime runs the graphs of the folder; torch runs a model without graphs, or another ``device``.
    Raises InputError: see read_config, read_weights and check_device, and where torch is needed and not there.
    """
    place = DEFAULT_MODEL if folder is None else Path(folder)
    config = read_config(place)
    check_device(device)
    if device == "cpu" and "graphs" in config and importlib.util.find_spec("onnxruntime"):
        # Each way is imported where it is taken: torch takes seconds, and need not be there.
        from bonelift.networks.onnx_model import load_onnx_model

        return load_onnx_model(place, config)
    if importlib.util.find_spec("torch") is None:
        raise missing("torch", f"{place}: a model without ONNX graphs")
    from bonelift.networks.bundle import load_bundle

    return load_bundle(place, device)
