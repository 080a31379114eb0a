"""The result folder: meshes, labels, pictures, the report and the JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from bonelift.images import LabelMap, Radiograph
from bonelift.reconstruction.bone_files import bone_labels, patient_surfaces, write_bones
from bonelift.reconstruction.measured import MeasuredValue
from bonelift.reconstruction.measurements_csv import write_measurements_csv
from bonelift.reconstruction.output_files import OutputFiles
from bonelift.reconstruction.result import Reconstruction
from bonelift.reconstruction.result_json import reconstruction_json
from bonelift.report.content import Fact, Measurement, ReportContent, ReportExtras, ReportFilm, TruthComparison
from bonelift.report.html import write_report
from bonelift.report.overlay import gan_drr_image, overlay_image
from bonelift.report.pdf import report_pdf
from bonelift.surface.mesh import TriangleMesh

JSON_NAME = "reconstruction.json"
_FACTS = {
    "side": "Side",
    "view": "View",
    "hanging": "The picture hangs",
    "pixel_spacing": "Pixel spacing on the detector",
    "sdd": "Source to detector",
    "source_to_object": "Source to wrist",
    "polarity": "Polarity",
}


def save(
    result: Reconstruction,
    folder: Path,
    truth: TruthComparison | None = None,
    true_measurements: Sequence[MeasuredValue] = (),
    extras: ReportExtras | None = None,
    files: OutputFiles | None = None,
) -> None:
    """Write everything into ``folder``, which is empty: the staging folder of :func:`images.output_folder`.

    truth, true_measurements: the known answer, shown in the report. extras: what the user adds to the report.
    files: what is written beside report, pictures and JSON; None writes the default.
    """
    files = files or OutputFiles()
    surfaces = {} if result.bones is None else patient_surfaces(result.bones.surfaces, result.side)
    labels = bone_labels(surfaces) if surfaces and {"seg", "nifti", "dicom"} & set(files.kinds) else None
    write_bones(surfaces, labels, result.side, folder, files.kinds)
    if "csv" in files.kinds:
        write_measurements_csv(folder / "measurements.csv", result.measurements)
    films = report_films(result)
    write_pictures(films, folder)
    extras = extras or ReportExtras()
    content = replace(report_content(result, films, truth, true_measurements), label=extras.label)
    write_report(folder / "report.html", content)
    if extras.pdf:
        (folder / "report.pdf").write_bytes(report_pdf(content))
    if "dicom" in files.kinds and labels is not None:
        _write_dicom(result, folder, surfaces, labels, files)
    written = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    text = json.dumps(reconstruction_json(result, written), indent=1, allow_nan=False)
    (folder / JSON_NAME).write_text(text + "\n", encoding="utf-8")


def _write_dicom(
    result: Reconstruction, folder: Path, surfaces: Mapping[str, TriangleMesh], labels: LabelMap, files: OutputFiles
) -> None:
    """The folder ``dicom``; the report is in it where there is a PDF of it."""
    # They need an optional package.
    from bonelift.reconstruction.dicom.files import write_dicom
    from bonelift.reconstruction.dicom.source import result_series

    series = result_series(files.sources, result.side, files.identity)
    pdf = folder / "report.pdf"
    report = pdf.read_bytes() if pdf.is_file() else None
    write_dicom(folder / "dicom", series, surfaces, labels, result.measurements, report)


def report_films(result: Reconstruction) -> tuple[ReportFilm, ...]:
    """What the report and the pictures show of each image."""
    films = []
    for index, film in enumerate(result.films):
        radiograph = film.radiograph
        bones_world = result.placed[index].bones_world if result.placed else {}
        drr = result.drrs[index] if result.drrs else None
        films.append(
            ReportFilm(
                radiograph.view,
                radiograph.pixels,
                radiograph.camera,
                radiograph.source_to_object_mm,
                bones_world,
                drr,
                bool(np.linalg.det(film.film.film_from_image[:2, :2]) < 0),
                result.placed[index].world_from_radius if result.placed else None,
            )
        )
    return tuple(films)


def write_pictures(films: Sequence[ReportFilm], folder: Path) -> None:
    """overlay.png and gan_drr.png; of a second image overlay-2.png and gan_drr-2.png."""
    for number, film in enumerate(films, start=1):
        suffix = "" if number == 1 else f"-{number}"
        overlay_image(film).save(folder / f"overlay{suffix}.png")
        if film.gan_drr is not None:
            gan_drr_image(film.gan_drr).save(folder / f"gan_drr{suffix}.png")


def report_content(
    result: Reconstruction,
    films: tuple[ReportFilm, ...],
    truth: TruthComparison | None,
    true_measurements: Sequence[MeasuredValue],
) -> ReportContent:
    known = {value.name: value.value for value in true_measurements}
    views = " and ".join("PA" if film.view == "pa" else "lateral" for film in films)
    return ReportContent(
        title=f"{result.side.capitalize()} wrist, {views} view{'s' if len(films) > 1 else ''}",
        side=result.side,
        films=films,
        bones={} if result.bones is None else result.bones.surfaces,
        facts=tuple(fact for film in result.films for fact in _facts(film.radiograph, len(films) > 1)),
        measurements=tuple(
            _report_measurement(value, known.get(value.name))
            for value in result.measurements
            if math.isfinite(value.value)
        ),
        measurements_note=result.measurement_errors.said,
        flags=result.quality.flags,
        quality_score=result.quality.score,
        model_id=_made_by(result),
        model_sha256=result.model_sha256,
        timings_s=result.timings_s,
        truth=truth,
        settings=result.settings.as_json(),
        expected={} if result.expected is None else result.expected,
        created=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _report_measurement(value: MeasuredValue, truth: float | None) -> Measurement:
    normal, error = value.facts.normal, value.error
    return Measurement(
        value.name,
        value.value,
        value.unit,
        truth,
        value.facts.kind,
        value.facts.definition,
        None if error is None else error.mean_abs,
        None if error is None else error.bias,
        value.has_skill,
        None if normal is None else (normal.low, normal.high),
        value.facts.no_range if normal is None else normal.source,
        value.note,
    )


def _facts(radiograph: Radiograph, several: bool) -> list[Fact]:
    """What is known of one image and where it came from; named by the view where there are several."""
    values = {
        "side": radiograph.side,
        "view": radiograph.view,
        "hanging": radiograph.hanging,
        "pixel_spacing": f"{radiograph.camera.detector_spacing_mm:.4g} mm",
        "sdd": f"{radiograph.camera.sdd_mm:.0f} mm",
        "source_to_object": f"{radiograph.source_to_object_mm:.0f} mm",
        "polarity": "bones bright",
    }
    suffix = f" ({radiograph.view})" if several else ""
    return [
        Fact(f"{name}{suffix}", values[key], radiograph.provenance[key].text)
        for key, name in _FACTS.items()
        if key in radiograph.provenance
    ]


def _made_by(result: Reconstruction) -> str:
    if result.bones is None:
        return result.model_name
    films = "both films" if len(result.films) > 1 else "the film"
    fitted = f", fitted to {films}" if result.bones.fitted else ""
    return f"{result.model_name}, method {result.bones.method}{fitted}"
