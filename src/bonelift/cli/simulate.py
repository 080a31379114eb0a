"""``bonelift simulate``: a study folder of virtual patients."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from bonelift.cli.arguments import positive_int, whole_number
from bonelift.cli.console import console_for
from bonelift.study.virtual_cohort import CohortSettings, simulate_cohort

EPILOG = """\
Each patient gets a folder: CT, labels, landmarks, radiographs with their cameras, and the truth.
An interrupted run goes on with the same command; a larger --patients adds to it.

  bonelift simulate --patients 12 --seed 1 --out study"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--patients", metavar="N", type=positive_int, required=True, help="one wrist each; half left")
    parser.add_argument("--seed", metavar="S", type=whole_number, required=True, help="of the cohort; 0 or above")
    parser.add_argument("--out", metavar="STUDY", type=Path, required=True, help="study folder")
    parser.add_argument(
        "--views", nargs="+", choices=["pa", "lateral"], default=["pa"], help="radiographs of each (default: pa)"
    )
    parser.add_argument("--workers", metavar="N", type=positive_int, default=1, help="processes (default: 1)")


def run(options: Namespace) -> int:
    console = console_for(options)
    settings = CohortSettings(options.patients, options.seed, tuple(options.views))
    with console.bar(options.patients, "virtual patients") as bar:

        def on_case(name: str) -> None:
            bar.set_postfix_str(name)
            bar.update()

        study = simulate_cohort(options.out, settings, options.workers, on_case)
    values = {"study": str(options.out), "cases": len(study.cases)}
    console.result(values, f"{options.out}: {len(study.cases)} virtual wrists (study.json)")
    return 0
