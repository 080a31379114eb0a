"""From scores of cases to the tables of a study: everything below is read from, and written into, the run folder."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from bonelift.experiments.results.statistics import (
    Comparison,
    GroupSummary,
    Omnibus,
    friedman,
    normal_differences,
    one_way_anova,
    paired_comparisons,
    paired_ranks,
    repeated_measures_anova,
    summarise,
    tukey_kramer,
)
from bonelift.experiments.run.folder import RunPaths, write_text
from bonelift.experiments.scores import (
    GRID_FLOOR,
    MEAN_BONE,
    NAN,
    SHAPE,
    SOURCES,
    CaseRow,
    TranslationRow,
    read_scores,
)
from bonelift.experiments.surface_scores import ALIGNMENTS
from bonelift.experiments.true_size import TRUE_SIZE
from bonelift.reconstruction.bones import BONES
from bonelift.storage.input_files import MAX_JSON_BYTES, read_text, understood

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

ROWS_FILE, TRANSLATION_FILE = "rows.csv", "translation.csv"
METRICS = ("asd_paper_mm", "asd_surface_mm", "hd95_mm", "dice", "skill_paper", "skill_surface")
Row = TypeVar("Row", bound="DataclassInstance")


TRUE_SIZE_LABEL = f"no skill: {TRUE_SIZE} (knows it from the truth)"


def collect_scores(paths: RunPaths) -> tuple[list[CaseRow], list[TranslationRow]]:
    """All scores so far, in order of their case, also written as rows.csv and translation.csv."""
    rows: list[CaseRow] = []
    translation: list[TranslationRow] = []
    folders = [*(paths.run / "scores").glob("[!.]*"), *paths.methods.glob("[!.]*/scores/[!.]*")]
    for folder in sorted(path for path in folders if path.is_dir()):
        of_case, of_films = read_scores(folder)
        rows += of_case
        translation += of_films
    write_rows(paths.run / ROWS_FILE, CaseRow, rows)
    write_rows(paths.run / TRANSLATION_FILE, TranslationRow, translation)
    return rows, translation


def write_rows(path: Path, kind: type[Row], rows: Sequence[Row]) -> None:
    """CSV with a header; NaN stays empty; appears whole or not at all."""
    text = StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(kind)])
    writer.writerows([_cell(value) for value in asdict(row).values()] for row in rows)
    write_text(path, text.getvalue())


def read_rows(path: Path, kind: type[Row]) -> list[Row]:
    """The rows that ``write_rows`` wrote; an empty number is NaN. Raises InputError where they are no such rows."""
    reader = csv.DictReader(StringIO(read_text(path, "rows of scores", MAX_JSON_BYTES)))
    with understood(str(path), "holds no rows of scores of this version"):
        return [
            kind(**{field.name: _value(row[field.name], str(field.type)) for field in fields(kind)}) for row in reader
        ]


def _value(cell: str, kind: str) -> Any:
    if kind == "float":
        return float(cell) if cell else NAN
    if kind == "bool":
        return {"True": True, "False": False}[cell]
    return int(cell) if kind == "int" else cell


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.5g}"
    return value


@dataclass(frozen=True)
class Line:
    """One line of a table of distances. means: metric -> summary over patients."""

    label: str
    bone: str
    alignment: str
    means: Mapping[str, GroupSummary]


@dataclass(frozen=True)
class Tests:
    """Statistics of one bone, alignment and metric over the four inputs. ranks: signed ranks, and Friedman's test among
    omnibus, where Shapiro-Wilk rejects normality of a paired difference."""

    bone: str
    alignment: str
    metric: str
    groups: tuple[GroupSummary, ...]
    omnibus: tuple[Omnibus, ...]
    tukey: tuple[Comparison, ...]
    paired: tuple[Comparison, ...]
    ranks: tuple[Comparison, ...] = ()


def patient_values(rows: Iterable[CaseRow], metric: str) -> dict[str, float]:
    """patient -> mean over the patient's images and CTs; NaN where none was reconstructed."""
    found: dict[str, list[float]] = {}
    for row in rows:
        found.setdefault(row.patient, []).append(getattr(row, metric))
    return {
        patient: float(np.nanmean(values)) if np.isfinite(values).any() else NAN
        for patient, values in sorted(found.items())
    }


def by_shape(source: str) -> str:
    """The name of an input where the shape regressor read it."""
    return f"{SHAPE}: {source}"


def input_of(row: CaseRow) -> str:
    """What a row's bone was made of: an input, ``by_shape`` of it, or no image at all."""
    if row.method in ("model", MEAN_BONE, TRUE_SIZE, GRID_FLOOR):
        return row.source if row.method == "model" else row.method
    return f"{row.method}: {row.source}"


def brought(rows: Iterable[CaseRow]) -> list[str]:
    """``input_of`` the rows of methods that somebody brought, in the rows' order."""
    ours = ("model", SHAPE, MEAN_BONE, TRUE_SIZE, GRID_FLOOR)
    return list(dict.fromkeys(input_of(row) for row in rows if row.method not in ours))


