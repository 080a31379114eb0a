"""Which patient trains, validates and tests which network: drawn once, from a seed, and kept as a file.

Two cohorts nest in one partition of the patients. *Pairs* are patients with a registered radiograph whom pix2pix may
learn from (33 of 105 in Shiode et al. 2021); the others with a radiograph are never shown to any pix2pix. Fold k holds
the TL net and the pix2pix that never saw the patients it tests; ``all pairs`` is the pix2pix of the paper's experiment
2, trained on every pair and used only on those who are none. So no image of a patient is ever scored by a network that
saw any image of that patient: both wrists, every CT, view and augmentation go where the patient goes.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bonelift.errors import InputError
from bonelift.storage.input_files import read_json, understood
from bonelift.storage.whole import write_whole
from bonelift.study.folder import Study

FOLDS_FILE = "folds.json"
SCHEMA_VERSION = 1
PAIR_SHARE = 33 / 105
"""Pairs among the patients with a radiograph, as in Shiode et al. 2021."""
VALIDATION_SHARE = 0.15
ALL_PAIRS = "all-pairs"


@dataclass(frozen=True)
class Split:
    """Patients that train a network and that watch over its training; none is in both."""

    training: tuple[str, ...]
    validation: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.training or not self.validation:
            raise InputError(
                f"folds: {len(self.training)} training and {len(self.validation)} validation patients; expected one "
                "of each at least; the study is too small for so many folds"
            )
        _disjoint(self.training, self.validation, "training and validation")


@dataclass(frozen=True)
class Fold:
    """test: patients that neither network of this fold has seen. tl: of the TL net. pix2pix: of the translator."""

    name: str
    test: tuple[str, ...]
    tl: Split
    pix2pix: Split

    def __post_init__(self) -> None:
        for network in ("tl", "pix2pix"):
            split: Split = getattr(self, network)
            _disjoint(self.test, (*split.training, *split.validation), f"{self.name}: test and {network}")


@dataclass(frozen=True)
class Folds:
    """seed: what they were drawn with. pairs: patients whom pix2pix may learn from. all_pairs: pix2pix on all of
    them."""

    seed: int
    pairs: tuple[str, ...]
    folds: tuple[Fold, ...]
    all_pairs: Split

    def __post_init__(self) -> None:
        tested = [patient for fold in self.folds for patient in fold.test]
        if len(set(tested)) < len(tested):
            twice = next(p for p in tested if tested.count(p) > 1)
            raise InputError(f"folds: patient {twice!r} is tested in two folds; expected each patient in one")
        for split in (self.all_pairs, *(fold.pix2pix for fold in self.folds)):
            foreign = {*split.training, *split.validation} - set(self.pairs)
            if foreign:
                raise InputError(f"folds: pix2pix learns from {min(foreign)!r}, who is no pair; draw the folds again")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(fold.name for fold in self.folds)

    def tests_others(self, names: Collection[str]) -> bool:
        """Whether one of these folds tests a patient who is no pair, so that the pix2pix of all pairs has work."""
        return any(patient not in self.pairs for name in names for patient in self.fold(name).test)

    def fold(self, name: str) -> Fold:
        """The fold of that name. Raises InputError where there is none."""
        for fold in self.folds:
            if fold.name == name:
                return fold
        raise InputError(f"fold {name!r} is not in {FOLDS_FILE}; expected one of {', '.join(self.names)}")

    def fold_testing(self, patient: str) -> Fold:
        """The fold whose networks never saw ``patient``. Raises InputError where no fold tests them."""
        for fold in self.folds:
            if patient in fold.test:
                return fold
        raise InputError(f"patient {patient!r} is tested by no fold of {FOLDS_FILE}; draw the folds again")


def draw_folds(study: Study, count: int, seed: int, pair_share: float = PAIR_SHARE) -> Folds:
    """Partition the patients into ``count`` folds of nearly equal size, pairs and others spread evenly.

    Every patient with a registered radiograph can be a pair; where that are more than ``pair_share`` of those with a
    radiograph, so many are drawn (at least ``count``, so that each fold tests one). Raises InputError: too few,
    or a share that is none.
    """
    if count < 2:
        raise InputError(f"folds: {count}; expected 2 or more")
    if not 0 < pair_share <= 1:
        raise InputError(f"--pair-share {pair_share:g}; expected more than 0 and at most 1")
    patients = sorted({case.patient for case in study.cases})
    with_film = {case.patient for case in study.cases if case.radiographs}
    registered = sorted({c.patient for c in study.cases if any(r.pose_file is not None for r in c.radiographs)})
    least = max(count, 4)  # Of two folds, each has to leave two pairs to the other: one trains, one validates.
    wanted = max(least, round(pair_share * len(with_film)))
    if len(registered) < least or len(patients) < 2 * count:
        fewer = min(len(patients) // 2, len(registered))
        can_do = f", or pass --folds {fewer}" if len(registered) >= 4 and 2 <= fewer < count else ""
        what = "add patients" if len(patients) < max(2 * count, least) else "run bonelift register"
        raise InputError(
            f"folds: the study has {len(patients)} patients, {len(registered)} with a registered radiograph; {count} "
            f"folds need {2 * count} patients, and {least} with a registered radiograph; {what}{can_do}"
        )
    rng = np.random.default_rng(seed)
    pairs = [str(p) for p in rng.permutation(registered)[:wanted]]
    others_with_film = [str(p) for p in rng.permutation(sorted(with_film - set(pairs)))]
    others = [str(p) for p in rng.permutation(sorted(set(patients) - with_film))]
    # Dealt like cards, one group after the other: sizes differ by one at most, in all and in each group.
    dealt = [*pairs, *others_with_film, *others]
    tests = [tuple(sorted(dealt[start::count])) for start in range(count)]
    folds = tuple(
        Fold(
            f"fold-{number}",
            test,
            _split(sorted(set(patients) - set(test)), rng),
            _split(sorted(set(pairs) - set(test)), rng),
        )
        for number, test in enumerate(tests, start=1)
    )
    return Folds(seed, tuple(sorted(pairs)), folds, _split(sorted(pairs), rng))


def _split(patients: Sequence[str], rng: np.random.Generator) -> Split:
    shuffled = [str(p) for p in rng.permutation(list(patients))]
    count = max(1, round(VALIDATION_SHARE * len(shuffled)))
    return Split(tuple(sorted(shuffled[count:])), tuple(sorted(shuffled[:count])))


def write_folds(path: Path, folds: Folds) -> None:
    """Write the file; it appears whole or not at all."""
    write_whole(path, json.dumps({"schema_version": SCHEMA_VERSION, **asdict(folds)}, indent=1) + "\n")


def read_folds(path: Path) -> Folds:
    """Read and check: a fold that mixes a patient is refused. Raises InputError, one line."""
    content = read_json(path, "the folds of a study; draw them again")
    with understood(path.name, "cannot be read as folds; draw them again"):
        if content["schema_version"] != SCHEMA_VERSION:
            raise InputError(f"{path.name}: is not a folds file of version {SCHEMA_VERSION}; draw the folds again")
        folds = tuple(
            Fold(str(f["name"]), _names(f["test"]), _read_split(f["tl"]), _read_split(f["pix2pix"]))
            for f in content["folds"]
        )
        return Folds(int(content["seed"]), _names(content["pairs"]), folds, _read_split(content["all_pairs"]))


def check_folds(folds: Folds, study: Study) -> None:
    """Raises InputError where the folds are of another study: a patient is missing in either."""
    patients = {case.patient for case in study.cases}
    tested = {patient for fold in folds.folds for patient in fold.test}
    if patients != tested:
        odd = min(patients ^ tested)
        where = "the study but no fold" if odd in patients else "the folds but not in the study"
        raise InputError(f"{FOLDS_FILE}: patient {odd!r} is in {where}; folds and study do not belong together")


def _read_split(entry: Mapping[str, Sequence[str]]) -> Split:
    return Split(_names(entry["training"]), _names(entry["validation"]))


def _names(entries: Sequence[str]) -> tuple[str, ...]:
    if isinstance(entries, str):
        raise TypeError("a list of patients is a text")
    return tuple(str(entry) for entry in entries)


def _disjoint(first: Collection[str], second: Collection[str], where: str) -> None:
    both = set(first) & set(second)
    if both:
        raise InputError(f"folds: patient {min(both)!r} is in {where} patients; a fold never divides a patient")
