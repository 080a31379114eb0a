"""A packaged model scored on virtual patients that it never saw, beside the mean bone of those that it did.

Two inputs, one PA view each: a whole simulated radiograph, which goes through the main job as a user's file would, and
the DRR of the patient's virtual CT (CT-DRR). Every bone is scored twice and the two are never mixed: *as predicted* (in
the radius frame, nothing moved) and after *rigid* alignment of the bone by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bonelift.anatomy.shape_model import WristShape, load_shape_model, sample_wrist
from bonelift.anatomy.side import mirror_transform
from bonelift.drr.subject import bone_attenuation
from bonelift.experiments.surface_scores import ALIGNMENTS, Alignment, score_surface
from bonelift.geometry import apply_transform, rigid_between
from bonelift.images import LabelGrid, Radiograph, Side, View
from bonelift.images.reading import on_the_detector
from bonelift.learning.bare_samples import bare_film
from bonelift.learning.virtual_samples import (
    VirtualSampleConfig,
    patient_occupancy,
)
from bonelift.networks.model import WristModel
from bonelift.origin import Origin
from bonelift.phantom.ct import draw_scan_settings, scan
from bonelift.phantom.patient import VirtualPatient, make_patient
from bonelift.phantom.whole_film import simulated_film
from bonelift.reconstruction import bones as reconstruction
from bonelift.reconstruction.bones import BONES, SHOWN_ABOVE_MM, bone_surface, predict
from bonelift.reconstruction.job import Reconstruction, reconstruct
from bonelift.surface.clip import clip_below
from bonelift.surface.mesh import TriangleMesh

Method = Literal["shape regressor", "TL-embedding", "fitted", "mean bone", "mean field", "grid floor"]
PREDICTORS: dict[reconstruction.Method, Method] = {"shape": "shape regressor", "tl": "TL-embedding"}


@dataclass(frozen=True)
class ScoreRow:
    """One bone of one patient. source: "radiograph", "CT-DRR", or "none" where no image was used. Distances in mm;
    NaN where the bone came out empty, and then ``note`` says why. quality: the job's own score, radiographs only.
    """

    patient: int
    sex: str
    side: Side
    source: str
    method: Method
    bone: str
    alignment: Alignment
    asd_paper_mm: float
    asd_surface_mm: float
    hd95_mm: float
    maximum_mm: float
    quality: float = float("nan")
    note: str = ""


def score_patient(seed: int, model: WristModel, means: Mapping[Method, Mapping[str, TriangleMesh]]) -> list[ScoreRow]:
    """All rows of one virtual patient. means: no-skill surfaces by method and bone, from :func:`no_skill_surfaces`."""
    patient = make_patient(seed, load_shape_model())
    truth = {name: getattr(patient.shape, name) for name in BONES}
    side: Side = "left" if seed % 2 else "right"
    rows = partial_rows(seed, patient, side)

    result = reconstruct([whole_radiograph(patient, seed, side)], model)
    drr = ct_drr(patient, seed)
    scored = []
    for method, name in PREDICTORS.items():
        if method == "shape" and not model.bases:
            continue
        if result.bones and result.bones.method == method:  # what reconstruct gives, and its verdict on it
            film_rows = [
                replace(row, quality=result.quality.score, note=row.note or _flags(result))
                for row in rows("radiograph", name, result.bones.surfaces, truth)
            ]
        else:
            films = [film.film.pixels for film in result.films]
            from_film = predict(result.drrs, ["pa"], model, method, films).surfaces if result.drrs else {}
            film_rows = rows("radiograph", name, from_film, truth)
        scored += film_rows + rows("CT-DRR", name, predict([drr], ["pa"], model, method).surfaces, truth)
    for method, surfaces in means.items():
        scored += rows("none", method, surfaces, truth)
    return scored + rows("none", "grid floor", grid_floor(patient.shape, model.grid), truth)


def _flags(result: Reconstruction) -> str:
    return "; ".join(flag.text for flag in result.quality.flags if flag.severity == "severe")


def partial_rows(
    seed: int, patient: VirtualPatient, side: Side
) -> Callable[[str, Method, Mapping[str, TriangleMesh], Mapping[str, TriangleMesh]], list[ScoreRow]]:
    """Rows of one patient as a function of (source, method, predicted, truth)."""

    def rows(
        source: str, method: Method, predicted: Mapping[str, TriangleMesh], truth: Mapping[str, TriangleMesh]
    ) -> list[ScoreRow]:
        made = []
        for bone in BONES:
            surface = predicted.get(bone)
            for alignment in ALIGNMENTS:
                numbers, note = score_surface(surface, truth[bone], alignment)
                made.append(
                    ScoreRow(seed, patient.shape.sex, side, source, method, bone, alignment, *numbers, note=note)
                )
        return made

    return rows


def whole_radiograph(patient: VirtualPatient, seed: int, side: Side) -> Radiograph:
    """A simulated PA film of the whole wrist, 234 x 180 mm at 0.18 mm; a left wrist's is the mirror image."""
    return simulated_film(patient, np.random.default_rng([seed, 2]), "pa", side)[0]


