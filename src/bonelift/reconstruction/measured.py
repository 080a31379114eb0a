"""The measurements of a reconstruction: on its bones in 3D, and on each film as a reader would take them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonelift.anatomy.film_measurements import (
    FilmProjection,
    LateralFilmMeasurements,
    PaFilmMeasurements,
    measure_lateral_film,
    measure_pa_film,
)
from bonelift.anatomy.landmarks import find_landmarks
from bonelift.anatomy.measurement_facts import Kind, MeasurementFacts, facts_of
from bonelift.anatomy.measurements import Measurements, measure
from bonelift.anatomy.shape_model import load_shape_model
from bonelift.errors import InputError
from bonelift.images import View
from bonelift.reconstruction.bones import Bones
from bonelift.reconstruction.cut import PreparedFilm
from bonelift.reconstruction.measurement_errors import ErrorTable, MeasurementError
from bonelift.reconstruction.place import PlacedFilm
from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]

NOT_MEASURED = "the surface it is read from is missing or flat"
NO_SKILL = "no better than answering with the mean of all adults"


@dataclass(frozen=True)
class MeasuredValue:
    """One number with what it means.

    name: ``facts.name``, and the image's number where two images show the same view: no name stands for two values.
    value: NaN where it could not be measured, and then ``reason`` says why. film: the image it was read off, from 1;
    None of a 3D one. error: what it is expected to be off by; None where that is not known.
    """

    facts: MeasurementFacts
    name: str
    value: float
    reason: str = ""
    film: int | None = None
    error: MeasurementError | None = None

    @property
    def unit(self) -> str:
        return self.facts.unit

    @property
    def has_skill(self) -> bool | None:
        """Whether it tells more than the mean of all adults does; None where its error is not known."""
        return None if self.error is None else self.error.has_skill

    @property
    def is_normal(self) -> bool | None:
        """Whether it lies in the published range of healthy adults; None where there is no range or no value."""
        if self.facts.normal is None or not np.isfinite(self.value):
            return None
        return self.facts.normal.low <= self.value <= self.facts.normal.high

    @property
    def note(self) -> str:
        """What has to be said beside the number, in words; empty where there is nothing."""
        if not np.isfinite(self.value):
            return self.reason
        remarks = [NO_SKILL] if self.has_skill is False else []
        if self.is_normal is False and self.has_skill is not False:
            remarks.append("outside of the normal range")
        return "; ".join(remarks)


def measurements_of(
    bones: Bones, films: Sequence[PreparedFilm], placed: Sequence[PlacedFilm], errors: ErrorTable | None
) -> tuple[MeasuredValue, ...]:
    """Every measurement of a reconstruction, 3D first, each with its expected error where ``errors`` knows it."""
    found = [*measure_bones(bones.surfaces)]
    for number, (film, there) in enumerate(zip(films, placed, strict=True), start=1):
        camera = {name: film.film.camera.camera_from_world @ pose for name, pose in there.canonical_from_bone.items()}
        found += measure_film(bones.surfaces, film.radiograph.view, camera, film.radiograph.camera.sdd_mm, number)
    known = {} if errors is None else errors.measurements
    return tuple(replace(value, error=known.get(value.facts.key)) for value in uniquely_named(found))


def measure_bones(
    surfaces: Mapping[str, TriangleMesh], landmarks: Mapping[str, Float] | None = None
) -> tuple[MeasuredValue, ...]:
    """The 3D measurements of right bones in the radius frame. landmarks: where they are known; None finds them."""

    def read(marks: Mapping[str, Float]) -> Measurements:
        return measure(surfaces["radius"], surfaces["ulna"], marks)

    return _measured("3D", None, None, read, surfaces, landmarks)


def measure_film(
    surfaces: Mapping[str, TriangleMesh],
    view: View,
    camera_from_bone: Mapping[str, Float],
    sdd_mm: float,
    number: int = 1,
    landmarks: Mapping[str, Float] | None = None,
) -> tuple[MeasuredValue, ...]:
    """What a film of one view shows of right bones (radius frame) at their poses (4, 4) before its camera.

    A left wrist is measured as the mirror image of a right one: ``camera_from_bone`` leads to the mirrored camera.
    number: of the image. landmarks: of the bones where they are known; None finds them.
    """
    film = FilmProjection(camera_from_bone["radius"], camera_from_bone["ulna"], sdd_mm, view)

    def read(marks: Mapping[str, Float]) -> PaFilmMeasurements | LateralFilmMeasurements:
        if view == "pa":
            return measure_pa_film(surfaces["radius"], surfaces["ulna"], marks, film)
        return measure_lateral_film(surfaces["radius"], marks, film)

    return _measured("film", view, number, read, surfaces, landmarks)


def _measured(
    kind: Kind,
    view: View | None,
    number: int | None,
    read: Callable[[Mapping[str, Float]], Measurements | PaFilmMeasurements | LateralFilmMeasurements],
    surfaces: Mapping[str, TriangleMesh],
    landmarks: Mapping[str, Float] | None,
) -> tuple[MeasuredValue, ...]:
    """The values of one kind; all of them with the reason where they cannot be measured."""
    try:
        marks = landmarks or find_landmarks(surfaces["radius"], surfaces["ulna"], load_shape_model().landmarks)
        values, reason = asdict(read(marks)), NOT_MEASURED
    except InputError as error:
        values, reason = {}, str(error)
    found = []
    for facts in facts_of(kind, view):
        value = float(values.get(facts.field, np.nan))
        missing = "" if np.isfinite(value) else reason
        found.append(MeasuredValue(facts, facts.name, value if not missing else float("nan"), missing, number))
    return tuple(found)


def uniquely_named(values: Sequence[MeasuredValue]) -> list[MeasuredValue]:
    """The image's number in the name where two images show the same view."""
    count = Counter(value.name for value in values)
    return [
        replace(value, name=f"{value.name}, image {value.film}") if count[value.name] > 1 else value for value in values
    ]


def measurement_rows(values: Sequence[MeasuredValue]) -> list[dict[str, Any]]:
    """One row a measurement, for JSON and CSV; unknown numbers are None.

    Keys: name, key, kind, film, value, unit, expected_error, bias, no_skill_error, has_skill, normal_low, normal_high,
    normal_source, definition, note.
    """
    rows = []
    for value in values:
        normal, error = value.facts.normal, value.error
        rows.append(
            {
                "name": value.name,
                "key": value.facts.key,
                "kind": value.facts.kind,
                "film": value.film,
                "value": value.value if np.isfinite(value.value) else None,
                "unit": value.unit,
                "expected_error": None if error is None else error.mean_abs,
                "bias": None if error is None else error.bias,
                "no_skill_error": None if error is None else error.no_skill,
                "has_skill": value.has_skill,
                "normal_low": None if normal is None else normal.low,
                "normal_high": None if normal is None else normal.high,
                "normal_source": value.facts.no_range if normal is None else normal.source,
                "definition": value.facts.definition,
                "note": value.note,
            }
        )
    return rows
