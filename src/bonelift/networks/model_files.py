"""The files of a trained model, read without torch, and the programs that a model has.

A model is a folder of config.json, weights.safetensors and, for use without torch, one ONNX graph a program. The graphs
hold no weights: both ways read the same file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

from numpy.typing import NDArray
from safetensors import SafetensorError

from bonelift.anatomy.shape_basis import BoneBasis, basis_from_arrays
from bonelift.errors import InputError
from bonelift.images import LabelGrid
from bonelift.images.volume import BONES
from bonelift.storage.input_files import read_bytes, read_json

CONFIG_NAME = "config.json"
WEIGHTS_NAME = "weights.safetensors"
SCHEMA_VERSION = 1
DEFAULT_MODEL = Path(__file__).resolve().parent.parent / "models" / "default"
LARGEST_WEIGHTS_BYTES = 2**31

Program = Literal["locate", "translate", "read_latent", "decode", "read_shape"]
"""locate: pictures (N, 1, 160, 160) -> points (N, 3, 2) px, share (N, 3), presence logit (N,).
translate: film (1, 1, H, W), view (1,) -> line integrals (1, 1, H, W).
read_latent: line integrals, view -> latent (1, latent). decode: latent -> soft labels (1, 2, I, J, K).
read_shape: pictures (1, 1 or 2, H, W), line integrals and then the film where the model reads it, view -> shape codes
(1, outputs) and the standard deviation expected of the error of each number (1, outputs); graphs of models made before
that was told give the codes alone.
"""

NETWORK_OF: dict[Program, str] = {
    "locate": "locator",
    "translate": "generator",
    "read_latent": "predictor",
    "decode": "decoder",
    "read_shape": "shape_regressor",
}
"""The network whose weights a program needs; S and its program come with a shape regressor."""


def read_config(place: Path) -> dict[str, Any]:
    """config.json of a model. Raises InputError for a missing folder or file, or a config that is not ours."""
    try:
        config = read_json(place / CONFIG_NAME, f"a model: a folder with {CONFIG_NAME} and {WEIGHTS_NAME}")
    except InputError as error:
        raise InputError(f"{place}: no model there, or a damaged one: {error}") from error
    version = config.get("schema_version") if isinstance(config, dict) else None
    if version != SCHEMA_VERSION:
        raise InputError(
            f"{place / CONFIG_NAME}: schema_version is {version}; expected {SCHEMA_VERSION}; "
            "get a model for this version"
        )
    return config


@contextmanager
def content_of_config(place: Path) -> Iterator[None]:
    """What reading a wrong configuration raises becomes an InputError that names the file."""
    try:
        yield
    except InputError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError, ArithmeticError) as error:
        raise InputError(
            f"{place / CONFIG_NAME}: not a usable model configuration ({error}); get the model again"
        ) from error


T = TypeVar("T")


def read_weights(place: Path, config: Mapping[str, Any], load: Callable[[bytes], dict[str, T]]) -> dict[str, T]:
    """Every tensor of a model, by safetensors' ``load`` (for torch or numpy). Raises InputError for a file that is
    missing, not safetensors, or not the one whose hash is in the config. Nothing is unpickled."""
    path = place / WEIGHTS_NAME
    content = read_checked(path, str(config.get("weights_sha256")), LARGEST_WEIGHTS_BYTES)
    try:
        return load(content)
    except SafetensorError as error:
        raise InputError(f"{path}: not a safetensors file ({error}); get the model again") from error


def read_checked(path: Path, sha256: str, largest: int) -> bytes:
    """Content of a file of a model. Raises InputError for a missing or too large file, or another hash."""
    content = read_bytes(path, "a file of a bonelift model; get the model again", largest)
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise InputError(
            f"{path}: sha256 is {digest[:12]}..., expected {sha256[:12]}...; the file is "
            f"damaged or belongs to another {CONFIG_NAME}; get the model again"
        )
    return content


def read_grid(config: Mapping[str, Any]) -> LabelGrid:
    facts = config["grid"]
    i, j, k = (int(number) for number in facts["shape"])
    x, y, z = (float(number) for number in facts["first_centre_mm"])
    return LabelGrid((i, j, k), float(facts["spacing_mm"]), (x, y, z))


def read_bases(config: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> dict[str, BoneBasis]:
    """Of radius and ulna; {} where the model has no shape regressor."""
    if "shape" not in config:
        return {}
    starts = {bone: f"shape_basis/{bone}/" for bone in BONES}
    bases = {
        bone: basis_from_arrays({k.removeprefix(start): a for k, a in arrays.items() if k.startswith(start)})
        for bone, start in starts.items()
    }
    outputs, lengths = int(config["shape"]["outputs"]), [basis.length for basis in bases.values()]
    if outputs != sum(lengths):
        raise InputError(
            f"shape regressor: {outputs} outputs for codes of {lengths[0]} and {lengths[1]} numbers; expected their "
            "sum; get the model again"
        )
    return bases
