"""Pieces of work for other processes, which find them here by name."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from bonelift.errors import InputError
from bonelift.experiments.run.scheduling import Piece, runner


def upper(folder: Path, name: str) -> str:
    """Notes each attempt; "lost" takes its first worker with it, "wrong" is a user's mistake."""
    attempts = folder / name
    with attempts.open("a") as file:
        file.write("x")
    if name == "lost" and len(attempts.read_text()) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "wrong":
        raise InputError("case wrong: labels hold 7; expected 1 and 2")
    return name.upper()


def wait_for(folder: Path, name: str) -> None:
    """Leaves word of who it is, does not end by itself, and like a training ends itself alone when it is told to."""

    def interrupt(_number, _frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        rest(folder, name)
    finally:
        signal.signal(signal.SIGTERM, before)


def rest(folder: Path, name: str) -> None:
    (folder / name).write_text(str(os.getpid()))
    time.sleep(600)


def run_waiting_pieces(folder: Path) -> None:
    with runner(workers=2) as run:
        run([Piece(name, wait_for, (folder, name)) for name in ("one", "two", "three", "four")], lambda *_: None)
