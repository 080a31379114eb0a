"""``bonelift train``: the networks, on a study folder."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path

from bonelift.cli.arguments import positive_float, whole_number
from bonelift.cli.console import console_for
from bonelift.learning.presets import Preset, load_preset, with_minutes
from bonelift.study.folder import read_study
from bonelift.study.training_run import train_on_study

EPILOG = """\
pix2pix: radiograph to bone-only image. tl: bone-only image to 3D labels (three steps). locator: finds the wrist.
Ctrl-C keeps a checkpoint; the same command goes on. When all three are there, RUN/model is what
reconstruct --model takes.

  bonelift train tl study --preset laptop --run runs/first"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("target", choices=["pix2pix", "tl", "locator"], help="what to train")
    parser.add_argument("study", metavar="STUDY", type=Path, help="study folder")
    parser.add_argument("--preset", choices=["smoke", "laptop", "paper"], required=True, help="size of the training")
    parser.add_argument("--run", metavar="DIR", type=Path, required=True, help="run folder, new or to go on with")
    parser.add_argument("--minutes", metavar="M", type=positive_float, help="end each stage by the clock")
    parser.add_argument("--seed", metavar="S", type=whole_number, default=0, help="of split and training (default: 0)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")


def run(options: Namespace) -> int:
    console = console_for(options)
    preset = load_preset(options.preset, options.device)
    if options.minutes is not None:
        preset = timed(preset, options.minutes)
    count = len(read_study(options.study).cases)
    with console.bar(count, "cases") as bar:

        def on_case(name: str) -> None:
            bar.set_postfix_str(name)
            bar.update()

        metrics = train_on_study(
            options.target,
            options.study,
            preset,
            options.run,
            seed=options.seed,
            on_case=on_case,
        )
    lines = [f"{options.run}: {options.target} trained; last validation:"]
    lines += [f"  {name:<24}{value:.4f}" for name, value in metrics.items()]
    console.result({"run": str(options.run), "target": options.target, **metrics}, "\n".join(lines))
    return 0


def timed(preset: Preset, minutes: float) -> Preset:
    """Every stage of the preset ended by the clock."""
    return replace(
        preset,
        **{
            name: replace(stage, loop=with_minutes(stage.loop, minutes))
            for name in (
                "autoencoder_training",
                "predictor_training",
                "finetune_training",
                "pix2pix_training",
                "locator_training",
            )
            for stage in [getattr(preset, name)]
        },
    )
