"""``bonelift train``: the networks of one run folder, trained on the cases of a study folder or on virtual patients.

The run folder holds ``split.json`` (which patients of a study validate), ``samples`` (what the networks read), one
folder for each stage with its checkpoint and learning curve, ``basis``, and ``model``, which ``bonelift reconstruct
--model`` takes, as soon as every network that it needs is there.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

from bonelift.errors import InputError
from bonelift.learning.bases import BasisChoice
from bonelift.learning.distributed import barrier, process_group, rank
from bonelift.learning.line import TARGETS, LearningRun, Target, basis_choice, check_order
from bonelift.learning.presets import Preset
from bonelift.learning.training import TrainingOutcome, train_targets
from bonelift.learning.virtual_source import VirtualSource, virtual_source
from bonelift.networks.bundle import ModelBundle
from bonelift.storage.folder_lock import held_folder
from bonelift.storage.input_files import read_json, understood
from bonelift.storage.json_values import as_json_gives_it
from bonelift.storage.whole import write_whole, writing
from bonelift.study.folder import Study, StudyCase, read_study
from bonelift.study.results import MADE_BY, made_from_case
from bonelift.study.training_source import StudySource, has_pose

VALIDATION_SHARE = 0.15
SPLIT_FILE = "split.json"
Wanted = Target | Literal["all"]


@dataclass(frozen=True)
class TrainingSettings:
    """preset: sizes and lengths. seed: of split, samples and training. basis: of S, None for the preset's modes where
    there are patients enough. start: a trained model to begin with, None to begin with nothing."""

    preset: Preset
    seed: int = 0
    basis: BasisChoice | None = None
    start: ModelBundle | None = None

    def run(self, folder: Path) -> LearningRun:
        """The run of these settings in ``folder``."""
        return LearningRun(folder, self.preset, self.seed, self.basis, self.start)


def train_on_study(target: Wanted, study_folder: Path, folder: Path, settings: TrainingSettings) -> TrainingOutcome:
    """Make the samples that ``target`` needs, train it, and write ``folder/model`` when all networks are there.

    Interrupted, the same call goes on. pix2pix and locator learn from the cases that have a radiograph with a known
    pose. Raises InputError for a study that holds too little, or a run folder of another study, preset or seed.
    """
    study = read_study(study_folder)
    run = settings.run(folder)
    # One of two patients or more with films of known pose validates: see split_by_patient.
    posed = {case.patient for case in study.cases if has_pose(case)}
    check_order(TARGETS if target == "all" else (target,), run, len(posed) > 1)

    def begin() -> StudySource:
        files = {
            case.case: dict(
                made_from_case("train", study_folder, case, {}, landmarks=True, films=True, poses=True).files
            )
            for case in study.cases
        }
        begun = (folder / SPLIT_FILE).is_file()
        training, validation = split_by_patient(study, folder, settings.preset.name, settings.seed, files)
        if target in ("shape", "all"):
            try:
                basis_choice(run).is_own(len(training))
            except InputError:
                if not begun:  # What is refused leaves nothing that the next call would have to fit.
                    (folder / SPLIT_FILE).unlink()
                raise
        return StudySource(
            study_folder, training, validation, settings.preset, folder / "samples", settings.seed, study.origin
        )

    with process_group(settings.preset.autoencoder_training.device), _held(folder):
        return train_targets(target, run, _first_alone(begin))


def train_on_virtual_patients(
    target: Wanted, patients: int, folder: Path, settings: TrainingSettings, workers: int = 1
) -> TrainingOutcome:
    """As :func:`train_on_study`, on virtual patients that are made on the way and kept as samples alone.

    Raises InputError for fewer than three patients, or a run folder of another number or seed.
    """
    run = settings.run(folder)
    if target in ("shape", "all"):
        basis_choice(run).is_own(patients)

    def begin() -> VirtualSource:
        return virtual_source(folder / "samples", patients, settings.seed, settings.preset.grid, workers)

    with process_group(settings.preset.autoencoder_training.device), _held(folder):
        return train_targets(target, run, _first_alone(begin))


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """The run folder, made where it is not there, for this run alone; of several processes the first one holds it.
    Raises InputError."""
    if rank() > 0:
        yield
        return
    with held_folder(folder, "--run"):
        yield


Begun = TypeVar("Begun", StudySource, VirtualSource)


def _first_alone(begin: Callable[[], Begun]) -> Begun:
    """What ``begin`` gives in every process; the first one begins the run folder before the others look at it."""
    if rank() > 0:
        barrier()
    begun = begin()
    if rank() == 0:
        barrier()
    return begun


def split_by_patient(
    study: Study, run: Path, preset: str, seed: int, files: Mapping[str, Mapping[str, str]] | None = None
) -> tuple[list[StudyCase], list[StudyCase]]:
    """Training and validation cases; a patient is wholly in one. Drawn once, then kept in ``run/split.json``.

    One patient at least with a radiograph of known pose validates, where two have one. Raises InputError for fewer than
    three patients, and for a run that was begun otherwise: with other cases, settings or files. files: what the samples
    of each case are made from, SHA-256 by role.
    """
    patients = sorted({case.patient for case in study.cases})
    if len(patients) < 3:
        raise InputError(f"the study has {len(patients)} patients; training needs at least 3 (one of them validates)")
    path = run / SPLIT_FILE
    begun = as_json_gives_it(
        {"preset": preset, "seed": seed, "made_by": MADE_BY, "study": [asdict(case) for case in study.cases]}
        | ({} if files is None else {"files": files})
    )
    if not path.is_file():
        count = max(1, round(VALIDATION_SHARE * len(patients)))
        drawn = [str(patient) for patient in np.random.default_rng(seed).permutation(patients)]
        posed = {case.patient for case in study.cases if has_pose(case)}
        if len(posed) > 1 and not posed.intersection(drawn[:count]):
            first = min(posed, key=drawn.index)
            drawn.remove(first)
            drawn.insert(0, first)
        with writing(path, "make room, or pass another --run"):
            run.mkdir(parents=True, exist_ok=True)
            write_whole(path, json.dumps({**begun, "validation": sorted(drawn[:count])}, indent=1) + "\n")
    content = read_json(path, "the split of a training run; pass another --run")
    with understood(str(path), "cannot be used; pass another --run"):
        changed = [name for name, value in begun.items() if content.get(name) != value]
        held_out = set(content["validation"])
        known = content.get("files", {})
        odd = [case for case, held in begun.get("files", {}).items() if held != known.get(case)]
    if changed == ["files"] and odd:
        raise InputError(
            f"{run}: the study changed under the run: a file of case {odd[0]} is not what it was; put it back, or pass "
            "another --run"
        )
    if changed:
        raise InputError(f"{run}: was begun with another {changed[0]} ({path.name}); pass another --run")
    return (
        [case for case in study.cases if case.patient not in held_out],
        [case for case in study.cases if case.patient in held_out],
    )
