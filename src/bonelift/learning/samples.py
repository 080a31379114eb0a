"""Training samples: frozen arrays, kept in a folder as chunks of .npy files that can be added while training runs."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from bonelift.errors import InputError
from bonelift.storage.whole import whole_folder


class _Arrays:
    """Arrays with one row a sample. layout: field -> (dtype, number of axes); all have as many rows as the first."""

    prefix: ClassVar[str]
    layout: ClassVar[dict[str, tuple[type, int]]]

    def __post_init__(self) -> None:
        arrays = {name: getattr(self, name) for name in self.layout}
        count = len(next(iter(arrays.values())))
        for name, (dtype, axes) in self.layout.items():
            array = arrays[name]
            if array.dtype != dtype or array.ndim != axes or len(array) != count:
                raise InputError(
                    f"samples: {name} is {array.dtype} {array.shape}; expected {np.dtype(dtype)} with {axes} axes and "
                    f"{count} rows"
                )


def _unknown() -> NDArray[np.float32]:
    return np.empty((0, 3, 4), np.float32)


class _Projected(_Arrays):
    """Pictures of wrists whose pose may be known. px_from_radius: (N, 3, 4) float32, px of the film from mm of the
    radius frame; NaN where nobody knows how the wrist lay, everywhere if it is not given."""

    px_from_radius: NDArray[np.float32]

    def __post_init__(self) -> None:
        if not len(self.px_from_radius):
            count = len(getattr(self, next(iter(self.layout))))
            object.__setattr__(self, "px_from_radius", np.full((count, 3, 4), np.nan, np.float32))
        super().__post_init__()


@dataclass(frozen=True)
class ShapeSamples(_Arrays):
    """occupancy: (P, 2, I, J, K) uint8; 255 x the part of each voxel that is radius, ulna. One row a patient."""

    prefix: ClassVar[str] = "shapes"
    layout: ClassVar[dict[str, tuple[type, int]]] = {"occupancy": (np.uint8, 5)}
    occupancy: NDArray[np.uint8]


@dataclass(frozen=True)
class SurfaceSamples(_Arrays):
    """Corresponding points of the shape model's templates (anatomy.shape_model), one row a patient.

    radius: (P, V, 3), ulna: (P, W, 3) float32, mm in the radius frame. Row by row the patients of the ShapeSamples.
    """

    prefix: ClassVar[str] = "surfaces"
    layout: ClassVar[dict[str, tuple[type, int]]] = {"radius": (np.float32, 3), "ulna": (np.float32, 3)}
    radius: NDArray[np.float32]
    ulna: NDArray[np.float32]


@dataclass(frozen=True)
class FilmSamples(_Projected):
    """Films with their true DRRs.

    radiograph: (N, H, W) float16, film pixels in [0, 1.2].
    drr: (N, H, W) float16, line integrals of the bones' attenuation (dimensionless), pixel for pixel on the film.
    patient: (N,) int32, row in the ShapeSamples of the same folder, all chunks counted on.
    view: (N,) uint8 (networks.views). px_from_radius: see _Projected.
    """

    prefix: ClassVar[str] = "films"
    layout: ClassVar[dict[str, tuple[type, int]]] = {
        "radiograph": (np.float16, 3),
        "drr": (np.float16, 3),
        "patient": (np.int32, 1),
        "view": (np.uint8, 1),
        "px_from_radius": (np.float32, 3),
    }
    radiograph: NDArray[np.float16]
    drr: NDArray[np.float16]
    patient: NDArray[np.int32]
    view: NDArray[np.uint8]
    px_from_radius: NDArray[np.float32] = field(default_factory=_unknown)


@dataclass(frozen=True)
class DrrSamples(_Projected):
    """DRRs alone, of patients without films.

    drr: (N, H, W) float16, line integrals of the bones' attenuation (dimensionless), on standard films.
    patient: (N,) int32, row in the SurfaceSamples of the same folder, all chunks counted on.
    view: (N,) uint8 (networks.views). px_from_radius: see _Projected.
    """

    prefix: ClassVar[str] = "drrs"
    layout: ClassVar[dict[str, tuple[type, int]]] = {
        "drr": (np.float16, 3),
        "patient": (np.int32, 1),
        "view": (np.uint8, 1),
        "px_from_radius": (np.float32, 3),
    }
    drr: NDArray[np.float16]
    patient: NDArray[np.int32]
    view: NDArray[np.uint8]
    px_from_radius: NDArray[np.float32] = field(default_factory=_unknown)


@dataclass(frozen=True)
class LocatorSamples(_Arrays):
    """Small whole radiographs (networks.locator_input) with landmarks.

    image: (N, 160, 160) float16 in [0, 1.2].
    landmarks_px: (N, 3, 2) float32 (column, row) of networks.locator.LANDMARKS; NaN where there are none.
    present: (N,) bool, whether the picture holds an upright wrist.
    """

    prefix: ClassVar[str] = "locator"
    layout: ClassVar[dict[str, tuple[type, int]]] = {
        "image": (np.float16, 3),
        "landmarks_px": (np.float32, 3),
        "present": (np.bool_, 1),
    }
    image: NDArray[np.float16]
    landmarks_px: NDArray[np.float32]
    present: NDArray[np.bool_]


AnySamples = ShapeSamples | SurfaceSamples | FilmSamples | DrrSamples | LocatorSamples
Samples = TypeVar("Samples", ShapeSamples, SurfaceSamples, FilmSamples, DrrSamples, LocatorSamples)


def save_chunk(folder: Path, index: int, samples: AnySamples) -> Path:
    """Add ``samples`` to ``folder`` as chunk ``index``; it appears whole or not at all, and replaces an equal index."""
    final = chunk_path(folder, type(samples), index)
    with whole_folder(final, existing="replace") as staging:
        for each in fields(samples):
            np.save(staging / f"{each.name}.npy", getattr(samples, each.name), allow_pickle=False)
    return final


def chunk_path(folder: Path, kind: type[AnySamples], index: int) -> Path:
    """Where chunk ``index`` of one kind lies in ``folder``."""
    return folder / f"{kind.prefix}-{index:05d}"


def chunk_folders(folder: Path, kind: type[Samples]) -> list[Path]:
    """Complete chunks of one kind, in the order of their index."""
    return sorted(folder.glob(f"{kind.prefix}-[0-9]*"))


def rows_in(folder: Path, kind: type[Samples], chunks: int) -> int:
    """Rows in the first ``chunks`` chunks of one kind; a chunk that ended a cohort may be shorter than the others."""
    first = next(iter(kind.layout))
    paths = chunk_folders(folder, kind)[:chunks]
    return sum(len(np.load(path / f"{first}.npy", mmap_mode="r", allow_pickle=False)) for path in paths)


def load_samples(folder: Path, kind: type[Samples], skip_chunks: int = 0) -> Samples:
    """All chunks of ``kind`` in ``folder`` after the first ``skip_chunks``, in memory, in order."""
    chunks = chunk_folders(folder, kind)[skip_chunks:]
    if not chunks:
        raise InputError(
            f"{folder}: no {kind.prefix} samples; expected folders {kind.prefix}-00000, ...; make them first"
        )
    names = [each.name for each in fields(kind)]
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
