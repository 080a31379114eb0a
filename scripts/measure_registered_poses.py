"""The paper's experiment 3 at poses that ``bonelift register`` found, by the packaged networks: no training.

    bonelift simulate --patients 24 --seed 917000 --out study --without-poses
    bonelift register study --out registered --adopt
    python scripts/measure_registered_poses.py study run --work scores --out poses

The images are those of ``bonelift evaluate study --run run --preset small``; what RUN lacks of them is made. Each case
is read from CT-DRR, registration-DRR at the found pose, GAN-DRR and histogram-matched film, by the TL net and the shape
regressor of the packaged model, and by rendering and comparing (which learns nothing but the translator). The found
poses are held against truth.json. Scores of this model that are there already are kept, so a stopped run goes on.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch

from bonelift.anatomy.shape_model import load_shape_model, sample_wrist
from bonelift.experiments.holdout import procrustes_mean
from bonelift.experiments.images import CaseImages, load_case_images, make_case_images
from bonelift.experiments.methods.render_and_compare import RenderAndCompare
from bonelift.experiments.presets import load_study_preset
from bonelift.experiments.results.figures import COLOURS, pyplot
from bonelift.experiments.results.method_rows import compared
from bonelift.experiments.results.statistics import Comparison, summarise, tukey_kramer
from bonelift.experiments.results.tables import by_shape, chosen, input_of, patient_values, write_rows
from bonelift.experiments.run.folder import RunPaths
from bonelift.experiments.scores import (
    MEAN_BONE,
    SHAPE,
    SOURCES,
    CaseRow,
    CaseScores,
    case_pictures,
    predicted_bones,
    with_skill,
)
from bonelift.experiments.surface_scores import ALIGNMENTS, score_surface
from bonelift.experiments.true_size import TRUE_SIZE, WHOLE_ABOVE_MM, at_size_of
from bonelift.geometry.transforms import rotation_angle
from bonelift.images import LAPTOP_GRID
from bonelift.learning.bases import packaged_bases
from bonelift.networks.bundle import ModelBundle, load_bundle
from bonelift.networks.own_network import WristImage
from bonelift.networks.views import view_of
from bonelift.reconstruction.bones import BONES, SHOWN_ABOVE_MM, bone_surface
from bonelift.study.folder import StudyCase, read_pose, read_study
from bonelift.surface.clip import clip_below
from bonelift.surface.mesh import TriangleMesh

MEAN_SEEDS = tuple(range(200_000, 200_100))
COMPARED = "render-and-compare"
METHODS = {"model": "TL net", SHAPE: "shape regressor", COMPARED: "render and compare"}
"""How each reads -> for a person."""
COMPARED_READS = ("GAN-DRR",)
"""What is rendered and compared; it takes longest."""
NO_SKILL = {MEAN_BONE: "nobody: mean bone", TRUE_SIZE: "nobody: mean bone at the true size"}


def case_rows(case: StudyCase, images: CaseImages, model: ModelBundle, seed: int) -> list[CaseRow]:
    """Every input by every method, and what knows nothing, or the size alone."""
    blank = CaseRow("packaged", case.patient, case.case, case.side, True, "none", 0, "", "", "model", "as predicted")
    truth = {bone: images.truth(bone) for bone in BONES}
    means = mean_bones(MEAN_SEEDS)
    shown = {bone: clip_below(mean, SHOWN_ABOVE_MM) for bone, mean in means.items()}
    baseline = surface_rows(replace(blank, method=MEAN_BONE), shown, truth)
    sized = {bone: at_size_of(means[bone], truth[bone]) for bone in BONES}
    rows = [*baseline, *surface_rows(replace(blank, method=TRUE_SIZE), sized, truth)]
    compare = RenderAndCompare(dict(zip(BONES, packaged_bases(), strict=True)), seed)
    preset = replace(load_study_preset("laptop"), test_drrs=1)
    for picture in case_pictures(images, model.generator, preset, CaseScores(), blank):
        view = view_of(picture.view)
        start = replace(blank, source=picture.source, image=picture.image, view=view)
        fields = predicted_bones(model, picture, "tl").fields
        surfaces = {bone: bone_surface(field, LAPTOP_GRID) for bone, field in zip(BONES, fields, strict=True)}
        found = {"model": surfaces, SHAPE: predicted_bones(model, picture, "shape").surfaces}
        if picture.source in COMPARED_READS:
            found[COMPARED] = compare([WristImage(view, np.asarray(picture.pixels, dtype=np.float32))])
        for method, bones in found.items():
            rows += surface_rows(replace(start, method=method), bones, truth)
    return [with_skill(row, baseline) for row in rows]


@cache
def mean_bones(seeds: tuple[int, ...]) -> dict[str, TriangleMesh]:
    """Of virtual wrists whom no row tests, laid on each other, longer than what is scored."""
    model = load_shape_model()
    wrists = [sample_wrist(model, np.random.default_rng(seed)) for seed in seeds]
    made = {}
    for bone in BONES:
        meshes = [getattr(wrist, bone) for wrist in wrists]
        mean = procrustes_mean(np.stack([mesh.vertices for mesh in meshes]))
        made[bone] = clip_below(TriangleMesh(mean, meshes[0].faces), WHOLE_ABOVE_MM)
    return made


def surface_rows(start: CaseRow, found: Mapping[str, TriangleMesh], truth: Mapping[str, TriangleMesh]) -> list[CaseRow]:
    """Both bones and alignments of one reading, without Dice."""
    rows = []
    for bone in BONES:
        for alignment in ALIGNMENTS:
            (asd, surface, hd95, maximum), note = score_surface(found[bone], truth[bone], alignment)
            rows.append(
                replace(start, bone=bone, alignment=alignment, asd_paper_mm=asd, asd_surface_mm=surface, hd95_mm=hd95,
                        maximum_mm=maximum, note=note)
            )  # fmt: skip
    return rows


def measure(study: Path, paths: RunPaths, folder: Path, patients: int) -> list[CaseRow]:
    """Rows of the first ``patients`` cases that have a registered film; a file each, for this model."""
    model, rows, done = load_bundle(), [], 0
    for case in read_study(study).cases:
        if done == patients:
            break
        path = folder / f"{model.weights_sha256[:12]}-{case.case}.json"
        if not path.is_file():
            images = study_images(study, case, paths)
            made = case_rows(case, images, model, 0) if images.film_registered.any() else []
            path.write_text(json.dumps([asdict(row) for row in made]) + "\n", encoding="utf-8")
            print(case.case, len(made), flush=True)
        kept = [CaseRow(**row) for row in json.loads(path.read_text(encoding="utf-8"))]
        done += bool(kept)
        rows += kept
    return rows


def study_images(study: Path, case: StudyCase, paths: RunPaths) -> CaseImages:
    """The images that ``evaluate --preset small --seed 0`` makes of a case, made where RUN lacks them."""
    folder = paths.images(case.case)
    folder.parent.mkdir(parents=True, exist_ok=True)
    make_case_images(study, case, folder, load_study_preset("small"), 0)
    return load_case_images(folder)


def pose_errors(study: Path) -> Iterator[tuple[float, float, float]]:
    """(degrees, mm in the plane, mm along the ray) of each pose that the study lists against truth.json; NaN where it
    lists none. Measured at a point amid the bones."""
    amid = np.array([0.0, 0.0, -20.0, 1.0])
    for case in read_study(study).cases:
        truth = json.loads((study / case.case / "truth.json").read_text(encoding="utf-8"))
        for film, drawn in zip(case.radiographs, truth["radiographs"], strict=True):
            if film.pose_file is None:
                yield np.nan, np.nan, np.nan
                continue
            found = read_pose(study / film.pose_file) @ np.array(truth["world_from_radius"])
            true = np.array(drawn["camera_from_radius"])
            off = (found @ amid - true @ amid)[:3]
            turned = np.degrees(rotation_angle(found @ np.linalg.inv(true)))
            yield float(turned), float(np.hypot(*off[:2])), float(abs(off[2]))


def table(rows: Sequence[CaseRow]) -> str:
    lines = [
        "| read by | input | patients | radius, rigid | radius, as predicted | ulna, rigid | ulna, as predicted | "
        "skill, radius, rigid |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for method, source in dict.fromkeys((row.method, row.source) for row in rows):
        name = input_of(next(row for row in rows if (row.method, row.source) == (method, source)))
        cells = []
        for bone in BONES:
            for alignment in ("rigid", "as predicted"):
                values = patient_values(chosen(rows, name, bone, alignment), "asd_surface_mm").values()
                summary = summarise(name, list(values))
                cells.append(f"{summary.mean:.2f} ± {summary.sd:.2f}" if summary.count else "none")
        skill = summarise("", list(patient_values(chosen(rows, name, "radius", "rigid"), "skill_surface").values()))
        count = summarise("", list(patient_values(chosen(rows, name, "radius", "rigid"), "asd_surface_mm").values()))
        failed = f" ({count.failed} failed)" if count.failed else ""
        lines.append(
            f"| {METHODS.get(method) or NO_SKILL[method]} | {source} | {count.count}{failed} | "
            f"{' | '.join(cells)} | {'' if method == MEAN_BONE else f'{skill.mean:.2f}'} |"
        )
    return "\n".join(lines)


def ordering(rows: Sequence[CaseRow]) -> str:
    """Paired tests over the four inputs, for the TL net and S; ranks where Shapiro-Wilk rejects; Tukey-Kramer."""
    lines = []
    for reads, name in (("TL net", str), ("shape regressor", by_shape)):
        for bone in BONES:
            for alignment in ALIGNMENTS:
                of = {s: patient_values(chosen(rows, name(s), bone, alignment), "asd_paper_mm") for s in SOURCES}
                patients = sorted(set.intersection(*(set(values) for values in of.values())))
                groups = {source: [values[p] for p in patients] for source, values in of.items()}
                tests = compared({source: {p: values[p] for p in patients} for source, values in of.items()})
                test = tests.omnibus
                order = " < ".join(f"{s} {np.nanmean(v):.2f}" for s, v in sorted(groups.items(), key=_mean))
                kind = "paired t" if tests.normal else "signed ranks (Shapiro-Wilk rejects)"
                lines += [
                    f"- **{reads}, {bone}, {alignment}:** {order} mm. {test.test if test else 'no test'}: "
                    f"p {_p(test.p) if test else ''}; {kind}, Holm: {_told(tests.pairs)}; Tukey-Kramer, the paper's: "
                    f"{_told(tukey_kramer(groups))}."
                ]
    return "\n".join(lines)


def _mean(item: tuple[str, list[float]]) -> float:
    return float(np.nanmean(item[1]))


def _told(pairs: Sequence[Comparison]) -> str:
    found = [f"{p.first} - {p.second} {p.difference:+.2f} mm (p {_p(p.p)})" for p in pairs if p.p < 0.05]
    return ", ".join(found) or "no pair differs"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def draw(path: Path, rows: Sequence[CaseRow]) -> None:
    """The radius after rigid alignment: a panel a method, a dot a patient, a bar the mean."""
    plt = pyplot()
    figure, axes = plt.subplots(1, 2, figsize=(9.0, 3.4), layout="constrained", sharey=True)
    for axis, (reads, name) in zip(axes, (("TL net", str), ("shape regressor", by_shape)), strict=True):
        for place, source in enumerate(SOURCES):
            values = list(patient_values(chosen(rows, name(source), "radius", "rigid"), "asd_surface_mm").values())
            spread = np.linspace(-0.15, 0.15, len(values))
            axis.plot(place + spread, values, "o", color=COLOURS[source], alpha=0.5, markersize=4)
            mean = float(np.nanmean(values))
            axis.plot([place - 0.3, place + 0.3], [mean, mean], color="black", linewidth=2)
            axis.annotate(f"{mean:.2f}", (place + 0.32, mean), va="center", fontsize=9)
        mean_bone = list(patient_values(chosen(rows, MEAN_BONE, "radius", "rigid"), "asd_surface_mm").values())
        axis.axhline(float(np.nanmean(mean_bone)), color="#606870", linestyle="--", linewidth=1)
        axis.set_xticks(range(len(SOURCES)), [s.replace("-", "-\n", 1) for s in SOURCES], fontsize=8)
        axis.set(title=f"read by the {reads}")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("radius, rigid, mm (dashes: mean bone)")
    axes[0].set_ylim(bottom=0)
    figure.savefig(path, dpi=110, facecolor="white", metadata={"Software": None})
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="folder for each case's scores")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--patients", type=int, default=24)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for folder in (options.work, options.out):
        folder.mkdir(parents=True, exist_ok=True)
    rows = measure(options.study, RunPaths(options.run), options.work, options.patients)
    write_rows(options.out / "registered-poses.csv", CaseRow, rows)
    draw(options.out / "registered-poses.png", rows)
    poses = np.array(list(pose_errors(options.study)))
    found = poses[np.isfinite(poses[:, 0])]
    told = "; ".join(
        f"{what} {np.median(column):.2f} ({column.min():.2f} to {column.max():.2f})"
        for what, column in zip(("degrees", "mm in the plane", "mm along the ray"), found.T, strict=True)
    )
    model = load_bundle()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    made = (
        f"{len({row.patient for row in rows})} virtual patients. Model `{model.name}`, weights sha256 "
        f"`{model.weights_sha256[:12]}`; commit {commit}; {platform.machine()}, one thread, "
        f"{time.strftime('%Y-%m-%d')}."
    )
    parts = [
        f"{len(found)} of {len(poses)} films have a pose that registration trusted. Off the truth, median (least to "
        f"largest): {told}.",
        table(rows),
        ordering(rows),
        made,
    ]
    (options.out / "tables.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    print("\n\n".join(parts))


if __name__ == "__main__":
    main()
