"""Scalar and label volumes on a regular grid: frozen data, arrays ``[i, j, k]``."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bonelift.errors import InputError

Float = NDArray[np.float64]

BACKGROUND, RADIUS, ULNA = 0, 1, 2
LABEL_NAMES: dict[int, str] = {RADIUS: "radius", ULNA: "ulna"}
BONES = ("radius", "ulna")
"""In the order of their labels, as in every array and code with a place for each."""
BONE_COLOURS: dict[str, tuple[int, int, int]] = {"radius": (230, 159, 0), "ulna": (0, 114, 178)}
"""sRGB 0..255; orange and blue of Okabe and Ito, which people with any colour vision tell apart."""


def _check_grid(values: NDArray[np.generic], world_from_voxel: NDArray[np.generic]) -> None:
    given: object = values  # by its type; a caller may give anything
    if not isinstance(given, np.ndarray) or given.dtype.kind not in "biuf":
        got = f"array of {values.dtype}" if isinstance(given, np.ndarray) else type(given).__name__
        raise InputError(f"volume is {got}; expected an array of numbers with three axes [i, j, k]")
    if values.ndim != 3 or 0 in values.shape:
        raise InputError(f"volume has shape {values.shape}; expected three non-empty axes [i, j, k]")
    try:
        matrix = np.asarray(world_from_voxel, dtype=np.float64)
    except (TypeError, ValueError):
        matrix = np.zeros(0)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < 1e-12:
        raise InputError("volume: world_from_voxel is not an invertible 4x4 matrix")


@dataclass(frozen=True)
class Volume:
    """A scalar volume.

    values: (I, J, K) array; HU for CT, 1/mm for attenuation (the name of the variable says which).
    world_from_voxel: (4, 4), mm; maps index (i, j, k), voxel centres at integers, to the world (DICOM LPS, or the
        radius frame where a docstring says so).
    """

    values: NDArray[np.generic]
    world_from_voxel: Float

    def __post_init__(self) -> None:
        _check_grid(self.values, self.world_from_voxel)
        object.__setattr__(self, "world_from_voxel", np.asarray(self.world_from_voxel, dtype=np.float64))

    @property
    def spacing_mm(self) -> Float:
        """(3,) edge lengths of a voxel along i, j, k."""
        return np.linalg.norm(self.world_from_voxel[:3, :3], axis=0)


@dataclass(frozen=True)
class LabelMap:
    """A segmentation: integer labels on a grid.

    labels: (I, J, K) uint8; 0 background, 1 radius, 2 ulna unless ``names`` says otherwise.
    world_from_voxel: (4, 4), mm, as in :class:`Volume`.
    """

    labels: NDArray[np.uint8]
    world_from_voxel: Float
    names: dict[int, str] = field(default_factory=lambda: dict(LABEL_NAMES))

    def __post_init__(self) -> None:
        _check_grid(self.labels, self.world_from_voxel)
        if self.labels.dtype.kind == "f":
            raise InputError(f"labels are {self.labels.dtype}; expected whole numbers (uint8): 0, 1 radius, 2 ulna")
        if not isinstance(self.names, dict):
            raise InputError(f"names of labels are {type(self.names).__name__}; expected a dict such as {LABEL_NAMES}")
        object.__setattr__(self, "world_from_voxel", np.asarray(self.world_from_voxel, dtype=np.float64))

    @property
    def spacing_mm(self) -> Float:
        """(3,) edge lengths of a voxel along i, j, k."""
        return np.linalg.norm(self.world_from_voxel[:3, :3], axis=0)


def occupied_box(mask: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First and one-past-last index (3,), (3,) of the box of True voxels; there has to be one."""
    rows = [np.flatnonzero(mask.any(axis=tuple(b for b in range(3) if b != a))) for a in range(3)]
    return np.array([row[0] for row in rows]), np.array([row[-1] for row in rows]) + 1


@dataclass(frozen=True)
class LabelGrid:
    """The fixed lattice in the radius frame on which networks predict.

    shape: voxels along x, y, z of the radius frame.
    spacing_mm: voxel side, isotropic.
    first_centre_mm: radius-frame position (3,) of the centre of voxel (0, 0, 0).
    """

    shape: tuple[int, int, int]
    spacing_mm: float
    first_centre_mm: tuple[float, float, float]

    def __post_init__(self) -> None:
        try:
            shape, numbers = np.asarray(self.shape), np.array([self.spacing_mm, *self.first_centre_mm], np.float64)
        except (TypeError, ValueError):
            shape, numbers = np.zeros(0), np.zeros(0)
        if shape.shape != (3,) or shape.dtype.kind not in "iu" or shape.min() < 1:
            raise InputError(f"grid has shape {self.shape!r:.60}; expected three whole numbers above 0")
        if numbers.shape != (4,) or not np.isfinite(numbers).all() or numbers[0] <= 0:
            got = f"spacing {self.spacing_mm!r:.30} and first centre {self.first_centre_mm!r:.60}"
            raise InputError(f"grid has {got}; expected a length above 0 mm and a point of three numbers in mm")

    @property
    def radius_from_voxel(self) -> Float:
        """(4, 4): index (i, j, k) to radius-frame mm."""
        matrix = np.diag([self.spacing_mm, self.spacing_mm, self.spacing_mm, 1.0])
        matrix[:3, 3] = self.first_centre_mm
        return matrix

    def centres_mm(self) -> Float:
        """(I, J, K, 3) voxel centres in the radius frame, mm."""
        axes = [
            first + self.spacing_mm * np.arange(n) for first, n in zip(self.first_centre_mm, self.shape, strict=True)
        ]
        return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).astype(np.float64)


PAPER_GRID = LabelGrid((128, 128, 128), 0.625, (-39.6875, -39.6875, -39.6875))
"""80 mm cube around the origin of the radius frame, as in Shiode et al. 2021."""

LAPTOP_GRID = LabelGrid((56, 40, 48), 1.25, (-19.375, -24.375, -43.375))
"""The 64^3 lattice at 1.25 mm, cropped to x -20..50, y -25..25, z -44..16 mm: the rest is never bone."""
