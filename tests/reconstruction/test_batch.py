"""A batch: which films with which facts, one row each whatever happens, and nothing made twice."""

from __future__ import annotations

import csv
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from bonelift.cli import main
from bonelift.errors import InputError
from bonelift.images import RadiographOptions, write_png
from bonelift.networks.model import load_model
from bonelift.reconstruction.batch import run as batch
from bonelift.reconstruction.batch.cases import batch_cases
from bonelift.reconstruction.batch.rows import failed_row, table
from bonelift.reconstruction.batch.run import PAGE_NAME, TABLE_NAME, run_batch
from bonelift.reconstruction.settings import JobSettings
from builders.radiograph_files import dicom_radiograph, film_pixels, save
from builders.untrained_model import untrained_model

KNOWN = RadiographOptions(side="right", view="pa", pixel_spacing_mm=0.2)


def png(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, (film_pixels() + np.uint16(seed)).astype(np.uint16))
    return path


def facts(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_a_folder_gives_its_films_at_any_depth_and_nothing_else(tmp_path):
    for name in ("b.png", "deep/a.png", "deep/.hidden.png", "result/overlay.png"):
        png(tmp_path / name)
    (tmp_path / "result" / "reconstruction.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("no film")
    (tmp_path / "device").symlink_to("/dev/zero")
    cases = batch_cases([tmp_path], None, KNOWN)
    assert [case.label for case in cases] == ["b", "a"]
    named = batch_cases([tmp_path / "notes.txt", tmp_path / "b.png"], None, KNOWN)
    assert [case.label for case in named] == ["notes", "b"]  # what is named is a case, and fails by itself
    (tmp_path / "nothing").mkdir()
    with pytest.raises(InputError, match="holds no film"):
        batch_cases([tmp_path / "nothing"], None, KNOWN)


def test_a_table_says_the_facts_of_each_film_before_the_options(tmp_path):
    films = [png(tmp_path / "films" / name) for name in ("a.png", "b.png", "c.png")]
    told = facts(tmp_path / "facts.csv", "file;side;view;spacing_mm;hanging;age", "a.png;L;lat;0,15;mirrored;50",
                 "films/b.png;;;;;")  # fmt: skip
    first, second, third = (case.images[0].options for case in batch_cases(films, told, KNOWN))
    assert (first.side, first.view, first.pixel_spacing_mm, first.hanging) == ("left", "lateral", 0.15, "mirrored")
    assert second == third == KNOWN
    by_table = batch_cases([], facts(tmp_path / "films" / "f.csv", "file", "c.png"), KNOWN)
    assert by_table[0].images[0].path == tmp_path / "films" / "c.png"


def test_two_rows_of_one_case_are_one_wrist(tmp_path):
    for name in ("pa.png", "lat.png", "x.png"):
        png(tmp_path / name)
    told = facts(tmp_path / "t.csv", "file,case,patient,view", "pa.png,w1,p1,pa", "x.png,w2,,pa", "lat.png,w1,,lateral")
    first, second = batch_cases([], told, KNOWN)
    assert [image.options.view for image in first.images] == ["pa", "lateral"]
    assert (first.label, first.patient, second.label) == ("w1", "p1", "w2")


@pytest.mark.parametrize(
    ("row", "words"),
    [("a.png,up", "side is 'up'"), ("gone.png,left", "is not among the films")],
)
def test_what_is_wrong_with_a_row_is_the_problem_of_its_case(tmp_path, row, words):
    film = png(tmp_path / "a.png")
    problems = [case.problem for case in batch_cases([film], facts(tmp_path / "t.csv", "file,side", row), KNOWN)]
    assert any(words in problem for problem in problems)


@pytest.mark.parametrize(
    ("content", "words"),
    [("", "no column 'file'"), ("side,view\nleft,pa", "no column 'file'"), ("file,side", "holds no rows"),
     ("file,side,side\na,left,left", "twice"), ("file\na.png\na.png", "a second time")],
)  # fmt: skip
def test_a_table_that_cannot_be_read_is_one_sentence(tmp_path, content, words):
    told = tmp_path / "t.csv"
    told.write_text(content or "x")
    with pytest.raises(InputError, match=words):
        batch_cases([png(tmp_path / "a.png")], told, KNOWN)


def test_labels_are_unique_and_hold_no_identity(tmp_path):
    films = [png(tmp_path / "a" / "film.png"), png(tmp_path / "b" / "FILM.png")]
    films.append(save(dicom_radiograph(), tmp_path / "Rontgen_Anna.dcm"))
    cases = batch_cases(films, None, KNOWN)
    assert [case.label for case in cases] == ["film", "FILM-2", "film-0003"]
    row = failed_row(cases[2], "Rontgen_Anna.dcm: is damaged")
    assert "Rontgen" not in table([row])


def test_a_spreadsheet_takes_no_cell_for_a_formula(tmp_path):
    (case,) = batch_cases([png(tmp_path / "a.png")], None, KNOWN)
    (cells,) = list(csv.DictReader(table([failed_row(case, "=HYPERLINK(1)")]).splitlines()))
    assert cells["error"] == "'=HYPERLINK(1)"
    assert cells["flags"] == ""


class Page(HTMLParser):
    """Everything on a page that could be fetched, and its rows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.sources, self.links, self.verdicts = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.sources += [found["src"]] if "src" in found else []
        self.links += [found["href"]] if "href" in found else []
        self.verdicts += [found["data-verdict"]] if "data-verdict" in found else []


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return load_model(untrained_model(tmp_path_factory.mktemp("model")), "cpu")


def test_a_failed_film_stops_nothing_and_what_is_there_is_not_made_again(tmp_path, model, monkeypatch):
    films = tmp_path / "films"
    for seed, name in enumerate(("a.png", "c.png")):
        png(films / name, seed)
    (films / "b.pdf").write_bytes(b"%PDF-1.7")
    out = tmp_path / "out"
    done: list[str] = []

    def run(known: RadiographOptions):
        cases = batch_cases([films / "a.png", films / "b.pdf", films / "c.png"], None, known)
        done.clear()
        return run_batch(cases, out, model, JobSettings(), lambda row: done.append(row.verdict))

    rows = run(KNOWN)
    assert done[1] == "failed"
    assert "is a PDF document" in rows[1].error
    assert all(row.made and row.verdict in ("not usable", "no wrist found") for row in (rows[0], rows[2]))
    with (out / TABLE_NAME).open(newline="") as file:
        cells = list(csv.DictReader(file))
    assert [cell["case"] for cell in cells] == ["a", "b", "c"]
    assert cells[0]["side"] == "right"
    assert cells[0]["side_from"] == "option: option --side"
    page = Page((out / PAGE_NAME).read_text())
    assert all(source.startswith("data:image/") for source in page.sources)
    assert {"a/report.html", "c/report.html", TABLE_NAME} <= set(page.links)
    assert all((out / link).is_file() for link in page.links)
    assert page.verdicts == done

    report = (out / "a" / "report.html").stat().st_mtime_ns
    again = run(KNOWN)
    assert [row.made for row in again if row.verdict != "failed"] == [False, False]
    assert (out / "a" / "report.html").stat().st_mtime_ns == report
    assert (out / TABLE_NAME).read_text().count("\n") == 4

    png(films / "a.png", 7)  # another film under the same name
    changed = run(KNOWN)
    assert [row.made for row in changed] == [True, True, False]

    monkeypatch.setattr(batch, "reconstruct", lambda *_: 1 / 0)
    png(films / "a.png", 8)
    fault = run(KNOWN)
    assert (fault[0].verdict, fault[0].ours) == ("failed", True)
    assert "ZeroDivisionError" in fault[0].error
    assert fault[2].verdict == rows[2].verdict


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path, model):
    png(tmp_path / "out" / "precious.png")
    cases = batch_cases([png(tmp_path / "a.png")], None, KNOWN)
    with pytest.raises(InputError, match="is not empty"):
        run_batch(cases, tmp_path / "out", model, JobSettings())
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["precious.png"]


def test_a_pdf_for_each_case_and_no_label_for_many(tmp_path, model, capsys):
    pytest.importorskip("reportlab", reason="reportlab is not installed")
    png(tmp_path / "films" / "a.png", 0)
    cases, out = batch_cases([tmp_path / "films" / "a.png"], None, KNOWN), tmp_path / "out"
    for pdf in (False, True):  # asked for later, it is made then
        (row,) = run_batch(cases, out, model, JobSettings(), pdf=pdf)
        assert (row.made, (out / "a" / "report.pdf").is_file()) == (True, pdf)
    assert main(["reconstruct", "--on", str(tmp_path / "films"), "--label", "A", "--out", str(out), "--quiet"]) == 2
    assert "--label belongs to one film" in capsys.readouterr().err
