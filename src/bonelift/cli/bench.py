"""``bonelift bench``: the speed tables, peers included where they are installed."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict

from bonelift.bench.drr import add_bench_parser, run_bench
from bonelift.cli.arguments import add_common_options
from bonelift.cli.console import console_for

EPILOG = "  bonelift bench drr --out bench"


def add_arguments(parser: ArgumentParser) -> None:
    subparsers = parser.add_subparsers(dest="subject", metavar="drr", required=True, help="what to measure")
    add_common_options(add_bench_parser(subparsers))


def run(options: Namespace) -> int:
    result = run_bench(options)
    console_for(options).result(asdict(result), f"{options.out}: bench-drr.md, bench-drr.json, bench-drr.png")
    return 0
