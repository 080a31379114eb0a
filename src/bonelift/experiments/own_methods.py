"""Methods that somebody brings to ``evaluate``: what they are given of a fold, and how each becomes a scored row.

A method learns from the patients of a fold that ours learn from, and gives bones for images of patients whom it never
saw. What it gives is held to the same truth by the same code as ours. Where it fails, with an error, NaN, an open mesh,
another frame or nothing, its row says why and counts as a failure; the other cases and methods go on.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, Protocol, get_args, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bonelift.errors import InputError
from bonelift.experiments.folds import Folds
from bonelift.experiments.images import CaseImages, load_case_images
from bonelift.experiments.presets import StudyPreset
from bonelift.experiments.run.case_records import failure_of
from bonelift.experiments.run.cost import LEARNED_FILE, peak_mib, write_cost
from bonelift.experiments.run.folder import RunPaths, write_json, written_once
from bonelift.experiments.scores import (
    GRID_FLOOR,
    MEAN_BONE,
    SCORES_FILE,
    SHAPE,
    CaseRow,
    CaseScores,
    Picture,
    Source,
    bone_rows,
    case_pictures,
    case_translator,
    label_fields,
    read_scores,
    with_skill,
)
from bonelift.experiments.surface_scores import ALIGNMENTS
from bonelift.experiments.training import load_fold_model
from bonelift.experiments.true_size import TRUE_SIZE
from bonelift.images import LabelGrid, View
from bonelift.images.volume import BONES
from bonelift.learning.presets import Preset
from bonelift.networks.model import WristModel
from bonelift.networks.own_network import Predictor, WristImage, checked_bones
from bonelift.networks.views import view_of
from bonelift.reconstruction.bones import SHOWN_ABOVE_MM
from bonelift.storage.input_files import read_json
from bonelift.study.case_names import check_name
from bonelift.study.folder import StudyCase
from bonelift.surface.clip import clip_below
from bonelift.surface.mesh import TriangleMesh

MethodInput = Literal["film", "CT-DRR", "GAN-DRR", "registration-DRR", "histogram-matched"]
"""film: the film itself. The others are bone-only images: of the CT; of the film by the fold's pix2pix (the film is
given beside it); of the CT at the film's pose; of the film by histogram matching."""


@dataclass(frozen=True, eq=False)
class CaseData:
    """What a method may know of one training case. All in the radius frame of a right wrist, mm.

    Parameters
    ----------
    labels
        (2, I, J, K) float32 on the fold's grid: the part of each voxel that is radius, and ulna, 0 to 1.
    bones
        ``"radius"`` and ``"ulna"``: surfaces of the CT's labels.
    points
        Bone to (V, 3) points that correspond from patient to patient.
    drrs, drr_views
        (N, 160, 128) float32 CT-DRRs (line integrals of the bones, dimensionless) and their views.
    films, film_drrs, film_views
        (M, 160, 128) float32 films, the bone-only image of the CT at each film's pose, and their views; M is 0 for
        patients whose films are kept for other experiments.
    """

    labels: NDArray[np.float32]
    bones: Mapping[str, TriangleMesh]
    points: Mapping[str, NDArray[np.float32]]
    drrs: NDArray[np.float32]
    drr_views: tuple[View, ...]
    films: NDArray[np.float32]
    film_drrs: NDArray[np.float32]
    film_views: tuple[View, ...]


@dataclass(frozen=True, eq=False)
class TrainingCase:
    """One CT of a patient whom a method may learn from.

    Parameters
    ----------
    case, patient
        Their names in the study; several CTs may be of one patient.
    with_films
        Whether the patient's films are given, too.
    """

    case: str
    patient: str
    with_films: bool
    _images: Path

    def load(self) -> CaseData:
        """Read the arrays, some MB.

        Returns
        -------
        CaseData
            A copy: what a method does to it reaches nobody else.
        """
        return _case_data(load_case_images(self._images), self.with_films)


