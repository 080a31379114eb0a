"""The rows of the methods that a run sets side by side: distances, failures, cost, and the tests between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bonelift.experiments.folds import Folds
from bonelift.experiments.methods.builtin import METHODS
from bonelift.experiments.results.statistics import (
    Comparison,
    GroupSummary,
    Omnibus,
    friedman,
    normal_differences,
    paired_comparisons,
    paired_ranks,
    repeated_measures_anova,
    summarise,
)
from bonelift.experiments.results.tables import by_shape, input_of
from bonelift.experiments.run.cost import COST_FILE, LEARNED_FILE, READ_S
from bonelift.experiments.run.folder import RunPaths, read_run
from bonelift.experiments.scores import MEAN_BONE, SHAPE, CaseRow
from bonelift.experiments.training import DONE_FILE
from bonelift.experiments.true_size import TRUE_SIZE
from bonelift.reconstruction.bones import BONES
from bonelift.storage.input_files import read_json, understood

METRIC = "asd_surface_mm"
NO_SKILL = {MEAN_BONE: "no skill: mean bone", TRUE_SIZE: f"no skill: {TRUE_SIZE}"}
OUR_READING = by_shape("GAN-DRR")
"""``input_of`` the rows of ours that a clinic could have."""
_IDEAL = "its bones are cut out along the true outline, as by an ideal hand; pairs only"
OURS = {
    "GAN-DRR": ("TL net on the GAN-DRR (Shiode 2021)", ""),
    OUR_READING: ("shape regressor on the GAN-DRR (ours)", ""),
    "histogram-matched": ("TL net on the histogram-matched film (Shiode 2021)", _IDEAL),
    by_shape("histogram-matched"): ("shape regressor on the histogram-matched film", _IDEAL),
}
"""What was made of a film by our own networks: ``input_of`` its rows -> title, note."""
KNOWS_TRUTH = (TRUE_SIZE, "histogram-matched", by_shape("histogram-matched"))
"""``input_of`` rows of what no clinic could have: they know the truth's size, or its outline and its grey values."""
Values = dict[str, dict[str, float]]
"""method (``input_of`` its rows) -> patient -> mm, NaN where it failed."""


@dataclass(frozen=True)
class MethodCost:
    """seconds: of the processor, of the training. each_s: of the processor, to make the bones of one image. peak_mib:
    of the process that trained. updates: of one fold's networks. NaN where it was not measured."""

    seconds: float = float("nan")
    each_s: float = float("nan")
    peak_mib: float = float("nan")
    updates: int = 0


@dataclass(frozen=True)
class MethodRow:
    """One method over all patients. summaries: (bone, alignment) -> of patients' means. failed: films of ``films``.
    elsewhere: it learned from other patients than the fold's."""

    name: str
    title: str
    note: str
    summaries: Mapping[tuple[str, str], GroupSummary]
    skill: float
    films: int
    failed: int
    reasons: tuple[tuple[str, int], ...]
    cost: MethodCost
    elsewhere: bool = False


def rows_of_films(rows: Sequence[CaseRow]) -> list[CaseRow]:
    """Rows of methods that could be used in a clinic, and of what looks at no image, of cases that have a film."""
    with_film = {row.case for row in rows if row.source in ("GAN-DRR", "film")}
    kept = [row for row in rows if input_of(row) in (*OURS, *NO_SKILL) or _brought_name(row)]
    return [row for row in kept if row.case in with_film and row.source not in ("CT-DRR", "registration-DRR")]


def _brought_name(row: CaseRow) -> str:
    """The name of the method that somebody brought, or ""."""
    known = ("model", "shape regressor", MEAN_BONE, TRUE_SIZE, "grid floor")
    return "" if row.method in known else row.method


def values_of(rows: Sequence[CaseRow], bone: str, alignment: str, metric: str = METRIC) -> Values:
    """Mean over each patient's films, in the order of patients; every method has every patient."""
    patients = sorted({row.patient for row in rows})
    found: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        if (row.bone, row.alignment) == (bone, alignment):
            found.setdefault(input_of(row), {}).setdefault(row.patient, []).append(getattr(row, metric))
    return {method: {patient: finite_mean(of.get(patient, [])) for patient in patients} for method, of in found.items()}


def finite_mean(values: Sequence[float]) -> float:
    """NaN where none is finite."""
    kept = [value for value in values if np.isfinite(value)]
    return float(np.mean(kept)) if kept else float("nan")


def method_row(paths: RunPaths, folds: Folds, name: str, rows: Sequence[CaseRow]) -> MethodRow:
    """name: ``input_of`` its rows."""
    own = [row for row in rows if input_of(row) == name]
    brought = _brought_name(own[0])
    title, note = OURS.get(name, (NO_SKILL.get(name, name), ""))
    if brought:
        built_in = METHODS.get(brought)
        title = _said(paths, brought, "title") or (built_in.title if built_in else name)
        note = _said(paths, brought, "note") or (built_in.note if built_in else "one's own")
    summaries = {}
    for bone in BONES:
        for alignment in ("as predicted", "rigid"):
            values = values_of(own, bone, alignment).get(name, {})
            summaries[bone, alignment] = summarise(name, list(values.values()))
    skill = values_of(own, "radius", "rigid", "skill_surface").get(name, {})
    films = {(row.case, row.image): "" for row in own}
    films |= {(row.case, row.image): row.note for row in own if row.note}
    reasons = Counter(note_of for note_of in films.values() if note_of)
    cost = _brought_cost(paths, brought) if brought else _own_cost(paths, folds, name)
    return MethodRow(
        name, title, note, summaries, finite_mean(list(skill.values())), len(films), sum(reasons.values()),
        tuple(reasons.most_common()), cost, _said(paths, brought, "learned_elsewhere") == "True",
    )  # fmt: skip


