"""What a command prints: progress on standard error, the result on standard output."""

from __future__ import annotations

import io
import json
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from bonelift.errors import InputError
from bonelift.progress import Bar
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

    def result(self, values: dict[str, Any], text: str) -> None:
        """The result: as JSON where asked, else as ``text``."""
        if self.json:
            _print(json.dumps(without_nan(values), indent=1))
        else:
            self.say(text)

    @contextmanager
    def bar(self, total: int | None, label: str, unit: str = "", initial: int = 0) -> Iterator[tqdm]:
        """A progress bar; shown on a terminal only, and never with --quiet or --json."""
        hidden = True if self.quiet or self.json else None
        with tqdm(
            total=total, desc=label, unit=unit, disable=hidden, leave=False, dynamic_ncols=True, initial=initial
        ) as progress:
            yield progress

    @contextmanager
    def progress(self, total: int | None, label: str, initial: int = 0) -> Iterator[Bar]:
        """What :mod:`bonelift.progress` shows: bars on a terminal; where the log is a file a line for each thing done
        that has a name, since a run takes hours."""
        lines = not (self.quiet or self.json or sys.stderr.isatty())
        with self.bar(total, label, initial=initial) as shown:
            yield _Shown(shown, label, total, lines, initial)


@dataclass
class _Shown:
    bar: tqdm
    label: str
    total: int | None
    lines: bool
    count: int

    def done(self, name: str = "", count: int = 1) -> None:
        self.count += count
        if name:
            self.bar.set_postfix_str(name)
            if self.lines:
                of = "" if self.total is None else f"/{self.total}"
                print(f"{self.label} {self.count}{of}: {name}", file=sys.stderr, flush=True)
        self.bar.update(count)

    def note(self, text: str) -> None:
        self.bar.set_postfix_str(text)


def console_for(options: Namespace) -> Console:
    """The console that a command's common options ask for."""
    return Console(options.quiet, options.json)
