"""The PDF of two sheets, read back by pypdf."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import numpy as np
import pytest

from bonelift import RESEARCH_NOTICE
from bonelift.cli import main
from bonelift.errors import InputError
from bonelift.report import pdf
from bonelift.report.content import Fact, Flag, Measurement
from bonelift.report.pdf import report_pdf
from builders.report_content import full_content

pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed")
pytest.importorskip("reportlab", reason="reportlab is not installed")


@pytest.fixture(scope="module")
def content():
    return full_content()


@pytest.fixture(scope="module")
def made(content) -> bytes:
    return report_pdf(content)


def sheets_of(content: bytes) -> list[str]:
    """The text of each sheet, lines joined."""
    return [re.sub(r"\s+", " ", page.extract_text()) for page in pypdf.PdfReader(io.BytesIO(content)).pages]


def test_two_sheets_with_the_notice_and_text_that_can_be_searched(made):
    first, second = sheets_of(made)
    for sheet in (first, second):
        assert RESEARCH_NOTICE in sheet
        assert "For adults, without fracture, without cast." in sheet
        assert "Case 12: Right wrist, PA view" in sheet
    for words in ("SEVERE: the graver remark", "Quality 0.71", "palmar side", "radial", "ulnar", "10 mm", "0.70 mm"):
        assert words in first
    assert first.index("SEVERE") < first.index("WARNING") < first.index("INFO")
    for words in (
        "palmar tilt −10.8° not known – – 11.5°",
        "ImagerPixelSpacing (0018,1164)",
        "outline of the radius",
        "0123abcd",
    ):
        assert words in second


def test_it_holds_no_time_and_no_writer_and_is_the_same_each_time(content, made):
    assert report_pdf(content) == made
    about = pypdf.PdfReader(io.BytesIO(made)).metadata
    assert about["/Author"].startswith("bonelift ")
    assert about["/CreationDate"].startswith("D:20000101")


def test_the_outlines_are_drawn_to_the_scale_of_the_film(content, made):
    """The bar is 10 mm, the ball 20 mm: both are lines of the sheet, read from its drawing commands."""
    commands = pypdf.PdfReader(io.BytesIO(made)).pages[0].get_contents().get_data().decode("latin-1")
    number = r"(-?[\d.]+)"
    bars = re.findall(rf"n {number} {number} m {number} {number} l S", commands)
    (rimmed,) = {line for line in bars if bars.count(line) == 2}  # black, then white over it
    bar = float(rimmed[2]) - float(rimmed[0])
    path = max(
        re.findall(rf"n {number} {number} m((?: {number} {number} l)+)", commands), key=lambda found: len(found[2])
    )
    columns = np.array(re.findall(rf"{number} {number} l", path[2]), dtype=np.float64)[:, 0]
    # The radius is a ball of 20 mm at the distance of the bar; the outline of a ball at 950 mm is 0.01 % wider, the
    # film is sampled at a quarter of 0.5 mm, and every third point of the line is drawn.
    assert np.ptp(columns) / bar == pytest.approx(2.0, abs=0.05)


def test_too_much_text_is_set_smaller_and_odd_letters_are_marked(content):
    flags = tuple(Flag("warning", f"remark {n} <b>" + " of many words" * 30) for n in range(12))
    measurements = tuple(Measurement(f"measurement {n}", float(n), "mm") for n in range(60))
    facts = (Fact("Name", "\u6f22 & <i>", "nowhere"),)
    both = (content.films[0], replace(content.films[0], view="lateral", bones_world={}, world_from_radius=None))
    first, second = sheets_of(
        report_pdf(replace(content, flags=flags, measurements=measurements, facts=facts, films=both, label=None))
    )
    assert "remark 11 <b>" in first
    assert "measurement 59" in second
    assert "? & <i>" in second
    assert "the bones were not placed" in first


def test_without_bones_it_says_so(content):
    empty = replace(content, bones={}, flags=(), measurements=(), expected={}, quality_score=None)
    first, _ = sheets_of(report_pdf(empty))
    assert "No surface was reconstructed." in first
    assert "No flags were raised." in first


def test_what_cannot_be_made_is_refused_before_the_work(content, monkeypatch, tmp_path, capsys):
    call = ["reconstruct", str(tmp_path / "no film"), "--out", str(tmp_path / "out"), "--quiet"]
    assert main([*call, "--label", "two\nlines"]) == 2
    assert capsys.readouterr().err.startswith("bonelift: case label: got 'two\\nlines'")
    monkeypatch.setattr(pdf, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="needs reportlab"):
        report_pdf(content)
    assert main([*call, "--pdf"]) == 2
    assert "pip install '.[pdf]'" in capsys.readouterr().err
