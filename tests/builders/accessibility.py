"""axe-core over a page in a headless Chromium: both are looked for, and a test without them skips with the reason."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

AXE_PLACES = (Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js",)
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def axe_script() -> str:
    """The text of axe.min.js: BONELIFT_AXE names the file, else node_modules beside the project holds it."""
    named = os.environ.get("BONELIFT_AXE")
    places = (Path(named),) if named else AXE_PLACES
    for place in places:
        if place.is_file():
            return place.read_text(encoding="utf-8")
    pytest.skip("axe-core is not here: npm install axe-core, or set BONELIFT_AXE to axe.min.js")


def browser_path() -> str:
    path = next((found for name in _BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("no Chromium is installed")
    return path


def findings(page: Path, *, width_px: int = 1400, dark: bool = False, seen: str = "main") -> tuple[list[str], int]:
    """What axe-core finds in a file, every fold of it opened, and the width that its content takes (px).

    Nothing else than the file is loaded: a request for anything is a finding too, and so is an element of the selector
    ``seen`` that ends beyond the right edge of the window.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    script, browser = axe_script(), browser_path()
    found: list[str] = []
    with playwright.sync_playwright() as driver:
        # --no-sandbox: tests may run as root, where Chromium refuses its sandbox; the page is our own file.
        chromium = driver.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        shown = chromium.new_page(viewport={"width": width_px, "height": 900}, color_scheme="dark" if dark else "light")
        asked: list[str] = []
        shown.on("request", lambda request: asked.append(request.url))
        shown.on("pageerror", lambda error: found.append(f"script: {error}"))
        shown.goto(page.as_uri())
        shown.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
        width = shown.evaluate("document.documentElement.scrollWidth")
        ends = shown.evaluate(
            "(css) => [...document.querySelectorAll(css)].map((e) => e.getBoundingClientRect().right)", seen
        )
        found += [f"{seen} ends at {end:.0f} of {width_px} px" for end in ends if end > width_px]
        found += [] if ends else [f"no {seen}"]
        shown.evaluate(script)
        for violation in shown.evaluate("axe.run()")["violations"]:
            where = "; ".join(str(node["target"]) for node in violation["nodes"][:3])
            found.append(f"{violation['impact']} {violation['id']}: {where}")
        chromium.close()
    found += [f"request: {url}" for url in asked if url != page.as_uri() and not url.startswith("data:")]
    return found, width
