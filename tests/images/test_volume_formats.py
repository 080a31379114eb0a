"""Volumes as ITK, Slicer old and new, and other writers spell them; and headers that announce what is not there."""

from __future__ import annotations

import bz2
import gzip
import json
import struct
import tracemalloc
import zlib

import numpy as np
import pytest

from bonelift.errors import InputError
from bonelift.images.bone_labels import read_bone_labels
from bonelift.images.markups import read_landmarks
from bonelift.images.volume_reading import read_ct, read_labels, read_volume
from builders.radiograph_files import dicom_radiograph, save

VALUES = np.random.default_rng(2).integers(-1000, 2000, (5, 4, 3)).astype(np.int16)
RAW = VALUES.tobytes(order="F")
TEXT = " ".join(map(str, VALUES.ravel(order="F"))).encode()


def nrrd(
    body: bytes, encoding: str = "raw", extra: str = "", kind: str = "short", endian: str = "endian: little\n"
) -> bytes:
    head = (
        f"NRRD0005\ntype: {kind}\ndimension: 3\nspace: left-posterior-superior\nsizes: 5 4 3\n"
        f"space directions: (1,0,0) (0,1,0) (0,0,1)\n{endian}encoding: {encoding}\n{extra}\n"
    )
    return head.encode() + body


def metaimage(body: bytes, **fields: str) -> bytes:
    known = {"ObjectType": "Image", "NDims": "3", "BinaryData": "True", "ElementSpacing": "1 1 1", "DimSize": "5 4 3",
             "ElementType": "MET_SHORT"}  # fmt: skip
    lines = [f"{key} = {value}\n" for key, value in (known | fields).items() if key != "ElementDataFile"]
    return "".join([*lines, f"ElementDataFile = {fields.get('ElementDataFile', 'LOCAL')}\n"]).encode() + body


@pytest.mark.parametrize(
    "content",
    [
        nrrd(gzip.compress(RAW[:50], mtime=0) + gzip.compress(RAW[50:], mtime=0), "gzip"),
        nrrd(gzip.compress(RAW, mtime=0) + b"\0" * 7, "gzip"),
        nrrd(bz2.compress(RAW), "bzip2"),
        nrrd(TEXT, "ascii"),
        nrrd(TEXT.replace(b" ", b"\n"), "text", endian=""),
        nrrd(b"rubbish" + RAW, extra="byte skip: -1\n"),
        nrrd(b"seven b" + RAW, extra="byte skip: 7\n"),
        nrrd(b"one\ntwo\n" + RAW, extra="line skip: 2\n"),
        nrrd(VALUES.astype("<i8").tobytes(order="F"), kind="long long"),
        nrrd(VALUES.astype(">i2").tobytes(order="F"), endian="endian: big\n"),
        metaimage(RAW, ElementDataFile="Local"),
        metaimage(RAW, ElementDataFile="local"),
        metaimage(TEXT, BinaryData="False"),
        metaimage(b"head" + RAW, HeaderSize="-1"),
        metaimage(b"head" + RAW, HeaderSize="4"),
        metaimage(zlib.compress(RAW), CompressedData="true"),
        metaimage(VALUES.astype("<i4").tobytes(order="F"), ElementType="MET_LONG"),
    ],
)
def test_what_others_write_is_read(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    np.testing.assert_array_equal(read_volume(tmp_path / "a").values, VALUES)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (nrrd(RAW, endian=""), "endian"),
        (nrrd(RAW[:-2]), "truncated"),
        (nrrd(RAW + b"\0"), "more voxel bytes"),
        (nrrd(TEXT[:-5], "ascii"), "announces 60"),
        (nrrd(TEXT + b" 7", "ascii"), "announces 60"),
        (nrrd(b"99999 " + TEXT, "ascii"), "announces 60"),
        (nrrd(RAW).replace(b"sizes: 5 4 3", b"sizes: 5.5 4 3"), "whole numbers"),
        (nrrd(RAW).replace(b"(1,0,0)", b"(0.000625,0,0)"), "taken as metres it would be 0.625 mm"),
        (nrrd(RAW).replace(b"(1,0,0)", b"(625,0,0)"), "taken as micrometres it would be 0.625 mm"),
        (nrrd(RAW, extra="space origin: (1e9,0,0)\n"), "expected a scanner's world"),
        (nrrd(RAW, extra="byte skip: -7\n"), "byte skip"),
        (metaimage(RAW).replace(b"5 4 3", b"5.5 4 3"), "whole numbers"),
        (metaimage(RAW, HeaderSize="many"), "HeaderSize"),
    ],
)
def test_what_cannot_be_is_said(tmp_path, content, words):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(InputError, match=words):
        read_volume(tmp_path / "a")


