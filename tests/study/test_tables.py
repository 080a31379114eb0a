"""Tables of cases as Excel and its users leave them."""

from __future__ import annotations

import datetime
import re

import pytest

from bonelift.errors import InputError
from bonelift.study.importing_table import in_columns, read_table

HEAD, ROW = "case,patient,side,ct,labels,landmarks", "w1,p1,right,ct.nrrd,s.seg.nrrd,p.mrk.json"


@pytest.mark.parametrize(
    "content",
    [
        f"{HEAD}\n{ROW}\n",
        f"{HEAD},,\n{ROW},,\n",
        f"{HEAD}\n{ROW},,\n",
        f"{HEAD}\n{ROW}",
        f"{HEAD},view\n{ROW}\n",
        f"sep=;\n{HEAD}\n{ROW}\n".replace(",", ";"),
        f"sep=,\n{HEAD}\n{ROW}\n",
        f"{HEAD.upper()}\n{ROW}\n",
        f"{HEAD}\n{ROW}\n".replace(",", "\t"),
        f"{HEAD}\n{ROW}\n".replace(",", ";"),
        f"{HEAD}\n{ROW}\n".replace(",", " , "),
        f"\ufeff{HEAD}\r\n{ROW}\r\n\r\n,,,,,\r\n",
        '"' + HEAD.replace(",", '","') + '"\n' + ROW,
    ],
)
def test_one_case_is_read(tmp_path, content):
    path = tmp_path / "t.csv"
    path.write_bytes(content.encode())
    (case,) = read_table(path, files_exist=False).cases
    assert (case.case, case.patient, case.side, case.ct.name) == ("w1", "p1", "right", "ct.nrrd")


def test_the_unicode_text_of_excel_is_read(tmp_path):
    (tmp_path / "t.txt").write_bytes(f"{HEAD}\r\n{ROW}\r\n".replace(",", "\t").encode("utf-16"))
    assert [case.case for case in read_table(tmp_path / "t.txt", files_exist=False).cases] == ["w1"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (f"{HEAD},case\n{ROW},w2\n", "column 'case' twice"),
        (f"{HEAD},colour\n{ROW},red\n", "unknown column 'colour'"),
        (f"{HEAD},pixel_spacing\n{ROW},1\n", r"unknown column 'pixel_spacing' \(did you mean pixel_spacing_mm\?\)"),
        (f"case,side,ct\n{ROW}\n", "no column 'patient'; no column 'labels'"),
        (f"{HEAD}\n", "holds no rows"),
        ("", "is empty"),
        ("\n", "no column 'case'"),
        (f"{HEAD}\n{'x' * 200_000}{ROW}\n", "is no CSV table"),
    ],
)
def test_what_spoils_a_whole_table_is_said(tmp_path, content, words):
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(InputError, match=words):
        read_table(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (f"{HEAD}\n{ROW},more\n", "line 2: case w1: has more cells"),
        (f"sep=,\n{HEAD}\n{ROW},more\n", "line 3: case w1: has more cells"),
        (f"{HEAD},ct_series\n{ROW},{'9' * 5000}\n", "expected a whole number"),
        (f"{HEAD},ct_series\n{ROW},²\n", "expected a whole number"),
        (f"{HEAD},radiograph,sdd_mm\n{ROW},a.png,nan\n", "sdd_mm is 'nan'; expected a number in mm"),
        (f"{HEAD},radiograph,view\n{ROW},a.png,ap\n", "view is 'ap'; expected pa or lateral"),
        (f"{HEAD},view\n{ROW},pa\n", "has view but no radiograph"),
        (f"{HEAD}\n../victim{ROW[2:]}\n", "expected letters"),
        (f"{HEAD}\n{ROW.replace('right', 'both')}\n", "side is 'both'; expected left or right"),
        (f"{HEAD}\n{ROW.replace('p1', '')}\n", "patient is empty"),
        (f"{HEAD}\n{ROW[2:]}\n", "line 2: names no case"),
        (f"{HEAD}\n{ROW}\n{ROW.replace('p1', 'p2')}\n", "line 3: case w1: has patient 'p2', which is 'p1' in line 2"),
        (f"{HEAD}\n{ROW}\n{ROW}\n", "line 3: case w1: the case stands in line 2, too"),
        (f"{HEAD},radiograph\n{ROW},a.png\nw1,,,,,,a.png\n", "the radiograph 'a.png' stands in line 2, too"),
        (f"{HEAD}\n{ROW}\nW1,p2,left,c2,s2,\n", "line 3: case W1: differs from the case w1 of line 2 by capitals"),
        (f"{HEAD}\n{ROW}\nw2,P1,left,c2,s2,\n", "line 3: case w2: its patient 'P1' and 'p1' of line 2 are spelled"),
    ],
)
def test_what_is_wrong_with_a_row_is_said_with_its_line(tmp_path, content, words):
    (tmp_path / "t.csv").write_text(content)
    table = read_table(tmp_path / "t.csv", files_exist=False)
    assert any(re.search(words, str(problem)) for problem in table.problems), table.problems
    assert all(case.case != problem.case for case in table.cases for problem in table.problems)


