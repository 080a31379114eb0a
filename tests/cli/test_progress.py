"""How progress is shown: silent unless somebody asks, bars on a terminal, lines every so often elsewhere."""

from __future__ import annotations

import io

import pytest

from bonelift import progress
from bonelift.cli.console import Console
from bonelift.progress_lines import Lines, in_words


def work() -> None:
    with progress.bar(3, "cases", 1) as bar:
        bar.done("case-2")
        bar.note("loss 0.1")
        bar.done()


class Clock:
    """Seconds as a test wants them."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_nobody_watches_unless_asked_to(capsys):
    work()
    assert capsys.readouterr() == ("", "")


def test_work_that_ends_at_once_shows_nothing_in_a_log(capsys):
    with progress.shown_by(Console().progress):
        work()
    assert capsys.readouterr() == ("", "")


def test_a_log_gets_lines_with_the_time_that_is_left():
    stream, clock = io.StringIO(), Clock()
    with progress.shown_by(Lines(stream, clock=clock).bar), progress.bar(10, "networks") as outer:
        with progress.bar(100, "pix2pix", 50) as inner:
            clock.now += 4
            inner.done()  # too early for a first line
            clock.now += 4
            inner.note("loss 0.5")
            clock.now += 1
            inner.done()  # the last line is a second old
        clock.now += 51
        outer.done("fold-1", 2)
        clock.now += 600
        outer.done("fold-2")
    assert stream.getvalue().splitlines() == [
        # One of 50 updates took 8 s; nothing of the outer bar is done.
        "networks 0/10; pix2pix 51/100 (loss 0.5): 8 s so far, about 6 min 32 s left of this step",
        # Two of ten took 60 s, so eight take 240 s.
        "networks 2/10 (fold-1): 1 min 00 s so far, about 4 min 00 s left",
        "networks 3/10 (fold-2): 11 min so far, about 26 min left",
        "networks 3/10: ended after 11 min",
    ]


def test_a_step_that_says_nothing_is_spoken_for():
    stream, clock = io.StringIO(), Clock()
    lines = Lines(stream, clock=clock)
    with lines.bar(None, "segmenting", 0):
        clock.now += 61
        lines.heard(60.0)  # what the thread beside the work calls
    assert stream.getvalue().splitlines()[0] == "segmenting 0: 1 min 01 s so far"


def test_a_stream_that_was_closed_ends_no_work():
    stream, clock = io.StringIO(), Clock()
    with Lines(stream, clock=clock).bar(2, "cases", 0) as bar:
        stream.close()
        clock.now += 60
        bar.done("a")


@pytest.mark.parametrize("console", [Console(quiet=True), Console(json=True)])
def test_quiet_and_json_show_none(console, capsys, monkeypatch):
    monkeypatch.setattr("bonelift.progress_lines.FIRST_LINE_S", 0.0)
    with progress.shown_by(console.progress):
        work()
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59.6, "1 min 00 s"), (3599, "1 h 00 min"), (7500, "2 h 05 min")]
)
def test_time_in_words(seconds, words):
    assert in_words(seconds) == words