@dataclass(frozen=True, eq=False)
class TrainingFold:
    """What a method is given to learn one fold.

    Parameters
    ----------
    name
        ``"fold-1"`` and on.
    training, validation
        Cases to learn from, and to watch over the learning; none is of a patient whom the fold tests.
    folder
        Where the method may keep what it learned. It is the same whenever this fold is asked for again.
    shared
        A folder of the fold that all methods see, for a part that several of them learn alike.
    grid
        Lattice of ``CaseData.labels`` in the radius frame.
    seed
        Of the run: the same seed is to give the same result.
    preset
        Sizes and lengths of the trainings of the run, for methods that keep to the same number of updates.
    networks
        Gives the fold's own networks (pix2pix, TL net, shape regressor), for a method that replaces one part of ours.
    """

    name: str
    training: tuple[TrainingCase, ...]
    validation: tuple[TrainingCase, ...]
    folder: Path
    shared: Path
    grid: LabelGrid
    seed: int
    preset: Preset
    networks: Callable[[], WristModel]


@runtime_checkable
class BoneMethod(Protocol):
    """A way from radiograph to bones that ``evaluate`` scores beside its own.

    Attributes
    ----------
    name : str
        Of its rows, such as ``"my-network"``; it is also the name of a folder.
    inputs : tuple of str
        The images that it is tested on, each a row of its own: see ``MethodInput``.
    """

    @property
    def name(self) -> str: ...
    @property
    def inputs(self) -> tuple[MethodInput, ...]: ...

    def learn(self, fold: TrainingFold) -> Predictor:
        """Learn from the patients of a fold.

        It is called again for the same fold where a run goes on, and in each process that scores: keep what takes long
        in ``fold.folder`` and load it from there.

        Parameters
        ----------
        fold
            Patients to learn from, and a folder to keep what was learned.

        Returns
        -------
        Predictor
            A function from the images of one wrist (a sequence of :class:`WristImage`, here of length 1) to
            ``{"radius": TriangleMesh, "ulna": TriangleMesh}``: surfaces in the radius frame of a right wrist, mm,
            closed at and above z = -40 mm. An attribute ``updates`` of it, a number, stands in the table of methods.
        """
        ...


def check_methods(methods: Sequence[BoneMethod]) -> None:
    """Raises InputError for what is no method, a name that no folder can have or that is taken, or unknown inputs."""
    taken = {"model", SHAPE, MEAN_BONE, TRUE_SIZE, GRID_FLOOR}
    for method in methods:
        if not isinstance(method, BoneMethod):
            raise InputError(
                f"methods holds {type(method).__name__}; expected an object with name, inputs and learn "
                "(docs/own-method.md)"
            )
        check_name("method", method.name)
        if method.name in taken:
            raise InputError(f"method {method.name!r}: the name is taken; choose another one")
        taken.add(method.name)
        unknown = [source for source in method.inputs if source not in get_args(MethodInput)]
        if isinstance(method.inputs, str) or not method.inputs or unknown:
            raise InputError(
                f"method {method.name!r}: inputs is {method.inputs!r:.60}; expected a tuple of "
                f"{', '.join(get_args(MethodInput))}"
            )


def learn_method(
    paths: RunPaths, cases: Sequence[StudyCase], folds: Folds, preset: StudyPreset, method: BoneMethod, fold: str,
    seed: int,
) -> str:  # fmt: skip
    """Have a method learn a fold, once; returns why it failed, or ""."""
    given = training_fold(paths, cases, folds, preset, method, fold, seed)
    done = given.folder / LEARNED_FILE
    if done.is_file():
        return str(read_json(done, "what a method learned").get("failed", ""))
    started, failed, updates = time.process_time(), "", 0
    try:
        updates = int(getattr(_predictor(method, given), "updates", 0))
    except Exception as error:  # of code that is not ours: whatever it is, it is this method's failure
        failed = reason_of(error)
    spent = {"seconds": round(time.process_time() - started, 2), "peak_mib": peak_mib(), "updates": updates}
    said = {name: str(getattr(method, name, "")) for name in ("title", "note")}
    elsewhere = bool(getattr(method, "learned_elsewhere", False))
    write_json(done, {"failed": failed, **spent, **said, "learned_elsewhere": elsewhere})
    return failed


