"""The child process: what it says of files that are no films, and that it ends at its limits and with the server."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bonelift.anatomy.side import mirror_mesh
from bonelift.errors import InputError
from bonelift.geometry import rotation_about_axis, translation
from bonelift.images.raster import write_png
from bonelift.reconstruction.demo_case import load_demo_case
from bonelift.serve import worker
from bonelift.serve.children import Task, WorkerError, run_task
from bonelift.serve.view import mesh_entry
from bonelift.surface.clip import clip_below
from bonelift.surface.files import write_stl
from builders.radiograph_files import CT, dicom_radiograph, film_pixels, save

GIB = 3.0


def look(film: Path, options: dict | None = None, others: tuple[Path, ...] = ()) -> dict:
    """As the child does it, in this process."""
    task = {
        "film": str(film), "picture": str(film.with_suffix(".picture")), "options": options or {},
        "others": [str(other) for other in others],
    }  # fmt: skip
    return worker.look(task, lambda _: None)


def test_what_the_header_says_is_told_with_its_origin_and_what_is_missing_is_named(tmp_path: Path) -> None:
    told = look(save(dicom_radiograph(), tmp_path / "film 1"))
    assert told["missing"] == []
    assert {name: told["facts"][name]["kind"] for name in ("side", "view", "pixel_spacing", "sdd", "hanging")} == {
        "side": "recorded", "view": "recorded", "pixel_spacing": "recorded", "sdd": "assumed", "hanging": "later"
    }  # fmt: skip
    assert told["facts"]["side"]["value"] == "left"
    bare = look(save(dicom_radiograph(Laterality=None, ImagerPixelSpacing=None), tmp_path / "film 2"))
    assert bare["missing"] == ["side", "pixel_spacing"]
    assert bare["facts"]["side"]["value"] is None  # no stand-in is told
    assert bare["facts"]["pixel_spacing"]["value"] is None
    given = look(tmp_path / "film 2", {"side": "right", "pixel_spacing_mm": 0.2})
    assert given["facts"]["side"] == {"kind": "option", "text": "option --side", "value": "right"}


def test_the_picture_shows_bright_bones_and_holds_no_identity(tmp_path: Path) -> None:
    film = save(dicom_radiograph(PhotometricInterpretation="MONOCHROME1"), tmp_path / "film 1")
    bright = save(dicom_radiograph(), tmp_path / "film 2")
    look(film)
    look(bright)
    dark, light = (np.asarray(Image.open(path.with_suffix(".picture"))) for path in (film, bright))
    assert np.corrcoef(dark.ravel(), 255.0 - light.ravel())[0, 1] > 0.99
    assert b"Anna" not in film.with_suffix(".picture").read_bytes()


def test_a_header_that_is_wrong_can_be_overruled_and_else_is_named(tmp_path: Path) -> None:
    film = save(dicom_radiograph(), tmp_path / "film 1")
    with pytest.raises(InputError, match="contradicts"):
        look(film, {"side": "right"})
    told = look(film, {"side": "right", "overrule_header": True})
    assert told["facts"]["side"]["value"] == "right"
    assert "overrules Laterality" in told["facts"]["side"]["text"]


@pytest.mark.parametrize(
    ("second", "words"),
    [({}, "is the same file as film 1"), ({"PatientID": "0815", "PatientName": "Other^Person"}, "two patients")],
)
def test_two_films_that_do_not_belong_together(tmp_path: Path, second: dict, words: str) -> None:
    first = save(dicom_radiograph(), tmp_path / "film 1")
    other = tmp_path / "film 2"
    if second:
        save(dicom_radiograph(film_pixels(140, 100), **second), other)
    else:
        other.write_bytes(first.read_bytes())
    with pytest.raises(InputError, match=words) as refused:
        look(other, others=(first,))
    assert "Anna" not in str(refused.value)
    assert "0815" not in str(refused.value)


def zip_bomb(path: Path) -> None:
    path.write_bytes(b"PK\x03\x04" + bytes(200))


def photograph(path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200, 3)).astype(np.uint8)).save(path, "JPEG")


def four_hundred_megapixels(path: Path) -> None:
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(bytes(1000)))]
    written = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + written)


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda path: path.write_bytes(b"%PDF-1.7 "), "PDF"),
        (zip_bomb, "zip"),
        (photograph, "colour image"),
        (lambda path: save(dicom_radiograph(sop_class=CT), path), "not a radiograph"),
        (four_hundred_megapixels, "million"),
        (lambda path: path.write_bytes(b""), "empty"),
    ],
)
def test_a_file_that_is_no_film_is_one_sentence(tmp_path: Path, write, words: str) -> None:
    write(tmp_path / "film 1")
    with pytest.raises(InputError, match=words) as refused:
        look(tmp_path / "film 1")
    assert str(refused.value).startswith("film 1: ")


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_model_of_another_frame_or_side_is_laid_on_the_bone(tmp_path: Path, mirrored: bool) -> None:
    """The same bone, turned, moved and perhaps mirrored: nothing is left but the alignment's 0.01 mm."""
    bone = clip_below(load_demo_case().truth["radius"], -40)
    moved = bone.transformed(translation(np.array([30.0, -20, 5])) @ rotation_about_axis([0, 1, 1], 0.4))
    write_stl(tmp_path / "model.stl", mirror_mesh(moved) if mirrored else moved)
    view = tmp_path / "view.json"
    view.write_text(json.dumps({"scene": {"meshes": [mesh_entry("radius", bone, None)]}}))
    task = {"view": str(view), "model": str(tmp_path / "model.stl"), "bone": "radius", "mirror": mirrored}
    told = worker.compare(task, lambda _: None)
    assert told["distances"]["asd_surface_mm"] < 0.02
    by_vertex = np.frombuffer(base64.b64decode(told["vertex_mm"]), "<f4")
    assert len(by_vertex) == len(bone.vertices)
    assert by_vertex.max() < 0.1
    with pytest.raises(InputError, match="holds no ulna"):
        worker.compare({**task, "bone": "ulna"}, lambda _: None)


