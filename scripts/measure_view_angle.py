"""How far two films may stand from a right angle: error of the bones by the angle between them, calibrated and not.

    python scripts/measure_view_angle.py --patients 6 --angles 0 5 10 15 --out angles

Each virtual patient has one PA film; the lateral is exposed again and again, the wrist turned about its shaft by so
many degrees from the lateral position, all else alike. Each pair is reconstructed three times: with cameras that say
where they stand, without calibration, and with cameras that claim to stand at the right angle. Scores that are there
already are kept, so a stopped run goes on; --report-only writes page and picture from them.
"""

from __future__ import annotations

import argparse
import csv
import platform
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch

from bonelift.anatomy.shape_model import load_shape_model
from bonelift.anatomy.side import mirror_transform
from bonelift.experiments.holdout import no_skill_surfaces
from bonelift.experiments.results.figures import pyplot
from bonelift.experiments.results.statistics import paired_comparisons, summarise
from bonelift.experiments.surface_scores import ALIGNMENTS, score_surface
from bonelift.geometry import rotation_about_axis
from bonelift.geometry.camera import mirrored_camera
from bonelift.images import LAPTOP_GRID, Radiograph, Side, View
from bonelift.images.reading import OBJECT_TO_DETECTOR_MM, on_the_detector
from bonelift.networks.model import WristModel, load_model
from bonelift.origin import Origin
from bonelift.phantom.patient import VirtualPatient, make_patient
from bonelift.phantom.xray import draw_settings, expose
from bonelift.phantom.xray_geometry import PoseSpread, draw_geometry
from bonelift.reconstruction.bones import BONES
from bonelift.reconstruction.job import reconstruct

FIRST_SEED = 918_000
MEAN_SEEDS = tuple(range(200_000, 200_100))
STRAIGHT = PoseSpread(shaft_deg=0.0, tilt_deg=0.0, in_plane_deg=4.0, shift_mm=15.0)
"""The wrist lies straight but for a turn in the image; what it is turned by is the experiment's to say."""
Knowledge = Literal["calibrated", "not calibrated", "claimed to be at 90 degrees", "PA film alone", "mean bone"]
COLUMNS: tuple[str, ...] = (
    "patient",
    "angle_deg",
    "knowledge",
    "bone",
    "alignment",
    "asd_surface_mm",
    "fitted",
    "score",
    "note",
)
COLOURS = {"calibrated": "#3b6ea8", "not calibrated": "#d98b2b", "claimed to be at 90 degrees": "#a35a86"}


def exposed(patient: VirtualPatient, seed: int, view: View, angle_deg: float) -> tuple[Radiograph, np.ndarray]:
    """A film of the wrist turned by ``angle_deg`` about its shaft, and camera_from_radius (4, 4). The draws do not
    depend on the angle. Odd seeds have left wrists, whose films are mirrored."""
    rng = np.random.default_rng([seed, 6, get_args(View).index(view)])
    geometry = draw_geometry(rng, view, (1300, 1000), 0.18, STRAIGHT)
    settings = draw_settings(rng, field_half_size=(0.35, 0.7), field_centre=geometry.origin_fraction)
    pose = geometry.camera_from_radius @ rotation_about_axis([0, 0, 1], np.deg2rad(angle_deg))
    pixels = expose(patient.body, geometry.camera, pose, rng, settings)
    camera = geometry.camera
    if side_of(seed) == "left":
        camera, pixels = mirrored_camera(camera), np.ascontiguousarray(pixels[:, ::-1])
    film = Radiograph(pixels, camera, side_of(seed), view, camera.sdd_mm - OBJECT_TO_DETECTOR_MM)
    return film, pose


def side_of(seed: int) -> Side:
    return "left" if seed % 2 else "right"


def calibrated(film: Radiograph, camera_from_radius: np.ndarray) -> Radiograph:
    """The film in a camera that says where it stands; its world is the radius frame (mirrored for a left wrist)."""
    mirror = mirror_transform() if film.side == "left" else np.eye(4)
    camera = replace(film.camera, camera_from_world=mirror @ camera_from_radius @ mirror)
    facts = {"camera": Origin("recorded", "simulated"), "source_to_object": on_the_detector(camera.sdd_mm)}
    return replace(film, camera=camera, provenance=facts)


