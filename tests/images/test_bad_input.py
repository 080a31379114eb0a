"""Every wrong file gives one clear line; damaged ones give a radiograph or that line, never another exception."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEGLosslessSV1,
    RLELossless,
)

from bonelift.errors import InputError
from bonelift.images import Radiograph, RadiographOptions, read_radiograph, write_png
from builders.radiograph_files import CT, XA, dicom_radiograph, film_pixels, save

GIVEN = RadiographOptions(side="left", view="pa", pixel_spacing_mm=0.15)


def _message(path: Path, options: RadiographOptions | None = None) -> str:
    with pytest.raises(InputError) as caught:
        read_radiograph(path, options)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path.name}: ")
    assert str(path.parent) not in message
    return message


@pytest.mark.parametrize(
    ("elements", "words"),
    [
        ({"ImagerPixelSpacing": None}, "no ImagerPixelSpacing (0018,1164), so millimetres are unknown"),
        (
            {"ImagerPixelSpacing": [0, 0]},
            "ImagerPixelSpacing (0018,1164) is 0 mm; expected 0.02 to 2 mm, so millimetres are unknown; pass --pixel",
        ),
        ({"ImagerPixelSpacing": [150, 150]}, "is 150 mm"),
        ({"ImagerPixelSpacing": [0.15, -0.15]}, "is -0.15 mm"),
        ({"PixelSpacing": [0, 0], "ImagerPixelSpacing": None}, "PixelSpacing (0028,0030) is 0 mm"),
        ({"Laterality": None}, "does not say which side it shows; pass --side left or right"),
        ({"Laterality": "B"}, "pass --side"),
        ({"ViewPosition": None}, "does not say which view it shows; pass --view pa or lateral"),
        ({"ViewPosition": "AP"}, "ViewPosition (0018,5101) says AP; expected a PA or lateral film"),
        ({"PixelData": None}, "no pixel data"),
        ({"PixelData": b"\0\1" * 50}, "damaged or truncated"),
        ({"Modality": "MR"}, "is not a radiograph (modality MR)"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "expected MONOCHROME1 or MONOCHROME2"),
        ({"Rows": 60000, "Columns": 60000}, "at most 100 million"),
        ({"Rows": None}, "Rows"),
        ({"RescaleSlope": "1e39", "RescaleIntercept": 0}, "NaN or infinite"),
    ],
)
def test_dicom_header(tmp_path: Path, elements: dict[str, object], words: str) -> None:
    assert words in _message(save(dicom_radiograph(**elements), tmp_path / "film.dcm"))


def test_option_against_header(tmp_path: Path) -> None:
    path = save(dicom_radiograph(), tmp_path / "film.dcm")
    assert "Laterality (0020,0060) says left, which contradicts --side right" in _message(
        path, RadiographOptions(side="right")
    )
    assert "ViewPosition (0018,5101) says pa, which contradicts --view lateral" in _message(
        path, RadiographOptions(view="lateral")
    )


def test_an_option_overrides_an_absurd_spacing(tmp_path: Path) -> None:
    path = save(dicom_radiograph(ImagerPixelSpacing=None), tmp_path / "film.dcm")
    assert read_radiograph(path, GIVEN).camera.detector_spacing_mm == pytest.approx(0.15)
    path = save(dicom_radiograph(ImagerPixelSpacing=[0, 0]), tmp_path / "film.dcm")
    assert read_radiograph(path, GIVEN).camera.detector_spacing_mm == pytest.approx(0.15)


def test_ct_is_no_radiograph(tmp_path: Path) -> None:
    message = _message(save(dicom_radiograph(sop_class=CT), tmp_path / "slice.dcm"), GIVEN)
    assert "is not a radiograph (modality CT, CT Image Storage)" in message


def test_syntax_without_decoder(tmp_path: Path) -> None:
    dataset = dicom_radiograph()
    dataset.PixelData = encapsulate([b"\xff\xd8\xff\xd9"])
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    message = _message(save(dataset, tmp_path / "film.dcm"))
    assert "JPEG Lossless" in message
    assert "pip install '.[jpeg]'" in message


def test_deflated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = dicom_radiograph()
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    path = save(dataset, tmp_path / "film.dcm")
    np.testing.assert_array_equal(read_radiograph(path).pixels, film_pixels())
    monkeypatch.setattr("bonelift.images.dicom_file._MAX_INFLATED_BYTES", 1000)
    assert "inflates to more than" in _message(path)


def test_files_that_are_no_images(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "folder.dcm").mkdir()
    (tmp_path / "text.png").write_text("a letter to the editor")
    (tmp_path / "zeros.dcm").write_bytes(bytes(5000))
    assert "no such file" in _message(tmp_path / "missing.png")
    assert "is empty" in _message(tmp_path / "empty.png")
    assert "is a folder" in _message(tmp_path / "folder.dcm")
    assert "not an image" in _message(tmp_path / "text.png")
    assert "not an image" in _message(tmp_path / "zeros.dcm")


def test_rasters_without_what_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "film.png"
    write_png(path, film_pixels())
    assert "a PNG file does not say how large a pixel is" in _message(path, RadiographOptions("left", "pa"))
    assert "pass --side" in _message(path, RadiographOptions(view="pa", pixel_spacing_mm=0.15))
    assert "pass --view" in _message(path, RadiographOptions(side="left", pixel_spacing_mm=0.15))
    assert "does not fit" in _message(path, RadiographOptions("left", "pa", 0.15, roi=(0, 0, 200, 100)))
    assert "has no frame 2" in _message(path, RadiographOptions("left", "pa", 0.15, frame=2))
    Image.fromarray(film_pixels()[:20, :20]).save(path)
    assert "is 20 x 20 pixels" in _message(path, GIVEN)
    Image.fromarray(film_pixels() > 800).save(path)
    assert "1 bit" in _message(path, GIVEN)
    values = film_pixels().astype(np.float32)
    values[3, 4] = np.nan
    Image.fromarray(values).save(path, format="TIFF")
    assert "NaN" in _message(path, GIVEN)


def test_colour(tmp_path: Path) -> None:
    grey = (film_pixels() // 16).astype(np.uint8)
    colour = np.stack([grey, grey, grey], axis=2)
    write_png(tmp_path / "film.png", colour)
    np.testing.assert_array_equal(read_radiograph(tmp_path / "film.png", GIVEN).pixels, grey)
    colour[..., 2] = 255 - colour[..., 2]
    write_png(tmp_path / "photo.png", colour)
    assert "is a colour image" in _message(tmp_path / "photo.png", GIVEN)


def test_pages_of_a_tiff(tmp_path: Path) -> None:
    pages = [Image.fromarray(film_pixels() + 100 * n) for n in range(3)]
    pages[0].save(tmp_path / "run.tif", save_all=True, append_images=pages[1:])
    assert "holds 3 images; pass --frame 1 to 3" in _message(tmp_path / "run.tif", GIVEN)
    film = read_radiograph(tmp_path / "run.tif", RadiographOptions("left", "pa", 0.15, frame=3))
    np.testing.assert_array_equal(film.pixels, film_pixels() + 200)


def test_decompression_bomb(tmp_path: Path) -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 30000, 30000, 8, 0, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(bytes(1000)))
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b""))
    assert "bomb.png" in _message(tmp_path / "bomb.png", GIVEN)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"side": "middle"}, "--side is 'middle'; expected left or right"),
        ({"pixel_spacing_mm": 0.0}, "--pixel-spacing-mm is 0 mm; expected 0.02 to 2 mm"),
        ({"pixel_spacing_mm": float("nan")}, "--pixel-spacing-mm is nan"),
        ({"sdd_mm": 10.0}, "--sdd-mm is 10 mm; expected 300 to 5000 mm"),
        ({"source_to_object_mm": -5.0}, "--source-to-object-mm is -5"),
    ],
)
def test_options(options: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        RadiographOptions(**options)


def _valid_files() -> dict[str, bytes]:
    files = {}
    for name, film_format in (("png", "PNG"), ("tif", "TIFF"), ("jpg", "JPEG")):
        stream = io.BytesIO()
        pixels = film_pixels(64, 48)
        Image.fromarray(pixels if film_format != "JPEG" else (pixels // 16).astype(np.uint8)).save(
            stream, format=film_format
        )
        files[name] = stream.getvalue()
    stream = io.BytesIO()
    Image.fromarray(film_pixels(64, 48)).save(stream, format="TIFF", compression="tiff_lzw")
    files["lzw.tif"] = stream.getvalue()
    datasets = {"dcm": dicom_radiograph(film_pixels(64, 48)), "rle.dcm": dicom_radiograph(film_pixels(64, 48))}
    datasets["rle.dcm"].compress(RLELossless, generate_instance_uid=False)
    datasets["xa.dcm"] = dicom_radiograph(np.stack([film_pixels(64, 48)] * 2), XA, WindowCenter=900, WindowWidth=2000)
    for name, dataset in datasets.items():
        stream = io.BytesIO()
        dataset.save_as(stream, enforce_file_format=True)
        files[name] = stream.getvalue()
    return files


VALID_FILES = _valid_files()


@pytest.mark.parametrize("kind", sorted(VALID_FILES))
def test_damaged_files(tmp_path_factory: pytest.TempPathFactory, kind: str) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    content = VALID_FILES[kind]

    @settings(max_examples=60, deadline=None, derandomize=True, database=None)
    @given(
        length=st.one_of(st.just(len(content)), st.integers(0, len(content))),
        flips=st.lists(
            st.tuples(st.one_of(st.integers(0, 900), st.integers(0, len(content) - 1)), st.integers(0, 255)), max_size=8
        ),
    )
    def check(length: int, flips: list[tuple[int, int]]) -> None:
        damaged = bytearray(content)
        for position, value in flips:
            damaged[position % len(damaged)] = value
        path = folder / f"film.{kind}"
        path.write_bytes(bytes(damaged[:length]))
        frame = 1 if kind == "xa.dcm" else None
        message = ""
        try:
            film = read_radiograph(path, RadiographOptions("left", "pa", 0.15, frame=frame))
            assert isinstance(film, Radiograph)
        except InputError as error:
            message = str(error)
        assert "\n" not in message
        assert os.fspath(folder) not in message

    check()
