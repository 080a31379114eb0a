"""Words that nobody else writes, put wherever a clinical file can hold words, and found again in what comes out.

Every place gets a word of its own, so that a find names its place. What is searched is opened first: gzip, zip, npz,
PNG, PDF, the pictures that a page holds as base64, DICOM that holds documents.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import gzip
import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from pydicom import dcmread
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

WORD = "KNRY"
UID_WORD = "719305824"
NUMBER, DATE, TIME, AGE = "77190173", "19010327", "173542.190173", "719Y"
NEEDLES = tuple(word.encode() for word in (UID_WORD, NUMBER, DATE, TIME))
"""What the canaries are that hold no letters; each is as long as that no picture holds it by chance."""
AGE_ALONE = re.compile(rb"(?<![a-z0-9+/])" + AGE.lower().encode() + rb"(?![a-z0-9+/=])")
"""An age is four characters, which base64 holds by chance: it counts where no such character stands beside it."""
TECHNICAL = {
    "SpecificCharacterSet", "TransferSyntaxUID", "SOPClassUID", "Modality", "ImageType", "PhotometricInterpretation",
    "Laterality", "ImageLaterality", "ViewPosition", "BodyPartExamined", "ViewCodeSequence", "PresentationLUTShape",
    "PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelSpacingCalibrationType",
    "EstimatedRadiographicMagnificationFactor", "DistanceSourceToDetector", "DistanceSourceToPatient",
    "ImageOrientationPatient", "ImagePositionPatient", "SliceThickness", "RescaleSlope", "RescaleIntercept",
    "WindowCenter", "WindowWidth", "VOILUTFunction", "VOILUTSequence", "ModalityLUTSequence", "NumberOfFrames",
    "ConvolutionKernel", "KVP", "AcquisitionNumber", "AcquisitionTime", "TemporalPositionIdentifier", "SeriesNumber",
    "InstanceNumber", "MediaStorageSOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID",
    "MediaStorageSOPInstanceUID", "FrameOfReferenceUID", "LossyImageCompressionRatio", "SegmentSequence",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "ROIContourSequence",
    "StructureSetROISequence",
}  # fmt: skip
"""What decides how an image is read; all others hold canaries. The UIDs among them hold canaries of their own."""
TEXTS = {
    "AE": WORD + "{:06d}", "CS": WORD + "{:06d}", "SH": WORD + "{:06d}", "LO": WORD + "{:06d} place",
    "UC": WORD + "{:06d}", "PN": WORD + "{:06d}^Anna", "ST": WORD + "{:06d} text", "LT": WORD + "{:06d} text",
    "UT": WORD + "{:06d} text", "UR": "http://" + WORD + "{:06d}.example", "UI": "1.2.826.0.1." + UID_WORD + ".9{:06d}",
    "IS": NUMBER, "DS": NUMBER + ".5", "DA": DATE, "DT": DATE + "101112", "TM": TIME, "AS": AGE,
}  # fmt: skip


class Canaries:
    """Words in turn, and the places that they were put into."""

    def __init__(self) -> None:
        self.places: dict[int, str] = {}

    def word(self, place: str, vr: str = "SH") -> str:
        self.places[len(self.places)] = f"{place} ({vr})"
        return TEXTS[vr].format(len(self.places) - 1)

    def into_dicom(self, dataset: Dataset, all_elements: bool = True, overwrite: bool = True) -> None:
        """Into every element that holds text, a number as text, a date, a time or a UID, and into sequences; into
        private blocks, the preamble, the file's own header and the padding at the end. The image reads as before.

        all_elements: else only what names patient, study and hospital. overwrite: elements that are there as well.
        """
        for tag, (vr, _, _, _, keyword) in DicomDictionary.items():
            if not keyword or keyword in TECHNICAL or tag >> 16 in (0x0000, 0x0002, 0x7FE0, 0xFFFE, 0xFFFC):
                continue
            if tag in dataset and not overwrite:
                continue
            if vr in TEXTS and (all_elements or tag >> 16 in (0x0008, 0x0010)):
                dataset.add_new(tag, vr, self.word(keyword, vr))
            elif vr == "SQ" and (all_elements or tag >> 16 in (0x0008, 0x0010)):
                dataset.add_new(tag, "SQ", Sequence([self._item(keyword)]))
        for group in (0x0009, 0x0011, 0x0029, 0x7FDF):
            block = dataset.private_block(group, self.word(f"creator of {group:04X}", "LO"), create=True)
            for n, vr in enumerate(("LO", "PN", "UT", "DA", "UI", "SH"), start=1):
                block.add_new(n, vr, self.word(f"private {group:04X}", vr))
            block.add_new(0x20, "UN", self.word(f"private {group:04X}, of unknown kind").encode())
            block.add_new(0x21, "OB", self.word(f"private {group:04X}, bytes").encode())
            block.add_new(0x22, "SQ", Sequence([self._item(f"private {group:04X}")]))
        dataset.add_new(0xFFFCFFFC, "OB", self.word("padding at the end").encode())
        dataset.preamble = self.word("preamble").encode().ljust(128, b"\0")
        dataset.file_meta.ImplementationVersionName = self.word("implementation")
        dataset.file_meta.SourceApplicationEntityTitle = self.word("sender", "AE")
        dataset.file_meta.PrivateInformationCreatorUID = UID(self.word("file header", "UI"))
        dataset.file_meta.PrivateInformation = self.word("file header").encode()

    def _item(self, place: str) -> Dataset:
        item, inner = Dataset(), Dataset()
        for holder, depth in ((item, "item"), (inner, "item in an item")):
            holder.PatientName = self.word(f"{place}, {depth}", "PN")
            holder.PatientID = self.word(f"{place}, {depth}", "LO")
            holder.CodeMeaning = self.word(f"{place}, {depth}", "LO")
            holder.ReferencedSOPInstanceUID = self.word(f"{place}, {depth}", "UI")
        item.ContentSequence = Sequence([inner])
        return item

    def respell(self, path: Path, all_elements: bool = True, overwrite: bool = True) -> None:
        """:meth:`into_dicom` of a file as it lies; where elements are overwritten, its own UIDs hold canaries too.
        Slices of a series stay one."""
        dataset = dcmread(path)
        self.into_dicom(dataset, all_elements, overwrite)
        root = f"1.2.826.0.1.{UID_WORD}."
        if overwrite:
            dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = (root + n for n in "123")
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(f"{root}4.{len(self.places)}")
        dataset.save_as(path, enforce_file_format=True)

    def found(self, content: bytes) -> list[str]:
        """The places whose word stands in ``content``, opened as far as it can be, or the word itself."""
        finds: set[str] = set()
        for piece in opened(content):
            low = piece.lower()
            for text in (low, low.replace(b"\0", b"")):  # the latter of UTF-16 and UTF-32
                # With its number: four letters alone stand in a megabyte of base64 by chance.
                for match in re.finditer(WORD.lower().encode() + rb"(\d{6})", text):
                    finds.add(self.places.get(int(match[1]), match[0].decode()))
                finds.update(needle.decode() for needle in NEEDLES if needle in text)
                finds.update([AGE] if AGE_ALONE.search(text) else [])
        return sorted(finds)


def opened(content: bytes, depth: int = 0) -> Iterator[bytes]:
    """The content, and what it holds packed."""
    yield content
    if depth > 5:
        return
    parts: list[bytes] = []
    if content[:2] == b"\x1f\x8b":
        parts.append(gzip.decompress(content))
    if content[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(content)) as files:
            parts += [name.encode() for name in files.namelist()] + [files.read(name) for name in files.namelist()]
    if content[:8] == b"\x89PNG\r\n\x1a\n":
        parts += list(_png_parts(content))
    if content[:3] in (b"NRR",) and b"gzip" in content.split(b"\n\n", 1)[0]:
        parts.append(gzip.decompress(content.split(b"\n\n", 1)[1]))
    if b"%PDF-" in content:
        parts += list(_pdf_parts(content))
    for match in re.finditer(rb"data:[\w/+.-]*;base64,([A-Za-z0-9+/=]{16,})", content):
        parts.append(base64.b64decode(match[1]))
    if content[128:132] == b"DICM" and b"%PDF-" not in content[:200]:
        parts += [element.value for element in dcmread(io.BytesIO(content), force=True).iterall()
                  if isinstance(element.value, bytes) and element.value[:2] in (b"\x1f\x8b", b"PK")]  # fmt: skip
    if content[:1] in (b"{", b"[") and b"\\u" in content:
        parts.append(json.dumps(json.loads(content), ensure_ascii=False).encode("utf-8", "replace"))
    for part in parts:
        yield from opened(part, depth + 1)


def _png_parts(content: bytes) -> Iterator[bytes]:
    """Packed texts, and the pixels."""
    at = 8
    while at + 8 <= len(content):
        length, kind = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8]
        data = content[at + 8 : at + 8 + length]
        if kind in (b"zTXt", b"iCCP", b"iTXt"):
            for start in (n for n in range(len(data)) if data[n : n + 1] == b"x"):
                with contextlib.suppress(zlib.error):
                    yield zlib.decompress(data[start:])
        at += 12 + length
    yield Image.open(io.BytesIO(content)).tobytes()


def _pdf_parts(content: bytes) -> Iterator[bytes]:
    for match in re.finditer(rb"stream\r?\n(.*?)\r?\n?endstream", content, re.DOTALL):
        data = match[1]
        if data.rstrip().endswith(b"~>"):
            try:
                data = base64.a85decode(data.strip().removesuffix(b"~>"))
            except (ValueError, binascii.Error):
                yield data
        try:
            yield zlib.decompressobj().decompress(data)
        except zlib.error:
            yield data


def findings(canaries: Canaries, root: Path) -> tuple[int, int, list[str]]:
    """(files, bytes as they lie, what was found where) in everything below ``root``, names and paths included."""
    files, size, finds = 0, 0, []
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        finds += [f"the name {name}: {place}" for place in canaries.found(path.name.encode())]
        if path.is_file():
            files, size = files + 1, size + path.stat().st_size
            finds += [f"{name}: {place}" for place in canaries.found(path.read_bytes())]
    return files, size, finds
