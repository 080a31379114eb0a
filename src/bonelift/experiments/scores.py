"""One case scored: its images through the networks that never saw its patient, beside the mean bone of the fold.

Every bone is scored *as predicted* (in the radius frame, nothing moved) and after *rigid* alignment of that bone alone.
What fails is a row with NaN and its reason. The truth is the surface of the CT's labels, as in Shiode et al. 2021.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from bonelift.errors import InputError
from bonelift.experiments.folds import ALL_PAIRS, Folds
from bonelift.experiments.histogram_matching import match_to_drr
from bonelift.experiments.images import CaseImages, load_case_images
from bonelift.experiments.presets import StudyPreset
from bonelift.experiments.run.case_records import failure_of
from bonelift.experiments.run.cost import write_cost
from bonelift.experiments.run.folder import RunPaths, written_once
from bonelift.experiments.surface_scores import ALIGNMENTS, Alignment, score_surface
from bonelift.experiments.training import load_fold_model, load_translator
from bonelift.experiments.true_size import TRUE_SIZE, WHOLE_ABOVE_MM, at_size_of
from bonelift.images import LabelGrid
from bonelift.learning.pix2pix import translate_films
from bonelift.learning.samples import FilmSamples
from bonelift.networks.bundle import ModelBundle
from bonelift.networks.pix2pix import Generator
from bonelift.networks.views import view_of
from bonelift.reconstruction.bones import BONES, SHOWN_ABOVE_MM, Bones, Method, bone_surface, predict
from bonelift.storage.input_files import read_json, understood
from bonelift.study.folder import StudyCase
from bonelift.surface.clip import clip_below
from bonelift.surface.distance import distance_to_surface
from bonelift.surface.isosurface import extract_surface, largest_piece
from bonelift.surface.mesh import TriangleMesh
from bonelift.surface.overlap import dice
from bonelift.surface.voxelize import soft_label

Float = NDArray[np.float64]
Source = Literal["CT-DRR", "GAN-DRR", "registration-DRR", "histogram-matched", "film", "none"]
"""film: read by a method that somebody brings (own_methods); ours read images of the bones alone."""
SOURCES: tuple[Source, ...] = ("CT-DRR", "GAN-DRR", "registration-DRR", "histogram-matched")
BONE_LEVEL = 0.02
"""Line integral above which a pixel of the registration-DRR counts as bone: the segmented film's mask."""
SCORES_FILE = "scores.json"
MEAN_BONE, GRID_FLOOR, SHAPE = "mean bone", "grid floor", "shape regressor"
NAN = float("nan")


@dataclass(frozen=True)
class CaseRow:
    """One bone from one image. image: number of the CT-DRR or radiograph. Distances in mm; NaN where it failed.

    pair: whether the patient is one of those whom a pix2pix of another fold learns from. method: "model", the
        TL-embedding network; SHAPE: the shape regressor on the same image (and, for a GAN-DRR, its film); MEAN_BONE:
        that of the fold's training patients, no image used; TRUE_SIZE: the same at the size of the true bone, of which
        it knows no more; GRID_FLOOR: the true labels on the network's grid, turned
        into surfaces: what the grid alone costs. dice: as predicted only, on the label grid's voxels at and above
        SHOWN_ABOVE_MM.
    skill_*: 1 - ASD / ASD of the mean bone, same bone and alignment: 0 knows nothing of this patient, 1 all.
    """

    fold: str
    patient: str
    case: str
    side: str
    pair: bool
    source: Source
    image: int
    view: str
    bone: str
    method: str
    alignment: Alignment
    asd_paper_mm: float = NAN
    asd_surface_mm: float = NAN
    hd95_mm: float = NAN
    maximum_mm: float = NAN
    dice: float = NAN
    skill_paper: float = NAN
    skill_surface: float = NAN
    note: str = ""


@dataclass(frozen=True)
class TranslationRow:
    """Experiment 1, one film. mae: against the registration-DRR, dimensionless, over the whole film; range: of that
    DRR, least to largest; fraction: mae / range (the paper's 0.025 in 0 to 0.20 is 0.125)."""

    fold: str
    patient: str
    case: str
    source: Source
    image: int
    mae: float = NAN
    mae_in_bone: float = NAN
    range: float = NAN
    fraction: float = NAN
    note: str = ""


@dataclass(frozen=True, eq=False)
class Picture:
    """An image ready for P and S. pixels: line integrals (H, W). film: (H, W) that they were translated from, which S
    reads beside them; None for all but the GAN-DRR."""

    source: Source
    image: int
    view: int
    pixels: NDArray[np.floating]
    film: NDArray[np.floating] | None = None