def nifti(shape: tuple[int, int, int], code: int, bits: int, body: bytes = b"") -> bytes:
    head = bytearray(352)
    head[0:4] = struct.pack("<i", 348)
    head[40:56] = struct.pack("<8h", 3, *shape, 1, 1, 1, 1)
    head[70:74] = struct.pack("<hh", code, bits)
    head[76:92] = struct.pack("<4f", 1, 0.5, 0.5, 0.5)
    head[108:112] = struct.pack("<f", 352)
    head[254:256] = struct.pack("<h", 1)
    head[280:328] = struct.pack("<12f", 0.5, 0, 0, 0, 0, 0.5, 0, 0, 0, 0, 0.5, 0)
    head[344:348] = b"n+1\0"
    return bytes(head) + body


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (nifti((512, 512, 2047), 64, 64, b"\0" * 4000), "truncated"),
        (gzip.compress(nifti((512, 512, 2047), 64, 64, b"\0" * 4000), mtime=0), "GiB of memory; the limit is 4 GiB"),
        (nrrd(b"\0" * 100, "gzip").replace(b"sizes: 5 4 3", b"sizes: 800 800 800"), "damaged|truncated"),
        (nrrd(b"\0" * 100, "gzip", kind="double").replace(b"sizes: 5 4 3", b"sizes: 800 800 800"), "GiB of memory"),
        (metaimage(b"", DimSize="9999 9999 9999"), "at most"),
    ],
)
def test_a_few_kilobytes_cost_no_gigabytes(tmp_path, content, words):
    (tmp_path / "a").write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=words):
            read_volume(tmp_path / "a")
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()


def test_unsigned_padding_of_other_formats_is_refused_as_a_ct(tmp_path):
    (tmp_path / "a").write_bytes(nrrd(np.full(60, 62512, "<u2").tobytes(), kind="ushort"))
    assert read_volume(tmp_path / "a").values.max() == 62512
    with pytest.raises(InputError, match="62512 HU, which nothing has"):
        read_ct(tmp_path / "a")


# --- segmentations ---------------------------------------------------------------------------------------------------


def layered(keys: str, layers: int = 2) -> bytes:
    values = np.zeros((layers, 5, 4, 3), np.uint8)
    values[0, :2], values[-1, 3:] = 1, 1
    head = (
        f"NRRD0005\ntype: uchar\ndimension: 4\nspace: LPS\nsizes: {layers} 5 4 3\nkinds: list domain domain domain\n"
        f"space directions: none (1,0,0) (0,1,0) (0,0,1)\nencoding: raw\n{keys}\n"
    )
    return head.encode() + values.tobytes(order="F")


OLD = "Segment0_ID:=Segment_1\nSegment0_Name:=Radius\nSegment1_ID:=Segment_2\nSegment1_Name:=Ulna\n"


@pytest.mark.parametrize("read", [read_labels, read_bone_labels])
def test_segments_of_an_old_slicer_are_its_layers(tmp_path, read):
    (tmp_path / "a.seg.nrrd").write_bytes(layered(OLD))
    labels = read(tmp_path / "a.seg.nrrd").labels
    assert (labels[:2] == 1).all()
    assert (labels[3:] == 2).all()
    (tmp_path / "b.seg.nrrd").write_bytes(layered(OLD, layers=3))
    with pytest.raises(InputError, match="in a newer 3D Slicer and save it again"):
        read(tmp_path / "b.seg.nrrd")


def test_labels_that_are_no_labels_say_what_they_are(tmp_path):
    for modality in ("SEG", "RTSTRUCT"):
        path = save(dicom_radiograph(Modality=modality), tmp_path / "a.dcm")
        with pytest.raises(InputError, match=r"expected SEG or RTSTRUCT|holds no contours"):
            read_bone_labels(path)
    (tmp_path / "inf.nii").write_bytes(nifti((5, 4, 3), 16, 32, np.array([np.inf, *[1.0] * 59], "<f4").tobytes()))
    with pytest.raises(InputError, match="fractions, NaN or infinity"):
        read_bone_labels(tmp_path / "inf.nii")


# --- landmarks -------------------------------------------------------------------------------------------------------


def markups(points: list[dict], units: object = "mm") -> str:
    return json.dumps({"markups": [{"coordinateSystem": "LPS", "coordinateUnits": units, "controlPoints": points}]})


def test_markups_of_slicers_schema_are_read(tmp_path):
    at = {"position": [1.0, 2.0, 3.0], "positionStatus": "defined"}
    path = tmp_path / "a.mrk.json"
    points = [{"label": "tip", **at}, at, {"label": "", **at}, {"label": "F", **at}, {"label": "F", **at}]
    path.write_text(markups(points, ["mm", "UCUM", "millimeter"]))
    assert list(read_landmarks(path)) == ["tip", "F (1)", "F (2)"]
    for position in ([1e9, 0, 0], [1, 2], "abc", [10**30, 0, 0], None):
        path.write_text(markups([{"label": "tip", "position": position}]))
        with pytest.raises(InputError):
            read_landmarks(path)
