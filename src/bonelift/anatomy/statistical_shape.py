"""What the packaged shape model holds, and what a sampled wrist is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from zipfile import BadZipFile, is_zipfile

import numpy as np
from numpy.typing import NDArray

from bonelift.errors import InputError
from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]
Sex = Literal["female", "male"]

FORMAT_VERSION = 1
_FIELDS = (
    "landmark_names",
    "landmark_points",
    *(f"{bone}_{part}" for bone in ("radius", "ulna") for part in ("mean", "faces", "modes")),
)


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

    landmarks: name -> (3,) mm on the mean wrist. Names: see :mod:`bonelift.anatomy.landmarks`. without: subjects or
    sources of real bones that mean and modes were built without.
    """

    radius: BoneModel
    ulna: BoneModel
    landmarks: dict[str, Float]
    without: tuple[str, ...] = ()

    def digest(self) -> str:
        """Twelve hex digits that tell this model, and with it the population drawn from it, from any other."""
        numbers = hashlib.sha256()
        for bone in (self.radius, self.ulna):
            for array in (bone.mean.vertices.astype(np.float64), bone.mean.faces.astype(np.int64), bone.modes):
                numbers.update(np.ascontiguousarray(array).tobytes())
        for name, point in sorted(self.landmarks.items()):
            numbers.update(name.encode() + point.astype(np.float64).tobytes())
        return numbers.hexdigest()[:12]


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
        "without": np.array(model.without, dtype=np.str_),
    }
    for name, bone in (("radius", model.radius), ("ulna", model.ulna)):
        arrays[f"{name}_mean"] = bone.mean.vertices.astype(np.float32)
        arrays[f"{name}_faces"] = bone.mean.faces.astype(np.uint16)
        arrays[f"{name}_modes"] = bone.modes.astype(np.float16)
    with path.open("wb") as stream:
        np.savez_compressed(stream, **arrays)  # pyright: ignore[reportArgumentType]


def read_model(path: Path) -> ShapeModel:
    """Read what :func:`save_model` wrote. Raises InputError where the file is none, or of another format version."""
    try:
        if not is_zipfile(path):
            raise ValueError("no zip archive")
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (OSError, EOFError, ValueError, BadZipFile) as error:
        what = f"{path.name}: cannot be read as a shape model ({error}); expected an npz file"
        raise InputError(f"{what}: build one with scripts/build_shape_model.py") from error
    version = int(arrays.get("format_version", np.array(-1)))
    if version != FORMAT_VERSION:
        raise InputError(f"{path.name}: shape model format {version}; expected {FORMAT_VERSION}; rebuild the model")
    if missing := sorted(set(_FIELDS) - set(arrays)):
        raise InputError(f"{path.name}: {', '.join(missing)} missing from the shape model; rebuild the model")
    names = arrays["landmark_names"].tolist()
    landmarks = dict(zip(names, arrays["landmark_points"].astype(float), strict=True))
    radius, ulna = (
        BoneModel(TriangleMesh(arrays[f"{n}_mean"], arrays[f"{n}_faces"]), arrays[f"{n}_modes"].astype(np.float32))
        for n in ("radius", "ulna")
    )
    without = tuple(str(name) for name in arrays.get("without", np.array([])).ravel())
    return ShapeModel(radius, ulna, landmarks, without)
