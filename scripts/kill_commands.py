"""kill -9 at random moments, then the same command again: is the result that of a run that nobody disturbed?

    python scripts/kill_commands.py --work kill-work [--only simulate drr ...] [--kills 40] [--seed 1] [--minutes 10]

Each command runs once undisturbed. Then it is started, killed, started again in the same folder, killed again, up to
--lives times, and at last run to its end; files and their contents are compared with the undisturbed ones. After each
kill no file may be half there: every JSON and every array can be read, and what the run does not write twice is what
it is at the end. What tells how long something took, or when, is left out; of pages and texts it counts that they are
there.

A process that has imported everything is copied (fork) for each start, so that no kill falls into the start of Python.
There are three kinds of kills: "time", after a random share of the processor time of an undisturbed run; "change", at
a random one of the moments at which a file or a folder is opened for writing, made, renamed or removed, just before it
is; and "write", up to 10 ms after such a moment. Rows go to kills.csv in the work folder: a run that was stopped goes
on. Exit status 1 where a result differed, a file was half there or the last run failed.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import shutil
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from forked_commands import (
    Ended,
    Moment,
    difference,
    half_file,
    import_everything,
    kill_this_process,
    on_one_thread,
    run,
)
from kill_studies import calls, make_studies, study_call

COLUMNS = ("command", "run", "kill", "kind", "moment", "of", "outcome")
KILLED = -9
WITHIN, LIVES = {"evaluate": 0.1}, {"evaluate": 20}
"""By command, else 0.5 and --lives: a run of many pieces is killed in a smaller share of it, and more often."""
FAULTS = ("FAILED", "OTHER", "HALF")


@dataclass(frozen=True)
class Kill:
    """kind: "time", "change" or "write", see above. moment: seconds of processor time, or the number of a change.
    delay_s: after the change."""

    kind: str
    moment: float
    delay_s: float = 0.0

    def when(self) -> Moment:
        if self.kind == "time":
            return Moment(processor_s=self.moment)
        if self.kind == "change":
            return Moment(round(self.moment), kill_this_process)
        return Moment(round(self.moment), lambda: threading.Timer(self.delay_s, kill_this_process).start())


def drawn_kill(rng: random.Random, known: Ended, within: float) -> Kill:
    """In the first share of what an undisturbed run takes, counted from where the run before was killed."""
    kind = rng.choice(("time", "change", "write"))
    if kind == "time":
        return Kill(kind, rng.uniform(0, within) * known.processor_s)
    return Kill(kind, rng.randint(1, max(1, round(within * known.changes))), rng.uniform(0, 0.01))


def killed_again_and_again(
    arguments: list[str], reference: Path, work: Path, known: Ended, rng: random.Random, lives: int
) -> list[tuple[Kill, str]]:
    """One run with its kills, and the outcome of each; the last one's says whether the result is the same."""
    out, said, kills = work / "killed" / reference.name, said_file(work), []
    within, lives = WITHIN.get(reference.name, 0.5), LIVES.get(reference.name, lives)
    shutil.rmtree(out.parent, ignore_errors=True)
    out.parent.mkdir()
    while True:
        kill = drawn_kill(rng, known, within) if len(kills) < lives else None
        ended = run(arguments, out, said, kill and kill.when())
        if kill is None or ended.status != KILLED:
            break
        half = half_file(out, reference)
        kills.append((kill, f"HALF: {half}" if half else "the same"))
    if ended.status != 0:
        last = f"FAILED AGAIN: status {ended.status}: {ended.said[-300:]}"
    else:
        found = difference(reference, out)
        last = f"OTHER RESULT: {found}" if found else ""
    if last:
        kills = [*kills[:-1], (kills[-1][0] if kills else Kill("none", 0), last)]
    if any(outcome.startswith(FAULTS) for _, outcome in kills):
        shutil.copytree(out.parent, work / f"fault-{reference.name}-{time.time_ns()}")
    return kills


def said_file(work: Path) -> Path:
    """For what the commands say; several of these scripts may share a work folder."""
    return work / f"said-{os.getpid()}.txt"


def undisturbed(arguments: list[str], name: str, work: Path) -> Ended:
    """What a run takes; it is made where it is not there. Raises RuntimeError where it fails."""
    told, out = work / f"{name}.json", work / "undisturbed" / name / name
    if not told.is_file():
        shutil.rmtree(out.parent, ignore_errors=True)
        out.parent.mkdir(parents=True)
        known = run(arguments, out, said_file(work))
        if known.status != 0:
            raise RuntimeError(f"{name}: status {known.status}: {known.said[-300:]}")
        told.write_text(json.dumps(asdict(known)), encoding="utf-8")
    return Ended(**json.loads(told.read_text(encoding="utf-8")))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--kills", type=int, default=40, help="of each command")
    parser.add_argument("--lives", type=int, default=8, help="kills of one run at most")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=10.0, help="no run is begun after this time")
    options = parser.parse_args()
    on_one_thread()
    end, work = time.monotonic() + 60 * options.minutes, options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    log = work / "kills.csv"
    if not log.is_file():
        log.write_text(",".join(COLUMNS) + "\n", encoding="utf-8")
    import_everything()
    undisturbed(study_call(), "study", work)
    make_studies(work, work / "undisturbed" / "study" / "study")
    for name, arguments in calls(work).items():
        if options.only and name not in options.only:
            continue
        known, reference = undisturbed(arguments, name, work), work / "undisturbed" / name / name
        print(f"{name}: {known.processor_s:.1f} s of processor, {known.changes} changes", flush=True)
        rows = [row for row in read_rows(log) if row["command"] == name]
        number = 1 + max((int(row["run"]) for row in rows), default=-1)
        done = len(rows)
        while done < options.kills and time.monotonic() < end:
            rng = random.Random(f"{options.seed} {name} {number}")
            kills = killed_again_and_again(arguments, reference, work, known, rng, int(options.lives))
            with log.open("a", newline="", encoding="utf-8") as file:
                for order, (kill, outcome) in enumerate(kills):
                    of = known.processor_s if kill.kind == "time" else known.changes
                    row = [name, number, order, kill.kind, round(kill.moment, 2), round(of, 2), outcome]
                    csv.writer(file).writerow(row)
                    if outcome.startswith(FAULTS):
                        print(row, flush=True)
            done, number = done + len(kills), number + 1
        print(f"{name}: {done} kills in {number} runs", flush=True)
    return summary(read_rows(log))


def read_rows(log: Path) -> list[dict[str, str]]:
    with log.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def summary(rows: list[dict[str, str]]) -> int:
    for name in dict.fromkeys(row["command"] for row in rows):
        of = [row for row in rows if row["command"] == name]
        kinds = {kind: sum(row["kind"] == kind for row in of) for kind in ("time", "change", "write")}
        faults = sum(row["outcome"].startswith(FAULTS) for row in of)
        print(f"{name}: {len(of)} kills {kinds} in {len({row['run'] for row in of})} runs, {faults} faults")
    return 1 if any(row["outcome"].startswith(FAULTS) for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
