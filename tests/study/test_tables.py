"""Tables of cases as Excel and its users leave them."""

from __future__ import annotations

import pytest

from bonelift.errors import InputError
from bonelift.study.importing_sources import read_table

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
    (case,) = read_table(path)
    assert (case.case, case.patient, case.side, case.ct.name) == ("w1", "p1", "right", "ct.nrrd")


def test_the_unicode_text_of_excel_is_read(tmp_path):
    (tmp_path / "t.txt").write_bytes(f"{HEAD}\r\n{ROW}\r\n".replace(",", "\t").encode("utf-16"))
    assert [case.case for case in read_table(tmp_path / "t.txt")] == ["w1"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (f"{HEAD},case\n{ROW},w2\n", "column 'case' twice"),
        (f"{HEAD}\n{ROW},more\n", "line 2: has more cells"),
        (f"sep=,\n{HEAD}\n{ROW},more\n", "line 3: has more cells"),
        (f"{HEAD},ct_series\n{ROW},{'9' * 5000}\n", "expected a whole number"),
        (f"{HEAD},ct_series\n{ROW},²\n", "expected a whole number"),
        (f"{HEAD},radiograph,sdd_mm\n{ROW},a.png,nan\n", "expected a number in mm"),
        (f"{HEAD}\n{'x' * 200_000}{ROW}\n", "is no CSV table|expected letters"),
        (f"{HEAD}\n../victim{ROW[2:]}\n", "expected letters"),
        ("", "is empty"),
        ("\n", "no column 'case'"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path, content, words):
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(InputError, match=words):
        read_table(tmp_path / "t.csv")
