"""How progress is shown: silent unless the command line asks, bars on a terminal, lines in a log."""

from __future__ import annotations

import pytest

from bonelift import progress
from bonelift.cli.console import Console


def work() -> None:
    with progress.bar(3, "cases", 1) as bar:
        bar.done("case-2")
        bar.note("loss 0.1")
        bar.done()


def test_nobody_watches_unless_asked_to(capsys):
    work()
    assert capsys.readouterr() == ("", "")


def test_a_log_gets_a_line_for_each_thing_with_a_name(capsys):
    with progress.shown_by(Console().progress):
        work()
    work()
    assert capsys.readouterr() == ("", "cases 2/3: case-2\n")


@pytest.mark.parametrize("console", [Console(quiet=True), Console(json=True)])
def test_quiet_and_json_show_none(console, capsys):
    with progress.shown_by(console.progress):
        work()
    assert capsys.readouterr() == ("", "")
