"""The one way in for volumes and segmentations, whatever their format; the world is always LPS mm."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonelift.errors import InputError
from bonelift.images.dicom_file import is_dicom, read_dataset, word
from bonelift.images.dicom_series import DENSEST_HU, read_ct_series
from bonelift.images.metaimage_files import is_metaimage, read_metaimage
from bonelift.images.nifti_files import is_nifti, read_nifti
from bonelift.images.nrrd_files import NrrdImage, read_nrrd
from bonelift.images.volume import LABEL_NAMES, RADIUS, ULNA, LabelMap, Volume
from bonelift.storage.input_files import read_head

Float = NDArray[np.float64]

_EXPECTED = "a folder with a DICOM CT series, NIfTI, NRRD or MetaImage"
MAX_OVERLAP = 0.01
"""The part of a bone's voxels that another segment may claim too, where segmentations touch."""


def read_volume(path: str | os.PathLike[str], series: int | None = None) -> Volume:
    """Read a scalar volume: DICOM CT (a folder; HU), NIfTI, NRRD, MHA or MHD, by content.

    series: SeriesNumber, where a DICOM folder holds several.

    Raises InputError, one line, for whatever is not one complete volume of finite numbers.
    """
    return _scalar_volume(Path(path), series)[0]


def read_ct(path: str | os.PathLike[str], series: int | None = None) -> Volume:
    """``read_volume`` of HU. Raises InputError, too, for values that no scanner measures."""
    return read_noted_ct(path, series)[0]


def read_noted_ct(
    path: str | os.PathLike[str], series: int | None = None
) -> tuple[Volume, float, tuple[tuple[str, str], ...]]:
    """``read_ct`` with what a DICOM folder says beside: the part of the voxels that is padding, and (file name, why) of
    the files that were passed over."""
    volume, padding_share, passed_over = _scalar_volume(Path(path), series)
    densest = float(np.max(volume.values))
    if densest > DENSEST_HU:
        share = float((np.asarray(volume.values, dtype=np.float32) > DENSEST_HU).mean())
        raise InputError(
            f"{Path(path).name}: {100 * share:.2g} % of its voxels come to {densest:.0f} HU, which nothing has: "
            "padding that was stored unsigned, or no HU; correct the file"
        )
    return volume, padding_share, passed_over


def _scalar_volume(path: Path, series: int | None) -> tuple[Volume, float, tuple[tuple[str, str], ...]]:
    if path.is_dir():
        found = read_ct_series(path, series)
        return found.volume, found.padding_share, found.passed_over
    image = read_voxel_file(path)
    if image.values.ndim != 3:
        raise InputError(f"{path.name}: holds several layers; expected one volume")
    if image.values.dtype.kind == "f" and not np.isfinite(image.values).all():
        raise InputError(f"{path.name}: holds NaN or infinite voxels")
    return Volume(image.values, image.world_from_voxel), 0.0, ()


def read_labels(path: str | os.PathLike[str]) -> LabelMap:
    """Read a segmentation: Slicer ``.seg.nrrd``, or NIfTI, NRRD, MHA holding whole numbers.

    Slicer segments named radius and ulna become 1 and 2, others 3 and on, whatever their values and layers were; where
    segments overlap (by at most 1 %), the first wins. In other formats 1 is the radius and 2 the ulna. ``names`` holds
    the labels that occur. Raises InputError.
    """
    path = Path(path)
    image = read_label_file(path)
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
    head = read_head(path, _EXPECTED, 1024)
    if head.startswith(b"NRRD"):
        return read_nrrd(path)
    if is_nifti(head):
        return NrrdImage(*read_nifti(path), keys={})
    if is_metaimage(head):
        return NrrdImage(*read_metaimage(path), keys={})
    if is_dicom(head):
        raise InputError(f"{path.name}: is {_dicom_kind(path)}")
    raise InputError(f"{path.name}: is {'empty' if not head else 'no volume'}; expected {_EXPECTED}")


def read_label_file(path: Path) -> NrrdImage:
    """``read_voxel_file`` of whole numbers. Raises InputError."""
    image = read_voxel_file(path)
    with np.errstate(invalid="ignore"):
        whole = image.values.dtype.kind != "f" or np.array_equal(image.values, np.rint(image.values))
    if not whole or (image.values.dtype.kind == "f" and not np.isfinite(image.values).all()):
        raise InputError(f"{path.name}: holds fractions, NaN or infinity; expected whole-number labels")
    return image


def _dicom_kind(path: Path) -> str:
    """What one DICOM file is where a volume was expected, and what to do."""
    try:
        modality = word(read_dataset(path, stop_before_pixels=True), "Modality")
    except InputError:
        modality = ""
    if modality in {"SEG", "RTSTRUCT"}:
        return (
            f"DICOM {modality}, which is not read; expected .seg.nrrd, NIfTI, NRRD or MetaImage: open it in 3D Slicer "
            "and save the segmentation as .seg.nrrd"
        )
    return "one DICOM file; pass the folder that holds the whole CT series"


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
    """(name, label value, layer) of each segment, in the file's order.

    Slicer 4.10 and before wrote neither value nor layer: segment n is layer n there, and 1 marks it.
    """
    segments = []
    count = 0
    while f"Segment{count}_Name" in keys:
        count += 1
    old = count > 1 and not any(f"Segment{n}_{key}" in keys for n in range(count) for key in ("LabelValue", "Layer"))
    if old and layers != count:
        raise InputError(
            f"{name}: its {count} Slicer segments have no LabelValue and {layers} layers; open it in a newer 3D Slicer "
            "and save it again"
        )
    for number in range(count):
        prefix = f"Segment{number}_"
        texts = keys.get(prefix + "LabelValue", "1"), keys.get(prefix + "Layer", str(number) if old else "0")
        try:
            value, layer = (int(text) if len(text) < 12 else int("no number") for text in texts)
        except ValueError as error:
            raise InputError(f"{name}: {prefix}LabelValue or Layer is no whole number") from error
        if not 0 <= layer < layers:
            raise InputError(f"{name}: {prefix}Layer is {layer}; expected 0 to {layers - 1}")
        segments.append((keys[prefix + "Name"].strip(), value, layer))
    if not segments:
        raise InputError(f"{name}: its Slicer segments have no names; expected radius and ulna")
    return segments
