"""What a person drops that is no film of one wrist, or is given as what it is not: one clear sentence each."""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bonelift.anatomy.shape_model import load_shape_model
from bonelift.cli import main
from bonelift.images import Radiograph, write_png
from bonelift.networks.model import load_model
from bonelift.phantom.patient import make_patient
from bonelift.phantom.whole_film import simulated_film
from bonelift.reconstruction.demo_case import load_demo_case
from bonelift.reconstruction.inputs import read_radiographs
from bonelift.reconstruction.job import reconstruct
from bonelift.reconstruction.locate import LocateSettings, locate_wrist
from bonelift.reconstruction.place import PlaceSettings
from bonelift.reconstruction.settings import JobSettings, ReconsiderSettings
from builders.radiograph_files import dicom_radiograph, film_pixels, save
from builders.untrained_model import untrained_model

QUICK = JobSettings(place=replace(PlaceSettings(), wrist=ReconsiderSettings().search))
"""One short search for where the wrist stands instead of the usual one: what is told does not hang on it."""
KNOWN = ["--side", "right", "--view", "pa", "--pixel-spacing-mm", "0.2"]


def pdf(folder: Path) -> list[str]:
    (folder / "letter.pdf").write_bytes(b"%PDF-1.7\n%letter")
    return [str(folder / "letter.pdf"), *KNOWN]


def archive(folder: Path) -> list[str]:
    with zipfile.ZipFile(folder / "films.zip", "w") as films:
        films.writestr("a.png", b"x")
    return [str(folder / "films.zip"), *KNOWN]


def heic(folder: Path) -> list[str]:
    (folder / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(200))
    return [str(folder / "phone.heic"), *KNOWN]


def photograph(folder: Path) -> list[str]:
    """A lawn under a sky, as a JPEG."""
    rows = np.linspace(0, 1, 300)[:, None, None]
    colours = (1 - rows) * np.array([90, 150, 240]) + rows * np.array([40, 130, 30]) + np.zeros((300, 240, 1))
    Image.fromarray(colours.astype(np.uint8)).save(folder / "holiday.jpg")
    return [str(folder / "holiday.jpg"), *KNOWN]


def chest(folder: Path) -> list[str]:
    return [str(save(dicom_radiograph(BodyPartExamined="CHEST"), folder / "thorax.dcm"))]


