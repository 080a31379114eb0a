"""Small faults drawn by a seed, package by package; how many of them the tests around the package notice.

    python scripts/mutate_drawn.py [PACKAGE ...] [--faults 30] [--seed 1] [--minutes 60] [--work mutants-work]

tests/mutation_packages.toml names the packages, their sources and the tests around them; mutation_operators.py makes
the faults. As many of each kind (sign, comparison, constant, ...) are drawn as there are, in turn. First the tests run
once under a trace; then each fault meets those that run its line, the shortest first, for --test-seconds of processor
time in all; the first that fails ends it. With more seconds, survivors meet the longer tests as well.

Results go to the work folder line by line, so that a run which was stopped goes on; a fault is tried again where its
source, or a test that it met, has changed. Exit status 1 where a fault survived that tests/mutation_survivors.toml does
not explain.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import sys
import time
import tomllib
from collections import Counter
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Any

import pytest
from mutation_operators import Drawn, compiles, faults_of
from mutation_trials import load_heavy, outcome_in_function, outcome_in_module, trace, with_collected

PROJECT = Path(__file__).resolve().parent.parent
SOURCES = PROJECT / "src"
PACKAGES = PROJECT / "tests" / "mutation_packages.toml"
EXPLAINED = PROJECT / "tests" / "mutation_survivors.toml"
COLUMNS = ("package", "name", "kind", "outcome", "tests", "seconds", "key", "source")
TRACE_CPU_S = 900
SLOW_CPU_S = 100.0


def draw(files: list[Path], count: int, seed: int, kernels: bool) -> list[Drawn]:
    """``count`` faults of the files, as many of each kind as there are, in turn; in compiled code, or in other code."""
    kinds: dict[str, list[Drawn]] = {}
    for fault in sorted(chain(*(faults_of(file, SOURCES, seed) for file in files)), key=lambda fault: fault.order):
        if (fault.scope == "kernel") == kernels:
            kinds.setdefault(fault.kind, []).append(fault)
    sound = (filter(_compiles, kinds[kind]) for kind in sorted(kinds))
    in_turn = (fault for turn in zip_longest(*sound) for fault in turn if fault is not None)
    return list(islice(in_turn, count))


def _compiles(fault: Drawn) -> bool:
    return compiles(fault.put_into((SOURCES / fault.file).read_bytes()))


def digest(*parts: str | bytes) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(part.encode() if isinstance(part, str) else part)
    return total.hexdigest()[:16]


class TracedTests:
    """What the tests of a package run, kept in the work folder for each file of tests."""

    def __init__(self, package: str, files: list[Path], settings: dict[str, Any], work: Path):
        self.tests: dict[str, dict[str, Any]] = {}
        self.slow: list[str] = settings.get("slow", [])
        without = settings.get("without", "")
        self.chosen = ["-k", f"not ({without})"] if without else []
        sources = b"".join(file.read_bytes() for file in files)
        for name in settings["tests"]:
            key = digest(name, without, sources, (PROJECT / name.partition("::")[0]).read_bytes())
            kept = work / f"trace-{package}-{Path(name).stem.partition('::')[0]}-{key}.json"
            if not kept.is_file():
                found = trace([name, *self.chosen], files, TRACE_CPU_S)
                for failed in found["failed"]:
                    print(f"{package}: {failed} fails without a fault and is left out", flush=True)
                kept.write_text(json.dumps(found["tests"]), encoding="utf-8")
                print(f"{package}: {name} traced, {len(found['tests'])} tests", flush=True)
            self.tests |= json.loads(kept.read_text(encoding="utf-8"))

    def around(self, fault: Drawn, cpu_s: float) -> tuple[list[str], float]:
        """Tests that run the fault, the shortest first, and their processor time, which is at most ``cpu_s``; where
        there are none, the package's slow ones, which are not traced."""
        path = str(SOURCES / fault.file)
        if fault.scope == "kernel":
            fitting = list(self.tests)
        else:
            wanted = set(range(fault.lines[0], fault.lines[1] + 1))
            fitting = [
                name
                for name, test in self.tests.items()
                if (lines := test["lines"].get(path)) and (fault.scope == "module" or wanted & set(lines))
            ]
        if not fitting:
            return self.slow, SLOW_CPU_S * len(self.slow)
        chosen, total, shared = [], 0.0, set()
        for name in sorted(fitting, key=lambda n: (self.tests[n]["seconds"] + self.tests[n]["shared_seconds"], n)):
            test = self.tests[name]
            cost = test["seconds"] + (0.0 if test["shared"] in shared else test["shared_seconds"])
            if chosen and total + cost > cpu_s:
                continue
            chosen.append(name)
            shared.add(test["shared"])
            total += cost
        return chosen, total