def rows_of_patient(seed: int, angles: Sequence[float], model: WristModel) -> Iterator[dict[str, object]]:
    """Every row of one patient. Patients turn either way, in twos."""
    patient = make_patient(seed, load_shape_model())
    truth = {bone: getattr(patient.shape, bone) for bone in BONES}
    pa, pa_pose = exposed(patient, seed, "pa", 0.0)
    nominal = exposed(patient, seed, "lateral", 0.0)[1]

    def scored(angle: float, knowledge: Knowledge, films: list[Radiograph]) -> Iterator[dict[str, object]]:
        result = reconstruct(films, model)
        fitted = result.bones is not None and result.bones.fitted
        surfaces = result.bones.surfaces if result.bones else {}
        for bone in BONES:
            for alignment in ALIGNMENTS:
                numbers, note = score_surface(surfaces.get(bone), truth[bone], alignment)
                yield dict(
                    zip(COLUMNS, (seed, angle, knowledge, bone, alignment, numbers[1], fitted, result.quality.score,
                                  note), strict=True)
                )  # fmt: skip

    yield from scored(0.0, "PA film alone", [pa])
    for bone, mean in no_skill_surfaces(MEAN_SEEDS, LAPTOP_GRID)["mean bone"].items():
        for alignment in ALIGNMENTS:
            numbers, note = score_surface(mean, truth[bone], alignment)
            values = (seed, 0.0, "mean bone", bone, alignment, numbers[1], False, np.nan, note)
            yield dict(zip(COLUMNS, values, strict=True))
    for angle in angles:
        lateral, pose = exposed(patient, seed, "lateral", angle if seed % 4 < 2 else -angle)
        yield from scored(angle, "not calibrated", [pa, lateral])
        yield from scored(angle, "calibrated", [calibrated(pa, pa_pose), calibrated(lateral, pose)])
        claimed = [calibrated(pa, pa_pose), calibrated(lateral, nominal)]
        yield from scored(angle, "claimed to be at 90 degrees", claimed)


def measure(folder: Path, seeds: Sequence[int], angles: Sequence[float], model: WristModel) -> None:
    """A file of rows for each patient of this model, each written once."""
    for seed in seeds:
        path = folder / f"{model.weights_sha256[:12]}-{seed}.csv"
        if not path.is_file():
            began, used = time.monotonic(), time.process_time()
            rows = list(rows_of_patient(seed, angles, model))
            write_rows(path, rows)
            print(f"{seed}: {len(rows)} rows, {time.monotonic() - began:.0f} s, of the processor "
                  f"{time.process_time() - used:.0f} s", flush=True)  # fmt: skip