def training_fold(
    paths: RunPaths, cases: Sequence[StudyCase], folds: Folds, preset: StudyPreset, method: BoneMethod, fold: str,
    seed: int,
) -> TrainingFold:  # fmt: skip
    """What ``method`` may know of a fold: the patients of the TL net, and the films of those who are pairs."""
    split = folds.fold(fold).tl
    pairs = {*folds.fold(fold).pix2pix.training, *folds.fold(fold).pix2pix.validation}

    def chosen(patients: Sequence[str]) -> tuple[TrainingCase, ...]:
        return tuple(
            TrainingCase(case.case, case.patient, case.patient in pairs, paths.images(case.case))
            for case in cases
            if case.patient in patients and not failure_of(paths.images(case.case))
        )

    folder = paths.learned(method.name, fold)
    folder.mkdir(parents=True, exist_ok=True)
    return TrainingFold(
        fold,
        chosen(split.training),
        chosen(split.validation),
        folder,
        paths.shared(fold),
        preset.networks.grid,
        seed,
        preset.networks,
        partial(load_fold_model, paths, fold, preset, seed),
    )


def score_method(
    paths: RunPaths, case: StudyCase, cases: Sequence[StudyCase], folds: Folds, preset: StudyPreset, method: BoneMethod,
    seed: int,
) -> int:  # fmt: skip
    """Write the rows of one method for one case, whole or not at all; returns how many failed.

    The case was scored by the fold's own networks before: their mean bone is what skill is measured against.
    """
    folder = paths.method_scores(method.name, case.case)
    started = time.monotonic()
    if not folder.is_dir():
        read_s: list[float] = []
        rows = _method_rows(paths, case, cases, folds, preset, method, seed, read_s)
        with written_once(folder) as staging:
            content = {"rows": [asdict(row) for row in rows], "translation": []}
            (staging / SCORES_FILE).write_text(json.dumps(content) + "\n", encoding="utf-8")
            write_cost(staging, started, {method.name: read_s})
    return sum(bool(row.note) for row in read_scores(folder)[0])


def _method_rows(
    paths: RunPaths, case: StudyCase, cases: Sequence[StudyCase], folds: Folds, preset: StudyPreset, method: BoneMethod,
    seed: int, read_s: list[float],
) -> list[CaseRow]:  # fmt: skip
    """read_s: takes the processor seconds of each image of which the method made bones."""
    fold, pair = folds.fold_testing(case.patient), case.patient in folds.pairs
    blank = CaseRow(fold.name, case.patient, case.case, case.side, pair, "none", 0, "", "", method.name, "as predicted")
    if reason := failure_of(paths.images(case.case)):
        return [row for source in _expected(method, case, pair) for row in _failed(blank, source, 0, "", reason)]
    images = load_case_images(paths.images(case.case))
    generator = case_translator(paths, case, folds, preset, seed)
    made = CaseScores()
    pictures = case_pictures(images, generator, preset, made, blank)
    rows = [row for row in made.rows if row.source in method.inputs and row.method == "model"]
    pictures = [picture for picture in (*pictures, *_films(images)) if picture.source in method.inputs]
    baseline = [row for row in read_scores(paths.scores(case.case))[0] if row.method == MEAN_BONE]
    given = training_fold(paths, cases, folds, preset, method, fold.name, seed)
    failed = str(read_json(given.folder / LEARNED_FILE, "what a method learned").get("failed", ""))
    grid = preset.networks.grid
    judge = partial(
        bone_rows,
        truth={bone: images.truth(bone) for bone in BONES},
        true_field=images.occupancy.astype(np.float32) / 255,
        shown=grid.centres_mm()[..., 2] >= SHOWN_ABOVE_MM,
    )
    rows = [replace(row, method=method.name) for row in rows]  # what could not be made of the film at all
    for picture in pictures:
        view = view_of(picture.view)
        try:
            if failed:
                raise InputError(f"the method did not learn this fold: {failed}")
            predictor = _predictor(method, given)
            begun = time.process_time()
            found = checked_bones(predictor([_image(picture, view)]), method.name)
            read_s.append(time.process_time() - begun)
        except Exception as error:  # of code that is not ours: whatever it is, it is this row's failure
            rows += _failed(blank, picture.source, picture.image, view, reason_of(error))
            continue
        start = replace(blank, source=picture.source, image=picture.image, view=view)
        shown = {bone: clip_below(mesh, SHOWN_ABOVE_MM) for bone, mesh in found.items()}
        rows += [with_skill(row, baseline) for row in judge(start, shown, label_fields(found, grid))]
    return rows


