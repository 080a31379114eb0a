"""How far the measurements are off: docs/results/measurements.md and .csv, and the table that the product packages.

python scripts/measure_measurements.py                                120 patients on a PA film, 60 on the other inputs
python scripts/measure_measurements.py --minutes 7                    a piece; repeat until it says that it is done

Patients that are in the CSV for the same weights are not measured again; rows of other weights are dropped. The page
and src/bonelift/reconstruction/measurement_errors.json are written once every patient is there.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from functools import partial
from itertools import groupby
from pathlib import Path

import torch

from bonelift.experiments.measurement_errors import MeasurementRow, patient_rows
from bonelift.networks.model import load_model

FIRST_SEED = 980_000
RESULTS = Path("docs/results")
COLUMNS = [field.name for field in fields(MeasurementRow)]


def wanted(patients: int, others: int) -> Iterator[tuple[int, str]]:
    """(seed, input) in the order of measuring."""
    for number in range(patients):
        yield FIRST_SEED + number, "pa"
    for number in range(others):
        yield FIRST_SEED + number, "lateral"
        yield FIRST_SEED + number, "pa and lateral"


def read_rows(path: Path, weights: str) -> list[MeasurementRow]:
    """The rows of one model; none where there is no file."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        stored = [row for row in csv.DictReader(file) if row["model"] == weights]
    numbers = ("true", "measured", "reader_sd", "quality")
    return [
        MeasurementRow(**{**row, "patient": int(row["patient"]), **{n: float(row[n]) for n in numbers}})  # type: ignore[arg-type]
        for row in stored
    ]


def save_rows(path: Path, rows: Sequence[MeasurementRow]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for row in rows:
            writer.writerow({k: f"{v:.4f}" if isinstance(v, float) else v for k, v in asdict(row).items()})


def measured(group: tuple[int, list[str]], model: str | None) -> list[MeasurementRow]:
    """All rows of one patient from its inputs."""
    torch.set_num_threads(1)
    seed, inputs = group
    return patient_rows(seed, load_model(model), inputs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=120, help="on one PA film")
    parser.add_argument("--others", type=int, default=60, help="of them, also on a lateral film and on both")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after so long; run again to go on")
    parser.add_argument("--workers", type=int, default=1, help="processes of one thread")
    parser.add_argument("--model", help="model folder; default: the packaged one")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    started = time.monotonic()
    model = load_model(arguments.model)
    path = arguments.out / "measurements.csv"
    rows = read_rows(path, model.weights_sha256[:12])
    done = {(row.patient, row.input) for row in rows}
    missing = [pair for pair in wanted(arguments.patients, arguments.others) if pair not in done]
    groups = [(seed, [name for _, name in group]) for seed, group in groupby(missing, key=lambda pair: pair[0])]
    with multiprocessing.get_context("spawn").Pool(arguments.workers) as pool:
        for found in pool.imap(partial(measured, model=arguments.model), groups):
            rows += found
            save_rows(path, rows)
            if (time.monotonic() - started) / 60 > arguments.minutes:
                break
    left = set(wanted(arguments.patients, arguments.others)) - {(row.patient, row.input) for row in rows}
    if left:
        print(f"{len(left)} of {len(missing) + len(done)} are left; run it again", flush=True)
        return 3
    from measurements_guide import write_guide
    from measurements_page import write_results

    write_results(rows, model, arguments.out, f"--patients {arguments.patients} --others {arguments.others}")
    write_guide()
    print("done", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
