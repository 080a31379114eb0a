"""The report as a browser shows it: no finding of axe-core in either colour scheme, nothing beyond a phone's edge."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bonelift.report.html import write_report
from builders.accessibility import browser_path, findings
from builders.report_content import full_content


@pytest.mark.parametrize(("width_px", "dark"), [(1400, False), (400, True)])
def test_axe_finds_nothing_and_nothing_is_wider_than_the_page(tmp_path, width_px, dark):
    write_report(tmp_path / "report.html", full_content())
    found, width = findings(tmp_path / "report.html", width_px=width_px, dark=dark)
    assert found == []
    assert width <= width_px


def test_printed_it_is_two_sheets(tmp_path):
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed")
    content = full_content()
    both = replace(content, films=(content.films[0], replace(content.films[0], view="lateral")))
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=browser_path(), args=["--no-sandbox"])
        for number, shown in enumerate((content, both)):
            write_report(tmp_path / f"{number}.html", shown)
            page = chromium.new_page()
            page.goto((tmp_path / f"{number}.html").as_uri())
            page.pdf(path=tmp_path / f"{number}.pdf", prefer_css_page_size=True, print_background=True)
            sheets = pypdf.PdfReader(tmp_path / f"{number}.pdf").pages
            assert len(sheets) == 2
            assert [round(float(side)) for side in sheets[0].mediabox[2:]] == pytest.approx([595, 842], abs=1)  # A4
            text = "".join(sheet.extract_text() for sheet in sheets)
            for words in ("Case 12", "Not for diagnosis", "the graver remark", "palmar tilt", "Pixel spacing"):
                assert words in text
        chromium.close()
