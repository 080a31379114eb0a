"""``bonelift evaluate``: experiments 1 to 3 on a study folder."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path

from bonelift.cli.arguments import positive_int, whole_number
from bonelift.cli.console import console_for
from bonelift.errors import InputError

EPILOG = """\
Trains pix2pix and the TL net in every fold, reconstructs every patient with networks that never saw them, and
writes rows.csv, translation.csv, statistics.json, figures and report.html into RUN. Stopped in any way, the same
command goes on. --fold works on some folds only, so that a long study can be done in pieces, one after the other.

  bonelift evaluate study --run runs/night --preset laptop
  bonelift evaluate study --run runs/night --preset laptop --scheduler tcp://head:8786
  bonelift evaluate study --run runs/night --preset laptop --methods render-and-compare mine.py:MyMethod
  bonelift evaluate study --run runs/night --preset laptop --methods all swin-unetr@0.1

--methods: render-and-compare, cyclegan-tl, cyclegan-shape, attention-unet, swin-unetr, depth-faces, all (of these), or
one of your own as FILE.py:NAME (docs/own-method.md). NAME@0.1 gives one a tenth of the updates. They are scored beside
ours; RUN/methods.md sets all side by side."""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("study", metavar="STUDY", type=Path, help="study folder")
    parser.add_argument("--run", metavar="DIR", type=Path, required=True, help="run folder, new or to go on with")
    parser.add_argument(
        "--preset", choices=["smoke", "small", "laptop", "paper"], help="size of the networks and training"
    )
    parser.add_argument(
        "--place-films",
        choices=["landmarks", "locator"],
        default="landmarks",
        help="what places the tested films of known pose: their projected landmarks (default) or the locator",
    )
    parser.add_argument(
        "--seed", metavar="S", type=whole_number, default=0, help="seed of folds, images and weights (default: 0)"
    )
    parser.add_argument(
        "--folds", metavar="K", type=positive_int, default=4, help="number of folds, by patient (default: 4)"
    )
    parser.add_argument("--fold", metavar="NAME", action="append", default=[], help="only this fold, e.g. fold-2")
    parser.add_argument("--device", default="cpu", help="cpu or cuda, for training (default: cpu)")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="Dask scheduler; study and run must be shared folders")
    parser.add_argument("--workers", metavar="N", type=positive_int, default=1, help="processes that share the cores")
    parser.add_argument("--allow-failed", action="store_true", help="go on without cases that cannot be used")
    parser.add_argument(
        "--methods", metavar="NAME", nargs="+", default=[], help="methods of others, scored beside ours"
    )
    parser.add_argument(
        "--updates-share",
        metavar="X",
        type=float,
        default=1.0,
        help="share of the preset's updates; above 1 for more (default: 1)",
    )
    parser.add_argument(
        "--pair-share",
        metavar="X",
        type=float,
        help="share of the patients with a radiograph from whom pix2pix may learn (default: 33/105, as in the paper)",
    )
    parser.add_argument(
        "--report-only", action="store_true", help="only write tables, figures and report of what is there already"
    )


def run(options: Namespace) -> int:
    console = console_for(options)
    if not options.report_only and options.preset is None:
        raise InputError("evaluate: no --preset; expected smoke, laptop or paper")
    # Imported now: torch takes seconds, and --help does without it.
    from bonelift.experiments.evaluate import ExperimentSettings, run_experiments
    from bonelift.experiments.methods.builtin import methods_of
    from bonelift.experiments.presets import load_study_preset, with_share_of_updates
    from bonelift.experiments.results.methods import write_methods
    from bonelift.experiments.results.report import write_study_report
    from bonelift.networks.device import check_device

    if options.report_only:
        page = write_study_report(options.run)
        write_methods(options.run)
        console.result({"report": str(page)}, f"{page}")
        return 0
    device = options.device if options.scheduler else check_device(options.device)  # workers elsewhere have their own
    preset = with_share_of_updates(load_study_preset(options.preset, device), options.updates_share)
    preset = replace(preset, tested_films=options.place_films, pair_share=options.pair_share)
    settings = ExperimentSettings(
        preset,
        options.seed,
        options.folds,
        tuple(options.fold),
        options.scheduler,
        options.workers,
        options.allow_failed,
        methods_of(options.methods),
    )
    outcome = run_experiments(options.study, options.run, settings, console.aside)
    values = {
        "run": str(options.run),
        "report": str(outcome.report),
        "cases": outcome.cases,
        "failed_cases": outcome.failed_cases,
        "failed_rows": outcome.failed_rows,
    }
    failed = f"{outcome.failed_cases} cases and {outcome.failed_rows} rows failed"
    lines = [f"{outcome.report}: {outcome.cases} cases scored, {failed}"]
    lines += [f"  {reason.note}: {reason.rows} rows. {reason.words}" for reason in outcome.reasons]
    console.result(values, "\n".join(lines))
    return 0
