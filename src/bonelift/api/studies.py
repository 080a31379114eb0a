"""Study folders: read, simulated, checked; networks trained on them, and honest experiments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, cast

from bonelift import progress
from bonelift.api.arguments import a_count, a_flag, a_number, a_path, in_python_words, one_of, several, shown
from bonelift.api.reading import FilePath
from bonelift.errors import InputError
from bonelift.extras import is_there, missing
from bonelift.images import View
from bonelift.learning import targets
from bonelift.networks.device import check_device
from bonelift.study import checking, folder
from bonelift.study.checking import StudyCheck
from bonelift.study.folder import Study
from bonelift.study.virtual_cohort import CohortSettings, plan_cohort, simulate_cohort

if TYPE_CHECKING:
    from bonelift.experiments.evaluate import ExperimentOutcome
    from bonelift.experiments.own_methods import BoneMethod
    from bonelift.learning.training import TrainingOutcome

PresetName = Literal["smoke", "laptop", "paper"]
StudyPresetName = Literal["smoke", "small", "laptop", "paper"]
Target = targets.Target | Literal["all"]
_PRESETS = ("smoke", "laptop", "paper")
_STUDY_PRESETS = ("smoke", "small", "laptop", "paper")


@in_python_words
def read_study(study: FilePath) -> Study:
    """The cases of a study folder.

    Parameters
    ----------
    study
        Folder with ``study.json``, which ``bonelift import`` and :func:`simulate` make.

    Returns
    -------
    Study
        ``cases``: of each its patient, side, and the files of CT, labels, landmarks and radiographs, relative to the
        folder.

    Raises
    ------
    InputError
        ``study.json`` is missing, broken or of another version.

    Examples
    --------
    >>> import bonelift
    >>> bonelift.read_study("no-such-folder")
    Traceback (most recent call last):
    bonelift.errors.InputError: no-such-folder: holds no study.json; expected a study folder ...
    """
    return folder.read_study(a_path(study, "study"))


@in_python_words
def check_study(study: FilePath) -> StudyCheck:
    """Look over every case of a study folder: spacing, orientation, side, labels, landmarks, films, poses.

    Parameters
    ----------
    study
        Folder with ``study.json``.

    Returns
    -------
    StudyCheck
        ``cases``: of each its ``findings``, errors (they would spoil an experiment) before warnings (they want a look).

    Raises
    ------
    InputError
        ``study.json`` itself cannot be used.

    Examples
    --------
    >>> import bonelift
    >>> bonelift.check_study("study").count("error")  # doctest: +SKIP
    0
    """
    place = a_path(study, "study")
    with progress.bar(len(folder.read_study(place).cases), "cases") as bar:
        return checking.check_study(place, bar.done)


@in_python_words
def simulate(
    study: FilePath,
    patients: int,
    *,
    seed: int,
    views: Sequence[View] = ("pa",),
    workers: int = 1,
) -> Study:
    """Make a study folder of virtual patients: CT, labels, landmarks, films with their poses, and the truth.

    An interrupted call goes on when it is made again; more patients may be asked for.

    Parameters
    ----------
    study
        Folder to make, or to go on with.
    patients
        How many patients; one wrist each, and every second one a left wrist.
    seed
        Seed of the whole cohort, 0 or above.
    views
        Films of each patient: ``"pa"``, ``"lateral"`` or both.
    workers
        Processes that share the work.

    Returns
    -------
    Study
        As :func:`read_study` gives it.

    Raises
    ------
    InputError
        Wrong numbers, or a folder with something else in it.

    Examples
    --------
    >>> import bonelift
    >>> bonelift.simulate("study", 12, seed=1)  # doctest: +SKIP
    """
    place = a_path(study, "study")
    given = several(views, "views", "'pa', 'lateral' or a list of both")
    chosen = [one_of(view, "views", ("pa", "lateral")) for view in given]
    settings = CohortSettings(
        a_count(patients, "patients", 1, 1_000_000), a_count(seed, "seed"), cast("tuple[View, ...]", tuple(chosen))
    )
    with progress.bar(len(plan_cohort(settings)), "virtual wrists") as bar:
        return simulate_cohort(place, settings, a_count(workers, "workers", 1, 1024), bar.done)


@in_python_words
def train(
    study: FilePath,
    run: FilePath,
    *,
    preset: PresetName,
    target: Target = "all",
    seed: int = 0,
    minutes: float | None = None,
    device: str = "cpu",
) -> TrainingOutcome:
    """Train the networks on a study folder. Needs PyTorch.

    An interrupted call goes on when it is made again.

    Parameters
    ----------
    study
        Folder with ``study.json``; three patients at least.
    run
        Folder for checkpoints and, in the end, ``run/model``, which :func:`load_model` reads.
    preset
        ``"smoke"`` (a minute, learns nothing), ``"laptop"`` (two cores, hours) or ``"paper"`` (a GPU).
    target
        ``"all"``, or one of ``"locator"``, ``"pix2pix"``, ``"tl"``, ``"shape"``.
    seed
        Seed of split, samples and training: the same seed gives the same networks on the CPU.
    minutes
        Ends each stage by the clock.
    device
        ``"cpu"`` or ``"cuda"``.

    Returns
    -------
    TrainingOutcome
        ``metrics`` of the last validation of each target, ``model`` (the folder, or None while networks are missing)
        and ``notes``.

    Raises
    ------
    InputError
        A study that holds too little, a run folder of another study, preset or seed, or PyTorch is not installed.

    Examples
    --------
    >>> import bonelift
    >>> bonelift.train("study", "run", preset="laptop").model  # doctest: +SKIP
    """
    _need("torch", "train")
    # Imported here: torch takes seconds, and the other functions of this module do without it.
    from bonelift.learning.presets import load_preset, timed
    from bonelift.study.training_run import TrainingSettings, train_on_study

    chosen = load_preset(one_of(preset, "preset", _PRESETS), check_device(device))
    if minutes is not None:
        length = a_number(minutes, "minutes", "min")
        if length <= 0:
            raise InputError(f"minutes is {length:g}; expected a time above 0")
        chosen = timed(chosen, length)
    wanted = cast("Target", one_of(target, "target", ("all", *targets.TARGETS)))
    return train_on_study(
        wanted, a_path(study, "study"), a_path(run, "run"), TrainingSettings(chosen, a_count(seed, "seed"))
    )


@in_python_words
def evaluate(
    study: FilePath,
    run: FilePath,
    *,
    preset: StudyPresetName,
    methods: Sequence[BoneMethod] = (),
    folds: int = 4,
    only: Sequence[str] = (),
    seed: int = 0,
    device: str = "cpu",
    workers: int = 1,
    allow_failed: bool = False,
) -> ExperimentOutcome:
    """Experiments 1 to 3 on a study folder, each patient scored by networks that never saw them. Needs PyTorch.

    An interrupted call goes on when it is made again.

    Parameters
    ----------
    study
        Folder with ``study.json``: at least two patients a fold, four with a registered radiograph.
    run
        Folder for everything that is made: ``rows.csv``, ``report.html`` and what they were made from.
    preset
        ``"smoke"``, ``"small"`` (small networks, minutes), ``"laptop"`` or ``"paper"``.
    methods
        Methods of one's own, each a :class:`BoneMethod`: they learn from the same patients and become scored rows
        beside ours. docs/own-method.md shows one.
    folds
        How many folds; a patient is in one of them only.
    only
        Names of the folds to work on (``"fold-1"``); all where it is empty.
    seed
        Seed of folds, images and weights.
    device
        ``"cpu"`` or ``"cuda"``, for training.
    workers
        Processes that share the cores. With more than one, a method has to be importable.
    allow_failed
        Whether to go on without cases that cannot be used; they count as failures.

    Returns
    -------
    ExperimentOutcome
        ``cases`` scored, ``failed_cases``, ``failed_rows``, and ``report``, the page.

    Raises
    ------
    InputError
        A study that is too small, a run of another study, preset or seed, what is no method, or PyTorch or matplotlib
        is not installed.

    Examples
    --------
    >>> import bonelift
    >>> bonelift.evaluate("study", "run", preset="laptop", methods=[MyNetwork()]).report  # doctest: +SKIP
    """
    _need("torch", "evaluate")
    _need("matplotlib", "evaluate")
    # Imported here: torch takes seconds, and the other functions of this module do without it.
    from bonelift.experiments.evaluate import ExperimentSettings, run_experiments
    from bonelift.experiments.presets import load_study_preset

    if not isinstance(methods, list | tuple):
        raise InputError(f"methods is {shown(methods)}; expected a list of methods")
    settings = ExperimentSettings(
        load_study_preset(one_of(preset, "preset", _STUDY_PRESETS), check_device(device)),
        a_count(seed, "seed"),
        a_count(folds, "folds", 2),
        tuple(several(only, "only", "a list of names of folds")),
        None,
        a_count(workers, "workers", 1, 1024),
        a_flag(allow_failed, "allow_failed"),
        tuple(methods),
    )
    return run_experiments(a_path(study, "study"), a_path(run, "run"), settings)


def _need(module: str, what: str) -> None:
    if not is_there(module):
        raise missing(module, what)
