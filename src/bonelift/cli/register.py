"""``bonelift register``: bones of a CT to radiographs, on a study, one of its cases, or loose files."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bonelift.cli.arguments import whole_number
from bonelift.cli.console import Console, console_for
from bonelift.errors import InputError

if TYPE_CHECKING:
    from bonelift.study.registration.case import LocatePoints, RegistrationOptions
    from bonelift.study.registration.film_files import RecordRow

FLAGGED = 3
EPILOG = """\
For each radiograph: its pose (camera_from_world, the study's format), the registration-DRR, an overlay to
check by eye; and records.csv, records.json: one row each, with a verdict (ok, turn undecided or failed) and its reason.
An interrupted run goes on with the same command. A case that is broken fails in the table, the rest finish.

  bonelift register study --out registered
  bonelift register study --case case-0003 --out registered --bones each
  bonelift register --ct ct.nrrd --labels labels.seg.nrrd --radiograph pa.png --camera pa.json \\
      --mask pa-mask.png --side right --view pa --out registered"""


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("study", metavar="STUDY", type=Path, nargs="?", help="study folder; or loose files, below")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder for the result")
    parser.add_argument("--case", action="append", default=[], help="only this case of the study; may be repeated")
    parser.add_argument(
        "--bones", choices=["both", "radius", "ulna", "each"], default="both",
        help="both: as one rigid object; radius or ulna: this bone alone; each: both, and then each beside the other "
        "(default: both)",
    )  # fmt: skip
    parser.add_argument(
        "--start", default="auto",
        help="where the search starts: outline (of the mask), landmarks, pose (the study's), a POSE.json, or auto: the "
        "outline where there is a mask, else landmarks",
    )  # fmt: skip
    parser.add_argument(
        "--together", action="store_true", help="register all films of a case at once; their cameras must share a world"
    )
    parser.add_argument("--adopt", action="store_true", help="write trusted poses into the study where it lists none")
    parser.add_argument(
        "--model", metavar="DIR", type=Path, help="model that finds the landmarks (default: the packaged one)"
    )
    parser.add_argument("--seed", type=whole_number, default=0, help="seed of the search (default: 0)")
    parser.add_argument("--strict", action="store_true", help=f"exit status {FLAGGED} when a registration failed")
    loose = parser.add_argument_group(
        "loose files in the place of STUDY (--radiograph and what follows it once for each film)"
    )
    loose.add_argument("--ct", metavar="FILE", type=Path, help="CT (DICOM folder, NIfTI, NRRD, MHA)")
    loose.add_argument("--labels", metavar="FILE", type=Path, help="segmentation on the CT's grid, radius 1 and ulna 2")
    loose.add_argument(
        "--radiograph", metavar="FILE", type=Path, action="append", default=[], help="DICOM, PNG, TIFF or JPEG"
    )
    loose.add_argument(
        "--camera", metavar="FILE", type=Path, action="append", default=[], help="file of its calibrated camera"
    )
    loose.add_argument(
        "--mask", metavar="FILE", type=Path, action="append", default=[], help="bones drawn on it: PNG, TIFF or NRRD"
    )
    loose.add_argument("--side", choices=["left", "right"], help="which wrist of the patient")
    loose.add_argument("--view", choices=["pa", "lateral"], action="append", default=[], help="which projection")
    loose.add_argument(
        "--invert", choices=["auto", "yes", "no"], default="auto", help="yes: bones are dark in the file"
    )


def run(options: Namespace) -> int:
    console = console_for(options)
    if (options.study is None) == (options.ct is None):
        raise InputError("pass either a study folder or --ct with --labels and --radiograph, not both or neither")
    rows = _run_study(options, console) if options.study is not None else _run_files(options, console)
    failed = [row for row in rows if row.verdict != "ok"]
    lines = [f"{options.out}: {len(rows) - len(failed)} of {len(rows)} registrations trusted (records.csv)"]
    lines += [f"  {row.case} {row.radiograph} {row.bones}: {row.reason}" for row in failed]
    values = {"out": str(options.out), "rows": [row.flat() for row in rows]}
    console.result(values, "\n".join(lines))
    return FLAGGED if options.strict and failed else 0


def _settings(options: Namespace) -> RegistrationOptions:
    from bonelift.study.registration.case import RegistrationOptions

    kinds = ("auto", "outline", "landmarks", "pose")
    start = options.start if options.start in kinds else "pose"
    return RegistrationOptions(options.bones, start, options.together, options.seed)


def _locate_points(options: Namespace) -> LocatePoints:
    """The locator, loaded when it is first asked: torch takes seconds, and a mask or a pose needs none of it."""
    loaded: list[Callable] = []

    def locate_points(radiograph):
        if not loaded:
            from bonelift.study.registration.locator_points import locator

            loaded.append(locator(options.model))
        return loaded[0](radiograph)

    return locate_points


def _model_sha256(options: Namespace) -> str:
    """Of the configuration of the model that finds landmarks; it holds the hashes of the weights."""
    from bonelift.networks.model_files import CONFIG_NAME, DEFAULT_MODEL
    from bonelift.study.fingerprint import fingerprint

    return fingerprint((options.model or DEFAULT_MODEL) / CONFIG_NAME)["sha256"]


def _run_study(options: Namespace, console: Console) -> list[RecordRow]:
    from bonelift.study.folder import read_study
    from bonelift.study.registration.whole_study import adopt_poses, chosen_cases, register_study

    if options.start not in ("auto", "outline", "landmarks", "pose"):
        raise InputError(f"--start {options.start}: a pose file belongs to loose files; a study lists its own (pose)")
    count = len(chosen_cases(read_study(options.study), options.case))
    with console.bar(count, "cases") as bar:

        def on_case(name: str) -> None:
            bar.set_postfix_str(name)
            bar.update()

        rows = register_study(
            options.study, options.out, _settings(options), _locate_points(options), options.case, on_case,
            _model_sha256(options),
        )  # fmt: skip
    if options.adopt:
        console.say(f"{options.study}: {adopt_poses(options.study, options.out, rows)} poses adopted")
    return rows


def _run_files(options: Namespace, console: Console) -> list[RecordRow]:
    from bonelift.study.registration.loose_files import LooseFiles, register_files

    files = LooseFiles(
        options.ct,
        options.labels,
        tuple(options.radiograph),
        tuple(options.camera),
        tuple(options.mask),
        options.side,
        tuple(options.view),
        options.invert,
        None if options.start in ("auto", "outline", "landmarks", "pose") else Path(options.start),
    )
    with console.bar(1, "register"):
        return register_files(files, options.out, _settings(options), _locate_points(options), _model_sha256(options))