def _said(paths: RunPaths, method: str, what: str) -> str:
    """What the method itself told of itself when it learned (title, note, learned_elsewhere), or ""."""
    if not method:
        return ""
    learned = sorted((paths.methods / method).glob(f"*/{LEARNED_FILE}"))
    said = [str(read_json(path, "what a method learned").get(what, "")) for path in learned]
    return next(filter(None, said), "").replace("|", "/").replace("\n", " ")


def _brought_cost(paths: RunPaths, method: str) -> MethodCost:
    home = paths.methods / method
    learned = [_noted(path) for path in sorted(home.glob(f"*/{LEARNED_FILE}"))]
    return _cost(learned, _read_s(sorted(home.glob(f"scores/*/{COST_FILE}")), method))


def _read_s(costs: Sequence[Path], method: str) -> float:
    """Median over cases of what it took to make the bones of one image; a process's first one also starts libraries."""
    found = [_noted(path).get(f"{READ_S}{method}", float("nan")) for path in costs]
    kept = [seconds for seconds in found if np.isfinite(seconds)]
    return float(np.median(kept)) if kept else float("nan")


def _own_cost(paths: RunPaths, folds: Folds, name: str) -> MethodCost:
    """Of the TL net or S of all folds; without pix2pix, which all share that read a GAN-DRR."""
    if name in NO_SKILL:
        return MethodCost()
    network = "shape" if name.startswith("shape regressor") else "tl"
    done = [paths.network(fold) / f"{network}-{DONE_FILE}" for fold in folds.names]
    trainings = read_run(paths)["preset"]["networks"]
    stages = ("shape",) if network == "shape" else ("autoencoder", "predictor", "finetune")
    updates = sum(int(trainings[f"{stage}_training"]["loop"]["updates"]) for stage in stages)
    read_s = _read_s(sorted(paths.run.glob(f"scores/[!.]*/{COST_FILE}")), "model" if network == "tl" else SHAPE)
    return replace(_cost([_noted(path) for path in done if path.is_file()], read_s), updates=updates)


def translator_cost(paths: RunPaths, folds: Folds) -> MethodCost:
    """Of pix2pix of the folds, which every method has before it that reads a GAN-DRR."""
    done = [paths.network(fold) / f"pix2pix-{DONE_FILE}" for fold in folds.names]
    updates = int(read_run(paths)["preset"]["networks"]["pix2pix_training"]["loop"]["updates"])
    return replace(_cost([_noted(path) for path in done if path.is_file()], float("nan")), updates=updates)


def _cost(learned: Sequence[Mapping[str, float]], each_s: float) -> MethodCost:
    seconds = sum(noted["seconds"] for noted in learned) if learned else float("nan")
    return MethodCost(
        seconds,
        each_s,
        max((noted["peak_mib"] for noted in learned), default=float("nan")),
        int(max((noted["updates"] for noted in learned), default=0)),
    )


def _noted(path: Path) -> Mapping[str, float]:
    noted = read_json(path, f"what a method cost ({path}); delete its folder and run again", nan=True)
    with understood(str(path), "does not say what a method cost; delete its folder and run again"):
        known = {name: float(noted.get(name, 0.0)) for name in ("seconds", "peak_mib", "updates")}
        return known | {name: float(value) for name, value in noted.items() if name.startswith(READ_S)}


@dataclass(frozen=True)
class MethodTests:
    """normal: whether Shapiro-Wilk rejected for no paired difference. omnibus, pairs: t and F, or ranks, accordingly;
    of the methods that have at least three patients in common. patients: of all."""

    normal: bool
    omnibus: Omnibus | None
    pairs: tuple[Comparison, ...]
    patients: int = 0

    @property
    def can_find(self) -> bool:
        """Whether some pair could differ after Holm's correction: of n patients the least p of signed ranks is
        2 / 2^n."""
        return self.normal or len(self.pairs) * 2.0 ** (1 - self.patients) < 0.05


def compared(values: Values) -> MethodTests:
    """Over the methods; those that failed on every patient are left out."""
    groups = {method: list(of.values()) for method, of in values.items() if np.isfinite(list(of.values())).sum() >= 3}
    normal, patients = normal_differences(groups), max((len(of) for of in groups.values()), default=0)
    if normal:
        return MethodTests(True, repeated_measures_anova(groups), tuple(paired_comparisons(groups)), patients)
    return MethodTests(False, friedman(groups), tuple(paired_ranks(groups)), patients)


def mean_of(row: MethodRow, bone: str, alignment: str) -> float:
    """Over patients, mm; infinite where the method gave no bone."""
    mean = row.summaries[bone, alignment].mean
    return mean if np.isfinite(mean) else np.inf
