"""The one way in for volumes and segmentations, whatever their format; the world is always LPS mm."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonelift.errors import InputError
from bonelift.images.dicom_file import is_dicom
from bonelift.images.dicom_series import read_ct_series
from bonelift.images.metaimage_files import is_metaimage, read_metaimage
from bonelift.images.nifti_files import is_nifti, read_nifti
from bonelift.images.nrrd_files import NrrdImage, read_nrrd
from bonelift.images.volume import LABEL_NAMES, RADIUS, ULNA, LabelMap, Volume

Float = NDArray[np.float64]

_EXPECTED = "a folder with a DICOM CT series, NIfTI, NRRD or MetaImage"
MAX_OVERLAP = 0.01
"""The part of a bone's voxels that another segment may claim too, where segmentations touch."""


def read_volume(path: str | os.PathLike[str], series: int | None = None) -> Volume:
    """Read a scalar volume: DICOM CT (a folder; HU), NIfTI, NRRD, MHA or MHD, by content.

    series: SeriesNumber, where a DICOM folder holds several.

    Raises InputError, one line, for whatever is not one complete volume of finite numbers.
    """
    path = Path(path)
    if path.is_dir():
        return read_ct_series(path, series)
    image = read_voxel_file(path)
    if image.values.ndim != 3:
        raise InputError(f"{path.name}: holds several layers; expected one volume")
    if image.values.dtype.kind == "f" and not np.isfinite(image.values).all():
        raise InputError(f"{path.name}: holds NaN or infinite voxels")
    return Volume(image.values, image.world_from_voxel)


def read_labels(path: str | os.PathLike[str]) -> LabelMap:
    """Read a segmentation: Slicer ``.seg.nrrd``, or NIfTI, NRRD, MHA holding whole numbers.

    Slicer segments named radius and ulna become 1 and 2, others 3 and on, whatever their values and layers were; where
    segments overlap (by at most 1 %), the first wins. In other formats 1 is the radius and 2 the ulna. ``names`` holds
    the labels that occur. Raises InputError.
    """
    path = Path(path)
    image = read_voxel_file(path)
    if image.values.dtype.kind == "f" and not np.array_equal(image.values, np.rint(image.values)):
        raise InputError(f"{path.name}: holds fractions; expected whole-number labels")
    if any(key.startswith("Segment0_") for key in image.keys):
        return _from_segments(image, path.name)
    if image.values.ndim != 3:
        raise InputError(f"{path.name}: holds several layers but no Slicer segments; expected one label volume")
    low, high = image.values.min(), image.values.max()
    if low < 0 or high > 255:
        raise InputError(f"{path.name}: holds labels {low:g} to {high:g}; expected 0 to 255")
    labels = image.values.astype(np.uint8)
    names = {int(v): LABEL_NAMES.get(int(v), f"label {v}") for v in np.unique(labels) if v}
    return LabelMap(labels, image.world_from_voxel, names)


def read_voxel_file(path: Path) -> NrrdImage:
    """One NIfTI, NRRD or MetaImage file as it is, by content. Raises InputError."""
    if path.is_dir():
        raise InputError(f"{path.name}: is a folder; expected a NIfTI, NRRD or MetaImage file")
    try:
        with path.open("rb") as stream:
            head = stream.read(1024)
    except FileNotFoundError as error:
        raise InputError(f"{path.name}: no such file; expected {_EXPECTED}") from error
    except OSError as error:
        raise InputError(f"{path.name}: cannot be read ({error.strerror}); expected {_EXPECTED}") from error
    if head.startswith(b"NRRD"):
        return read_nrrd(path)
    if is_nifti(head):
        return NrrdImage(*read_nifti(path), keys={})
    if is_metaimage(head):
        return NrrdImage(*read_metaimage(path), keys={})
    if is_dicom(path, head):
        raise InputError(f"{path.name}: is one DICOM file; pass the folder that holds the whole CT series")
    raise InputError(f"{path.name}: is {'empty' if not head else 'no volume'}; expected {_EXPECTED}")


def _from_segments(image: NrrdImage, name: str) -> LabelMap:
    """One label volume from Slicer's segments, which may lie in several layers."""
    layers = image.values if image.values.ndim == 4 else image.values[None]
    labels = np.zeros(layers.shape[1:], dtype=np.uint8)
    names: dict[int, str] = {}
    next_label = ULNA + 1
    for segment, value, layer in slicer_segments(image.keys, len(layers), name):
        words = segment.lower().replace("_", " ").replace("-", " ").split()
        label = RADIUS if "radius" in words else ULNA if "ulna" in words else next_label
        if label in names:
            raise InputError(f"{name}: segments {names[label]!r:.40} and {segment!r:.40} are both the same bone")
        if label > 255:
            raise InputError(f"{name}: holds too many segments; expected radius and ulna")
        next_label += label == next_label
        mask = layers[layer] == value
        taken = mask & (labels != 0)
        if taken.sum() > MAX_OVERLAP * max(1, mask.sum()):
            raise InputError(f"{name}: segment {segment!r:.40} overlaps another; expected bones apart")
        labels[mask & ~taken] = label
        names[label] = {RADIUS: "radius", ULNA: "ulna"}.get(label, segment)
    return LabelMap(labels, image.world_from_voxel, names)


def slicer_segments(keys: dict[str, str], layers: int, name: str) -> list[tuple[str, int, int]]:
    """(name, label value, layer) of each segment, in the file's order."""
    segments = []
    while f"Segment{len(segments)}_Name" in keys:
        prefix = f"Segment{len(segments)}_"
        try:
            value, layer = int(keys.get(prefix + "LabelValue", "1")), int(keys.get(prefix + "Layer", "0"))
        except ValueError as error:
            raise InputError(f"{name}: {prefix}LabelValue or Layer is no whole number") from error
        if not 0 <= layer < layers:
            raise InputError(f"{name}: {prefix}Layer is {layer}; expected 0 to {layers - 1}")
        segments.append((keys[prefix + "Name"].strip(), value, layer))
    if not segments:
        raise InputError(f"{name}: its Slicer segments have no names; expected radius and ulna")
    return segments