def test_every_complaint_is_there_at_once_and_the_good_rows_remain(tmp_path):
    for name in ("ct.nrrd", "s.seg.nrrd"):
        (tmp_path / name).write_bytes(b"x")
    rows = [f"w{n},p{n},right,ct.nrrd,s.seg.nrrd," for n in range(1, 9)]
    rows[5] = "w6,p6,right,ct.nrrd,gone.seg.nrrd,"  # line 7
    rows[2] = "w3,,up,ct.nrrd,s.seg.nrrd,"
    (tmp_path / "t.csv").write_text("\n".join([HEAD, *rows]))
    table = read_table(tmp_path / "t.csv")
    assert [case.case for case in table.cases] == ["w1", "w2", "w4", "w5", "w7", "w8"]
    assert [str(problem).split(";")[0] for problem in table.problems] == [
        "line 4: case w3: patient is empty",
        "line 4: case w3: side is 'up'",
        "line 7: case w6: labels 'gone.seg.nrrd' is not there",
    ]


def test_a_workbook_says_the_same_as_the_csv(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append([*HEAD.split(","), "radiograph", "view", "pixel_spacing_mm", "ct_series", "frame"])
    sheet.append([*ROW.split(","), "a.png", "pa", 0.144, 3, 2.0])
    sheet.append([None] * 9)
    sheet.append(["w2", 17, "L", "c", "s", None, None, None, None, datetime.date(2026, 3, 1), None])
    book.save(tmp_path / "t.xlsx")
    table = read_table(tmp_path / "t.xlsx", files_exist=False)
    (case,) = table.cases
    (film,) = case.radiographs
    assert (case.case, case.side, case.ct_series) == ("w1", "right", 3)
    assert (film.pixel_spacing_mm, film.frame, film.view, film.line) == (0.144, 2, "pa", 2)
    (problem,) = table.problems
    assert str(problem).startswith("line 4: case w2: ct_series is '2026-03-01")


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"PK\x03\x04" + b"\0" * 200, "no Excel workbook"), (b"\xd0\xcf\x11\xe0" + b"\0" * 200, "Excel 2003")],
)
def test_a_file_that_only_looks_like_a_workbook_is_one_sentence(tmp_path, content, words):
    pytest.importorskip("openpyxl")
    (tmp_path / "t.xlsx").write_bytes(content)
    with pytest.raises(InputError, match=words):
        read_table(tmp_path / "t.xlsx")


def test_messages_name_columns_instead_of_options():
    said = in_columns("f.png: millimetres are unknown; pass --pixel-spacing-mm")
    assert said == "f.png: millimetres are unknown; fill in the column pixel_spacing_mm"
    assert in_columns("which contradicts --side right") == "which contradicts column side right"
    assert in_columns("pass another --out") == "pass another --out"
