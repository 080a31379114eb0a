"""``bonelift bench``: speed and accuracy, measured; peers included where they are installed."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bonelift.bench import register, register_peers
from bonelift.bench.drr import DrrBenchSettings, run_drr_bench
from bonelift.bench.drr_report import write_drr_report
from bonelift.bench.provenance import provenance
from bonelift.bench.reconstruct import ReconstructBenchSettings, markdown, run_reconstruct_bench
from bonelift.bench.register import TRIALS
from bonelift.bench.register_report import summary, write_register_report
from bonelift.cli.arguments import add_common_options
from bonelift.cli.console import console_for
from bonelift.storage.json_values import without_nan
from bonelift.storage.output_folder import output_folder
from bonelift.study.folder import read_study

EPILOG = """\
  bonelift bench drr --out bench
  bonelift bench register study --out bench-register
  bonelift bench reconstruct --out bench-reconstruct"""


def add_arguments(parser: ArgumentParser) -> None:
    subparsers = parser.add_subparsers(
        dest="subject", metavar="drr|register|reconstruct", required=True, help="what to measure"
    )
    for add_subject in (_add_drr, _add_register, _add_reconstruct):
        add_common_options(add_subject(subparsers))


def run(options: Namespace) -> int:
    console_for(options).result(*options.measure(options))
    return 0


def _add_drr(subparsers: Any) -> ArgumentParser:
    parser = subparsers.add_parser("drr", help="line integrals: speed and agreement with the reference")
    defaults = DrrBenchSettings()
    parser.add_argument("--out", type=Path, required=True, help="folder for bench-drr.md, .json and .png")
    parser.add_argument("--repeats", type=int, default=defaults.repeats, help="rounds (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=defaults.threads, help="of every engine (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=defaults.seed, help="of volumes and rays (default: %(default)s)")
    parser.add_argument("--voxels", type=int, default=defaults.voxels, help="side of the cube (default: %(default)s)")
    parser.add_argument("--no-peers", action="store_true", help="measure bonelift alone")
    parser.add_argument("--no-curves", action="store_true", help="leave out cost against size and batch")
    parser.add_argument("--no-tilts", action="store_true", help="leave out errors at turned poses")
    parser.set_defaults(measure=measure_drr)
    return parser


def measure_drr(options: Namespace) -> tuple[dict[str, Any], str]:
    """``bonelift bench drr``: writes its folder; returns the result in plain values and in a line."""
    settings = DrrBenchSettings(
        repeats=options.repeats,
        threads=options.threads,
        seed=options.seed,
        voxels=options.voxels,
        peers=not options.no_peers,
        curves=not options.no_curves,
        tilts=not options.no_tilts,
    )
    with output_folder(options.out) as folder:
        result = run_drr_bench(settings)
        write_drr_report(result, folder)
    return asdict(result), f"{options.out}: bench-drr.md, bench-drr.json, bench-drr.png"


def _add_register(subparsers: Any) -> ArgumentParser:
    parser = subparsers.add_parser("register", help="registration of virtual patients with known poses; resumable")
    parser.add_argument("study", metavar="STUDY", type=Path, help="simulated with --views pa lateral")
    parser.add_argument("--out", type=Path, required=True, help="folder for registration.md, .csv and .png")
    parser.add_argument("--patients", type=int, help="only the first so many")
    parser.add_argument("--groups", nargs="+", choices=list(TRIALS), default=list(TRIALS), help="default: all")
    parser.add_argument("--seed", type=int, default=1, help="of starts and drawn masks (default: %(default)s)")
    parser.add_argument("--peers", action="store_true", help="nanodrr's registration too, where it is installed")
    parser.set_defaults(measure=measure_register)
    return parser


def measure_register(options: Namespace) -> tuple[dict[str, Any], str]:
    """``bonelift bench register``: writes its folder; returns the result in plain values and in a line."""
    rows = register.run_register_bench(options.study, options.out, options.groups, options.patients, options.seed)
    facts = provenance() | {"study": read_study(options.study).origin, "seed": str(options.seed)}
    peers, said = [], ""
    if options.peers:
        found = register_peers.installed_version()
        said = "\nnanodrr is not installed (or einops, which it needs): no peer was measured"
        if found is not None:
            peers, said = register_peers.run_peers(options.study, options.out, options.patients, options.seed), ""
            facts["nanodrr"] = found
    write_register_report(rows, options.out, facts, peers)
    return summary(rows), f"{options.out}: registration.md, registration.csv, registration.png{said}"


def _add_reconstruct(subparsers: Any) -> ArgumentParser:
    parser = subparsers.add_parser("reconstruct", help="seconds of each step, and of the whole command")
    defaults = ReconstructBenchSettings()
    parser.add_argument("--out", type=Path, required=True, help="folder for bench-reconstruct.md and .json")
    parser.add_argument("--patients", type=int, default=defaults.patients, help="virtual (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=defaults.repeats, help="of the command (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=defaults.seed, help="of the first patient (default: %(default)s)")
    parser.set_defaults(measure=measure_reconstruct)
    return parser


def measure_reconstruct(options: Namespace) -> tuple[dict[str, Any], str]:
    """``bonelift bench reconstruct``: writes its folder; returns the result in plain values and in a line."""
    settings = ReconstructBenchSettings(options.patients, options.repeats, options.seed)
    with output_folder(options.out) as folder:
        result = run_reconstruct_bench(settings)
        plain = without_nan(asdict(result))
        (folder / "bench-reconstruct.json").write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
        (folder / "bench-reconstruct.md").write_text(markdown(result), encoding="utf-8")
    return plain, f"{options.out}: bench-reconstruct.md, bench-reconstruct.json"
