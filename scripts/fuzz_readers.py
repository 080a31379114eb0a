"""Damages sound files and reads them: every reader is to give a result or an InputError, within memory and time.

    python scripts/fuzz_readers.py --minutes 10 --out fuzz-work      # make fuzz
    python scripts/fuzz_readers.py --reader "mesh .glb" --show 217   # one mutant again, with its traceback

Mutant n of a reader is the same on every machine, and the state is kept in the folder: the same command goes on where
it ended. A fault is any other exception, more than 20 s, or more memory than the limit; its bytes are kept under
``finds``. Exit status 1 where there is one.
"""

from __future__ import annotations

import argparse
import json
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from bonelift.errors import InputError
from bonelift.storage.whole import write_whole
from builders.fuzzed_readers import FuzzedReader, readers

ADDRESS_SPACE_GIB = 6
SECONDS = 20
BATCH = 50


class _TooLong(BaseException):
    pass


def read_damaged(reader: FuzzedReader, content: bytes) -> str:
    """ "accepted", "refused", or what went wrong and where."""
    with tempfile.TemporaryDirectory(prefix="bonelift-fuzz-") as folder:
        path = Path(folder) / reader.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        signal.alarm(SECONDS)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                reader.read(Path(folder), path)
            return "accepted"
        except InputError as error:
            return "message of several lines" if "\n" in str(error) or len(str(error)) > 700 else "refused"
        except _TooLong:
            return f"over {SECONDS} s"
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            return f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}"
        finally:
            signal.alarm(0)


def _alarm(*_: object) -> None:
    raise _TooLong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("fuzz-work"))
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--reader", help="only this one")
    parser.add_argument("--show", type=int, metavar="N", help="read mutant N of --reader and show what happens")
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_GIB << 30, ADDRESS_SPACE_GIB << 30))
    signal.signal(signal.SIGALRM, _alarm)
    with tempfile.TemporaryDirectory(prefix="bonelift-fuzz-") as seeds:
        known = readers(Path(seeds))
    if options.show is not None:
        reader = known[options.reader]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / reader.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(reader.damaged(options.show))
            print(reader.read(Path(folder), path))
        return 0
    options.out.mkdir(parents=True, exist_ok=True)
    state_file = options.out / "state.json"
    state = json.loads(state_file.read_text()) if state_file.is_file() else {}
    chosen = [known[options.reader]] if options.reader else list(known.values())
    end = time.monotonic() + 60 * options.minutes
    while time.monotonic() < end:
        for reader in sorted(chosen, key=lambda r: state.get(r.name, {}).get("tried", 0)):
            one = state.setdefault(
                reader.name, {"tried": 0, "accepted": 0, "refused": 0, "slowest_s": 0.0, "faults": {}}
            )
            _batch(reader, one, options.out / "finds" / reader.name.replace(" ", "-"), end)
            write_whole(state_file, json.dumps(state, indent=1) + "\n")
            if time.monotonic() > end:
                break
    return _told(state)


def _batch(reader: FuzzedReader, one: dict, finds: Path, end: float) -> None:
    for _ in range(BATCH):
        number, start = one["tried"], time.monotonic()
        content = reader.damaged(number)
        outcome = read_damaged(reader, content)
        one["tried"] += 1
        one["slowest_s"] = round(max(one["slowest_s"], time.monotonic() - start), 2)
        if outcome in ("accepted", "refused"):
            one[outcome] += 1
        else:
            fault = one["faults"].setdefault(outcome, {"count": 0, "first": number})
            fault["count"] += 1
            if fault["count"] == 1:
                finds.mkdir(parents=True, exist_ok=True)
                (finds / f"{number}-{outcome.replace(' ', '-').replace('/', '-')}"[:120]).write_bytes(content)
        if time.monotonic() > end:
            return


def _told(state: dict) -> int:
    faults = 0
    for name, one in state.items():
        count = sum(fault["count"] for fault in one["faults"].values())
        faults += count
        counts = f"{one['tried']:7} tried, {one['accepted']:7} read, {one['refused']:7} refused, {count} faults"
        print(f"{name:22} {counts}, slowest {one['slowest_s']} s")
        for what, fault in one["faults"].items():
            print(f"    {fault['count']} x {what}, first mutant {fault['first']}")
    print(f"{sum(one['tried'] for one in state.values())} mutants, {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
