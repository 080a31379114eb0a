"""How far the measurements of a reconstruction are off, on virtual patients that no network saw, through whole films.

Of each patient a PA and a lateral film are simulated; each by itself and both together go through the main job as a
user's files would. What comes out is held against the true bones at their true pose, with their exact landmarks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from bonelift.anatomy.frame import SHOWN_ABOVE_MM
from bonelift.anatomy.measurement_facts import MEASUREMENTS
from bonelift.anatomy.shape_model import WristShape, load_shape_model
from bonelift.images import Radiograph, Side, View
from bonelift.networks.model import WristModel
from bonelift.phantom.patient import make_patient
from bonelift.phantom.whole_film import simulated_film
from bonelift.reconstruction.bones import BONES, Bones, code_by_bone
from bonelift.reconstruction.job import reconstruct
from bonelift.reconstruction.measured import MeasuredValue, measure_bones, measure_film
from bonelift.reconstruction.measurement_errors import MeasurementError
from bonelift.surface.clip import clip_below

Float = NDArray[np.float64]

INPUTS: dict[str, tuple[View, ...]] = {"pa": ("pa",), "lateral": ("lateral",), "pa and lateral": ("pa", "lateral")}
"""What is given to the main job, by its name in the table."""
RESAMPLES = 2000
READER_DRAWS = 16


@dataclass(frozen=True)
class MeasurementRow:
    """One measurement of one patient from one kind of input. true, measured: in the measurement's unit, NaN where there
    is none. reader_sd: what the reader's own expected errors come to in it; NaN for film measurements. quality: the
    job's score."""

    model: str
    patient: int
    sex: str
    side: Side
    input: str
    key: str
    true: float
    measured: float
    reader_sd: float
    quality: float


def patient_rows(seed: int, model: WristModel, inputs: Sequence[str]) -> list[MeasurementRow]:
    """All measurements of one virtual patient, from each of ``inputs`` (names of INPUTS)."""
    patient = make_patient(seed, load_shape_model())
    side: Side = "left" if seed % 2 else "right"
    views: tuple[View, ...] = ("pa", "lateral")
    films: dict[View, tuple[Radiograph, Float]] = {
        view: simulated_film(patient, np.random.default_rng([seed, 2 + number]), view, side)
        for number, view in enumerate(views)
        if any(view in INPUTS[name] for name in inputs)
    }
    truth = {value.facts.key: value.value for value in true_values(patient.shape, films)}
    rows = []
    for name in inputs:
        result = reconstruct([films[view][0] for view in INPUTS[name]], model)
        found = {value.facts.key: value.value for value in result.measurements}
        spread = {} if result.bones is None else reader_sd(result.bones, model, seed)
        rows += [
            MeasurementRow(
                model.weights_sha256[:12],
                seed,
                patient.shape.sex,
                side,
                name,
                key,
                truth[key],
                found.get(key, float("nan")),
                spread.get(key, float("nan")),
                result.quality.score,
            )
            for key, facts in MEASUREMENTS.items()
            if facts.view is None or facts.view in INPUTS[name]
        ]
    return rows


def true_values(shape: WristShape, films: Mapping[View, tuple[Radiograph, Float]]) -> list[MeasuredValue]:
    """The measurements of the true bones, in 3D and as a perfect reader would take them off each film.

    films: view -> the film and camera_from_radius (4, 4) of the right wrist that it shows or mirrors.
    """
    surfaces = {name: getattr(shape, name) for name in BONES}
    values = [*measure_bones(surfaces, shape.landmarks)]
    for view, (film, pose) in films.items():
        poses = {"radius": pose, "ulna": pose}
        values += measure_film(surfaces, view, poses, film.camera.sdd_mm, landmarks=shape.landmarks)
    return values


def reader_sd(bones: Bones, model: WristModel, seed: int) -> dict[str, float]:
    """Standard deviation of each 3D measurement over bones drawn as the reader expects its own errors to be; empty
    where it tells none."""
    if bones.code_sd is None:
        return {}
    rng = np.random.default_rng([seed, 9])
    values: dict[str, list[float]] = {}
    for _ in range(READER_DRAWS):
        code = bones.code + bones.code_sd * rng.normal(size=bones.code_sd.shape)
        drawn = {
            name: clip_below(model.bases[name].decode(part), SHOWN_ABOVE_MM)
            for name, part in code_by_bone(code, model).items()
        }
        for value in measure_bones(drawn):
            values.setdefault(value.facts.key, []).append(value.value)
    return {key: float(np.std(finite)) for key, all_of in values.items() if len(finite := _finite(all_of)) > 2}


def _finite(values: Sequence[float]) -> Float:
    numbers = np.asarray(values, dtype=np.float64)
    return numbers[np.isfinite(numbers)]


def error_of(true: Float, measured: Float, seed: int = 0) -> MeasurementError:
    """Errors of ``measured`` (N,) against ``true`` (N,), NaN where either is missing, beside those of the mean of the
    other patients' true values. The interval of the skill is a bootstrap over patients (RESAMPLES, 95 %)."""
    kept = np.isfinite(true) & np.isfinite(measured)
    true, measured = true[kept], measured[kept]
    count = len(true)
    if count < 3:
        missing = float("nan")
        return MeasurementError(count, *[missing] * 7)
    off = measured - true
    others = (true.sum() - true) / (count - 1)
    ours, theirs = np.abs(off), np.abs(others - true)
    drawn = np.random.default_rng(seed).integers(0, count, (RESAMPLES, count))
    with np.errstate(divide="ignore", invalid="ignore"):  # few patients drawn who are all the mean
        skills = 1 - ours[drawn].mean(axis=1) / theirs[drawn].mean(axis=1)
    low, high = np.nanpercentile(skills, [2.5, 97.5], method="nearest")
    varies = true.std() > 0 and measured.std() > 0
    together = np.corrcoef(true, measured)[0, 1] if varies else float("nan")
    return MeasurementError(
        count,
        float(ours.mean()),
        float(off.mean()),
        float(theirs.mean()),
        float(1 - ours.mean() / theirs.mean()),
        float(low),
        float(high),
        float(together),
    )


def errors_by_input(rows: Sequence[MeasurementRow]) -> dict[str, dict[str, MeasurementError]]:
    """input -> measurement key -> its errors, in the order of INPUTS and MEASUREMENTS; inputs without rows left out."""
    found: dict[str, dict[str, MeasurementError]] = {}
    for name in INPUTS:
        for key in MEASUREMENTS:
            chosen = [row for row in rows if row.input == name and row.key == key]
            if chosen:
                error = error_of(np.array([row.true for row in chosen]), np.array([row.measured for row in chosen]))
                found.setdefault(name, {})[key] = error
    return found


def reader_ranks(rows: Sequence[MeasurementRow]) -> dict[str, tuple[int, float, float, float]]:
    """key -> (patients, rank correlation of the reader's own SD with the true absolute error, mean of each)."""
    found = {}
    for key in MEASUREMENTS:
        pairs = np.array([(row.reader_sd, abs(row.measured - row.true)) for row in rows if row.key == key])
        pairs = pairs[np.isfinite(pairs).all(axis=1)] if len(pairs) else pairs
        if len(pairs) > 10:
            told, off = pairs.T
            found[key] = (len(pairs), float(np.asarray(spearmanr(told, off))[0]), float(told.mean()), float(off.mean()))
    return found


def rounded(error: MeasurementError) -> MeasurementError:
    """Rounded to what a table of hundred patients can tell."""
    return replace(error, **{name: round(value, 4) for name, value in vars(error).items() if name != "cases"})
