"""What the packaged shape model holds, and what a sampled wrist is."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bonelift.errors import InputError
from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]
Sex = Literal["female", "male"]

FORMAT_VERSION = 1


@dataclass(frozen=True, eq=False)
class BoneModel:
    """Mean surface and modes of one bone, in the mean wrist's radius frame, mm, scale removed.

    mean: closed template running to z about -100. modes: (K, V, 3) displacement of one standard deviation each, from
    the localised covariance over the reference bones; independent.
    """

    mean: TriangleMesh
    modes: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class ShapeModel:
    """Distal radius and ulna of a right wrist as summary statistics over subjects.

    landmarks: name -> (3,) mm on the mean wrist. Names: see :mod:`bonelift.anatomy.landmarks`.
    """

    radius: BoneModel
    ulna: BoneModel
    landmarks: dict[str, Float]


@dataclass(frozen=True, eq=False)
class WristShape:
    """One right wrist in its own radius frame, mm.

    radius, ulna: closed meshes to z about -100. landmarks: name -> (3,). description: the drawn parameters, units in
    their names.
    """

    radius: TriangleMesh
    ulna: TriangleMesh
    landmarks: dict[str, Float]
    sex: Sex
    age_years: float
    description: dict[str, float] = field(default_factory=dict)


def save_model(path: Path, model: ShapeModel) -> None:
    """Write the model as a compressed npz (no pickles); modes as float16 (their SD is under 2 mm: error < 1 um)."""
    names = sorted(model.landmarks)
    arrays: dict[str, NDArray[np.generic]] = {
        "format_version": np.array(FORMAT_VERSION),
        "landmark_names": np.array(names),
        "landmark_points": np.array([model.landmarks[name] for name in names], dtype=np.float32),
    }
    for name, bone in (("radius", model.radius), ("ulna", model.ulna)):
        arrays[f"{name}_mean"] = bone.mean.vertices.astype(np.float32)
        arrays[f"{name}_faces"] = bone.mean.faces.astype(np.uint16)
        arrays[f"{name}_modes"] = bone.modes.astype(np.float16)
    with path.open("wb") as stream:
        np.savez_compressed(stream, **arrays)  # pyright: ignore[reportArgumentType]


def read_model(path: Path) -> ShapeModel:
    """Read what :func:`save_model` wrote. Raises InputError for another format version."""
    with np.load(path, allow_pickle=False) as stored:
        version = int(stored["format_version"])
        if version != FORMAT_VERSION:
            raise InputError(f"{path.name}: shape model format {version}; expected {FORMAT_VERSION}; rebuild the model")
        landmarks = dict(zip(stored["landmark_names"].tolist(), stored["landmark_points"].astype(float), strict=True))
        radius, ulna = (
            BoneModel(TriangleMesh(stored[f"{n}_mean"], stored[f"{n}_faces"]), stored[f"{n}_modes"].astype(np.float32))
            for n in ("radius", "ulna")
        )
    return ShapeModel(radius, ulna, landmarks)