def write_rows(path: Path, rows: Sequence[dict[str, object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({name: f"{v:.4f}" if isinstance(v, float) else v for name, v in row.items()})


def read_rows(folder: Path, model: WristModel) -> list[dict[str, str]]:
    """The rows of all patients that this model has read."""
    rows = []
    for path in sorted(folder.glob(f"{model.weights_sha256[:12]}-*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            rows += list(csv.DictReader(file))
    return rows


def values(rows: Sequence[dict[str, str]], knowledge: str, angle: float, bone: str, alignment: str) -> list[float]:
    """mm in the order of patients; NaN for a failure."""
    return [
        float(row["asd_surface_mm"])
        for row in rows
        if (row["knowledge"], row["bone"], row["alignment"]) == (knowledge, bone, alignment)
        and float(row["angle_deg"]) == angle
    ]


def draw(path: Path, rows: Sequence[dict[str, str]]) -> None:
    """Rigid error against the angle, a curve a knowledge, a panel a bone."""
    plt = pyplot()
    figure, axes = plt.subplots(1, 2, figsize=(9.0, 3.6), layout="constrained", sharey=True)
    angles = sorted({float(row["angle_deg"]) for row in rows if row["knowledge"] in COLOURS})
    for axis, bone in zip(axes, BONES, strict=True):
        for knowledge, colour in COLOURS.items():
            means = [np.nanmean(values(rows, knowledge, angle, bone, "rigid")) for angle in angles]
            for angle in angles:
                dots = values(rows, knowledge, angle, bone, "rigid")
                axis.plot([angle] * len(dots), dots, "o", color=colour, alpha=0.25, markersize=4)
            axis.plot(angles, means, color=colour, linewidth=2, label=knowledge)
        for name, style in (("PA film alone", "--"), ("mean bone", ":")):
            level = np.nanmean(values(rows, name, 0.0, bone, "rigid"))
            axis.axhline(level, color="#606870", linestyle=style, linewidth=1.2, label=name)
        axis.set(title=bone, xlabel="degrees from the right angle between the films", xticks=angles)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("distance from the truth, rigid, mm")
    axes[0].set_ylim(bottom=0)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False, fontsize=8)
    figure.savefig(path, dpi=110, facecolor="white", metadata={"Software": None})
    plt.close(figure)


def table(rows: Sequence[dict[str, str]]) -> str:
    lines = [
        "| angle off | cameras | radius, rigid | radius, as predicted | ulna, rigid | ulna, as predicted | fitted | "
        "no bone |",
        "|---|---|---|---|---|---|---|---|",
    ]
    kinds = sorted(
        {(float(row["angle_deg"]), row["knowledge"]) for row in rows},
        key=lambda kind: (kind[1] not in COLOURS, list(COLOURS).index(kind[1]) if kind[1] in COLOURS else 9, kind[0]),
    )
    for angle, knowledge in kinds:
        of = [row for row in rows if (float(row["angle_deg"]), row["knowledge"]) == (angle, knowledge)]
        one = [row for row in of if (row["bone"], row["alignment"]) == ("radius", "rigid")]
        cells = []
        for bone in BONES:
            for alignment in ("rigid", "as predicted"):
                summary = summarise("", values(rows, knowledge, angle, bone, alignment))
                cells.append(f"{summary.mean:.2f} ± {summary.sd:.2f}" if summary.count > 1 else f"{summary.mean:.2f}")
        fitted = sum(row["fitted"] == "True" for row in one)
        shown = f"{angle:g}" if knowledge in COLOURS else ""
        failed = sum(bool(row["note"]) for row in one)
        lines.append(f"| {shown} | {knowledge} | {' | '.join(cells)} | {fitted} of {len(one)} | {failed} |")
    return "\n".join(lines)


def comparisons(rows: Sequence[dict[str, str]]) -> str:
    """Within patients: the largest angle against none, for each knowledge and bone."""
    angles = sorted({float(row["angle_deg"]) for row in rows if row["knowledge"] in COLOURS})
    lines = []
    for knowledge in COLOURS:
        for bone in BONES:
            first, last = (values(rows, knowledge, angle, bone, "rigid") for angle in (angles[0], angles[-1]))
            for pair in paired_comparisons({"last": last, "first": first}):
                lines.append(
                    f"- {knowledge}, {bone}: {angles[-1]:g} against {angles[0]:g} degrees {pair.difference:+.2f} mm "
                    f"(95 % {pair.ci_low:+.2f} to {pair.ci_high:+.2f}, paired t, not adjusted: p {pair.p:.3f})"
                )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=6)
    parser.add_argument("--angles", type=float, nargs="+", default=[0.0, 5.0, 10.0, 15.0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the page; the rows go into OUT/patients")
    parser.add_argument("--report-only", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    folder = options.out / "patients"
    folder.mkdir(parents=True, exist_ok=True)
    seeds = range(FIRST_SEED, FIRST_SEED + options.patients)
    model = load_model(None)
    if not options.report_only:
        measure(folder, seeds, options.angles, model)
    rows = read_rows(folder, model)
    draw(options.out / "view-angle.png", rows)
    write_rows(options.out / "view-angle.csv", [dict(row) for row in rows])
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    seen = sorted({int(row["patient"]) for row in rows})
    made = (
        f"{len(seen)} virtual patients, seeds {seen[0]} to {seen[-1]}. Model `{model.name}`, weights sha256 "
        f"`{model.weights_sha256[:12]}`; commit {commit}; {platform.machine()}, one thread, torch {torch.__version__}, "
        f"{time.strftime('%Y-%m-%d')}."
    )
    figure = "![Error against the angle](methods/view-angle.png)"
    (options.out / "tables.md").write_text(
        f"{figure}\n\n{table(rows)}\n\n{comparisons(rows)}\n\n{made}\n", encoding="utf-8"
    )
    print(table(rows), comparisons(rows), made, sep="\n\n")


if __name__ == "__main__":
    main()
