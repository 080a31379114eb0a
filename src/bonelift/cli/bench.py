"""``bonelift bench``: speed and accuracy, measured; peers included where they are installed."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from bonelift.bench import drr, register
from bonelift.cli.arguments import add_common_options
from bonelift.cli.console import console_for

EPILOG = """\
  bonelift bench drr --out bench
  bonelift bench register study --out bench-register"""


def add_arguments(parser: ArgumentParser) -> None:
    subparsers = parser.add_subparsers(dest="subject", metavar="drr|register", required=True, help="what to measure")
    for subject in (drr, register):
        add_common_options(subject.add_bench_parser(subparsers))


def run(options: Namespace) -> int:
    console_for(options).result(*options.run_bench(options))
    return 0
