"""ONNX graphs of a saved model, so that it can be used without torch. Needs onnx and onnxscript (the train extra)."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bonelift.errors import InputError
from bonelift.extras import how_to_install
from bonelift.networks.bundle import ModelBundle, load_bundle
from bonelift.networks.model_files import CONFIG_NAME, NETWORK_OF, WEIGHTS_NAME, Program, read_config
from bonelift.networks.programs import program_module
from bonelift.storage.whole import write_whole

OPSET = 18


def can_export() -> bool:
    """Whether what torch's exporter needs is installed (the train extra)."""
    return all(importlib.util.find_spec(name) for name in ("onnx", "onnxscript"))


def add_graphs(folder: Path) -> list[str]:
    """Write one graph for each program of the model in ``folder`` and note their hashes in its config; returns their
    file names. Raises InputError where onnx or onnxscript is missing."""
    bundle = load_bundle(folder)
    graphs: dict[str, bytes] = {
        program: export_program(program, bundle) for program in NETWORK_OF if program != "read_shape" or bundle.shape
    }
    for program, content in graphs.items():
        write_whole(folder / f"{program}.onnx", content)
    config = read_config(folder)
    config["graphs"] = {program: hashlib.sha256(content).hexdigest() for program, content in graphs.items()}
    write_whole(folder / CONFIG_NAME, json.dumps(config, indent=1) + "\n")
    return [f"{program}.onnx" for program in graphs]


def export_program(program: Program, bundle: ModelBundle) -> bytes:
    """The graph of one program, its weights named and left out: ONNX Runtime is given those of the weights file."""
    made = program_module(program, bundle.networks, bundle.drr_scale)
    examples = tuple(_example(name, bundle) for name in made.inputs)
    batch = {0: torch.export.Dim("batch", min=1, max=64)}
    shapes = tuple(batch for _ in examples) if program == "locate" else None
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        exported = _exported(made.module, examples, made.inputs, made.outputs, shapes)
    graph = exported.graph
    weights = set(made.module.state_dict())
    for tensor in graph.initializer:
        if tensor.name in weights:
            tensor.ClearField("raw_data")
            tensor.data_location = 1  # TensorProto.EXTERNAL
            place = tensor.external_data.add()
            place.key, place.value = "location", WEIGHTS_NAME
    # What the exporter notes of the machine and the source is of no use here.
    exported.ClearField("metadata_props")
    graph.ClearField("value_info")
    for node in graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    return exported.SerializeToString(deterministic=True)


def _exported(
    module: torch.nn.Module, examples: tuple[Tensor, ...], inputs: Sequence[str], outputs: Sequence[str], shapes: Any
) -> Any:
    """The graph as torch's exporter makes it, with the weights."""
    exporter = logging.getLogger("torch.onnx")
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        program = torch.onnx.export(
            module, examples, input_names=list(inputs), output_names=list(outputs), opset_version=OPSET,
            dynamo=True, optimize=False, verbose=False, dynamic_shapes=shapes,
        )  # fmt: skip
    except (ImportError, torch.onnx.errors.OnnxExporterError) as error:
        raise InputError(
            f"export to ONNX failed ({error}); it needs onnx and onnxscript: {how_to_install('train')}"
        ) from error
    finally:
        exporter.setLevel(level)
    assert program is not None  # It is None only where a file is written.
    return program.model_proto


def _example(name: str, bundle: ModelBundle) -> Tensor:
    if name == "view":
        return torch.zeros(1, dtype=torch.int64)
    if name == "latent":
        return torch.zeros(1, bundle.tl.latent)
    if name == "picture":
        return torch.rand(2, 1, *bundle.locator_config.input_shape)
    return torch.rand(1, 2 if name == "pictures" and bundle.reads_film else 1, *bundle.film_shape)