@dataclass
class CaseScores:
    """rows, translation: of the tables. arrays: what the figures need, by name. read_s: method -> processor seconds in
    which it made the bones of each image."""

    rows: list[CaseRow] = field(default_factory=list)
    translation: list[TranslationRow] = field(default_factory=list)
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    read_s: dict[str, list[float]] = field(default_factory=dict)


def score_case(
    paths: RunPaths, case: StudyCase, cases: Sequence[StudyCase], folds: Folds, preset: StudyPreset, seed: int
) -> int:
    """Write the scores of one case, whole or not at all; returns how many of its rows failed."""
    folder = paths.scores(case.case)
    started = time.monotonic()
    if not folder.is_dir():
        scores = _scores(paths, case, cases, folds, preset, seed)
        content = {
            "rows": [asdict(row) for row in scores.rows],
            "translation": [asdict(row) for row in scores.translation],
        }
        with written_once(folder) as staging:
            # pyright takes the arrays for savez's own options.
            np.savez_compressed(staging / "pictures.npz", **scores.arrays)  # pyright: ignore[reportArgumentType]
            (staging / SCORES_FILE).write_text(json.dumps(content) + "\n", encoding="utf-8")
            write_cost(staging, started, scores.read_s)
    rows, translation = read_scores(folder)
    return sum(bool(row.note) for row in [*rows, *translation])


def read_scores(folder: Path) -> tuple[list[CaseRow], list[TranslationRow]]:
    """Rows of one case. Raises InputError where they cannot be read."""
    content = read_json(folder / SCORES_FILE, f"the scores of {folder}; delete the folder and run again", nan=True)
    with understood(str(folder), "scores cannot be read; delete the folder and run again"):
        return [CaseRow(**row) for row in content["rows"]], [TranslationRow(**row) for row in content["translation"]]


def _scores(
    paths: RunPaths, case: StudyCase, cases: Sequence[StudyCase], folds: Folds, preset: StudyPreset, seed: int
) -> CaseScores:
    fold = folds.fold_testing(case.patient)
    is_pair = case.patient in folds.pairs
    blank = CaseRow(fold.name, case.patient, case.case, case.side, is_pair, "none", 0, "", "", "model", "as predicted")
    scores = CaseScores()
    if reason := failure_of(paths.images(case.case)):
        expected: tuple[Source, ...] = SOURCES if is_pair else ("CT-DRR", "GAN-DRR")
        scores.rows = _failed_rows(blank, expected if case.radiographs else ("CT-DRR",), reason)
        if is_pair and case.radiographs:
            scores.translation = [TranslationRow(fold.name, case.patient, case.case, "GAN-DRR", 0, note=reason)]
        return scores
    images = load_case_images(paths.images(case.case))
    key = (str(paths.run), preset, seed)
    generator = case_translator(paths, case, folds, preset, seed)
    model = _model(fold.name, *key)
    known = (tuple(c.case for c in cases if c.patient in fold.tl.training), *key[:2])
    mean, longer = _mean_bones(*known), _mean_bones(*known, WHOLE_ABOVE_MM)
    truth = {bone: images.truth(bone) for bone in BONES}
    grid = preset.networks.grid
    own = images.occupancy.astype(np.float32) / 255
    judge = partial(bone_rows, truth=truth, true_field=own, shown=grid.centres_mm()[..., 2] >= SHOWN_ABOVE_MM)
    baseline = judge(replace(blank, method=MEAN_BONE), mean, label_fields(mean, grid))
    sized = {bone: at_size_of(longer[bone], truth[bone]) for bone in BONES}
    at_size = judge(replace(blank, method=TRUE_SIZE), sized, label_fields(sized, grid))
    scores.rows += [with_skill(row, baseline) for row in at_size]
    scores.rows += [*baseline, *judge(replace(blank, method=GRID_FLOOR), _surfaces(own, grid), own)]
    for picture in case_pictures(images, generator, preset, scores, blank):
        start = replace(blank, source=picture.source, image=picture.image, view=view_of(picture.view))
        begun = time.process_time()
        fields = predicted_bones(model, picture, "tl").fields
        surfaces = _surfaces(fields, grid)
        scores.read_s.setdefault("model", []).append(time.process_time() - begun)
        scores.rows += [with_skill(row, baseline) for row in judge(start, surfaces, fields)]
        begun = time.process_time()
        by_shape = predicted_bones(model, picture, "shape").surfaces
        scores.read_s.setdefault(SHAPE, []).append(time.process_time() - begun)
        rows = judge(replace(start, method=SHAPE), by_shape, label_fields(by_shape, grid))
        scores.rows += [with_skill(row, baseline) for row in rows]
        if picture.image == 0:
            _keep_surfaces(scores, picture.source, surfaces, truth)
    return scores


