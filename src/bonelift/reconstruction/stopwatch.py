"""Seconds of each step of a job, and a call as each begins."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


def _silent(_name: str) -> None:
    """Nobody watches."""


@dataclass
class Stopwatch:
    """on_step: called with a step's name as it begins. seconds: name -> duration, in order."""

    on_step: Callable[[str], None] = _silent
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Times its block."""
        self.on_step(name)
        begin = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - begin
