"""The search for canaries finds them where they are packed; else the tests that find none would say nothing."""

from __future__ import annotations

import base64
import gzip
import io
import json
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from builders.canaries import AGE, DATE, Canaries, findings
from builders.radiograph_files import dicom_radiograph, save


def zipped(word: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as files:
        files.writestr("inner.gz", gzip.compress(word, mtime=0))
    return stream.getvalue()


def npz(word: bytes) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, words=np.array([word.decode()]))  # numpy keeps text as UTF-32
    return stream.getvalue()


def png(word: bytes, packed: bool) -> bytes:
    info, stream = PngInfo(), io.BytesIO()
    if packed:
        info.add_text("Comment", word.decode() * 3, zip=True)
    pixels = np.frombuffer(b"\0" * 64 if packed else word.ljust(64, b"\0"), np.uint8).reshape(8, 8)
    Image.fromarray(pixels if packed else np.tile(pixels.reshape(1, 64), (2, 1))).save(stream, "PNG", pnginfo=info)
    return stream.getvalue()


def pdf(word: bytes, ascii85: bool) -> bytes:
    stream = zlib.compress(b"(" + word + b") Tj")
    if ascii85:
        stream = base64.a85encode(stream) + b"~>"
    return b"%PDF-1.4\n1 0 obj << /Filter /FlateDecode >> stream\n" + stream + b"\nendstream endobj"


PACKED = {
    "plain": lambda word: b"x" + word + b"x",
    "lower case": lambda word: word.lower(),
    "UTF-16": lambda word: word.decode().encode("utf-16"),
    "gzip": lambda word: gzip.compress(word, mtime=0),
    "zip of gzip": zipped,
    "npz": npz,
    "PNG, packed text": lambda word: png(word, packed=True),
    "PNG, pixels": lambda word: png(word, packed=False),
    "PDF": lambda word: pdf(word, ascii85=False),
    "PDF, ASCII 85": lambda word: pdf(word, ascii85=True),
    "base64 in a page": lambda word: b'<img src="data:image/png;base64,' + base64.b64encode(png(word, True)) + b'">',
    "NRRD": lambda word: b"NRRD0004\nencoding: gzip\n\n" + gzip.compress(word, mtime=0),
    "JSON with escapes": lambda word: json.dumps({"a": "é" + word.decode()}).encode(),
}


@pytest.mark.parametrize("kind", PACKED)
def test_a_canary_is_found_wherever_it_is_packed(kind):
    canaries = Canaries()
    words = [canaries.word(f"place {n}").encode() for n in range(12)]
    assert canaries.found(PACKED[kind](words[7])) == ["place 7 (SH)"]
    assert canaries.found(PACKED[kind](b"nobody's word")) == []


def test_dates_names_of_files_and_all_of_a_headers_words_are_found(tmp_path):
    canaries = Canaries()
    path = save(dicom_radiograph(), tmp_path / "film.dcm")
    canaries.respell(path)
    found = set(canaries.found(path.read_bytes()))
    assert DATE in found
    assert AGE in found
    numbers = ("IS", "DS", "DA", "DT", "TM", "AS", "UI")  # these have one number each, whatever their place
    lettered = {place for place in canaries.places.values() if not place.endswith(tuple(f"({vr})" for vr in numbers))}
    assert found >= lettered
    assert {"PatientName (PN)", "InstitutionName (LO)", "preamble (SH)", "creator of 0029 (LO)"} <= found
    path.rename(tmp_path / canaries.word("a name"))
    assert "a name (SH)" in " ".join(findings(canaries, tmp_path)[2])
