"""Pictures of the page of `bonelift serve`, at 1400 and at 400 px, on the packaged virtual patient.

    python scripts/draw_serve_page.py --out docs/images

Needs Playwright and a Chromium (/usr/bin/chromium, or BONELIFT_CHROMIUM). Writes serve-films.png, serve-result.png,
serve-result-dark.png and serve-phone.png.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from bonelift.reconstruction.demo_case import FOLDER, IMAGE_NAME

SPACING_MM = "0.207"
WAIT_MS = 300_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    out = parser.parse_args().out
    command = [sys.executable, "-c", "from bonelift.cli import main; main()", "serve", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server, sync_playwright() as started:
        assert server.stdout is not None
        said = ""
        while "}" not in said:
            said += server.stdout.readline()
        browser = started.chromium.launch(
            executable_path=os.environ.get("BONELIFT_CHROMIUM", "/usr/bin/chromium"),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(json.loads(said)["address"])
        page.wait_for_selector("body[data-ready]")
        walk(page, out)
        browser.close()
        server.send_signal(2)


def walk(page: Page, out: Path) -> None:
    """A film, its facts, the job, the result; a picture at each place."""
    page.set_default_timeout(WAIT_MS)
    page.set_input_files("#file", FOLDER / IMAGE_NAME)
    page.wait_for_selector(".card")
    shot(page, out / "serve-films.png", "#films")
    for name, value in {"side": "right", "view": "pa"}.items():
        page.select_option(f"#{name}-1", value)
        page.wait_for_selector(f"#from-{name}-1 .option")
    page.fill("#pixel_spacing-1", SPACING_MM)
    page.press("#pixel_spacing-1", "Tab")
    page.wait_for_selector("#from-pixel_spacing-1 .option")
    page.click("#run")
    page.wait_for_selector("#result:not([hidden])")
    page.click("[data-light=radius]")
    page.locator("#measurements button").first.click()
    page.select_option("#colouring", "sd")
    shot(page, out / "serve-result.png", "#result")
    page.emulate_media(color_scheme="dark")
    shot(page, out / "serve-result-dark.png", "#result")
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": 400, "height": 800})
    shot(page, out / "serve-phone.png", "#result")


def shot(page: Page, path: Path, part: str) -> None:
    """A part of the page, with few colours: a smaller file that looks the same."""
    page.wait_for_timeout(500)
    page.locator(part).screenshot(path=path)
    Image.open(path).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    print(path, Image.open(path).size)


if __name__ == "__main__":
    main()
