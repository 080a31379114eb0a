"""A trained model in torch: every network with its configuration, kept as a folder of config.json and
weights.safetensors. To use a model, :func:`bonelift.networks.model.load_model`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load, save
from torch import Tensor, nn

from bonelift.anatomy.shape_basis import BoneBasis, basis_arrays
from bonelift.errors import InputError
from bonelift.images import LabelGrid
from bonelift.images.volume import BONES
from bonelift.networks.locator import Locator, LocatorConfig
from bonelift.networks.model_files import (
    CONFIG_NAME,
    DEFAULT_MODEL,
    NETWORK_OF,
    SCHEMA_VERSION,
    WEIGHTS_NAME,
    Program,
    content_of_config,
    read_bases,
    read_config,
    read_grid,
    read_weights,
)
from bonelift.networks.outlines import Outlines, outline_arrays, outlines_from_arrays
from bonelift.networks.pix2pix import Generator, Pix2pixConfig
from bonelift.networks.programs import program_module
from bonelift.networks.shape_regressor import ShapeConfig, ShapeReader, new_shape_reader
from bonelift.networks.tl_embedding import DRR_SCALE, Decoder, Encoder, Predictor, TlConfig
from bonelift.storage.whole import write_whole


@dataclass(frozen=True)
class ModelBundle:
    """Networks in evaluation mode, float32, with what is needed to use them.

    name: model id. grid: lattice of the TL-embedding network's fields in the radius frame. drr_scale: line integral
    that networks see as 1. shape: the shape regressor, which a model need not have; outlines: what corrects it by the
    outlines of its bones, by view and kind of picture.
    metadata: JSON-able facts of the training. weights_sha256: of the weights file; "" for one never saved.
    """

    name: str
    grid: LabelGrid
    tl: TlConfig
    pix2pix: Pix2pixConfig
    locator_config: LocatorConfig
    encoder: Encoder
    decoder: Decoder
    predictor: Predictor
    generator: Generator
    locator: Locator
    metadata: Mapping[str, Any]
    shape: ShapeReader | None = None
    outlines: Outlines = field(default_factory=dict)
    drr_scale: float = DRR_SCALE
    weights_sha256: str = ""

    def __post_init__(self) -> None:
        if self.grid.shape != self.tl.grid_shape:
            raise InputError(f"model {self.name}: grid {self.grid.shape} but networks for {self.tl.grid_shape}")
        for network in self.networks.values():
            network.eval().requires_grad_(False)

    @property
    def networks(self) -> dict[str, nn.Module]:
        networks: dict[str, nn.Module] = {
            "encoder": self.encoder,
            "decoder": self.decoder,
            "predictor": self.predictor,
            "generator": self.generator,
            "locator": self.locator,
        }
        return networks | ({"shape_regressor": self.shape.network} if self.shape else {})

    @property
    def device(self) -> torch.device:
        return next(self.decoder.parameters()).device

    @property
    def film_shape(self) -> tuple[int, int]:
        return self.tl.film_shape

    @property
    def bases(self) -> Mapping[str, BoneBasis]:
        return self.shape.bases if self.shape else {}

    @property
    def reads_film(self) -> bool:
        return self.shape is not None and self.shape.config.reads_film

    @torch.no_grad()
    def run(self, program: Program, *inputs: NDArray[Any]) -> tuple[NDArray[np.float32], ...]:
        """Outputs of a program (:class:`bonelift.networks.model.WristModel`)."""
        tensors = [torch.from_numpy(np.ascontiguousarray(array)).to(self.device) for array in inputs]
        if NETWORK_OF[program] not in self.networks:
            raise InputError(f"model {self.name}: has no program {program}")
        outputs = program_module(program, self.networks, self.drr_scale).module(*tensors)
        several = (outputs,) if isinstance(outputs, Tensor) else outputs
        return tuple(output.float().cpu().numpy() for output in several)


def new_bundle(
    name: str,
    grid: LabelGrid,
    tl: TlConfig,
    pix2pix: Pix2pixConfig,
    locator: LocatorConfig,
    metadata: Mapping[str, Any] | None = None,
) -> ModelBundle:
    """A bundle of untrained networks; load weights into its networks, or replace them."""
    networks = (Encoder(tl), Decoder(tl), Predictor(tl), Generator(pix2pix), Locator(locator))
    return ModelBundle(name, grid, tl, pix2pix, locator, *networks, metadata or {})


def save_bundle(bundle: ModelBundle, folder: Path) -> str:
    """Write config.json and weights.safetensors into ``folder``; returns the sha256 of the weights.

    Matrices and kernels are stored as float16; vectors (biases, running statistics), which are few, as they are.
    """
    tensors = {
        f"{name}/{key}": _packed(f"{name}/{key}", tensor)
        for name, network in bundle.networks.items()
        for key, tensor in network.state_dict().items()
    }
    if bundle.shape:
        tensors |= _basis_tensors(bundle.shape)
        tensors |= _outline_tensors(bundle.outlines)
    content = save(tensors)
    digest = hashlib.sha256(content).hexdigest()
    config = {
        "schema_version": SCHEMA_VERSION,
        "name": bundle.name,
        "weights_sha256": digest,
        "drr_scale": bundle.drr_scale,
        "grid": asdict(bundle.grid),
        "tl": asdict(bundle.tl),
        "pix2pix": asdict(bundle.pix2pix),
        "locator": asdict(bundle.locator_config),
        **({"shape": asdict(bundle.shape.config)} if bundle.shape else {}),
        "metadata": dict(bundle.metadata),
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / WEIGHTS_NAME, content)
    write_whole(folder / CONFIG_NAME, json.dumps(config, indent=1) + "\n")
    return digest


def _basis_tensors(shape: ShapeReader) -> dict[str, Tensor]:
    """The bases of both bones: modes as float16 (under 1 um off), the rest as it is."""
    tensors = {}
    for bone, basis in shape.bases.items():
        for name, array in basis_arrays(basis).items():
            tensor = torch.from_numpy(np.array(array))
            tensors[f"shape_basis/{bone}/{name}"] = tensor.half() if name == "modes" else tensor
    return tensors


def _outline_tensors(outlines: Outlines) -> dict[str, Tensor]:
    """Weights as float16; covariances as float32, for they are inverted."""
    tensors = {name: torch.from_numpy(np.array(array)) for name, array in outline_arrays(outlines).items()}
    return {name: t if name.endswith("covariance") else _packed(name, t) for name, t in tensors.items()}


def _packed(name: str, tensor: Tensor) -> Tensor:
    tensor = tensor.detach().cpu().contiguous()
    if not tensor.is_floating_point() or tensor.ndim < 2:
        return tensor
    packed = tensor.to(torch.float16)
    if not torch.isfinite(packed).all():
        raise InputError(f"{name}: weights are not finite or over 65504; training has diverged")
    return packed


def _unpacked(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def load_bundle(folder: Path | str | None = None, device: str = "cpu") -> ModelBundle:
    """Read a bundle; None is the model that comes with the package.

    Raises InputError, one line, for a missing folder or file, a config that is not ours, weights that do not fit it or
    whose hash is not the one in the config. Nothing is unpickled.
    """
    place = DEFAULT_MODEL if folder is None else Path(folder)
    config = read_config(place)
    tensors = read_weights(place, config, load)
    with content_of_config(place):
        # On the meta device weights take neither memory nor the time of drawing them.
        with torch.device("meta"):
            bundle = new_bundle(
                str(config["name"]),
                read_grid(config),
                _dataclass_from(TlConfig, config["tl"]),
                _dataclass_from(Pix2pixConfig, config["pix2pix"]),
                _dataclass_from(LocatorConfig, config["locator"]),
                dict(config["metadata"]),
            )
            if "shape" in config:
                shape_config = _dataclass_from(ShapeConfig, config["shape"])
                starts = ("shape_basis/", "outlines/")
                arrays = {key: tensor.numpy() for key, tensor in tensors.items() if key.startswith(starts)}
                bases = read_bases(config, arrays)
                bundle = replace(
                    bundle,
                    shape=new_shape_reader(shape_config, *(bases[bone] for bone in BONES)),
                    outlines=outlines_from_arrays(arrays, shape_config.outputs),
                )
        bundle = _with(bundle, drr_scale=float(config["drr_scale"]), weights_sha256=str(config["weights_sha256"]))
    _load_weights(bundle, tensors, place / WEIGHTS_NAME)
    for network in bundle.networks.values():
        network.to(device)
    return bundle


def _with(bundle: ModelBundle, drr_scale: float, weights_sha256: str) -> ModelBundle:
    if not 0 < drr_scale < 1e6:
        raise ValueError(f"drr_scale {drr_scale}")
    fields = {name: getattr(bundle, name) for name in bundle.__dataclass_fields__}
    return ModelBundle(**{**fields, "drr_scale": drr_scale, "weights_sha256": weights_sha256})


def _load_weights(bundle: ModelBundle, tensors: Mapping[str, Tensor], path: Path) -> None:
    for name, network in bundle.networks.items():
        start = f"{name}/"
        weights = {key.removeprefix(start): _unpacked(t) for key, t in tensors.items() if key.startswith(start)}
        if not all(bool(torch.isfinite(tensor).all()) for tensor in weights.values()):
            raise InputError(f"{path}: weights of {name} hold NaN or infinity; get the model again")
        try:
            network.load_state_dict(weights, assign=True)
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()
            raise InputError(f"{path}: weights of {name} do not fit config.json ({reason})") from error


Config = TypeVar("Config", TlConfig, Pix2pixConfig, LocatorConfig, ShapeConfig)


def _dataclass_from(kind: type[Config], facts: Mapping[str, Any]) -> Config:
    """JSON has no tuples: lists become tuples again."""
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in facts.items()}
    return kind(**values)
