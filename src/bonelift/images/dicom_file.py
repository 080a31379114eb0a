"""Opening DICOM files: one clear error for every way in which a file can be wrong. No patient identity leaves here."""

from __future__ import annotations

import logging
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGExtended12Bit,
)

from bonelift.errors import InputError
from bonelift.extras import how_to_install
from bonelift.images.recorded_image import MAX_FILE_BYTES, MAX_PIXELS
from bonelift.storage.input_files import check_memory, file_size, opened

_MAX_INFLATED_BYTES = 512 << 20
_CHUNK = 1 << 20
_MAGIC_AT, _MAGIC = 128, b"DICM"
HEAD_BYTES = 132
_EXPECTED = "one DICOM image"


def is_dicom(head: bytes) -> bool:
    """Whether a file that starts with ``head`` (HEAD_BYTES) claims to be DICOM: by its preamble, or without one by
    its first element, whatever its name: archives name such files by their UID."""
    return has_preamble(head) or _starts_with_an_element(head)


def has_preamble(head: bytes) -> bool:
    """Whether the file says itself that it is DICOM."""
    return head[_MAGIC_AT:HEAD_BYTES] == _MAGIC


def _starts_with_an_element(head: bytes) -> bool:
    """Group 0008 or 0002, a low element, and a value representation or a short length."""
    if len(head) < 16 or head[:2] not in (b"\x08\x00", b"\x02\x00") or head[3] != 0 or head[2] > 0x90:
        return False
    explicit = head[4:6].isalpha() and head[4:6].isupper()
    return explicit or (int.from_bytes(head[4:8], "little") <= 256 and head[4] % 2 == 0)


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
    size = file_size(path, _EXPECTED, MAX_FILE_BYTES)
    check_memory(2 * size, path.name, "the file")
    with opened(path, _EXPECTED) as stream, guarded(path.name, "is damaged or truncated, or not a DICOM file"):
        try:
            _check_deflated(path, stream)
            stream.seek(0)
            return pydicom.dcmread(stream, stop_before_pixels=stop_before_pixels, force=False)
        except InvalidDicomError:
            stream.seek(0)
            dataset = pydicom.dcmread(stream, stop_before_pixels=stop_before_pixels, force=True)
            if "SOPClassUID" not in dataset or "Rows" not in dataset:
                raise
            if not getattr(dataset, "file_meta", None):
                dataset.file_meta = FileMetaDataset()
            if "TransferSyntaxUID" not in dataset.file_meta:
                implicit = dataset.original_encoding[0]
                dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
            return dataset


def _check_deflated(path: Path, stream: BufferedReader) -> None:
    """Refuse a deflated file that would inflate beyond all measure; nothing of it is kept."""
    meta = read_file_meta_info(path)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        return
    stream.seek(144 + int(meta.FileMetaInformationGroupLength))
    inflater, count = zlib.decompressobj(-zlib.MAX_WBITS), 0
    while packed := stream.read(_CHUNK):
        while packed:
            count += len(inflater.decompress(packed, _CHUNK))
            packed = inflater.unconsumed_tail
            if count > _MAX_INFLATED_BYTES:
                raise InputError(
                    f"{path.name}: inflates to more than {_MAX_INFLATED_BYTES >> 20} MiB; expected {_EXPECTED}"
                )


def decode_frame(dataset: Dataset, name: str, index: int) -> NDArray[np.number]:
    """Words of frame ``index`` (from 0) as they are, unused bits and all (images.dicom_pixels): (rows, columns), or
    (rows, columns, 3) RGB. Raises InputError."""
    if "PixelData" not in dataset:
        raise InputError(f"{name}: has no pixel data (7FE0,0010); expected an image")
    rows, columns = (whole_number(dataset, keyword) or 0 for keyword in ("Rows", "Columns"))
    if rows < 1 or columns < 1:
        raise InputError(f"{name}: Rows (0028,0010) x Columns (0028,0011) is {rows} x {columns}; expected an image")
    if rows * columns > MAX_PIXELS:
        raise InputError(f"{name}: {columns} x {rows} pixels; expected at most {MAX_PIXELS // 10**6} million")
    _check_decoder(dataset, name)
    with guarded(name, "its pixel data are damaged or truncated"):
        return pixel_array(dataset, index=index, correct_unused_bits=False)


def _check_decoder(dataset: Dataset, name: str) -> None:
    syntax = getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", None)
    if syntax is None:
        raise InputError(f"{name}: no TransferSyntaxUID (0002,0010), so its pixels cannot be decoded")
    syntax = UID(syntax)
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise InputError(f"{name}: transfer syntax {str(syntax)!a:.66} is not a known image encoding") from error
    # Pillow decodes JPEG of 8 bits, and says of 12 that the file is damaged.
    twelve_bit = syntax == JPEGExtended12Bit and (whole_number(dataset, "BitsStored") or 8) > 8
    if not decoder.is_available or (twelve_bit and decoder.available_plugins == ("pillow",)):
        raise InputError(
            f"{name}: is compressed as {syntax.name}, for which no decoder is installed; {how_to_install('jpeg')}"
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