def huge(folder: Path) -> list[str]:
    """A PNG of 20,000 x 20,000 pixels in a file of some kilobytes."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1 << 20)))
    (folder / "huge.png").write_bytes(content + chunk(b"IEND", b""))
    return [str(folder / "huge.png"), *KNOWN]


def many(folder: Path) -> list[str]:
    write_png(folder / "film.png", film_pixels())
    return [*[str(folder / "film.png")] * 80, "--side", "right", "--pixel-spacing-mm", "0.2"]


def two_patients(folder: Path) -> list[str]:
    first = save(dicom_radiograph(PatientID="HIDDEN-1"), folder / "a.dcm")
    second = save(dicom_radiograph(PatientID="HIDDEN-2", ViewPosition="LL"), folder / "b.dcm")
    return [str(first), str(second)]


def twice(folder: Path) -> list[str]:
    for name in ("pa.png", "copy.png"):
        write_png(folder / name, film_pixels())
    views = ["--view", "pa", "--view", "lateral"]
    return [str(folder / "pa.png"), str(folder / "copy.png"), "--side", "left", *views, "--pixel-spacing-mm", "0.2"]


def device(folder: Path) -> list[str]:
    (folder / "film.png").symlink_to("/dev/zero")
    return [str(folder / "film.png"), *KNOWN]


def folder_as_film(folder: Path) -> list[str]:
    (folder / "films").mkdir()
    return [str(folder / "films"), *KNOWN]


def empty(folder: Path) -> list[str]:
    (folder / "film.dcm").touch()
    return [str(folder / "film.dcm"), *KNOWN]


CASES = {
    "a PDF": (pdf, "letter.pdf: is a PDF document; export the film from it"),
    "a zip": (archive, "films.zip: is a zip archive"),
    "a phone's picture": (heic, "phone.heic: is a HEIC photograph"),
    "a photograph": (photograph, "is a colour image"),
    "a chest film": (chest, "BodyPartExamined (0018,0015) says CHEST; expected a wrist"),
    "400 megapixels": (huge, "20000 x 20000 pixels; expected at most 100 million"),
    "80 files": (many, "got 80 images; expected one or two of the same wrist; many films go through"),
    "two patients": (two_patients, "their headers name two patients"),
    "one film twice": (twice, "hold the same picture"),
    "a link to a device": (device, "film.png: is a device"),
    "a folder": (folder_as_film, "films: is a folder"),
    "an empty file": (empty, "film.dcm: is empty"),
    "nothing": (lambda _: KNOWN, "got no image; expected one or two"),
    "a batch of nothing": (lambda folder: ["--on", str(folder)], "holds no film"),
    "a batch and a film": (lambda folder: ["--on", str(folder), "--camera", "c.json"], "--on or --table with --camera"),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return untrained_model(tmp_path_factory.mktemp("model"))


@pytest.mark.parametrize("name", CASES)
def test_one_sentence_status_2_and_nothing_left_behind(name, tmp_path, model, capsys):
    write, words = CASES[name]
    call = write(tmp_path)
    if name == "80 files":
        call += [part for _ in range(80) for part in ("--view", "pa")]
    before = sorted(tmp_path.rglob("*"))
    assert main(["reconstruct", *call, "--model", str(model), "--out", str(tmp_path / "result")]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.count("\n") == 1
    assert words in error
    assert "HIDDEN" not in error
    assert sorted(tmp_path.rglob("*")) == before


def test_a_batch_takes_all_of_it_and_says_so(tmp_path, model, capsys):
    """Status 2, since some films came to no answer; the row of each says why."""
    drop = tmp_path / "drop"
    drop.mkdir()
    for write in (pdf, archive, photograph, device, empty):
        write(drop)
    write_png(drop / "real.png", film_pixels())
    named = [str(path) for path in sorted(drop.iterdir())]
    call = ["reconstruct", "--on", *named, *KNOWN, "--model", str(model), "--out", str(tmp_path / "out"), "--json"]
    assert main(call) == 2
    printed = json.loads(capsys.readouterr().out)
    assert printed["cases"] == 6
    assert set(printed["failed"]) == {"letter", "films", "holiday", "film", "film-2"}
    assert (tmp_path / "out" / "real" / "report.html").is_file()
    assert main(["reconstruct", "--on", named[-1], *KNOWN, *call[-5:-1], "--quiet"]) == 0


def plain(film: Radiograph, pixels: np.ndarray, top: int = 0) -> Radiograph:
    """The film with other pixels; they begin at a row of it."""
    moved = np.array([[1.0, 0, 0], [0, 1, -top], [0, 0, 1]])
    camera = film.camera.viewed_through(moved, pixels.shape[1], pixels.shape[0])
    return Radiograph(np.ascontiguousarray(pixels), camera, film.side, film.view, film.source_to_object_mm)


@pytest.fixture(scope="module")
def packaged():
    return load_model(None, "cpu")


@pytest.fixture(scope="module")
def pa() -> Radiograph:
    (film,) = read_radiographs([load_demo_case().image])
    return plain(film, film.pixels)


@pytest.fixture(scope="module")
def lateral() -> Radiograph:
    return simulated_film(
        make_patient(940010, load_shape_model()), np.random.default_rng([940010, 7, 1]), "lateral", "right"
    )[0]


def texts(result) -> list[str]:
    return [flag.text for flag in result.quality.flags]


def test_a_lateral_given_as_pa_is_named(lateral, packaged):
    """With the packaged networks, on a film that they have not seen."""
    result = reconstruct([replace(lateral, view="pa")], packaged, QUICK)
    assert result.quality.doubtful
    assert "this looks like a lateral; pass --view lateral if that is so" in texts(result)
    assert result.suggestions[0].changes == {"view": "lateral"}


def test_an_upside_down_lateral_is_read_and_said(lateral, packaged):
    result = reconstruct([plain(lateral, lateral.pixels[::-1, ::-1])], packaged, QUICK)
    assert result.films[0].located.turn_deg == 180
    assert result.quality.verdict != "not usable"
    assert any("upside down" in text for text in texts(result))
    assert result.suggestions == ()


@pytest.mark.parametrize("part", ["a wrist cut off at the joint", "a hand without a forearm"])
def test_half_a_wrist_is_never_a_result_to_use(pa, packaged, part):
    joint = round(float(locate_wrist(pa, packaged, LocateSettings())[0].located.origin_px[1]))
    hand = part.startswith("a hand")
    cut = plain(pa, pa.pixels[:joint] if hand else pa.pixels[joint:], 0 if hand else joint)
    if min(cut.pixels.shape) < 200:
        pytest.skip("the packaged film is too small to be cut there")
    result = reconstruct([cut], packaged, QUICK)
    assert result.quality.verdict == "not usable"
