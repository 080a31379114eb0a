"""``bonelift reconstruct``: one or two wrist radiographs in, radius and ulna in 3D out."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tqdm import tqdm

from bonelift import RESEARCH_NOTICE
from bonelift.cli.arguments import pixel_box, positive_float, positive_int
from bonelift.cli.console import Console, console_for
from bonelift.cli.warm_up import kernels_compiling
from bonelift.errors import InputError
from bonelift.geometry.camera_files import camera_from_file
from bonelift.images.output_folder import output_folder
from bonelift.images.reading import RadiographOptions
from bonelift.reconstruct.inputs import ImageInput, read_radiographs
from bonelift.reconstruct.stopwatch import Stopwatch

if TYPE_CHECKING:
    from bonelift.reconstruct.bones import Method
    from bonelift.reconstruct.job import Reconstruction

T = TypeVar("T")
STEP_COUNT = 8
"""Steps that :func:`run_job` announces."""

EPILOG = """\
Writes radius.stl, ulna.stl, bones.glb, labels.seg.nrrd, gan_drr.png, overlay.png,
report.html and reconstruction.json. What the file's header says need not be repeated.
With two images give --view (and --camera) once for each, in their order.

  bonelift reconstruct wrist.dcm --out result
  bonelift reconstruct pa.png --side right --view pa --pixel-spacing-mm 0.144 --out result"""
FLAGGED = 3


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("images", metavar="IMAGE", type=Path, nargs="+", help="DICOM, PNG, JPEG or TIFF; one or two")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder for the result")
    parser.add_argument("--side", choices=["left", "right"], help="which wrist")
    parser.add_argument("--view", choices=["pa", "lateral"], action="append", help="one for each image")
    parser.add_argument("--pixel-spacing-mm", metavar="MM", type=positive_float, help="pixel side on the detector")
    parser.add_argument("--sdd-mm", metavar="MM", type=positive_float, help="source to detector (else header, or 1000)")
    parser.add_argument("--source-to-object-mm", metavar="MM", type=positive_float, help="source to wrist")
    parser.add_argument(
        "--camera", metavar="FILE", type=Path, action="append", help="calibration, JSON or XMALab; one for each image"
    )
    parser.add_argument("--roi", metavar="X0,Y0,X1,Y1", type=pixel_box, help="look only here (px of the image)")
    parser.add_argument("--frame", metavar="N", type=positive_int, help="image of a multi-frame file, from 1")
    parser.add_argument("--invert", choices=["auto", "yes", "no"], default="auto", help="yes: bones are dark")
    parser.add_argument("--model", metavar="DIR", type=Path, help="trained model (else the packaged one)")
    parser.add_argument(
        "--method",
        choices=["shape", "tl"],
        help="shape: shape regressor (default where the model has one); tl: the paper's network",
    )
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--strict", action="store_true", help=f"exit status {FLAGGED} when a warning is raised")


def run(options: Namespace) -> int:
    console = console_for(options)
    inputs = image_inputs(options)
    with output_folder(options.out) as folder, console.bar(STEP_COUNT, "reconstruct") as bar:
        result = run_job(inputs, options.model, options.device, bar, options.method)
        from bonelift.reconstruct.save import save

        save(result, folder)
    show(console, result, options.out)
    return FLAGGED if options.strict and any(flag.severity != "info" for flag in result.quality.flags) else 0


def run_job(
    inputs: Sequence[ImageInput], model: Path | None, device: str, bar: tqdm, method: Method | None = None
) -> Reconstruction:
    """Read, load, reconstruct; ``bar`` moves with each step."""

    def on_step(name: str) -> None:
        bar.set_postfix_str(name)
        bar.update()

    clock = Stopwatch(on_step)
    with clock.step("read"):
        radiographs = read_radiographs(inputs)
    # Started now: numba takes seconds, and a wrong file or option is reported before them.
    with kernels_compiling() as kernels:

        def on_later_step(name: str) -> None:
            on_step(name)
            if name == "place":
                kernels.wait()

        clock.on_step = on_later_step
        with clock.step("load model"):
            from bonelift.networks.model import load_model
            from bonelift.reconstruct.job import reconstruct

            loaded = load_model(model, device)
        return reconstruct(radiographs, loaded, clock, method)


def image_inputs(options: Namespace) -> list[ImageInput]:
    """One for each image, with its own view and camera."""
    count = len(options.images)
    views = _one_each(options.view, count, "--view")
    cameras = _one_each(options.camera, count, "--camera")
    inputs = []
    for path, view, camera_path in zip(options.images, views, cameras, strict=True):
        camera = None if camera_path is None else camera_from_file(camera_path, options.pixel_spacing_mm)
        # A calibration holds spacing and distance; the spacing given beside it is the detector's, for files without.
        known = {} if camera else {"pixel_spacing_mm": options.pixel_spacing_mm, "sdd_mm": options.sdd_mm}
        inputs.append(
            ImageInput(
                path,
                RadiographOptions(
                    side=options.side,
                    view=view,
                    camera=camera.camera if camera else None,
                    source_to_object_mm=options.source_to_object_mm or (camera.source_to_object_mm if camera else None),
                    roi=options.roi,
                    frame=options.frame,
                    invert=options.invert,
                    **known,
                ),
            )
        )
    return inputs


def _one_each(given: list[T] | None, count: int, option: str) -> list[T] | list[None]:
    if given is None:
        return [None] * count
    if len(given) != count:
        raise InputError(
            f"{option} was given {len(given)} times for {count} images; expected it once for each, in order"
        )
    return given


def show(console: Console, result: Reconstruction, out: Path) -> None:
    """Summary for a person, or the facts as JSON."""
    values = {
        "out": str(out),
        "quality": result.quality.score,
        "flags": [f"{flag.severity}: {flag.text}" for flag in result.quality.flags],
        "seconds": sum(result.timings_s.values()),
    }
    lines = [f"{out}: quality {result.quality.score:.2f} ({values['seconds']:.1f} s)"]
    lines += [f"  {line}" for line in values["flags"]]
    lines += [f"  open {out / 'report.html'}", RESEARCH_NOTICE]
    console.result(values, "\n".join(lines))
