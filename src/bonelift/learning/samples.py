"""Training samples: frozen arrays, kept in a folder as chunks of .npy files that can be added while training runs."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from bonelift.errors import InputError
from bonelift.storage.whole import whole_folder


def _check(name: str, array: NDArray[np.generic], dtype: type, dimensions: int, count: int) -> None:
    if array.dtype != dtype or array.ndim != dimensions or len(array) != count:
        raise InputError(
            f"samples: {name} is {array.dtype} {array.shape}; expected {np.dtype(dtype)} with {dimensions} axes and "
            f"{count} rows"
        )


@dataclass(frozen=True)
class ShapeSamples:
    """occupancy: (P, 2, I, J, K) uint8; 255 x the part of each voxel that is radius, ulna. One row a patient."""

    prefix: ClassVar[str] = "shapes"
    occupancy: NDArray[np.uint8]

    def __post_init__(self) -> None:
        _check("occupancy", self.occupancy, np.uint8, 5, len(self.occupancy))


@dataclass(frozen=True)
class SurfaceSamples:
    """Corresponding points of the shape model's templates (anatomy.shape_model), one row a patient.

    radius: (P, V, 3), ulna: (P, W, 3) float32, mm in the radius frame. Row by row the patients of the ShapeSamples.
    """

    prefix: ClassVar[str] = "surfaces"
    radius: NDArray[np.float32]
    ulna: NDArray[np.float32]

    def __post_init__(self) -> None:
        _check("radius", self.radius, np.float32, 3, len(self.radius))
        _check("ulna", self.ulna, np.float32, 3, len(self.radius))


@dataclass(frozen=True)
class FilmSamples:
    """Films with their true DRRs.

    radiograph: (N, H, W) float16, film pixels in [0, 1.2].
    drr: (N, H, W) float16, line integrals of the bones' attenuation (dimensionless), pixel for pixel on the film.
    patient: (N,) int32, row in the ShapeSamples of the same folder, all chunks counted on.
    view: (N,) uint8 (networks.views).
    """

    prefix: ClassVar[str] = "films"
    radiograph: NDArray[np.float16]
    drr: NDArray[np.float16]
    patient: NDArray[np.int32]
    view: NDArray[np.uint8]

    def __post_init__(self) -> None:
        count = len(self.radiograph)
        _check("radiograph", self.radiograph, np.float16, 3, count)
        _check("drr", self.drr, np.float16, 3, count)
        _check("patient", self.patient, np.int32, 1, count)
        _check("view", self.view, np.uint8, 1, count)


@dataclass(frozen=True)
class DrrSamples:
    """DRRs alone, of patients without films.

    drr: (N, H, W) float16, line integrals of the bones' attenuation (dimensionless), on standard films.
    patient: (N,) int32, row in the SurfaceSamples of the same folder, all chunks counted on.
    view: (N,) uint8 (networks.views).
    """

    prefix: ClassVar[str] = "drrs"
    drr: NDArray[np.float16]
    patient: NDArray[np.int32]
    view: NDArray[np.uint8]

    def __post_init__(self) -> None:
        count = len(self.drr)
        _check("drr", self.drr, np.float16, 3, count)
        _check("patient", self.patient, np.int32, 1, count)
        _check("view", self.view, np.uint8, 1, count)


@dataclass(frozen=True)
class LocatorSamples:
    """Small whole radiographs (networks.locator_input) with landmarks.

    image: (N, 160, 160) float16 in [0, 1.2].
    landmarks_px: (N, 3, 2) float32 (column, row) of networks.locator.LANDMARKS; NaN where there are none.
    present: (N,) bool, whether the picture holds an upright wrist.
    """

    prefix: ClassVar[str] = "locator"
    image: NDArray[np.float16]
    landmarks_px: NDArray[np.float32]
    present: NDArray[np.bool_]

    def __post_init__(self) -> None:
        count = len(self.image)
        _check("image", self.image, np.float16, 3, count)
        _check("landmarks_px", self.landmarks_px, np.float32, 3, count)
        _check("present", self.present, np.bool_, 1, count)


AnySamples = ShapeSamples | SurfaceSamples | FilmSamples | DrrSamples | LocatorSamples
Samples = TypeVar("Samples", ShapeSamples, SurfaceSamples, FilmSamples, DrrSamples, LocatorSamples)


def save_chunk(folder: Path, index: int, samples: AnySamples) -> Path:
    """Add ``samples`` to ``folder`` as chunk ``index``; it appears whole or not at all, and replaces an equal index."""
    final = folder / f"{samples.prefix}-{index:05d}"
    with whole_folder(final, existing="replace") as staging:
        for field in fields(samples):
            np.save(staging / f"{field.name}.npy", getattr(samples, field.name), allow_pickle=False)
    return final


def chunk_folders(folder: Path, kind: type[Samples]) -> list[Path]:
    """Complete chunks of one kind, in the order of their index."""
    return sorted(folder.glob(f"{kind.prefix}-[0-9]*"))


def load_samples(folder: Path, kind: type[Samples], skip_chunks: int = 0) -> Samples:
    """All chunks of ``kind`` in ``folder`` after the first ``skip_chunks``, in memory, in order."""
    chunks = chunk_folders(folder, kind)[skip_chunks:]
    if not chunks:
        raise InputError(
            f"{folder}: no {kind.prefix} samples; expected folders {kind.prefix}-00000, ...; make them first"
        )
    names = [field.name for field in fields(kind)]
    try:
        arrays = {
            name: np.concatenate(
                [np.load(chunk / f"{name}.npy", mmap_mode="r", allow_pickle=False) for chunk in chunks]
            )
            for name in names
        }
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: {kind.prefix} samples cannot be read ({error}); make them again") from error
    return kind(**arrays)


def load_growing(folder: Path, kind: type[Samples], previous: tuple[Samples, int] | None) -> tuple[Samples, int]:
    """(samples, number of chunks); only chunks that came after ``previous`` are read."""
    count = len(chunk_folders(folder, kind))
    if previous is None:
        return load_samples(folder, kind), count
    held, held_chunks = previous
    if count == held_chunks:
        return previous
    new = load_samples(folder, kind, held_chunks)
    merged = {f.name: np.concatenate([getattr(held, f.name), getattr(new, f.name)]) for f in fields(kind)}
    return kind(**merged), count
