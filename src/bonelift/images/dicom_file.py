"""Opening DICOM files: one clear error for every way in which a file can be wrong. No patient identity leaves here."""

from __future__ import annotations

import logging
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian

from bonelift.errors import InputError
from bonelift.images.recorded_image import MAX_FILE_BYTES, MAX_PIXELS

_MAX_INFLATED_BYTES = MAX_FILE_BYTES
_HEADERLESS_STARTS = (b"\x08\x00", b"\x02\x00")


def is_dicom(path: Path, head: bytes) -> bool:
    """Whether the file claims to be DICOM: by its preamble, or headerless by its first tag and its extension."""
    return head[128:132] == b"DICM" or (
        path.suffix.lower() in {"", ".dcm", ".dicom", ".ima"} and head[:2] in _HEADERLESS_STARTS
    )


@contextmanager
def guarded(name: str, what: str) -> Iterator[None]:
    """Turn whatever pydicom raises in the block into ``name: what``, and keep its warnings off the screen.

    pydicom parses lazily, so a damaged element may raise (struct.error, KeyError, TypeError, ...) wherever it is first
    used; and its warnings quote values, which may identify a patient.
    """
    logger = logging.getLogger("pydicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{name}: {what}") from error
    finally:
        logger.setLevel(level)


def read_dataset(path: Path, stop_before_pixels: bool = False) -> Dataset:
    """Parse one DICOM file. Raises InputError."""
    if path.stat().st_size > MAX_FILE_BYTES:
        raise InputError(f"{path.name}: larger than {MAX_FILE_BYTES >> 20} MiB; expected one DICOM image")
    with guarded(path.name, "is damaged or truncated, or not a DICOM file"):
        try:
            _check_deflated(path)
            return pydicom.dcmread(path, stop_before_pixels=stop_before_pixels, force=False)
        except InvalidDicomError:
            dataset = pydicom.dcmread(path, stop_before_pixels=stop_before_pixels, force=True)
            if "SOPClassUID" not in dataset or "Rows" not in dataset:
                raise
            dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
            return dataset


def _check_deflated(path: Path) -> None:
    """Refuse a deflated file that would inflate beyond all measure."""
    meta = read_file_meta_info(path)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return
    content = path.read_bytes()[144 + int(meta.FileMetaInformationGroupLength) :]
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    if len(inflater.decompress(content, _MAX_INFLATED_BYTES + 1)) > _MAX_INFLATED_BYTES:
        raise InputError(f"{path.name}: inflates to more than {_MAX_INFLATED_BYTES >> 20} MiB; expected one image")


def decode_frame(dataset: Dataset, name: str, index: int) -> NDArray[np.number]:
    """Stored values of frame ``index`` (from 0): (rows, columns), or (rows, columns, 3) RGB. Raises InputError."""
    if "PixelData" not in dataset:
        raise InputError(f"{name}: has no pixel data (7FE0,0010); expected an image")
    rows, columns = (whole_number(dataset, keyword) or 0 for keyword in ("Rows", "Columns"))
    if rows < 1 or columns < 1:
        raise InputError(f"{name}: Rows (0028,0010) x Columns (0028,0011) is {rows} x {columns}; expected an image")
    if rows * columns > MAX_PIXELS:
        raise InputError(f"{name}: {columns} x {rows} pixels; expected at most {MAX_PIXELS // 10**6} million")
    _check_decoder(dataset, name)
    with guarded(name, "its pixel data are damaged or truncated"):
        return pixel_array(dataset, index=index)


def _check_decoder(dataset: Dataset, name: str) -> None:
    syntax = getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", None)
    if syntax is None:
        raise InputError(f"{name}: no TransferSyntaxUID (0002,0010), so its pixels cannot be decoded")
    syntax = UID(syntax)
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise InputError(f"{name}: transfer syntax {syntax!s:.64} is not a known image encoding") from error
    if not decoder.is_available:
        packages = "pylibjpeg pylibjpeg-libjpeg pylibjpeg-openjpeg"
        raise InputError(
            f"{name}: is compressed as {syntax.name}, for which no decoder is installed; pip install {packages}"
        )


def whole_number(dataset: Dataset, keyword: str) -> int | None:
    """The element as int; None where absent, empty or no number."""
    try:
        return int(dataset.get(keyword))
    except (TypeError, ValueError):
        return None


def length_mm(dataset: Dataset, keyword: str) -> float | None:
    """The element as a finite float; None where absent, empty or no number."""
    try:
        value = float(dataset.get(keyword))
    except (TypeError, ValueError):
        return None
    return value if np.isfinite(value) else None


def word(dataset: Dataset, keyword: str) -> str:
    """The element as upper-case text without surrounding blanks; "" where absent."""
    value = dataset.get(keyword)
    return "" if value is None else str(value).strip().upper()