def case_translator(paths: RunPaths, case: StudyCase, folds: Folds, preset: StudyPreset, seed: int) -> Generator:
    """The pix2pix that never saw the case's patient: of the fold, or of all pairs for those who are none."""
    group = folds.fold_testing(case.patient).name if case.patient in folds.pairs else ALL_PAIRS
    return _translator(group, str(paths.run), preset, seed)


def _surfaces(fields: NDArray[np.floating], grid: LabelGrid) -> dict[str, TriangleMesh]:
    """Of soft labels (2, I, J, K)."""
    return {bone: bone_surface(field, grid) for bone, field in zip(BONES, fields, strict=True)}


def _failed_rows(blank: CaseRow, sources: Sequence[Source], reason: str, image: int = 0) -> list[CaseRow]:
    """Both networks, bones and alignments of each source, with NaN and the reason."""
    return [
        replace(blank, method=method, source=source, image=image, bone=bone, alignment=alignment, note=reason)
        for source in sources
        for method in ("model", SHAPE)
        for bone in BONES
        for alignment in ALIGNMENTS
    ]


def case_pictures(
    images: CaseImages, generator: Generator, preset: StudyPreset, scores: CaseScores, blank: CaseRow
) -> list[Picture]:
    """The inputs of one case; translation rows, pictures and failures of pairs go into ``scores``."""
    names = (blank.fold, blank.patient, blank.case)
    count = min(preset.test_drrs, len(images.drr))
    pictures = [Picture("CT-DRR", n, int(images.drr_view[n]), images.drr[n]) for n in range(count)]
    numbers, first = np.unique(images.film_number, return_index=True)
    for number, row in zip(numbers.tolist(), first.tolist(), strict=True):
        view = int(images.film_view[row])
        film, true_drr = images.film[row], images.film_drr[row]
        sample = FilmSamples(film[None], true_drr[None], np.zeros(1, np.int32), images.film_view[row : row + 1])
        translated = translate_films(generator, sample, bfloat16=False)[0]
        pictures.append(Picture("GAN-DRR", number, view, translated, film))
        if not (blank.pair and images.film_registered[row]):
            continue
        pictures.append(Picture("registration-DRR", number, view, true_drr))
        scores.translation.append(translation_row(names, "GAN-DRR", number, translated, true_drr))
        matched = np.zeros_like(film)
        try:
            bone = true_drr > BONE_LEVEL
            matched = match_to_drr(film, bone, np.where(bone, true_drr, 0)).astype(np.float16)
            pictures.append(Picture("histogram-matched", number, view, matched))
            scores.translation.append(translation_row(names, "histogram-matched", number, matched, true_drr))
        except InputError as error:
            scores.translation.append(TranslationRow(*names, "histogram-matched", number, note=str(error)))
            scores.rows += _failed_rows(blank, ("histogram-matched",), str(error), number)
        if number == 0:
            stack = {"film": film, "registration": true_drr, "gan": translated, "matched": matched}
            scores.arrays |= {f"film/{name}": np.asarray(pixels) for name, pixels in stack.items()}
    return pictures


def translation_row(
    names: tuple[str, str, str], source: Source, image: int, drr: NDArray[np.floating], true: NDArray[np.floating]
) -> TranslationRow:
    """drr, true: (H, W) line integrals of the image and of the registration-DRR. names: fold, patient, case."""
    truth = np.asarray(true, dtype=np.float64)
    error = np.abs(np.asarray(drr, dtype=np.float64) - truth)
    bone = truth > BONE_LEVEL
    if not bone.any():
        return TranslationRow(*names, source, image, note="the registration-DRR shows no bone on the film")
    extent = float(np.ptp(truth))
    mae = float(error.mean())
    return TranslationRow(*names, source, image, mae, float(error[bone].mean()), extent, mae / extent)


def predicted_bones(model: ModelBundle, picture: Picture, method: Method) -> Bones:
    """The bones of one picture by the functions of the main job."""
    film = None if picture.film is None else [picture.film]
    return predict([picture.pixels], [view_of(picture.view)], model, method, film)