def _films(images: CaseImages) -> list[Picture]:
    """The first film of each radiograph: the tested one."""
    numbers, first = np.unique(images.film_number, return_index=True)
    return [
        Picture("film", number, int(images.film_view[row]), images.film[row], images.film[row])
        for number, row in zip(numbers.tolist(), first.tolist(), strict=True)
    ]


def _image(picture: Picture, view: View) -> WristImage:
    """A copy of a picture as a method sees it."""
    film = None if picture.film is None else np.array(picture.film, dtype=np.float32)
    drr = None if picture.source == "film" else np.array(picture.pixels, dtype=np.float32)
    return WristImage(view, drr, film)


def _expected(method: BoneMethod, case: StudyCase, pair: bool) -> list[MethodInput]:
    """Inputs that a case would have given."""
    with_film = {"film", "GAN-DRR"} if case.radiographs else set[str]()
    if pair and case.radiographs:
        with_film |= {"registration-DRR", "histogram-matched"}
    return [source for source in method.inputs if source == "CT-DRR" or source in with_film]


def _failed(blank: CaseRow, source: Source, image: int, view: str, reason: str) -> list[CaseRow]:
    return [
        replace(blank, source=source, image=image, view=view, bone=bone, alignment=alignment, note=reason)
        for bone in BONES
        for alignment in ALIGNMENTS
    ]


_PREDICTORS: dict[tuple[str, Path], Predictor] = {}
"""What this process has of each method and fold."""


def _predictor(method: BoneMethod, fold: TrainingFold) -> Predictor:
    key = (method.name, fold.folder)
    if key not in _PREDICTORS:
        predictor = method.learn(fold)
        if not callable(predictor):
            raise InputError(f"learn gave back {type(predictor).__name__}; expected a function from images to bones")
        _PREDICTORS[key] = predictor
    return _PREDICTORS[key]


def reason_of(error: Exception) -> str:
    """A foreign error in one line."""
    text = " ".join(str(error).split())[:300]
    return text if isinstance(error, InputError) else f"{type(error).__name__}: {text}".rstrip(": ")


def _case_data(images: CaseImages, with_films: bool) -> CaseData:
    kept = images.film_registered & with_films
    return CaseData(
        np.asarray(images.occupancy, dtype=np.float32) / np.float32(255),
        {bone: images.truth(bone) for bone in BONES},
        {bone: np.array(getattr(images, f"{bone}_points"), dtype=np.float32) for bone in BONES},
        images.drr.astype(np.float32),
        tuple(view_of(int(view)) for view in images.drr_view),
        images.film[kept].astype(np.float32),
        images.film_drr[kept].astype(np.float32),
        tuple(view_of(int(view)) for view in images.film_view[kept]),
    )