def chosen(rows: Iterable[CaseRow], source: str, bone: str, alignment: str, pair: bool | None = None) -> list[CaseRow]:
    """Rows of one input, bone and alignment; pairs, the others, or both. source: an input, for the TL net; by_shape of
    it, for the shape regressor; or MEAN_BONE or GRID_FLOOR."""
    return [
        row
        for row in rows
        if input_of(row) == source and row.bone == bone and row.alignment == alignment and pair in (None, row.pair)
    ]


def lines(rows: Sequence[CaseRow], sources: Sequence[tuple[str, str, bool | None]]) -> list[Line]:
    """Table of (label, source, pair) lines for both bones and alignments, a line a patient group."""
    made = []
    for bone in BONES:
        for alignment in ALIGNMENTS:
            for label, source, pair in sources:
                part = chosen(rows, source, bone, alignment, pair)
                if part:
                    means = {m: summarise(label, list(patient_values(part, m).values())) for m in METRICS}
                    made.append(Line(label, bone, alignment, means))
    return made


def experiment_2(rows: Sequence[CaseRow]) -> list[Line]:
    return lines(
        rows,
        [
            ("CT-DRR, all patients", "CT-DRR", None),
            (f"{SHAPE}: CT-DRR", by_shape("CT-DRR"), None),
            ("GAN-DRR, never seen by pix2pix", "GAN-DRR", False),
            (f"{SHAPE}: GAN-DRR and film, never seen by pix2pix", by_shape("GAN-DRR"), False),
            *((_brought_label(name), name, None if name.endswith(": CT-DRR") else False) for name in brought(rows)),
            ("no skill: mean bone", MEAN_BONE, None),
            (TRUE_SIZE_LABEL, TRUE_SIZE, None),
            ("floor: the grid", GRID_FLOOR, None),
        ],
    )


def _brought_label(name: str) -> str:
    return name if name.endswith(": CT-DRR") else f"{name}, never seen by pix2pix"


def experiment_3(rows: Sequence[CaseRow]) -> list[Line]:
    inputs = [(source, source, True) for source in SOURCES]
    inputs += [(by_shape(source), by_shape(source), True) for source in SOURCES]
    inputs += [(name, name, True) for name in brought(rows)]
    no_skill = [("no skill: mean bone", MEAN_BONE, True), (TRUE_SIZE_LABEL, TRUE_SIZE, True)]
    return lines(rows, [*inputs, *no_skill, ("floor: the grid", GRID_FLOOR, True)])


def four_inputs(rows: Sequence[CaseRow], bone: str, alignment: str, metric: str) -> dict[str, list[float]]:
    """source -> one value a pair patient, the same patients in the same order; NaN where one failed."""
    values = {s: patient_values(chosen(rows, s, bone, alignment, True), metric) for s in SOURCES}
    patients = sorted({patient for of_source in values.values() for patient in of_source})
    return {source: [of_source.get(p, NAN) for p in patients] for source, of_source in values.items()}


def tests_of(rows: Sequence[CaseRow], metric: str) -> list[Tests]:
    """The paper's tests and the paired ones, for both bones and alignments."""
    made = []
    for bone in BONES:
        for alignment in ALIGNMENTS:
            groups = four_inputs(rows, bone, alignment, metric)
            omnibus = [one_way_anova(groups), repeated_measures_anova(groups)]
            normal = normal_differences(groups)
            if not normal:
                omnibus.append(friedman(groups))
            made.append(
                Tests(
                    bone,
                    alignment,
                    metric,
                    tuple(summarise(name, values) for name, values in groups.items()),
                    tuple(test for test in omnibus if test is not None),
                    tuple(tukey_kramer(groups)),
                    tuple(paired_comparisons(groups)),
                    () if normal else tuple(paired_ranks(groups)),
                )
            )
    return made


def translation_summary(rows: Sequence[TranslationRow], source: str) -> dict[str, GroupSummary]:
    """Experiment 1, metric -> summary over patients: each one's mean over films."""
    made = {}
    for metric in ("mae", "mae_in_bone", "range", "fraction"):
        by_patient: dict[str, list[float]] = {}
        for row in rows:
            if row.source == source:
                by_patient.setdefault(row.patient, []).append(getattr(row, metric))
        values = [float(np.nanmean(v)) if np.isfinite(v).any() else float("nan") for v in by_patient.values()]
        made[metric] = summarise(metric, values)
    return made


def failures(rows: Sequence[CaseRow], translation: Sequence[TranslationRow]) -> list[tuple[str, str, int]]:
    """(case, reason, number of rows) of what failed."""
    counts: dict[tuple[str, str], int] = {}
    for row in [*rows, *translation]:
        if row.note:
            counts[row.case, row.note] = counts.get((row.case, row.note), 0) + 1
    return [(case, note, count) for (case, note), count in sorted(counts.items())]
