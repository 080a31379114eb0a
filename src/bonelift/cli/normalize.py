"""``bonelift normalize``: the cases of a study in the radius frame."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from bonelift.cli.console import console_for
from bonelift.errors import InputError
from bonelift.study.folder import read_study
from bonelift.study.normalisation import GRIDS, NormaliseReport, NormaliseSettings, beside_automatic, normalise_study

EPILOG = """\
Writes a folder for each case as a right wrist: CT, labels and their partial volumes on the label grid of the radius
frame, surfaces, landmarks, all written in the patient frame (LPS, docs/output-files.md); overlay.png to look at;
frame.json with the frame and how far the frame found without landmarks lies from it. Cases that are there are kept.

  bonelift normalize study --out normalised
  bonelift normalize study --case w01 --landmarks automatic --grid paper --out normalised-w01"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("study", metavar="STUDY", type=Path, help="study folder")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder, new or to go on with")
    parser.add_argument("--case", metavar="NAME", help="this case only")
    parser.add_argument(
        "--grid", choices=sorted(GRIDS), default="laptop", help="grid on which the labels are written (default: laptop)"
    )
    parser.add_argument(
        "--landmarks",
        choices=["study", "automatic"],
        default="study",
        help="which landmarks make the frame (default: those of the study)",
    )


def run(options: Namespace) -> int:
    console = console_for(options)
    settings = NormaliseSettings(options.grid, options.landmarks)
    count = 1 if options.case else len(read_study(options.study).cases)
    with console.bar(count, "cases") as bar:

        def on_case(name: str) -> None:
            bar.set_postfix_str(name)
            bar.update()

        report = normalise_study(options.study, options.out, settings, options.case, on_case)
    values = {"out": str(options.out), "frames": report.frames, "failed": report.failed}
    console.result(values, "\n".join(_lines(options.out, report)))
    if report.failed:
        first = next(iter(report.failed.values()))
        raise InputError(f"{len(report.failed)} of {count} cases were not normalised; {first}")
    return 0


def _lines(out: Path, report: NormaliseReport) -> list[str]:
    lines = [
        f"{out}: {len(report.frames)} cases in the radius frame; frame found without landmarks against the one used:"
    ]
    lines += [f"  {name:<16}{beside_automatic(facts['automatic'])}" for name, facts in report.frames.items()]
    return [*lines, *(f"  not normalised: {reason}" for reason in report.failed.values())]
