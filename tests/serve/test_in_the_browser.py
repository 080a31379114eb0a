"""The page in a headless Chromium, through real jobs on small virtual films."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from builders.radiograph_files import dicom_radiograph, save
from builders.virtual_films import SPACING_MM, write_film

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
CHROMIUM = os.environ.get("BONELIFT_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
AXE = os.environ.get("BONELIFT_AXE", "")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium; BONELIFT_CHROMIUM names one")
JOB_MS = 240_000
"""A job takes 6 s of a processor; a loaded machine makes it many times as long."""


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("films")
    written = {view: write_film(folder / f"{view}.png", view) for view in ("pa", "lateral")}
    pixels = (np.asarray(Image.open(written["pa"])) // 16).astype(np.uint16)
    dataset = dicom_radiograph(pixels, Laterality="R", ImagerPixelSpacing=[SPACING_MM] * 2, PatientID="CANARY-1")
    dataset.private_block(0x11, "CANARY-2", create=True).add_new(1, "LO", "CANARY-3")
    dataset.PatientName = "CANARY^Anna"
    return {**written, "dicom": save(dataset, folder / "CANARY-4.dcm")}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Of a server of its own process, as a user starts it; ended with Ctrl-C, after which nothing is left."""
    command = [sys.executable, "-c", "from bonelift.cli import main; raise SystemExit(main())"]
    process = subprocess.Popen(
        [*command, "serve", "--port", "0", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "")
    said = ""
    while "}" not in said:
        said += next(lines)
    yield json.loads(said)["address"]
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert errors == ""


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield launched
        launched.close()


@pytest.fixture
def page(browser, address: str):
    opened = browser.new_page(viewport={"width": 1400, "height": 900})
    opened.set_default_timeout(60_000)
    faults: list[str] = []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    asked: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(address)
    opened.wait_for_selector("body[data-ready]")
    yield opened
    assert faults == []
    assert [url for url in asked if not url.startswith((address, "blob:", "data:"))] == []
    opened.close()


def say(page, number: int, **facts: str) -> None:
    """Fill in what is known of a film, and wait until the server has taken each."""
    for name, value in facts.items():
        field = f"#{name}-{number}"
        if name == "pixel_spacing":
            page.fill(field, value)
            page.press(field, "Tab")
        else:
            page.select_option(field, value)
        page.wait_for_selector(f"#from-{name}-{number} .option")


def kinds(page, number: int) -> dict[str, str]:
    return {
        name: page.inner_text(f"#from-{name}-{number} .tag") for name in ("side", "view", "pixel_spacing", "polarity")
    }


def serious(page) -> list[str]:
    """Findings of axe-core of serious or critical impact."""
    page.evaluate(Path(AXE).read_text(encoding="utf-8"))
    found = page.evaluate("async () => (await axe.run(document)).violations")
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:120]}" for one in found if one["impact"] in ("serious", "critical")
    ]


def test_one_film_a_wrong_file_a_wrong_side_and_a_reload(page, films: dict[str, Path]) -> None:
    page.set_input_files("#file", {"name": "report.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7 nothing"})
    page.wait_for_selector("#problem:not([hidden])")
    assert page.inner_text("#problem").startswith("report.pdf: is a PDF document")
    page.set_input_files("#file", [{"name": f"{n}.png", "mimeType": "image/png", "buffer": b"x"} for n in range(80)])
    assert "80 files were dropped" in page.inner_text("#problem")

    page.set_input_files("#file", films["pa"])
    page.wait_for_selector("#film-2")  # the PDF was number 1
    assert page.is_hidden("#problem")
    assert kinds(page, 2) == {
        "side": "missing", "view": "missing", "pixel_spacing": "missing", "polarity": "read from the picture"
    }  # fmt: skip
    assert page.is_disabled("#run")
    assert page.inner_text("#lacking") == "Say first what the file does not: the side, the view, the pixel spacing."
    say(page, 2, side="left", view="pa", pixel_spacing=str(SPACING_MM))
    page.select_option("#side-2", "right")  # the correction
    page.wait_for_selector("#run:not([disabled])")
    page.click("#run")
    page.wait_for_selector("#going:not([hidden])")

    page.reload()  # in the middle: the job goes on, and the page finds it again
    page.wait_for_selector("#result:not([hidden])", timeout=JOB_MS)
    assert page.input_value("#side-2") == "right"
    assert "right wrist" in page.inner_text("#verdict")
    assert "Film 2" in page.inner_text("#film-2")  # the file's name was known to the page alone

    outlines = page.locator("#pictures .outline[data-bone]")
    assert {outlines.nth(n).get_attribute("data-bone") for n in range(outlines.count())} == {"radius", "ulna"}
    page.click("[data-light=ulna]")
    lit = page.locator("#pictures .outline.lit")
    assert lit.count() == 1
    assert lit.get_attribute("data-bone") == "ulna"
    page.select_option("#colouring", "sd")
    assert page.is_visible("#ramp .bar")

    handle = page.locator("#pictures .handle").first
    handle.focus()
    page.keyboard.press("ArrowDown")
    assert page.is_enabled("#again")
    page.click("#back")
    assert page.is_disabled("#again")

    with page.expect_download() as download:
        page.click("#zip")
    with zipfile.ZipFile(download.value.path()) as files:
        names = {Path(name).name for name in files.namelist()}
    assert {"radius.stl", "ulna.stl", "report.html", "reconstruction.json"} <= names

    page.set_viewport_size({"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 400


def test_two_films_a_cancelled_run_and_deleting(page, films: dict[str, Path]) -> None:
    page.set_input_files("#file", [films["dicom"], films["lateral"]])
    page.wait_for_selector("#film-2")
    assert kinds(page, 1) == dict.fromkeys(("side", "view", "pixel_spacing", "polarity"), "recorded")
    say(page, 2, side="right", view="lateral", pixel_spacing=str(SPACING_MM))
    page.click("#run")
    page.wait_for_selector("#cancel:not([hidden])")
    page.click("#cancel")
    page.wait_for_selector("#cancel", state="hidden")
    assert page.inner_text("#outcome").startswith("Cancelled")
    page.click("#run")
    page.wait_for_selector("#result:not([hidden])", timeout=JOB_MS)
    assert page.locator("#pictures figure").count() == 2
    with page.expect_download() as download:
        page.click("#zip")
    with zipfile.ZipFile(download.value.path()) as files:
        assert not any(b"CANARY" in name.encode() + files.read(name) for name in files.namelist())
    if AXE:
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert serious(page) == []
    here = page.url
    page.click("#delete")
    page.wait_for_selector("#cards:empty", state="attached")
    assert page.is_hidden("#result")
    page.goto(here)
    page.reload()
    page.wait_for_selector("#problem:not([hidden])")
    assert "deleted" in page.inner_text("#problem")


@pytest.mark.skipif(not AXE, reason="BONELIFT_AXE names no axe.min.js of axe-core")
def test_the_empty_page_has_no_serious_finding_of_axe(page) -> None:
    assert serious(page) == []
