"""docs/results/measurements.md and the packaged table, from the rows that scripts/measure_measurements.py collects."""

from __future__ import annotations

import json
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from bonelift import __version__
from bonelift.anatomy.measurement_facts import MEASUREMENTS
from bonelift.experiments.measurement_errors import READER_DRAWS, MeasurementRow, errors_by_input, reader_ranks, rounded
from bonelift.networks.model import WristModel
from bonelift.reconstruction.measurement_errors import TABLE_FILE, TABLE_FORMAT, MeasurementError

FEWEST = 100
FEWEST_OF_AN_INPUT = 20
PAGE = """# How far the measurements are off

{patients} virtual patients that no network saw (seeds {seeds}, used for nothing else), every second one a left wrist.
A simulated PA film of each, of {others} also a lateral one, went through `reconstruct` as a user's files would. The
truth is the same measurement on the true bones, with their exact landmarks; of a film's measurement it is what the true
bones at their true pose show on that film. What each measurement means: [measurements.md](../measurements.md).

*Error*: mean absolute error. *Bias*: mean of measured minus true. *Mean's error*: mean absolute error of answering
every patient with the mean of the others. *Skill*: 1 - error / mean's error, with its 95 % interval (bootstrap over
patients); where the interval reaches 0 or below, the measurement tells no more than the mean of all adults does, and
the result says so (**none**). *r*: correlation of measured and true. Patients whose score was low are counted, too
({severe} of {runs} runs scored below 0.2). A patient is left out of a row only where there is nothing to compare: no
wrist was found, or the true or the measured bone has no such value, as a flat notch has no radius; see *n*.

The patients come from the population that the model learned from: on real films the errors may be larger
([measurements-real-bones.md](measurements-real-bones.md)).

{tables}
## Does the reader know which measurement to trust?

The reader tells an error of each number of its shape code. Bones drawn with these errors ({draws} a patient) spread
each 3D measurement by the *told SD*. *Rank*: rank correlation of told SD and true absolute error over the patients of
a PA film. Only where it is clearly above 0 could a confidence be given patient by patient.

{ranks}

{verdict}

## The film's own angles when the wrist turns

[measurements-pose.md](measurements-pose.md).

Command: `python scripts/measure_measurements.py {command}`. Model `{model}`, weights sha256 `{sha}`. Commit {commit}.
Machine: {machine}, one process of one thread, {date}. Every row: [measurements.csv](measurements.csv).
"""


def write_results(rows: Sequence[MeasurementRow], model: WristModel, out: Path, command: str) -> None:
    """The page into ``out``; the packaged table only where FEWEST patients or more were measured on a PA film."""
    errors = errors_by_input(rows)
    commit = _commit()
    patients = {name: len({row.patient for row in rows if row.input == name}) for name in errors}
    seeds = sorted({row.patient for row in rows})
    severe, runs = _severe(rows)
    ranks = reader_ranks([row for row in rows if row.input == "pa"])
    text = PAGE.format(
        patients=patients["pa"], others=max((n for k, n in patients.items() if k != "pa"), default=0),
        seeds=f"{seeds[0]} to {seeds[-1]}", severe=severe, runs=runs,
        tables="\n".join(error_table(name, errors[name], patients[name]) for name in errors if patients[name] > 2),
        draws=READER_DRAWS, ranks=rank_table(ranks), verdict=rank_verdict(ranks), command=command, model=model.name,
        sha=model.weights_sha256[:12], commit=commit, machine=platform.machine(), date=time.strftime("%Y-%m-%d"),
    )  # fmt: skip
    (out / "measurements.md").write_text(text, encoding="utf-8")
    if patients.get("pa", 0) < FEWEST:
        print(f"{patients.get('pa', 0)} patients on a PA film; the packaged table is made of {FEWEST} or more")
        return
    told = {
        "format": TABLE_FORMAT,
        "model": {"name": model.name, "weights_sha256": model.weights_sha256},
        "method": "shape",
        "seeds": f"{seeds[0]} to {seeds[-1]}",
        "commit": commit,
        "command": f"python scripts/measure_measurements.py {command}",
        "bonelift_version": __version__,
        "inputs": {
            name: {
                "patients": patients[name],
                "measurements": {key: asdict(rounded(error)) for key, error in errors[name].items()},
            }
            for name in errors
            if patients[name] >= FEWEST_OF_AN_INPUT
        },
    }
    TABLE_FILE.write_text(json.dumps(told, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def error_table(name: str, errors: Mapping[str, MeasurementError], patients: int) -> str:
    """Markdown: one line a measurement."""
    title = {"pa": "One PA film", "lateral": "One lateral film"}.get(name, "A PA and a lateral film")
    lines = [
        f"## {title}, {patients} patients\n",
        "| measurement | n | error | bias | mean's error | skill (95 %) | r |",
        "|---|---|---|---|---|---|---|",
    ]
    for key, error in errors.items():
        facts = MEASUREMENTS[key]
        skill = f"{error.skill:+.0%} ({error.skill_low:+.0%} to {error.skill_high:+.0%})"
        lines.append(
            f"| {facts.name}, {facts.unit} | {error.cases} | {error.mean_abs:.2f} | {error.bias:+.2f} "
            f"| {error.no_skill:.2f} | {skill if error.has_skill else f'**none** {skill}'} | {error.correlation:+.2f} |"
        )
    return "\n".join(lines) + "\n"


def rank_table(ranks: Mapping[str, tuple[int, float, float, float]]) -> str:
    lines = ["| measurement | n | told SD, mean | true error, mean | rank |", "|---|---|---|---|---|"]
    for key, (count, rank, told, off) in ranks.items():
        facts = MEASUREMENTS[key]
        lines.append(f"| {facts.name}, {facts.unit} | {count} | {told:.2f} | {off:.2f} | {rank:+.2f} |")
    return "\n".join(lines)


def rank_verdict(ranks: Mapping[str, tuple[int, float, float, float]]) -> str:
    """A correlation of n pairs differs from 0 where it exceeds 2 / sqrt(n - 1) (two standard errors)."""
    clear = [MEASUREMENTS[key].name for key, (count, rank, *_) in ranks.items() if rank > 2 / (count - 1) ** 0.5]
    if not clear:
        return "No rank correlation is clearly above 0: the result gives one expected error for all patients."
    return (
        f"Clearly above 0 (more than two standard errors) for {len(clear)} of {len(ranks)}: {', '.join(clear)}. "
        "The result still gives one expected error for all patients: a rank correlation below about 0.5 does not tell "
        "two patients apart."
    )


def _severe(rows: Sequence[MeasurementRow]) -> tuple[int, int]:
    """(runs whose score is below what is usable, runs)."""
    score = {(row.patient, row.input): row.quality for row in rows}
    return sum(value < 0.2 for value in score.values()), len(score)


def _commit() -> str:
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return found.stdout.strip()
