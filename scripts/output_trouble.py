"""Outputs that cannot be written: does every command end in one clear line, status 2, and nothing left half?

    python scripts/output_trouble.py --work kill-work [--only simulate drr ...] [--seed 1]

Needs root on Linux, for small file systems in memory. The studies are those of kill_commands.py. Troubles: a disk that
fills up after a share of what the result needs (none, and two random ones; after the larger one it is given room, and
the same command has to end with the undisturbed result); a file system that is read-only; an output that is a file, or
lies in one; a working folder that was deleted, with a relative and an absolute output; an output folder that is deleted
while the command runs. Prints a table; exit status 1 where one of them did not end as it should.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from forked_commands import Ended, Moment, difference, half_file, import_everything, on_one_thread, run
from kill_commands import said_file, undisturbed
from kill_studies import calls, further_calls, make_studies, study_call

PAGE = 4096
ROOM = ("size=2g",)


@contextlib.contextmanager
def file_system(folder: Path, *options: str) -> Iterator[Path]:
    """A small file system in memory, at ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    _mount("mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(folder))
    try:
        yield folder
    finally:
        _mount("umount", str(folder))


def _mount(*call: str) -> None:
    subprocess.run(call, check=True)


def pages_of(result: Path) -> int:
    """Of memory that a result takes in such a file system, names included."""
    return sum(1 + path.stat().st_size // PAGE for path in [result, *result.rglob("*")])


def complaint(ended: Ended) -> str:
    """What is wrong with how a command refused, or ""."""
    if ended.status != 2:
        return f"status {ended.status}: {ended.said[-200:]}"
    if ended.said.count("\n") or not ended.said.startswith("bonelift: "):
        return f"several lines: {ended.said[:200]!r}"
    return ""


def left_in(folder: Path) -> str:
    """Whether something hidden stayed there, or ""."""
    hidden = sorted(path.name for path in folder.rglob(".*"))
    return f"left behind: {hidden[0]}" if hidden else ""


class Case:
    """One command, and what its undisturbed run gave."""

    def __init__(self, name: str, arguments: list[str], work: Path) -> None:
        self.name, self.arguments, self.work = name, arguments, work
        self.known = undisturbed(arguments, name, work)
        self.reference = work / "undisturbed" / name / name
        self.place = work / f"trouble-{os.getpid()}"

    def run(self, out: Path | str, moment: Moment | None = None, gone: Path | None = None) -> Ended:
        return run(self.arguments, out, said_file(self.work), moment, gone)

    def full_disk(self, share: float, again: bool) -> tuple[str, str]:
        """(What went wrong or "", what was said) where the disk has room for a share of the result; again: it is then
        given room, and the same command runs to its end."""
        pages = max(1, round(share * pages_of(self.reference)))
        with file_system(self.place, f"size={pages * PAGE}") as disk:
            out = disk / self.name
            ended = self.run(out)
            wrong = complaint(ended)
            if half := half_file(out, self.reference) if out.is_dir() else "":
                wrong = wrong or f"half: {half}"
            wrong = wrong or left_in(disk)
            if again and not wrong:
                _mount("mount", "-o", "remount,size=2g", str(disk))
                with_room = self.run(out)
                if with_room.status != 0:
                    wrong = f"with room again: status {with_room.status}: {with_room.said[-200:]}"
                elif other := difference(self.reference, out) if self.reference.is_dir() else "":
                    wrong = f"with room again: {other}"
        return wrong, ended.said

    def read_only(self) -> tuple[str, str]:
        with file_system(self.place, *ROOM, "ro") as disk:
            ended = self.run(disk / self.name)
            return complaint(ended), ended.said

    def in_a_file(self, below: str) -> tuple[str, str]:
        with file_system(self.place, *ROOM) as disk:
            file = disk / "file"
            file.write_text("of the user")
            ended = self.run(disk / f"file{below}")
            kept = file.is_file() and file.read_text() == "of the user" and list(disk.iterdir()) == [file]
            return complaint(ended) or ("" if kept else "the file is not what it was"), ended.said

    def without_working_folder(self, absolute: bool) -> tuple[str, str]:
        with file_system(self.place, *ROOM) as disk:
            gone = disk / "gone"
            gone.mkdir()
            ended = self.run(disk / self.name if absolute else self.name, gone=gone)
            if absolute and ended.status == 0:
                other = difference(self.reference, disk / self.name) if self.reference.is_dir() else ""
                return other, "done"
            return complaint(ended), ended.said

    def deleted_meanwhile(self, change: int) -> tuple[str, str]:
        """A run that made it again as a whole is as good as one that refused."""
        with file_system(self.place, *ROOM) as disk:
            out = disk / self.name
            ended = self.run(out, Moment(change, partial(shutil.rmtree, out, ignore_errors=True)))
            if ended.status == 0:
                other = difference(self.reference, out) if self.reference.is_dir() else ""
                return other, "done"
            return complaint(ended), ended.said


def troubles(case: Case, rng: random.Random, quick: bool) -> Iterator[tuple[str, tuple[str, str]]]:
    """(Trouble, what :class:`Case` tells of it). quick: without those in which the command runs to its end."""
    for share in (0.0, rng.uniform(0.05, 0.45), rng.uniform(0.45, 0.85)):
        if share < 0.45 or not quick:
            yield f"full at {share:.0%}", case.full_disk(share, again=share > 0.45)
    yield "read-only", case.read_only()
    if case.reference.is_dir():  # what is a file may replace one
        yield "is a file", case.in_a_file("")
    yield "in a file", case.in_a_file("/result")
    yield "working folder gone, relative", case.without_working_folder(False)
    if quick:
        return
    yield "working folder gone, absolute", case.without_working_folder(True)
    for _ in range(2):
        change = rng.randint(2, max(2, case.known.changes - 1))
        yield f"deleted at change {change} of {case.known.changes}", case.deleted_meanwhile(change)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="leave out what takes a whole run of the command")
    options = parser.parse_args()
    on_one_thread()
    work = options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    import_everything()
    undisturbed(study_call(), "study", work)
    make_studies(work, work / "undisturbed" / "study" / "study")
    tried = wrong_ones = 0
    for name, arguments in (calls(work) | further_calls(work)).items():
        if options.only and name not in options.only:
            continue
        case = Case(name, arguments, work)
        for trouble, (wrong, said) in troubles(case, random.Random(f"{options.seed} {name}"), options.quick):
            tried, wrong_ones = tried + 1, wrong_ones + bool(wrong)
            print(f"{name} | {trouble} | {f'WRONG: {wrong}' if wrong else 'ok'} | {said[:250]!r}", flush=True)
    print(f"{tried} tried, {wrong_ones} wrong")
    return 1 if wrong_ones else 0


if __name__ == "__main__":
    sys.exit(main())
