"""Progress as a person sees it: bars on a terminal; in a log, on a queue and in a notebook a line every so often.

A line says what is under way, how far it is, how long it took and how long it still takes. Where nothing has been heard
for a minute, a line says so, too: a step that takes long is no step that hangs.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol, TextIO

from tqdm import tqdm

from bonelift.progress import BarMaker

FIRST_LINE_S, NAMED_LINE_S, LINE_S, HEARTBEAT_S = 5.0, 5.0, 15.0, 60.0
"""Work that ends before FIRST_LINE_S shows nothing. After that a line comes at most every LINE_S, or every NAMED_LINE_S
where a thing with a name was done; in work of hours every SHARE_OF_TIME of the time so far, at most HEARTBEAT_S."""
SHARE_OF_TIME = 0.05


class ShownBar(Protocol):
    """A bar that is shown: :class:`bonelift.progress.Bar`, and tqdm's words for the same."""

    def done(self, name: str = "", count: int = 1) -> None: ...
    def note(self, text: str) -> None: ...
    def update(self, n: float = 1) -> bool | None: ...
    def set_postfix_str(self, s: str = "", refresh: bool = True) -> None: ...


def shown_on(stream: TextIO | None = None, hidden: bool = False) -> BarMaker:
    """The maker of bars for ``stream`` (standard error where it is None). hidden: nothing is shown."""
    target = sys.stderr if stream is None else stream
    if hidden or not target.isatty():
        return Lines(target, hidden).bar

    @contextmanager
    def on_terminal(total: int | None, label: str, initial: int) -> Iterator[ShownBar]:
        with tqdm(total=total, desc=label, leave=False, dynamic_ncols=True, initial=initial, file=target) as bar:
            yield _TerminalBar(bar)

    return on_terminal


@dataclass
class _TerminalBar:
    bar: tqdm

    def done(self, name: str = "", count: int = 1) -> None:
        if name:
            self.bar.set_postfix_str(name)
        self.bar.update(count)

    def note(self, text: str) -> None:
        self.bar.set_postfix_str(text)

    def update(self, n: float = 1) -> bool | None:
        return self.bar.update(n)

    def set_postfix_str(self, s: str = "", refresh: bool = True) -> None:
        self.bar.set_postfix_str(s, refresh)


@dataclass(eq=False)
class _LineBar:
    """One piece of work of :class:`Lines`. started: time at which it was opened; initial: what was done by then."""

    lines: Lines
    label: str
    total: int | None
    initial: int
    started: float
    count: int = 0
    word: str = ""

    def __post_init__(self) -> None:
        self.count = self.initial

    def done(self, name: str = "", count: int = 1) -> None:
        self.count += count
        self.word = name or self.word
        self.lines.heard(NAMED_LINE_S if name else LINE_S)

    def note(self, text: str) -> None:
        self.word = text
        self.lines.heard(LINE_S)

    def update(self, n: float = 1) -> bool | None:
        self.count += int(n)
        self.lines.heard(NAMED_LINE_S if self.word else LINE_S)
        return None

    def set_postfix_str(self, s: str = "", refresh: bool = True) -> None:
        self.word = s

    def text(self) -> str:
        """ "cases 3/8 (case-0003)"."""
        of = "" if self.total is None else f"/{self.total}"
        return f"{self.label} {self.count}{of}" + (f" ({self.word})" if self.word else "")

    def left_s(self, now: float) -> float | None:
        """Seconds until it is done, at the speed so far; None where that is not known."""
        made = self.count - self.initial
        if self.total is None or made <= 0:
            return None
        return (now - self.started) * max(self.total - self.count, 0) / made


@dataclass(eq=False)
class Lines:
    """Lines about the bars that are open, the outer one first. clock: seconds, for tests."""

    stream: TextIO
    hidden: bool = False
    clock: Callable[[], float] = time.monotonic
    _open: list[_LineBar] = field(default_factory=list)
    _last: float = 0.0
    _told: bool = False
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @contextmanager
    def bar(self, total: int | None, label: str, initial: int) -> Iterator[ShownBar]:
        """A bar for ``total`` things, of which ``initial`` are done already."""
        bar = _LineBar(self, label, total, initial, self.clock())
        outermost = self._begin(bar)
        over = self._heartbeat() if outermost and not self.hidden else None
        try:
            yield bar
        finally:
            if over is not None:
                over.set()
            self._end(bar, outermost)

    def heard(self, after_s: float) -> None:
        """Something was done: a line, where the last one is ``after_s`` and more ago."""
        with self._lock:
            if self.hidden or not self._open:
                return
            now = self.clock()
            so_far = now - self._open[0].started
            wait = max(after_s, min(SHARE_OF_TIME * so_far, HEARTBEAT_S)) if self._told else FIRST_LINE_S
            if now - self._last >= wait:
                self._print(now)

    def _begin(self, bar: _LineBar) -> bool:
        with self._lock:
            outermost = not self._open
            self._open.append(bar)
            if outermost:
                self._last, self._told = bar.started, False
            return outermost

    def _end(self, bar: _LineBar, outermost: bool) -> None:
        with self._lock:
            self._open.remove(bar)
            if outermost and self._told and not self.hidden:
                bar.word = ""
                self._write(f"{bar.text()}: ended after {in_words(self.clock() - bar.started)}")

    def _print(self, now: float) -> None:
        parts = "; ".join(bar.text() for bar in self._open)
        outer = self._open[0]
        left = outer.left_s(now)
        if left is not None:
            rest = f", about {in_words(left)} left"
        else:
            inner = self._open[-1].left_s(now)
            rest = "" if inner is None or len(self._open) == 1 else f", about {in_words(inner)} left of this step"
        self._last, self._told = now, True
        self._write(f"{parts}: {in_words(now - outer.started)} so far{rest}")

    def _write(self, line: str) -> None:
        try:
            print(line, file=self.stream, flush=True)
        except (OSError, ValueError):  # a stream that is closed ends no work
            self.hidden = True

    def _heartbeat(self) -> threading.Event:
        """Lines of a step that says nothing itself. Returns what ends them."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(HEARTBEAT_S / 4):
                self.heard(HEARTBEAT_S)

        threading.Thread(target=beat, name="progress lines", daemon=True).start()
        return over


def in_words(seconds: float) -> str:
    """ "40 s", "3 min 20 s", "2 h 05 min"."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(whole / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
