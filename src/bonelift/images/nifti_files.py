"""NIfTI volumes. NIfTI's world is RAS; it becomes LPS here and nowhere else.

nibabel is imported where a file is read or written: it takes half a second, and a film needs none.
"""

from __future__ import annotations

import gzip
import io
import logging
import math
import os
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bonelift.errors import InputError
from bonelift.images.volume import LabelMap, Volume
from bonelift.images.voxel_data import (
    check_voxel_memory,
    checked_shape,
    compact,
    lps_from_named_axes,
    world_from_voxel_matrix,
)
from bonelift.storage.input_files import file_size, memory_limit_bytes, opened

if TYPE_CHECKING:
    import nibabel as nib

Float = NDArray[np.float64]

_EXPECTED = "a NIfTI volume"
_HEADER_SIZES = {348: "Nifti1Image", 540: "Nifti2Image"}
_MM_PER_UNIT = {"mm": 1.0, "unknown": 1.0, "meter": 1000.0, "micron": 0.001}


def is_nifti(head: bytes) -> bool:
    """Whether a file, plain or gzip, that starts with ``head`` claims to be NIfTI."""
    return class_name_of(head) is not None


def class_name_of(head: bytes) -> str | None:
    """nibabel's class for such a file."""
    if head[:2] == b"\x1f\x8b":
        try:
            head = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, 4)
        except zlib.error:
            return None
    return next(
        (c for n, c in _HEADER_SIZES.items() if head[:4] in {n.to_bytes(4, "little"), n.to_bytes(4, "big")}), None
    )


def read_nifti(path: Path) -> tuple[NDArray[np.number], Float]:
    """(I, J, K) values, scaled, and world_from_voxel (4, 4) in LPS mm. Raises InputError."""
    import nibabel as nib

    name = path.name
    size = file_size(path, _EXPECTED, memory_limit_bytes())
    with quiet_nibabel(), opened(path, _EXPECTED) as stream:
        head = stream.read(1024)
        stream.seek(0)
        class_name = class_name_of(head)
        if class_name is None:
            raise InputError(f"{name}: is not NIfTI; expected a volume")
        packed = head[:2] == b"\x1f\x8b"
        try:
            return _values_and_frame(
                getattr(nib, class_name), gzip.GzipFile(fileobj=stream) if packed else stream, name, size, packed
            )
        except InputError:
            raise
        # nibabel raises what it likes on corrupted bytes (HeaderDataError, zlib.error, EOFError, ...).
        except Exception as error:
            raise InputError(f"{name}: is damaged or truncated; expected a NIfTI volume") from error


@contextmanager
def quiet_nibabel() -> Iterator[None]:
    """nibabel reports odd headers on the screen."""
    logger = logging.getLogger("nibabel.global")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _values_and_frame(
    image_class: type[nib.Nifti1Image], stream: io.BufferedIOBase, name: str, file_bytes: int, packed: bool
) -> tuple[NDArray[np.number], Float]:
    image = image_class.from_stream(stream)
    shape = list(image.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape.pop()
    if len(shape) != 3:
        raise InputError(f"{name}: has {len(shape)} axes; expected a volume of three")
    checked_shape(shape, name)
    dtype = np.dtype(image.get_data_dtype())
    if dtype.kind not in "iuf":
        raise InputError(f"{name}: holds {dtype} voxels; expected numbers")
    if int(image.header["sform_code"]) == 0 and int(image.header["qform_code"]) == 0:
        raise InputError(f"{name}: neither sform nor qform is set, so its orientation is unknown; save it with one")
    announced = math.prod(shape) * dtype.itemsize
    if not packed and file_bytes < announced:
        raise InputError(f"{name}: is truncated: fewer voxel bytes than the {announced} its header announces")
    slope, inter = image.header.get_slope_inter()
    scaled = (slope is not None and slope != 1) or bool(inter)
    check_voxel_memory((shape[0], shape[1], shape[2]), dtype, file_bytes, name, scaled)
    mm_per_unit = _MM_PER_UNIT[str(image.header.get_xyzt_units()[0])]
    matrix = np.asarray(image.affine, dtype=np.float64)
    world_from_voxel = lps_from_named_axes("RAS") @ matrix
    frame = world_from_voxel_matrix(world_from_voxel[:3, :3] * mm_per_unit, world_from_voxel[:3, 3] * mm_per_unit, name)
    return compact(np.asarray(image.dataobj).reshape(shape)), frame


def write_volume_nifti(path: str | os.PathLike[str], volume: Volume) -> None:
    """Write ``volume`` as .nii or .nii.gz (by the name's end)."""
    _write(Path(path), compact(np.asarray(volume.values)), volume.world_from_voxel)


def write_labels_nifti(path: str | os.PathLike[str], label_map: LabelMap) -> None:
    """Write the labels as uint8 .nii or .nii.gz; NIfTI does not hold their names."""
    _write(Path(path), label_map.labels.astype(np.uint8), label_map.world_from_voxel)


def _write(path: Path, values: NDArray[np.number], world_from_voxel: Float) -> None:
    import nibabel as nib

    image = nib.Nifti1Image(values, lps_from_named_axes("RAS") @ world_from_voxel)
    image.header.set_xyzt_units("mm")
    image.set_sform(image.affine, code=1)
    image.set_qform(image.affine, code=1)
    nib.save(image, path)
