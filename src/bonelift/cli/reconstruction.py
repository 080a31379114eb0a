"""What ``bonelift reconstruct`` and ``bonelift demo`` do with their options: read, reconstruct, save, show.

The networks and all that reconstructs are imported when the films have been read: a wrong file is reported before.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from bonelift import RESEARCH_NOTICE
from bonelift.cli.console import Console, console_for
from bonelift.cli.warm_up import KernelWarmUp
from bonelift.errors import InputError
from bonelift.geometry.camera_files import camera_from_file
from bonelift.images.radiograph import Hanging
from bonelift.images.reading import RadiographOptions
from bonelift.progress_lines import ShownBar
from bonelift.reconstruction.file_kinds import file_kinds
from bonelift.reconstruction.inputs import ImageInput, read_radiographs
from bonelift.reconstruction.output_files import OutputFiles
from bonelift.reconstruction.stopwatch import Stopwatch
from bonelift.report.content import ReportExtras, case_label
from bonelift.report.pdf import check_pdf_library
from bonelift.storage.output_folder import output_folder

if TYPE_CHECKING:
    from bonelift.reconstruction.bones import Method
    from bonelift.reconstruction.result import Reconstruction

T = TypeVar("T")
HANGINGS: dict[str | None, Hanging | None] = {None: None, "as-recorded": "as recorded", "mirrored": "mirrored"}
"""``--hanging``, as it is written on the command line."""
STEP_COUNT = 14
"""Steps that :func:`run_job` announces."""


def reconstruct_files(options: Namespace, kernels: KernelWarmUp) -> bool:
    """Reconstruct and save what ``bonelift reconstruct`` was called for; returns whether the result is flagged."""
    console, extras = console_for(options), report_extras(options)
    inputs = image_inputs(options)
    files = OutputFiles(file_kinds(options.files), tuple(options.images), options.dicom_identity)
    with output_folder(options.out) as folder, console.bar(STEP_COUNT, "reconstruct") as bar:
        result = run_job(inputs, options.model, options.device, kernels, bar, options.method)
        from bonelift.reconstruction.save import save

        save(result, folder, extras=extras, files=files)
    show(console, result, options.out)
    return any(flag.severity != "info" for flag in result.quality.flags)


def report_extras(options: Namespace) -> ReportExtras:
    """What --label and --pdf ask for. Raises InputError now, before the long work, where it cannot be done."""
    if options.pdf:
        check_pdf_library()
    return ReportExtras(None if options.label is None else case_label(options.label), options.pdf)


def run_job(
    inputs: Sequence[ImageInput],
    model: Path | None,
    device: str,
    kernels: KernelWarmUp,
    bar: ShownBar,
    method: Method | None = None,
) -> Reconstruction:
    """Read, load, reconstruct; ``bar`` moves with each step."""

    def on_step(name: str) -> None:
        bar.set_postfix_str(name)
        bar.update()
        if name == "stand":
            kernels.wait()

    clock = Stopwatch(on_step)
    with clock.step("read"):
        radiographs = read_radiographs(inputs)
    kernels.start_rest()
    with clock.step("load model"):
        from bonelift.networks.model import load_model
        from bonelift.reconstruction.job import reconstruct
        from bonelift.reconstruction.settings import JobSettings

        loaded = load_model(model, device)
    return reconstruct(radiographs, loaded, JobSettings(method=method), clock)


def image_inputs(options: Namespace) -> list[ImageInput]:
    """One for each image, with its own view and camera."""
    count = len(options.images)
    if count == 0:
        raise InputError("got no image; expected one or two of the same wrist, or --on FOLDER for many")
    views = _one_each(options.view, count, "--view")
    cameras = _one_each(options.camera, count, "--camera")
    landmarks = _one_each(options.landmarks, count, "--landmarks")
    inputs = []
    for path, view, camera_path, points in zip(options.images, views, cameras, landmarks, strict=True):
        camera = None if camera_path is None else camera_from_file(camera_path, options.pixel_spacing_mm)
        # A calibration holds spacing and distance; the spacing given beside it is the detector's, for files without.
        known = {} if camera else {"pixel_spacing_mm": options.pixel_spacing_mm, "sdd_mm": options.sdd_mm}
        if camera and options.source_to_object_mm is None:
            known["source_to_object_from"] = camera.distance_origin
        inputs.append(
            ImageInput(
                path,
                RadiographOptions(
                    side=options.side,
                    view=view,
                    camera=camera.camera if camera else None,
                    source_to_object_mm=options.source_to_object_mm or (camera.source_to_object_mm if camera else None),
                    roi=options.roi,
                    landmarks=points,
                    overrule_header=options.overrule_header,
                    frame=options.frame,
                    invert=options.invert,
                    hanging=HANGINGS[options.hanging],
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
