"""``bonelift reconstruct``: one or two wrist radiographs in, radius and ulna in 3D out."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from bonelift.cli.arguments import add_report_options, pixel_box, pixel_points, positive_float, positive_int
from bonelift.cli.warm_up import kernels_compiling
from bonelift.reconstruction.file_kinds import DEFAULT_KINDS, FILE_KINDS, IDENTITIES

EPILOG = """\
Writes radius.stl, ulna.stl, bones.glb, labels.seg.nrrd, measurements.csv (--files: docs/output-files.md), pictures,
report.html and reconstruction.json. What the file's header says need not be repeated.
With two images give --view (and --camera) once for each, in their order. Calibrations in one world (XMALab,
or JSON with camera_from_world) make more of two images: the distance of the wrist comes from where their
rays meet, and the bones are fitted to both.

  bonelift reconstruct wrist.dcm --out result
  bonelift reconstruct pa.png --side right --view pa --pixel-spacing-mm 0.144 --out result
  bonelift reconstruct --on films/ --table facts.csv --out batch        # docs/batch.md
  bonelift reconstruct pa.tif lat.tif --side right --view pa --view lateral --camera a.txt --camera b.txt --out two"""
FLAGGED = 3


def add_arguments(parser: ArgumentParser) -> None:
    parser.usage = (
        f"{parser.prog} IMAGE [IMAGE] --out DIR [options]\n       {parser.prog} --on PLACE --out DIR [options]"
    )
    parser.add_argument("images", metavar="IMAGE", type=Path, nargs="*", help="DICOM, PNG, JPEG or TIFF; one or two")
    parser.add_argument(
        "--on",
        metavar="PLACE",
        type=Path,
        nargs="+",
        help="a batch: each of these films, and all films in these folders",
    )
    parser.add_argument(
        "--table", metavar="CSV", type=Path, help="facts of a batch's films: file, case, side, view, spacing_mm, ..."
    )
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder for the result")
    _add_facts(parser)
    parser.add_argument(
        "--model", metavar="DIR", type=Path, help="folder of a trained model (default: the packaged one)"
    )
    parser.add_argument(
        "--method",
        choices=["shape", "tl"],
        help="shape regressor (default where the model has one), or the paper's network",
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    add_report_options(parser)
    parser.add_argument(
        "--files",
        metavar="KINDS",
        default=",".join(DEFAULT_KINDS),
        help=f"which files, of {','.join(FILE_KINDS)} (default: {','.join(DEFAULT_KINDS)})",
    )
    parser.add_argument(
        "--dicom-identity",
        choices=IDENTITIES,
        default="none",
        help="source: files of kind dicom name the patient as the image does",
    )
    parser.add_argument("--strict", action="store_true", help=f"exit status {FLAGGED} when a warning is raised")


def _add_facts(parser: ArgumentParser) -> None:
    """What a person knows of the films."""
    parser.add_argument("--side", choices=["left", "right"], help="which wrist of the patient")
    parser.add_argument(
        "--view", choices=["pa", "lateral"], action="append", help="which projection; once for each image"
    )
    parser.add_argument("--pixel-spacing-mm", metavar="MM", type=positive_float, help="side of a pixel on the detector")
    parser.add_argument(
        "--sdd-mm",
        metavar="MM",
        type=positive_float,
        help="distance from source to detector (default: from the header, else 1000)",
    )
    parser.add_argument(
        "--source-to-object-mm",
        metavar="MM",
        type=positive_float,
        help="distance from source to wrist (default: the header's, else --sdd-mm less 30)",
    )
    parser.add_argument(
        "--camera",
        metavar="FILE",
        type=Path,
        action="append",
        help="file of a calibrated camera, JSON or XMALab; once for each image",
    )
    parser.add_argument(
        "--overrule-header", action="store_true", help="take --side and --view even where the header says otherwise"
    )
    parser.add_argument("--roi", metavar="X0,Y0,X1,Y1", type=pixel_box, help="use only this part of the image (px)")
    parser.add_argument(
        "--landmarks",
        metavar="X,Y,X,Y",
        type=pixel_points,
        action="append",
        help="two points (px): where the axis of the radial shaft meets the joint, and one of that axis up the "
        "forearm; once for each image",
    )
    parser.add_argument(
        "--frame", metavar="N", type=positive_int, help="which image of a multi-frame file, counted from 1"
    )
    parser.add_argument(
        "--invert", choices=["auto", "yes", "no"], default="auto", help="yes: bones are dark in the file"
    )
    parser.add_argument(
        "--hanging",
        choices=["as-recorded", "mirrored"],
        help="mirrored: flipped left to right for display (default: from the picture)",
    )


def run(options: Namespace) -> int:
    with kernels_compiling() as kernels:
        # Imported now, with all that it needs: that takes seconds, and the projector compiles beside it.
        from bonelift.cli.reconstruction import reconstruct_files

        if options.on or options.table:
            from bonelift.cli.batch import reconstruct_batch

            return reconstruct_batch(options, kernels)
        flagged = reconstruct_files(options, kernels)
    return FLAGGED if options.strict and flagged else 0
