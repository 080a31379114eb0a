"""What a command prints: progress on standard error, the result on standard output."""

from __future__ import annotations

import io
import json
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from bonelift.errors import InputError
from bonelift.progress import Bar, BarMaker
from bonelift.progress_lines import ShownBar, shown_on
from bonelift.storage.json_values import without_nan


class OutputError(InputError):
    """Standard output takes nothing more: its disk is full."""


def show_what_it_cannot_encode(stream: Any) -> None:
    """Let a stream escape what its encoding does not have: a name outside of it ends no command."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")


def _print(text: str) -> None:
    try:
        print(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"standard output cannot be written ({error.strerror}); the work itself is done") from error


@dataclass(frozen=True)
class Console:
    """quiet: print nothing but errors. json: print the result as one JSON object and nothing else."""

    quiet: bool = False
    json: bool = False

    def say(self, text: str) -> None:
        """A line for a person."""
        if not (self.quiet or self.json):
            _print(text)

    def aside(self, text: str) -> None:
        """A line for a person that is no part of the result: on standard error, as progress is."""
        if not (self.quiet or self.json):
            print(text, file=sys.stderr, flush=True)

    def result(self, values: dict[str, Any], text: str) -> None:
        """The result: as JSON where asked, else as ``text``."""
        if self.json:
            _print(json.dumps(without_nan(values), indent=1))
        else:
            self.say(text)

    @contextmanager
    def bar(self, total: int | None, label: str, unit: str = "", initial: int = 0) -> Iterator[ShownBar]:
        """A bar on a terminal, else a line every so often; nothing with --quiet or --json."""
        with self.progress(total, label, initial) as shown:
            yield cast("ShownBar", shown)

    def progress(self, total: int | None, label: str, initial: int = 0) -> AbstractContextManager[Bar]:
        """What :mod:`bonelift.progress` shows: the maker of its bars."""
        return self._bars(total, label, initial)

    @cached_property
    def _bars(self) -> BarMaker:
        return shown_on(hidden=self.quiet or self.json)


def console_for(options: Namespace) -> Console:
    """The console that a command's common options ask for."""
    return Console(options.quiet, options.json)
