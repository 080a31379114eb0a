"""What a command prints: progress on standard error, the result on standard output."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from bonelift.storage.json_values import without_nan


@dataclass(frozen=True)
class Console:
    """quiet: print nothing but errors. json: print the result as one JSON object and nothing else."""

    quiet: bool = False
    json: bool = False

    def say(self, text: str) -> None:
        """A line for a person."""
        if not (self.quiet or self.json):
            print(text)

    def result(self, values: dict[str, Any], text: str) -> None:
        """The result: as JSON where asked, else as ``text``."""
        if self.json:
            print(json.dumps(without_nan(values), indent=1))
        else:
            self.say(text)

    @contextmanager
    def bar(self, total: int, label: str, unit: str = "") -> Iterator[tqdm]:
        """A progress bar; shown on a terminal only, and never with --quiet or --json."""
        hidden = True if self.quiet or self.json else None
        with tqdm(total=total, desc=label, unit=unit, disable=hidden, leave=False, dynamic_ncols=True) as progress:
            yield progress


def console_for(options: Namespace) -> Console:
    """The console that a command's common options ask for."""
    return Console(options.quiet, options.json)
