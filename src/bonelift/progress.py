"""How far the work is, told to whoever watches: the command line sets that once; everywhere else nothing is shown.

Work that takes long opens a ``bar``. It need not know whether there is a terminal, a log or nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Protocol


class Bar(Protocol):
    """A piece of work under way."""

    def done(self, name: str = "", count: int = 1) -> None:
        """``count`` more things are done; name: of the last one, where a person may want to know it."""
        ...

    def note(self, text: str) -> None:
        """What there is to say at this point."""
        ...


BarMaker = Callable[[int | None, str, int], AbstractContextManager[Bar]]
"""(total, or None where it is not known; label; how many are done already) -> the bar, while the work goes on."""


class _Silent:
    def done(self, name: str = "", count: int = 1) -> None:
        pass

    def note(self, text: str) -> None:
        pass


@contextmanager
def silent(total: int | None, label: str, initial: int) -> Iterator[Bar]:
    """The maker of bars that nobody sees."""
    yield _Silent()


_MAKER: ContextVar[BarMaker] = ContextVar("who shows progress", default=silent)


@contextmanager
def shown_by(maker: BarMaker) -> Iterator[None]:
    """Bars that are opened inside are made by ``maker``."""
    token = _MAKER.set(maker)
    try:
        yield
    finally:
        _MAKER.reset(token)


def bar(total: int | None, label: str, initial: int = 0) -> AbstractContextManager[Bar]:
    """A bar for ``total`` things, of which ``initial`` are done already."""
    return _MAKER.get()(total, label, initial)
