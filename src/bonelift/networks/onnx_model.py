"""A model run by ONNX Runtime: a default install has no torch, which takes half a gigabyte and seconds to import."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from safetensors.numpy import load

from bonelift.anatomy.shape_basis import BoneBasis
from bonelift.errors import InputError
from bonelift.images import LabelGrid
from bonelift.networks.model_files import (
    NETWORK_OF,
    Program,
    content_of_config,
    read_bases,
    read_checked,
    read_grid,
    read_weights,
)
from bonelift.networks.outlines import Outlines, outlines_from_arrays

LARGEST_GRAPH_BYTES = 2**20
"""Weights are not in a graph."""


@dataclass(frozen=True, eq=False)
class OnnxModel:
    """See :class:`bonelift.networks.model.WristModel`. weights: of all networks, by name; graphs: program -> ONNX."""

    name: str
    grid: LabelGrid
    film_shape: tuple[int, int]
    bases: Mapping[str, BoneBasis]
    reads_film: bool
    outlines: Outlines
    metadata: Mapping[str, Any]
    weights_sha256: str
    weights: Mapping[str, NDArray[Any]]
    graphs: Mapping[str, bytes]
    _sessions: dict[str, onnxruntime.InferenceSession] = field(default_factory=dict)

    def run(self, program: Program, *inputs: NDArray[Any]) -> tuple[NDArray[np.float32], ...]:
        """Outputs of a program. Raises InputError where the model has none of that name, or one that cannot run."""
        session = self._session(program)
        names = [node.name for node in session.get_inputs()]
        outputs = session.run(None, dict(zip(names, inputs, strict=True)))
        return tuple(np.asarray(output, dtype=np.float32) for output in outputs)

    def _session(self, program: Program) -> onnxruntime.InferenceSession:
        if program not in self._sessions:
            if program not in self.graphs:
                raise InputError(f"model {self.name}: has no program {program}")
            self._sessions[program] = _session(program, self.graphs[program], self.weights)
        return self._sessions[program]


def _session(program: Program, graph: bytes, weights: Mapping[str, NDArray[Any]]) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", 0))
    values = {
        key.replace("/", ".", 1): array.astype(np.float32)
        for key, array in weights.items()
        if key.startswith(f"{NETWORK_OF[program]}/") and array.dtype.kind == "f"
    }
    for name, array in values.items():
        if not np.isfinite(array).all():
            raise InputError(f"weights of {name} hold NaN or infinity; get the model again")
    held = [onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(array)) for array in values.values()]
    options.add_external_initializers(list(values), held)
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own have no common base.
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{program}.onnx does not fit the weights or cannot be read ({reason}); get the model again"
        ) from error


def load_onnx_model(place: Path, config: Mapping[str, Any]) -> OnnxModel:
    """Read a model that has graphs. config: of read_config. Raises InputError: see read_weights and read_checked;
    nothing is unpickled."""
    weights = read_weights(place, config, load)
    with content_of_config(place):
        graphs = {
            str(program): read_checked(place / f"{program}.onnx", str(digest), LARGEST_GRAPH_BYTES)
            for program, digest in config["graphs"].items()
            if program in NETWORK_OF
        }
        rows, columns = config["tl"]["film_shape"]
        return OnnxModel(
            str(config["name"]),
            read_grid(config),
            (int(rows), int(columns)),
            read_bases(config, weights),
            bool(config.get("shape", {}).get("reads_film", False)),
            outlines_from_arrays(weights, int(config.get("shape", {}).get("outputs", 0))),
            dict(config["metadata"]),
            str(config["weights_sha256"]),
            weights,
            graphs,
        )
