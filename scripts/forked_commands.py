"""Commands of bonelift in copies of a process that has imported everything: ended at a moment, and compared.

A copy (fork) has nothing left to import, so whatever happens to it happens in the command's own work.
"""

from __future__ import annotations

import contextlib
import csv
import importlib
import json
import mmap
import os
import pkgutil
import re
import signal
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from bonelift.cli import command_line

PASSING = re.compile(
    r"second|minute|time|date|elapsed|started|ended|version|machine|peak|_s$|^read_s|folder|path|command", re.IGNORECASE
)
"""Keys and columns that may differ between two runs of the same."""
READ_BY_PEOPLE = {".html", ".md", ".txt", ".log", ".lock", ".pdf"}
WRITTEN_ONCE = {".png", ".nrrd", ".stl", ".npy", ".npz"}
"""Ends of files that no command writes a second time in one run."""
CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink"}
OUT = "OUT"
"""Stands in a call for the folder of its result."""
TICK = os.sysconf("SC_CLK_TCK")
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""A process of several threads cannot be copied."""


@dataclass(frozen=True)
class Moment:
    """When something happens to a process, and what: before its change number ``change`` of files, in the process
    itself; or after ``processor_s``, when it is killed from outside."""

    change: int | None = None
    do: Callable[[], object] = bool
    processor_s: float | None = None


@dataclass(frozen=True)
class Ended:
    """status: as the shell has it, -9 where it was killed. said: on both streams. changes: of files and folders."""

    status: int
    said: str
    processor_s: float
    changes: int


def kill_this_process() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def watch_changes(counted: mmap.mmap, moment: Moment, below: str) -> None:
    """Count in ``counted`` what this process changes ``below`` a folder, and do what ``moment`` says when it is due."""

    def hook(event: str, values: tuple[Any, ...]) -> None:
        if event == "open":
            if not isinstance(values[2], int) or not values[2] & (os.O_WRONLY | os.O_RDWR):
                return
        elif event not in CHANGES:
            return
        place = str(values[0])  # relative where a folder is removed by its descriptor
        if os.path.isabs(place) and not place.startswith(below):
            return
        count = struct.unpack_from("q", counted)[0] + 1
        struct.pack_into("q", counted, 0, count)
        if count == moment.change:
            moment.do()

    sys.addaudithook(hook)


def _start(
    arguments: list[str], said: Path, counted: mmap.mmap, moment: Moment, below: str, folder: Path | None
) -> int:
    """Number of a new process that runs the command in a group of its own."""
    sys.stdout.flush()
    if pid := os.fork():
        return pid
    status = 1
    try:
        os.setsid()
        with said.open("wb") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        if folder is not None:
            os.chdir(folder)
            folder.rmdir()
        watch_changes(counted, moment, below)
        status = command_line.main(arguments)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def processor_s(pid: int) -> float:
    """Of a process and its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(field) for field in fields[11:15]) / TICK


def run(
    arguments: list[str], out: Path | str, said: Path, moment: Moment | None = None, gone: Path | None = None
) -> Ended:
    """Run a command, in whose arguments the word OUT stands for ``out``.

    said: file for what it says. gone: an empty folder in which it works, and which is removed when it begins.
    """
    moment, counted = moment or Moment(), mmap.mmap(-1, 8)
    called = [*(str(out) if word == OUT else word for word in arguments), "--quiet"]
    pid = _start(called, said, counted, moment, str(Path(out).parent), gone)
    to_kill = moment.processor_s is not None
    while True:
        ended, status, usage = os.wait4(pid, os.WNOHANG if to_kill else 0)
        if ended:
            break
        if to_kill and processor_s(pid) >= (moment.processor_s or 0):
            os.kill(pid, signal.SIGKILL)
            to_kill = False
        else:
            time.sleep(0.01)
    with contextlib.suppress(ProcessLookupError):  # its children, where it had any
        os.killpg(pid, signal.SIGKILL)
    (changes,) = struct.unpack_from("q", counted)
    text = said.read_text(encoding="utf-8", errors="replace").strip()
    return Ended(os.waitstatus_to_exitcode(status), text, usage.ru_utime + usage.ru_stime, changes)


def settled(value: Any) -> Any:
    """Without what may differ."""
    if isinstance(value, dict):
        return {key: settled(item) for key, item in value.items() if not PASSING.search(key)}
    return [settled(item) for item in value] if isinstance(value, list) else value


def content(path: Path) -> object:
    if path.suffix in READ_BY_PEOPLE:
        return None
    if path.suffix == ".json":
        return settled(json.loads(path.read_text(encoding="utf-8")))
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            return settled(list(csv.DictReader(file)))
    if path.suffix == ".jsonl":
        return [settled(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    if path.suffix == ".safetensors":
        with safe_open(path, "numpy") as file:
            told = {key: settled(json.loads(text)) for key, text in (file.metadata() or {}).items()}
            return told, {name: file.get_tensor(name).tobytes() for name in file.keys()}  # noqa: SIM118
    return path.read_bytes()


def files_of(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


def difference(first: Path, second: Path) -> str:
    """The first file that is missing, too many or other, or that a killed run left beside ``second``; or ""."""
    if left := sorted(path.name for path in second.parent.iterdir() if path != second):
        return f"left behind: {left[0]}"
    ours, theirs = files_of(first), files_of(second)
    if odd := sorted(ours ^ theirs):
        return f"only once there: {odd[0]}"
    return next((f"differs: {name}" for name in sorted(ours) if content(first / name) != content(second / name)), "")


def half_file(out: Path, reference: Path) -> str:
    """The first file under its own name that a kill left unreadable or short, or ""."""
    for name in sorted(files_of(out)) if out.is_dir() else []:
        path = out / name
        if any(part.startswith(".") for part in name.parts):
            continue  # written under another name: nobody reads it
        try:
            found = content(path)
        except (ValueError, OSError, SafetensorError) as error:
            return f"{name} ({error!s:.80})"
        if path.suffix in WRITTEN_ONCE and (reference / name).is_file() and found != content(reference / name):
            return f"{name} (differs)"
    return ""


def import_everything() -> None:
    """So that a copy of this process has nothing left to import."""
    for module, _ in command_line.COMMANDS.values():
        importlib.import_module(module)
    for package in ("experiments", "study", "learning", "registration", "networks", "report", "drr", "images"):
        module = importlib.import_module(f"bonelift.{package}")
        for found in pkgutil.walk_packages(module.__path__, f"{module.__name__}."):
            importlib.import_module(found.name)


def on_one_thread() -> None:
    """Start this script again where it could have several threads."""
    if ONE_THREAD.items() - os.environ.items():
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ONE_THREAD})
