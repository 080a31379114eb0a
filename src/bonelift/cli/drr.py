"""``bonelift drr``: DRRs of a CT and its labels, or of every case of a study folder."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bonelift.cli.arguments import positive_float, positive_int, whole_number, zero_or_more
from bonelift.cli.console import Console, console_for
from bonelift.errors import InputError

if TYPE_CHECKING:
    from bonelift.study.ct_drrs import DrrSettings

USAGE = "bonelift drr INPUT --out DIR [options]"
EPILOG = """\
Writes the images, camera.json and drr.json (poses, units, attenuation). PNG is 16 bit, grey level times
integral_per_grey_level; nrrd and npy hold the line integrals themselves. A study gets a folder for each
case and drr-cases.csv; an interrupted run goes on with the same command.
Where the wrist stands: --pose, or --landmarks with --side (straight in the beam), or what --camera says.

  bonelift drr ct.nrrd --labels labels.seg.nrrd --landmarks landmarks.mrk.json --side right --out drr
  bonelift drr ct.nrrd --labels labels.seg.nrrd --camera camera.json --pose pose.json --out drr
  bonelift drr study --poses 40 --rotation-deg 30 --translation-mm 30 --seed 1 --out drrs"""
FLAGGED = 3
_CONTENTS = {"bones": "bones", "each-bone": "each bone", "arm": "arm", "bones-and-rest": "bones and rest"}


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "source", metavar="CT|STUDY", type=Path, help="DICOM folder, NIfTI, NRRD, MHA; or a study folder"
    )
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder for the result")
    parser.add_argument("--labels", metavar="FILE", type=Path, help="segmentation of radius and ulna on the CT's grid")
    parser.add_argument("--content", choices=list(_CONTENTS), default="bones", help="what is shown (default: bones)")
    where = parser.add_argument_group("where the wrist stands")
    where.add_argument(
        "--camera",
        metavar="FILE",
        type=Path,
        help="JSON or XMALab (default: 500 x 625 px of 0.4 mm, source to detector 1000 mm)",
    )
    where.add_argument(
        "--pose", metavar="FILE", type=Path, action="append", help="JSON with camera_from_world; may be repeated"
    )
    where.add_argument(
        "--landmarks", metavar="FILE", type=Path, help="Slicer markups, from which the radius frame is made"
    )
    where.add_argument("--side", choices=["left", "right"], help="which wrist; with --landmarks")
    where.add_argument("--view", choices=["pa", "lateral"], default="pa", help="with --landmarks or a study")
    poses = parser.add_argument_group("random poses around that")
    poses.add_argument("--poses", metavar="N", type=positive_int, help="how many (the paper has 40)")
    poses.add_argument(
        "--rotation-deg",
        metavar="DEG",
        type=zero_or_more,
        default=30.0,
        help="largest turn about each axis, either way (default: 30)",
    )
    poses.add_argument(
        "--translation-mm",
        metavar="MM",
        type=zero_or_more,
        default=30.0,
        help="largest shift along each axis, either way (default: 30)",
    )
    poses.add_argument("--seed", metavar="S", type=whole_number, default=0, help="seed of the poses (default: 0)")
    _add_projection(parser.add_argument_group("how it is projected"))


def _add_projection(how: Any) -> None:
    how.add_argument(
        "--energy-kev",
        metavar="KEV",
        type=positive_float,
        default=70.0,
        help="energy at which HU become attenuation (default: 70)",
    )
    how.add_argument(
        "--rule",
        choices=["joseph", "simpson"],
        default="simpson",
        help="joseph is twice as fast and less exact (default: simpson)",
    )
    how.add_argument(
        "--format", choices=["png", "nrrd", "npy"], default="png", help="format of the images (default: png)"
    )
    how.add_argument(
        "--threads", metavar="N", type=positive_int, default=1, help="how many threads share an image (default: 1)"
    )
    how.add_argument("--strict", action="store_true", help=f"exit status {FLAGGED} when a case of a study fails")


def run(options: Namespace) -> int:
    from bonelift.study.ct_drrs import DrrSettings
    from bonelift.study.folder import STUDY_FILE

    settings = DrrSettings(
        content=_CONTENTS[options.content],  # pyright: ignore[reportArgumentType]
        view=options.view,
        poses=options.poses or 0,
        rotation_deg=options.rotation_deg,
        translation_mm=options.translation_mm,
        seed=options.seed,
        energy_kev=options.energy_kev,
        rule=options.rule,
        file_format=options.format,
    )
    is_study = (options.source / STUDY_FILE).is_file()
    return (_run_study if is_study else _run_case)(options, settings, console_for(options))


def _run_case(options: Namespace, settings: DrrSettings, console: Console) -> int:
    import numpy as np

    from bonelift.images import read_ct, read_labels
    from bonelift.storage.output_folder import output_folder
    from bonelift.study.ct_drrs import render, write_drr_set
    from bonelift.study.results import made_from_files
    from bonelift.study.viewpoints import ViewpointFiles, viewpoint_of

    if options.labels is None and settings.content != "arm":
        raise InputError(f"{options.source.name}: a CT without labels; pass --labels, or --content arm for all of it")
    ct = read_ct(options.source)
    labels = None if options.labels is None else read_labels(options.labels)
    files = ViewpointFiles(options.camera, options.pose or (), options.landmarks, options.side)
    viewpoint = viewpoint_of(ct, labels, files, settings.view)
    count = settings.poses or len(viewpoint.camera_from_world)
    made_from = made_from_files("drr", asdict(settings) | {"side": options.side}, _sources(options)).as_json()
    with output_folder(options.out, made_from) as folder, console.bar(count, "DRRs") as bar:
        rng = np.random.default_rng(settings.seed)
        drrs = render(ct, labels, viewpoint, settings, rng, options.threads, lambda: _ignore(bar.update()))
        # Hashes, no names: those of folders and files may be a patient's.
        sources: dict[str, str | None] = {name: made_from["files"].get(name) for name in _sources(options)}
        content = write_drr_set(folder, drrs, settings, viewpoint, sources)
    largest = float(drrs.images.max())
    values = {"out": str(options.out), "images": len(content["images"]), "largest_integral": largest}
    console.result(
        values, f"{options.out}: {count} DRRs of {options.content}, integrals up to {largest:.2f} (drr.json)"
    )
    return 0


def _ignore(_: object) -> None:
    return None


def _sources(options: Namespace) -> dict[str, Path | None]:
    sources = {"ct": options.source, "labels": options.labels, "landmarks": options.landmarks, "camera": options.camera}
    return sources | {f"pose {number}": path for number, path in enumerate(options.pose or [], start=1)}


def _run_study(options: Namespace, settings: DrrSettings, console: Console) -> int:
    import numpy as np

    from bonelift.study.ct_drrs_of_study import TABLE_FILE, drrs_of_study
    from bonelift.study.folder import read_study
    from bonelift.study.viewpoints import camera_of

    given = {
        "--labels": options.labels,
        "--pose": options.pose,
        "--landmarks": options.landmarks,
        "--side": options.side,
    }
    for name, value in given.items():
        if value:
            raise InputError(f"drr: {name} belongs to one CT; {options.source.name} is a study, which names its own")
    camera = replace(camera_of(options.camera), camera_from_world=np.eye(4))
    with console.bar(len(read_study(options.source).cases), "DRRs of the study") as bar:

        def on_case(name: str) -> None:
            bar.set_postfix_str(name)
            bar.update()

        rows = drrs_of_study(options.source, options.out, settings, camera, options.threads, on_case)
    failed = [row for row in rows if row.reason]
    values = {
        "out": str(options.out),
        "cases": len(rows),
        "images": sum(row.images for row in rows),
        "failed": {row.case: row.reason for row in failed},
    }
    lines = [f"{options.out}: {values['images']} DRRs of {len(rows) - len(failed)} of {len(rows)} cases ({TABLE_FILE})"]
    lines += [f"  {row.case} failed: {row.reason}" for row in failed]
    console.result(values, "\n".join(lines))
    if failed and len(failed) == len(rows):
        raise InputError(f"{options.source.name}: no case gave a DRR; {failed[0].case}: {failed[0].reason}")
    return FLAGGED if failed and options.strict else 0