class Trials:
    """The faults of one package, tried one after the other, as far as the log does not tell what became of them."""

    def __init__(self, package: str, traced: TracedTests, cpu_s: float, log: Path, trust_kills: bool):
        self._package, self._traced, self._cpu_s, self._log = package, traced, cpu_s, log
        self._trust_kills = trust_kills

    def key(self, fault: Drawn, tests: list[str]) -> str:
        files = sorted({name.partition("::")[0] for name in tests})
        source = (SOURCES / fault.file).read_bytes()
        return digest(fault.name, str(fault.start), source, *tests, *((PROJECT / file).read_bytes() for file in files))

    def outcomes(self, faults: list[Drawn]) -> dict[str, str]:
        """From the log, by the fault's name."""
        rows = logged(self._log)
        known = {row["key"]: row["outcome"] for row in rows}
        killed = {row["source"]: row["outcome"] for row in rows if row["outcome"].startswith("killed")}
        found = {}
        for fault in faults:
            outcome = known.get(self.key(fault, self._traced.around(fault, self._cpu_s)[0]))
            if outcome is None and self._trust_kills:
                outcome = killed.get(source_key(fault))
            if outcome is not None:
                found[fault.name] = outcome
        return found

    def run(self, faults: list[Drawn], end: float) -> None:
        """Those in functions with the package imported once, the others with a clean import each."""
        left = [fault for fault in faults if fault.name not in self.outcomes(faults)]
        if inside := [fault for fault in left if fault.scope == "line"]:
            needed = chain(*(self._traced.around(fault, self._cpu_s)[0] for fault in inside))
            files = sorted({name.partition("::")[0] for name in needed}) or [next(iter(self._traced.tests))]

            def with_session(session: pytest.Session) -> None:
                for fault in inside:
                    self._try(fault, end, session)

            with_collected(files, with_session)
        for fault in left:
            if fault.scope != "line":
                self._try(fault, end, None)

    def _try(self, fault: Drawn, end: float, session: pytest.Session | None) -> None:
        if time.monotonic() > end:
            return
        tests, seconds = self._traced.around(fault, self._cpu_s)
        path, begin = SOURCES / fault.file, time.monotonic()
        source = fault.put_into(path.read_bytes())
        limit = int(3 * seconds + (150 if fault.scope == "kernel" else 30))
        if not tests:
            outcome = "SURVIVED: no test runs it"
        elif session is None:
            outcome = outcome_in_module(fault.file, path, source, tests, limit)
        else:
            outcome = outcome_in_function(path, source, session, tests, limit)
        with self._log.open("a", newline="", encoding="utf-8") as file:
            spent = round(time.monotonic() - begin, 1)
            keys = [self.key(fault, tests), source_key(fault)]
            csv.writer(file).writerow([self._package, fault.name, fault.kind, outcome, len(tests), spent, *keys])
        print(f"{self._package}: {outcome}: {fault.name}", flush=True)


def source_key(fault: Drawn) -> str:
    return digest(fault.name, str(fault.start), (SOURCES / fault.file).read_bytes())


def logged(log: Path) -> list[dict[str, str]]:
    if not log.is_file():
        log.write_text(",".join(COLUMNS) + "\n", encoding="utf-8")
    with log.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def explained() -> dict[tuple[str, str], str]:
    """Faults that change nothing which can be measured: (name without the line's number, the line) -> why."""
    if not EXPLAINED.is_file():
        return {}
    entries = tomllib.loads(EXPLAINED.read_text(encoding="utf-8"))["survivor"]
    return {(entry["fault"], entry["line"]): entry["why"] for entry in entries}


def place_of(fault: Drawn) -> tuple[str, str]:
    """How :func:`explained` names a fault."""
    place, _, change = fault.name.partition(" ")
    line = (SOURCES / fault.file).read_text(encoding="utf-8").splitlines()[fault.lines[0] - 1].strip()
    return f"{place.rpartition(':')[0]} {change}", line


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", nargs="*", help="only these")
    parser.add_argument("--faults", type=int, default=30, help="in each package")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=60.0, help="no fault is begun after this time")
    parser.add_argument("--test-seconds", type=float, default=8.0, help="processor time of a fault's tests")
    parser.add_argument("--trust-kills", action="store_true", help="a killed fault stays killed: tests were only added")
    parser.add_argument("--work", type=Path, default=PROJECT / "mutants-work")
    arguments = parser.parse_args()
    packages = tomllib.loads(PACKAGES.read_text(encoding="utf-8"))
    if unknown := set(arguments.packages) - set(packages):
        parser.error(f"no package is called {min(unknown)}; {PACKAGES.name} has {', '.join(packages)}")
    os.chdir(PROJECT)
    sys.path.insert(0, str(SOURCES))
    sys.dont_write_bytecode = True
    arguments.work.mkdir(exist_ok=True)
    log = arguments.work / "outcomes.csv"
    reasons, end, status = explained(), time.monotonic() + 60 * arguments.minutes, 0
    load_heavy()
    table = []
    for package in arguments.packages or packages:
        files = sorted(chain(*((SOURCES / "bonelift").glob(pattern) for pattern in packages[package]["files"])))
        traced = TracedTests(package, files, packages[package], arguments.work)
        faults = draw(files, arguments.faults, arguments.seed, packages[package].get("kernels", False))
        trials = Trials(package, traced, arguments.test_seconds, log, arguments.trust_kills)
        trials.run(faults, end)
        outcomes = trials.outcomes(faults)
        counts: Counter[str] = Counter()
        for fault in faults:
            outcome = outcomes.get(fault.name, "not tried").partition(":")[0]
            if outcome == "SURVIVED" and place_of(fault) in reasons:
                outcome = "explained"
            counts[outcome] += 1
        status = status if set(counts) <= {"killed", "explained"} else 1
        table.append(f"{package}: {counts['killed']} of {counts.total()} killed, {dict(counts)}")
    print("\n".join(table))
    return status


if __name__ == "__main__":
    sys.exit(main())
