"""Experiments 1 to 3 of Shiode et al. 2021 on a study folder: images, networks, scores, tables; then the report.

Every step is a list of pieces that can run anywhere and is skipped where it is done, so the same call goes on after
any interruption.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bonelift import progress
from bonelift.experiments.folds import ALL_PAIRS, PAIR_SHARE, Folds, check_folds, draw_folds, read_folds, write_folds
from bonelift.experiments.images import make_case_images
from bonelift.experiments.methods.builtin import BuiltInMethod
from bonelift.experiments.own_methods import BoneMethod, check_methods, learn_method, score_method
from bonelift.experiments.presets import StudyPreset
from bonelift.experiments.results.figures import pyplot
from bonelift.experiments.results.methods import write_methods
from bonelift.experiments.results.report import write_study_report
from bonelift.experiments.results.summary import FailureReason, failure_reasons
from bonelift.experiments.results.tables import collect_scores, failures
from bonelift.experiments.run.case_records import check_unchanged, read_record, require_usable
from bonelift.experiments.run.estimate import expected_cost, in_a_sentence
from bonelift.experiments.run.folder import RunPaths, claim_run, writing
from bonelift.experiments.run.scheduling import Piece, Runner, run_apart, runner
from bonelift.experiments.scores import score_case
from bonelift.experiments.training import train_network, training_tasks
from bonelift.storage.folder_lock import held_folder
from bonelift.study.folder import Study, StudyCase, read_study


@dataclass(frozen=True)
class ExperimentSettings:
    """folds: how many. seed: of folds, images and weights. only: names of the folds to work on, or () for all.

    scheduler: of a Dask cluster that shares study and run folder. workers: processes here where there is none.
    allow_failed: go on without cases that cannot be used; they count as failures. methods: scored beside ours
    (:mod:`bonelift.experiments.own_methods`); with ``workers`` or a scheduler each has to be importable and picklable.
    """

    preset: StudyPreset
    seed: int = 0
    folds: int = 4
    only: tuple[str, ...] = ()
    scheduler: str | None = None
    workers: int = 1
    allow_failed: bool = False
    methods: tuple[BoneMethod, ...] = ()


@dataclass(frozen=True)
class ExperimentOutcome:
    """cases: scored so far; failed_cases: those without images; failed_rows: of the tables; report: the page;
    reasons: why rows failed, in words."""

    cases: int
    failed_cases: int
    failed_rows: int
    report: Path
    reasons: tuple[FailureReason, ...] = ()


def run_experiments(
    study_folder: Path, run: Path, settings: ExperimentSettings, say: Callable[[str], None] = lambda _: None
) -> ExperimentOutcome:
    """Do what is left to do of a run, which no other process works on meanwhile.

    say: told in a sentence what the run will cost, before anything is made.

    Raises InputError: see held_folder, claim_run, read_folds, check_unchanged, require_usable and train_network.
    """
    check_methods(settings.methods)
    pyplot()  # Not to be missed hours later.
    with held_folder(run, "--run"):
        return _run_held(study_folder, run, settings, say)


def _run_held(
    study_folder: Path, run: Path, settings: ExperimentSettings, say: Callable[[str], None]
) -> ExperimentOutcome:
    paths = RunPaths(run)
    study = read_study(study_folder)
    folds = prepare_run(paths, study_folder, study, settings)
    names = settings.only or folds.names
    cases = study.cases
    cost = expected_cost(paths, cases, folds, names, settings.preset)
    say(in_a_sentence(cost, settings.workers, settings.preset.networks.autoencoder_training.device))
    with runner(settings.scheduler, settings.workers) as everywhere:
        images = [
            Piece(
                case.case,
                make_case_images,
                (study_folder, case, paths.images(case.case), settings.preset, settings.seed),
            )
            for case in cases
        ]
        _run_pieces(everywhere, "images", images)
        records = [read_record(paths.images(case.case)) for case in cases]
        require_usable(records, settings.allow_failed)
        for tasks in training_tasks(folds, names):
            if not folds.tests_others(names):
                tasks = [task for task in tasks if task.group != ALL_PAIRS]
            networks = [
                Piece(
                    f"{task.group} {task.network}",
                    train_network,
                    (paths, cases, folds, settings.preset, task, settings.seed),
                )
                for task in tasks
            ]
            _run_pieces(everywhere, "networks", networks)
        tested = [case for case in cases if folds.fold_testing(case.patient).name in names]
        # Fold by fold, so that a process keeps the networks it has loaded.
        tested.sort(key=lambda case: folds.fold_testing(case.patient).name)
        scores = [
            Piece(case.case, score_case, (paths, case, cases, folds, settings.preset, settings.seed)) for case in tested
        ]
        failed_rows = _run_pieces(everywhere, "scores", scores)
        failed_rows += _run_methods(everywhere, paths, cases, tested, folds, names, settings)
    report = write_study_report(run)
    if tested:
        write_methods(run)
    reasons = failure_reasons(failures(*collect_scores(paths)))
    return ExperimentOutcome(
        len(tested), sum(bool(r.failure) for r in records), sum(failed_rows), report, tuple(reasons)
    )


def _run_methods(
    run: Runner,
    paths: RunPaths,
    cases: Sequence[StudyCase],
    tested: Sequence[StudyCase],
    folds: Folds,
    names: Sequence[str],
    settings: ExperimentSettings,
) -> list[int]:
    """Have each method that somebody brought learn every fold, then score it; returns failed rows, case by case."""
    if not settings.methods:
        return []
    fixed = (folds, settings.preset)
    learn = [
        Piece(f"{method.name}, {name}", learn_method, (paths, cases, *fixed, method, name, settings.seed))
        for method in settings.methods
        for name in names
    ]
    _run_pieces(run_apart if _apart(settings) else run, "own methods", learn)
    scores = [
        Piece(f"{method.name}, {case.case}", score_method, (paths, case, cases, *fixed, method, settings.seed))
        for method in settings.methods
        for case in tested
    ]
    return _run_pieces(run, "scores of own methods", scores)


def _apart(settings: ExperimentSettings) -> bool:
    """Whether each method can learn in a process of its own, so that its memory is its alone: built-in ones can."""
    built_in = all(isinstance(method, BuiltInMethod) for method in settings.methods)
    return built_in and settings.scheduler is None and settings.workers == 1


def prepare_run(paths: RunPaths, study_folder: Path, study: Study, settings: ExperimentSettings) -> Folds:
    """Begin or check the run; returns its folds, drawn once and then read from their file."""
    drawn = None if paths.folds.is_file() else _draw(study, settings)
    claim_run(paths, study, settings.preset, settings.seed, settings.folds)
    if drawn is not None:
        with writing(paths.folds):
            write_folds(paths.folds, drawn)
    folds = read_folds(paths.folds)
    check_folds(folds, study)
    for name in settings.only:
        folds.fold(name)
    with progress.bar(len(study.cases), "checking files") as bar:
        check_unchanged(paths, study_folder, study, bar.done)
    return folds


def _draw(study: Study, settings: ExperimentSettings) -> Folds:
    share = settings.preset.pair_share
    return draw_folds(study, settings.folds, settings.seed, PAIR_SHARE if share is None else share)


def _run_pieces(run: Runner, label: str, pieces: Sequence[Piece]) -> list[Any]:
    results: list[Any] = []
    with progress.bar(len(pieces), label) as bar:

        def on_done(name: str, result: Any) -> None:
            results.append(result)
            bar.done(name)

        run(pieces, on_done)
    return results