def score_pair(seed: int, model: WristModel, means: Mapping[Method, Mapping[str, TriangleMesh]]) -> list[ScoreRow]:
    """Rows of one virtual patient seen by two calibrated cameras: what ``reconstruct`` gives (*fitted*), what the
    networks predicted from both and from the PA film alone, and no skill."""
    patient = make_patient(seed, load_shape_model())
    truth = {name: getattr(patient.shape, name) for name in BONES}
    side: Side = "left" if seed % 2 else "right"
    rows = partial_rows(seed, patient, side)
    result = reconstruct(calibrated_pair(patient, seed, side), model)
    if result.bones is None:
        return rows("two films", "fitted", {}, truth)
    note = "" if result.bones.fitted else "not fitted"
    scored = [
        replace(row, quality=result.quality.score, note=row.note or note or _flags(result))
        for row in rows("two films", "fitted", result.bones.surfaces, truth)
    ]
    views: list[View] = [film.radiograph.view for film in result.films]
    films = [film.film.pixels for film in result.films]
    scored += rows("two films", "shape regressor", predict(result.drrs, views, model, None, films).surfaces, truth)
    alone = predict(result.drrs[:1], views[:1], model, None, films[:1])
    scored += rows("first film alone", "shape regressor", alone.surfaces, truth)
    for method, surfaces in means.items():
        scored += rows("none", method, surfaces, truth)
    return scored


def calibrated_pair(patient: VirtualPatient, seed: int, side: Side) -> list[Radiograph]:
    """A PA and a lateral film of a wrist that did not move, in cameras whose world is the radius frame; the distance of
    the wrist is for the job to find. A left wrist's films, and its world, are the mirror images of a right one's."""
    mirror = mirror_transform() if side == "left" else np.eye(4)
    pair = []
    for index, view in enumerate(get_args(View)):
        film, camera_from_radius = simulated_film(patient, np.random.default_rng([seed, 4, index]), view, side)
        camera = replace(film.camera, camera_from_world=mirror @ camera_from_radius @ mirror)
        facts = {
            "camera": Origin("recorded", "simulated"),
            "source_to_object": on_the_detector(camera.sdd_mm),
        }
        pair.append(replace(film, camera=camera, provenance=facts))
    return pair


def ct_drr(patient: VirtualPatient, seed: int) -> NDArray[np.float32]:
    """FILM_SHAPE DRR of the patient's virtual CT at a random PA pose, the film cut as in training (with its errors)."""
    rng = np.random.default_rng([seed, 3])
    bones = bone_attenuation(*scan(patient.body, rng, draw_scan_settings(rng)))
    return bare_film(bones, rng, "pa", VirtualSampleConfig()).drr


def grid_floor(shape: WristShape, grid: LabelGrid) -> dict[str, TriangleMesh]:
    """The true labels on the model's grid, turned into surfaces: what the grid alone costs."""
    fields = patient_occupancy(shape, grid).astype(np.float32) / 255
    return {name: bone_surface(field, grid) for name, field in zip(BONES, fields, strict=True)}


@cache
def no_skill_surfaces(seeds: tuple[int, ...], grid: LabelGrid) -> dict[Method, dict[str, TriangleMesh]]:
    """The mean bone of the training wrists, two ways: the mean of corresponding vertices after each bone was laid on
    the others (the fairest to it: no blur) and put back at the mean pose; the half level of the mean label field."""
    model = load_shape_model()
    wrists = [sample_wrist(model, np.random.default_rng(seed)) for seed in seeds]
    means: dict[Method, dict[str, TriangleMesh]] = {"mean bone": {}, "mean field": {}}
    fields = np.mean([patient_occupancy(wrist, grid).astype(np.float32) for wrist in wrists], axis=0) / 255
    for name, field in zip(BONES, fields, strict=True):
        meshes = [getattr(wrist, name) for wrist in wrists]
        mean = TriangleMesh(procrustes_mean(np.stack([mesh.vertices for mesh in meshes])), meshes[0].faces)
        means["mean bone"][name] = clip_below(mean, SHOWN_ABOVE_MM)
        means["mean field"][name] = bone_surface(field, grid)
    return means


def procrustes_mean(shapes: NDArray[np.float64], rounds: int = 4) -> NDArray[np.float64]:
    """(V, 3) mean of corresponding points (N, V, 3) laid on each other without scaling, at the pose of the plain mean.

    Only points above SHOWN_ABOVE_MM - 5 of the plain mean steer the alignment.
    """
    plain = shapes.mean(axis=0)
    steering = plain[:, 2] > SHOWN_ABOVE_MM - 5
    mean = plain
    for _ in range(rounds):
        laid = [apply_transform(rigid_between(shape[steering], mean[steering]), shape) for shape in shapes]
        mean = np.mean(laid, axis=0)
    return apply_transform(rigid_between(mean[steering], plain[steering]), mean)


def summary(rows: Sequence[ScoreRow]) -> list[dict[str, float | str | int]]:
    """Mean and SD over patients by source, method, bone and alignment; failures are counted."""
    keys = sorted({(row.source, row.method, row.bone, row.alignment) for row in rows})
    lines: list[dict[str, float | str | int]] = []
    for source, method, bone, alignment in keys:
        chosen = [
            row
            for row in rows
            if (row.source, row.method, row.bone, row.alignment) == (source, method, bone, alignment)
        ]
        line: dict[str, float | str | int] = {
            "source": source,
            "method": method,
            "bone": bone,
            "alignment": alignment,
            "cases": len(chosen),
            "failed": sum(not np.isfinite(row.asd_paper_mm) for row in chosen),
        }
        for name in ("asd_paper_mm", "asd_surface_mm", "hd95_mm"):
            values = np.array([getattr(row, name) for row in chosen])
            line[name] = round(float(np.nanmean(values)), 3) if np.isfinite(values).any() else float("nan")
            line[f"{name}_sd"] = round(float(np.nanstd(values, ddof=1)), 3) if len(values) > 1 else float("nan")
        lines.append(line)
    return lines