def task(name: str, seconds: float = 60, gib: float = GIB, **content: object) -> Task:
    return Task(name, dict(content), seconds, gib)


def test_a_child_answers_refuses_and_tells_faults_of_ours_without_what_it_read(tmp_path: Path) -> None:
    write_png(tmp_path / "film 1", film_pixels())
    content = {"film": str(tmp_path / "film 1"), "picture": str(tmp_path / "p"), "options": {}, "others": []}
    told = asyncio.run(run_task(task("look", **content)))
    assert told["missing"] == ["side", "view", "pixel_spacing"]
    with pytest.raises(InputError, match="no such file"):
        asyncio.run(run_task(task("look", **{**content, "film": str(tmp_path / "none")})))
    with pytest.raises(WorkerError, match=r"KeyError in worker\.py") as fault:
        asyncio.run(run_task(task("look", secret="ROENTGEN^ANNA")))
    assert "ROENTGEN" not in str(fault.value)


def test_a_child_is_ended_at_its_time(tmp_path: Path) -> None:
    began = time.monotonic()
    # No child has read its task after 10 ms: its libraries alone take longer.
    with pytest.raises(InputError, match="longer than 0 s and was ended"):
        asyncio.run(run_task(task("look", seconds=0.01, film=str(tmp_path / "a"), picture="", options={}, others=[])))
    assert time.monotonic() - began < 30


def child(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ask(process: subprocess.Popen[str], **content: object) -> None:
    assert process.stdin is not None
    process.stdin.write(json.dumps(content) + "\n")
    process.stdin.flush()


def answer(process: subprocess.Popen[str]) -> dict:
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux holds a process to its memory this way")
def test_a_child_is_held_to_its_memory() -> None:
    code = (
        "from bonelift.serve import worker\n"
        "import numpy as np\n"
        "worker.TASKS['eat'] = lambda task, tell: np.ones((1 << 30,))\n"
        "worker.main()"
    )
    with child(code) as process:
        ask(process, task="eat", memory_gib=0.5, seconds=60)
        assert "not the memory" in answer(process)["refused"]


@pytest.mark.skipif(os.name != "posix", reason="needs a pipe that waits")
def test_a_child_ends_when_the_server_is_gone(tmp_path: Path) -> None:
    """Standard input closes with the server, whatever ended it; the child, which would wait for ever, ends then."""
    code = (
        "from bonelift.serve import worker\n"
        "import time\n"
        "worker.TASKS['wait'] = lambda task, tell: (tell({'step': 'waits'}), time.sleep(600))\n"
        "worker.main()"
    )
    with child(code) as process:
        ask(process, task="wait", memory_gib=4, seconds=600)
        assert answer(process) == {"step": "waits"}
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(60) == 1
