"""kill -9 at random moments, then the same command again: is the result that of a run that nobody disturbed?

    python scripts/kill_commands.py --work kill-work [--only simulate drr ...] [--kills 10] [--seed 1] [--minutes 10]

Each command runs once undisturbed. Then it is started, killed with all its children after a random share of that time,
and run to its end; files and their contents are compared. What tells how long something took, or when, is left out; of
pages and texts it counts only that they are there. Outcomes go to kills.csv in the work folder, one line a kill: a run
that was stopped goes on. Exit status 1 where a result differed or the second run failed.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PASSING = re.compile(r"second|time|date|elapsed|started|ended|version|machine|_s$|folder|path|command", re.IGNORECASE)
"""Keys and columns that may differ between two runs of the same."""
READ_BY_PEOPLE = {".html", ".md", ".txt", ".log", ".lock", ".pdf"}
COLUMNS = ("command", "kill", "after_s", "of_s", "outcome")


def calls(study: str) -> dict[str, list[str]]:
    """Arguments without ``--out`` (``--run`` of train and evaluate); ``study`` is what simulate made undisturbed."""
    return {
        "simulate": ["simulate", "--patients", "2", "--seed", "5"],
        "normalize": ["normalize", study],
        "drr": ["drr", study, "--poses", "4", "--rotation-deg", "10", "--seed", "1"],
        "register": ["register", study, "--start", "pose"],
        "train": ["train", "tl", study, "--preset", "smoke"],
        "evaluate": ["evaluate", study, "--preset", "smoke", "--folds", "2"],
    }


def started(arguments: list[str], out: Path) -> subprocess.Popen[bytes]:
    flag = "--run" if arguments[0] in ("train", "evaluate") else "--out"
    call = [sys.executable, "-m", "bonelift", *arguments, flag, str(out), "--quiet"]
    return subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)


def to_its_end(arguments: list[str], out: Path) -> float:
    """Seconds that it took. Raises RuntimeError with what it said where it failed."""
    begin = time.monotonic()
    process = started(arguments, out)
    said = process.communicate()[1]
    if process.returncode != 0:
        raise RuntimeError(f"status {process.returncode}: {said.decode(errors='replace').strip()[-300:]}")
    return time.monotonic() - begin


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
    return path.read_bytes()


def difference(first: Path, second: Path) -> str:
    """The first file that is missing, too many or other, or ""."""
    ours, theirs = ({p.relative_to(root) for p in root.rglob("*") if p.is_file()} for root in (first, second))
    if odd := sorted(ours ^ theirs):
        return f"only once there: {odd[0]}"
    return next((f"differs: {name}" for name in sorted(ours) if content(first / name) != content(second / name)), "")


def one_kill(arguments: list[str], reference: Path, out: Path, after_s: float) -> str:
    shutil.rmtree(out, ignore_errors=True)
    process = started(arguments, out)
    try:
        process.communicate(timeout=after_s)
        return "ended before it was killed"
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    try:
        to_its_end(arguments, out)
    except RuntimeError as error:
        return f"FAILED AGAIN: {error}"
    found = difference(reference, out)
    return f"OTHER RESULT: {found}" if found else "the same"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--kills", type=int, default=10, help="of each command")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=10.0, help="no kill is begun after this time")
    arguments = parser.parse_args()
    end, log = time.monotonic() + 60 * arguments.minutes, arguments.work / "kills.csv"
    reference = arguments.work / "undisturbed"
    reference.mkdir(parents=True, exist_ok=True)
    if not log.is_file():
        log.write_text(",".join(COLUMNS) + "\n", encoding="utf-8")
    commands = calls(str(reference / "simulate"))
    for name in [name for name in commands if name in (*arguments.only, "simulate") or not arguments.only]:
        took = reference / f"{name}.seconds"
        if not took.is_file():
            shutil.rmtree(reference / name, ignore_errors=True)
            took.write_text(str(to_its_end(commands[name], reference / name)), encoding="utf-8")
        if arguments.only and name not in arguments.only:
            continue
        with log.open(newline="", encoding="utf-8") as file:
            done = {(row["command"], row["kill"]) for row in csv.DictReader(file)}
        for kill in range(arguments.kills):
            if (name, str(kill)) in done or time.monotonic() > end:
                continue
            whole_s = float(took.read_text(encoding="utf-8"))
            after_s = random.Random(f"{arguments.seed} {name} {kill}").uniform(0.05, 1.0) * whole_s
            outcome = one_kill(commands[name], reference / name, arguments.work / "killed" / name, after_s)
            with log.open("a", newline="", encoding="utf-8") as file:
                csv.writer(file).writerow([name, kill, round(after_s, 2), round(whole_s, 2), outcome])
            print(f"{name} {kill}, after {after_s:.1f} of {whole_s:.1f} s: {outcome}", flush=True)
    with log.open(newline="", encoding="utf-8") as file:
        outcomes = [row["outcome"] for row in csv.DictReader(file)]
    print({outcome: outcomes.count(outcome) for outcome in sorted(set(outcomes))})
    return 1 if any(outcome.startswith(("FAILED", "OTHER")) for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