def bone_rows(
    start: CaseRow,
    surfaces: Mapping[str, TriangleMesh],
    fields: NDArray[np.floating],
    truth: Mapping[str, TriangleMesh],
    true_field: NDArray[np.floating],
    shown: NDArray[np.bool_],
) -> list[CaseRow]:
    """Both bones and alignments. fields: (2, I, J, K) soft labels; shown: voxels that count for Dice."""
    rows = []
    for index, bone in enumerate(BONES):
        overlap = dice((fields[index] >= 0.5) & shown, (true_field[index] >= 0.5) & shown)
        for alignment in ALIGNMENTS:
            (asd, asd_surface, hd95, maximum), note = score_surface(surfaces[bone], truth[bone], alignment)
            rows.append(
                replace(
                    start,
                    bone=bone,
                    alignment=alignment,
                    asd_paper_mm=asd,
                    asd_surface_mm=asd_surface,
                    hd95_mm=hd95,
                    maximum_mm=maximum,
                    dice=overlap if alignment == "as predicted" and not note else NAN,
                    note=note,
                )
            )
    return rows


def with_skill(row: CaseRow, baseline: Sequence[CaseRow]) -> CaseRow:
    mean = next(b for b in baseline if (b.bone, b.alignment) == (row.bone, row.alignment))
    return replace(
        row,
        skill_paper=1 - row.asd_paper_mm / mean.asd_paper_mm,
        skill_surface=1 - row.asd_surface_mm / mean.asd_surface_mm,
    )


def _keep_surfaces(
    scores: CaseScores, source: Source, surfaces: Mapping[str, TriangleMesh], truth: Mapping[str, TriangleMesh]
) -> None:
    """Predicted surfaces with the distance of each vertex from the truth, as predicted, for the error maps."""
    for bone, mesh in surfaces.items():
        if mesh.is_empty or source not in ("CT-DRR", "GAN-DRR"):
            continue
        shown = clip_below(truth[bone], SHOWN_ABOVE_MM)
        scores.arrays[f"{source}/{bone}/vertices"] = mesh.vertices.astype(np.float32)
        scores.arrays[f"{source}/{bone}/faces"] = mesh.faces.astype(np.int32)
        scores.arrays[f"{source}/{bone}/error_mm"] = distance_to_surface(mesh.vertices, shown).astype(np.float32)


def label_fields(surfaces: Mapping[str, TriangleMesh], grid: LabelGrid) -> NDArray[np.float32]:
    """(2, I, J, K) soft labels."""
    return np.stack([soft_label(surfaces[bone], grid) for bone in BONES])


def mean_bones(
    laid_distance: NDArray[np.floating], laid_from_right: Float, grid: LabelGrid, above_mm: float = SHOWN_ABOVE_MM
) -> dict[str, TriangleMesh]:
    """The mean bone: each bone laid rigidly on a common one, their signed distances averaged, put back at the mean
    pose, so that neither pose nor blur is charged to it.

    laid_distance: (N, 2, I, J, K) mm; laid_from_right: (N, 2, 4, 4). Surfaces in the radius frame, cut at ``above_mm``.
    """
    made = {}
    for index, bone in enumerate(BONES):
        surface = extract_surface(
            laid_distance[:, index].mean(axis=0, dtype=np.float32), grid.radius_from_voxel, 0.0, inside="below"
        )
        right_from_laid = np.linalg.inv(laid_from_right[:, index])
        pose = np.eye(4)
        pose[:3, :3] = Rotation.from_matrix(right_from_laid[:, :3, :3]).mean().as_matrix()
        centre = surface.vertices.mean(axis=0)
        moved = right_from_laid[:, :3, :3] @ centre + right_from_laid[:, :3, 3]
        pose[:3, 3] = moved.mean(axis=0) - pose[:3, :3] @ centre
        made[bone] = clip_below(largest_piece(surface).transformed(pose), above_mm)
    return made


@lru_cache(maxsize=4)
def _mean_bones(
    training: tuple[str, ...], run: str, preset: StudyPreset, above_mm: float = SHOWN_ABOVE_MM
) -> dict[str, TriangleMesh]:
    """Of the cases that train a fold's TL net; one CT counts as one bone."""
    folders = [RunPaths(Path(run)).images(case) for case in training]
    used = [folder for folder in folders if not failure_of(folder)]
    distances = np.stack([np.load(folder / "laid_distance.npy") for folder in used])
    laid = np.stack([np.load(folder / "laid_from_right.npy") for folder in used])
    return mean_bones(distances, laid, preset.networks.grid, above_mm)


@lru_cache(maxsize=4)
def _model(group: str, run: str, preset: StudyPreset, seed: int) -> ModelBundle:
    return load_fold_model(RunPaths(Path(run)), group, preset, seed)


@lru_cache(maxsize=6)
def _translator(group: str, run: str, preset: StudyPreset, seed: int) -> Generator:
    return load_translator(RunPaths(Path(run)), group, preset, seed)
