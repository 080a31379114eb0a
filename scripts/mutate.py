"""Small faults put into the code on purpose, one at a time; the tests that are meant to notice have to fail.

    python scripts/mutate.py [NAME ...] [--results mutants.csv]

tests/mutants.toml lists the faults: the file, what stands there, what is put there, and the tests. Results go to a CSV,
line by line: a run that was stopped goes on, and a fault whose source or tests have changed is tried again. The source
itself is left alone; each fault goes into a copy of it. Exit status 1 where a fault survived or no longer fits.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
LIST = PROJECT / "tests" / "mutants.toml"
COLUMNS = ("name", "outcome", "key")


@dataclass(frozen=True)
class Mutant:
    """In src/bonelift/``file``, the one place that reads ``old`` becomes ``new``; ``tests``: arguments of pytest."""

    name: str
    file: str
    old: str
    new: str
    tests: list[str]

    @property
    def key(self) -> str:
        """Of everything that the outcome hangs on, so far as it is listed."""
        files = [PROJECT / "src" / "bonelift" / self.file, *(PROJECT / t for t in self.tests if t.endswith(".py"))]
        digest = hashlib.sha256(repr((self.old, self.new, self.tests)).encode())
        for path in files:
            digest.update(path.read_bytes())
        return digest.hexdigest()[:16]


def outcome_of(mutant: Mutant) -> str:
    """ "killed", "SURVIVED", or why it could not be tried."""
    text = (PROJECT / "src" / "bonelift" / mutant.file).read_text(encoding="utf-8")
    if text.count(mutant.old) != 1:
        return f"NO PLACE: what it replaces occurs {text.count(mutant.old)} times"
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "src"
        shutil.copytree(PROJECT / "src", source, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        path = source / "bonelift" / mutant.file
        path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *mutant.tests]
        environment = {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
        status = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, check=False).returncode
    # 1: tests failed. Anything else but 0 (no tests, a broken call) says nothing about the tests.
    return {0: "SURVIVED", 1: "killed"}.get(status, f"NOT TRIED: pytest ended with status {status}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="only these")
    parser.add_argument("--results", type=Path, default=Path("mutants.csv"))
    arguments = parser.parse_args()
    mutants = [Mutant(**entry) for entry in tomllib.loads(LIST.read_text(encoding="utf-8"))["mutant"]]
    if unknown := set(arguments.names) - {mutant.name for mutant in mutants}:
        parser.error(f"no mutant is called {min(unknown)}; see {LIST.name}")
    known = {}
    if arguments.results.is_file():
        with arguments.results.open(newline="", encoding="utf-8") as file:
            known = {(row["name"], row["key"]): row["outcome"] for row in csv.DictReader(file)}
    else:
        arguments.results.write_text(",".join(COLUMNS) + "\n", encoding="utf-8")
    outcomes = []
    for mutant in mutants:
        if arguments.names and mutant.name not in arguments.names:
            continue
        outcome = known.get((mutant.name, mutant.key)) or outcome_of(mutant)
        if (mutant.name, mutant.key) not in known:
            with arguments.results.open("a", newline="", encoding="utf-8") as file:
                csv.writer(file).writerow([mutant.name, outcome, mutant.key])
        print(f"{mutant.name}: {outcome}", flush=True)
        outcomes.append(outcome)
    print(f"{outcomes.count('killed')} of {len(outcomes)} killed")
    return 0 if all(outcome == "killed" for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
