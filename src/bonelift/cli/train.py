"""``bonelift train``: the networks, on a study folder or on virtual patients."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bonelift.cli.arguments import positive_float, positive_int, whole_number
from bonelift.cli.console import console_for
from bonelift.errors import InputError
from bonelift.learning.targets import TARGETS

if TYPE_CHECKING:
    from bonelift.learning.training import TrainingOutcome
    from bonelift.study.training_run import TrainingSettings

USAGE = "bonelift train TARGET (STUDY | --virtual N) --preset P --run DIR [options]"
EPILOG = """\
locator: finds the wrist. pix2pix: radiograph to bone-only image. tl: bone-only image to 3D labels (three steps).
shape: bone-only image and film to a shape code, the default of reconstruct. tuning: trains pix2pix further, so that
shape reads its images better. all: these, in this order.
Ctrl-C keeps a checkpoint; the same command goes on. RUN/model is what reconstruct --model takes, as soon as locator,
pix2pix and tl are there; with shape and tuning it is complete.

  bonelift train all study --preset laptop --run runs/first
  bonelift train all --virtual 200 --seed 3 --preset laptop --run runs/virtual
  bonelift train shape study --preset laptop --run runs/first --modes 20
  torchrun --nproc-per-node 4 --no-python -- bonelift train tl study --preset paper --device cuda --run runs/paper"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("target", choices=[*TARGETS, "all"], help="what to train")
    parser.add_argument("study", metavar="STUDY", type=Path, nargs="?", help="study folder")
    parser.add_argument("--virtual", metavar="N", type=positive_int, help="N virtual patients in the place of a study")
    parser.add_argument(
        "--preset",
        choices=["smoke", "laptop", "paper"],
        required=True,
        help="size of networks and training: smoke (minutes, learns nothing), laptop (hours), paper (for a GPU)",
    )
    parser.add_argument("--run", metavar="DIR", type=Path, required=True, help="run folder, new or to go on with")
    parser.add_argument("--minutes", metavar="M", type=positive_float, help="end each stage after this time")
    parser.add_argument(
        "--seed", metavar="S", type=whole_number, default=0, help="seed of patients, split and training (default: 0)"
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument(
        "--workers", metavar="N", type=positive_int, default=1, help="processes that make patients (default: 1)"
    )
    parser.add_argument(
        "--start", metavar="MODEL", help="model whose weights the training begins with: a folder, or the word packaged"
    )
    shape = parser.add_argument_group("of the target shape")
    shape.add_argument(
        "--modes",
        metavar="K",
        type=positive_int,
        help="how many modes each bone's basis has (default: the preset's number)",
    )
    shape.add_argument(
        "--basis",
        choices=["auto", "own", "packaged"],
        help="own: modes of the study's bones; packaged: those of the packaged model; auto: own where there are more "
        "bones than modes (default: auto)",
    )


def run(options: Namespace) -> int:
    if (options.study is None) == (options.virtual is None):
        raise InputError("train: expected a study folder or --virtual N, and not both")
    # Imported now: torch takes seconds, and --help does without it.
    from bonelift.study.training_run import train_on_study, train_on_virtual_patients

    settings = _settings(options)
    if options.virtual is None:
        outcome = train_on_study(options.target, options.study, options.run, settings)
    else:
        outcome = train_on_virtual_patients(options.target, options.virtual, options.run, settings, options.workers)
    if outcome.first:
        console_for(options).result(_values(options, outcome), _text(options, outcome))
    return 0


def _settings(options: Namespace) -> TrainingSettings:
    from bonelift.learning.bases import BasisChoice
    from bonelift.learning.presets import load_preset, timed
    from bonelift.networks.bundle import load_bundle
    from bonelift.networks.device import check_device
    from bonelift.study.training_run import TrainingSettings

    preset = load_preset(options.preset, check_device(options.device))
    if options.minutes is not None:
        preset = timed(preset, options.minutes)
    basis = None
    if options.modes is not None or options.basis is not None:
        # Modes that were asked for by number are not replaced by other ones.
        basis = BasisChoice(options.modes or preset.shape_modes, options.basis or "own")
    start = None
    if options.start is not None:
        start = load_bundle(None if options.start == "packaged" else options.start)
    return TrainingSettings(preset, options.seed, basis, start)


def _values(options: Namespace, outcome: TrainingOutcome) -> dict[str, Any]:
    return {
        "run": str(options.run),
        "target": options.target,
        "validation": outcome.metrics,
        "model": None if outcome.model is None else str(outcome.model),
        "notes": list(outcome.notes),
    }


def _text(options: Namespace, outcome: TrainingOutcome) -> str:
    lines = []
    for target, metrics in outcome.metrics.items():
        lines.append(f"{options.run}: {target} trained; last validation:")
        lines += [f"  {name:<24}{value:.4f}" for name, value in metrics.items()]
    lines += outcome.notes
    if outcome.model is not None:
        lines.append(f"{outcome.model}: the model, for reconstruct --model")
    return "\n".join(lines)
