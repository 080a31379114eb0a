"""What goes into a report: plain frozen data that the main job fills in. Nothing here names the patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bonelift.anatomy.shape_uncertainty import ExpectedDistance
from bonelift.errors import InputError
from bonelift.geometry import XrayCamera
from bonelift.images.radiograph import Side, View
from bonelift.surface.distance import SurfaceDistances
from bonelift.surface.mesh import TriangleMesh

Severity = Literal["info", "warning", "severe"]
MeasurementKind = Literal["3D", "film"]


@dataclass(frozen=True)
class Flag:
    """One remark of the quality check: what was seen and why it matters, in one sentence."""

    severity: Severity
    text: str


@dataclass(frozen=True)
class Fact:
    """A fact the reconstruction rests on, and where it came from: ``Fact("Side", "right", "option --side")``."""

    name: str
    value: str
    source: str


@dataclass(frozen=True)
class Measurement:
    """One row of the measurement table.

    name: unique, and says whether the number is 3D or off which film. unit: as shown ("mm", "deg"). truth: where it is
    known (the demo). kind: "3D" (on the bones) or "film" (in the plane of a film). definition: one or two sentences.
    expected_error, bias: mean absolute and mean error on patients never used for training, in ``unit``; None where they
    are not known. has_skill: False where the error is no better than the mean's (the row is then greyed, and ``note``
    says so), None where that is not known. normal_range: (low, high) of healthy adults, None where none is published;
    normal_source: where it comes from, or what is known instead. note: what has to be said beside the number.
    """

    name: str
    value: float
    unit: str
    truth: float | None = None
    kind: MeasurementKind = "3D"
    definition: str = ""
    expected_error: float | None = None
    bias: float | None = None
    has_skill: bool | None = None
    normal_range: tuple[float, float] | None = None
    normal_source: str = ""
    note: str = ""


@dataclass(frozen=True, eq=False)
class ReportFilm:
    """One radiograph and what was made of it.

    pixels: (rows, columns) as recorded, bone bright, any scale.
    camera: its geometry; world in mm.
    source_to_object_mm: distance from the source to the wrist, for the scale bar.
    bones_world: name -> the reconstructed bone in the camera's world, of the patient's own side: exactly what the
        overlay shows. Empty where no pose was found.
    gan_drr: (rows, columns) line integrals (dimensionless) of the translated film, upright and as a right wrist; None
        where there is none. flipped: whether the film had to be flipped left to right for that.
    """

    view: View
    pixels: NDArray[np.floating]
    camera: XrayCamera
    source_to_object_mm: float
    bones_world: Mapping[str, TriangleMesh]
    gan_drr: NDArray[np.floating] | None = None
    flipped: bool = False
    world_from_radius: NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False)
class TruthComparison:
    """The known answer, for the demo and for virtual patients.

    bones: name -> true mesh in the radius frame (canonical right), clipped as the reconstruction was.
    as_predicted, after_rigid_alignment: name -> distances; never one under the other's name.
    mean_bone: name -> the no-skill baseline as predicted (the mean bone of the training patients), where at hand.
    mean_bone_aligned: the same after rigid alignment.
    """

    bones: Mapping[str, TriangleMesh]
    as_predicted: Mapping[str, SurfaceDistances]
    after_rigid_alignment: Mapping[str, SurfaceDistances]
    mean_bone: Mapping[str, SurfaceDistances] = field(default_factory=dict)
    mean_bone_aligned: Mapping[str, SurfaceDistances] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ReportContent:
    """Everything on the page.

    title: heading, without identity: "Right wrist, PA view" or the like.
    side: of the patient. ``bones`` are right bones in the radius frame; a left wrist is mirrored back for the eye.
    bones: name ("radius", "ulna") -> mesh in the radius frame (canonical right), mm. May be empty.
    quality_score: 0 (useless) to 1, or None where not judged; flags: most severe first or not, the page sorts them.
    model_id, model_sha256: which weights; timings_s: step -> seconds, in order.
    measurements_note: where the expected errors of the measurements come from, or why they are not known.
    created: when, as text, e.g. "2026-11-23 01:40 UTC"; None leaves it out.
    label: the user's own name for the case (:func:`case_label`), never one that was read from a file.
    settings: of the reconstruction, JSON-able. expected: bone -> mean distance to the true surface that the result
        expects of itself, mm; empty where it is not told.
    """

    title: str
    side: Side
    films: tuple[ReportFilm, ...]
    bones: Mapping[str, TriangleMesh]
    facts: tuple[Fact, ...]
    measurements: tuple[Measurement, ...]
    flags: tuple[Flag, ...]
    quality_score: float | None
    model_id: str
    model_sha256: str
    timings_s: Mapping[str, float]
    truth: TruthComparison | None = None
    created: str | None = None
    measurements_note: str = ""
    label: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    expected: Mapping[str, ExpectedDistance] = field(default_factory=dict)

    @property
    def heading(self) -> str:
        """The title, with the case label before it where one was given."""
        return f"{self.label}: {self.title}" if self.label else self.title


LONGEST_LABEL = 60


def case_label(text: str) -> str:
    """``text`` as the label of a case. Raises InputError where it is empty, long, or holds more than one line."""
    label = text.strip()
    if not label or len(label) > LONGEST_LABEL or not label.isprintable():
        raise InputError(
            f"case label: got {text!r}; expected one line of 1 to {LONGEST_LABEL} characters, such as a study number"
        )
    return label


@dataclass(frozen=True)
class ReportExtras:
    """What the user adds to a report. label: of the case (:func:`case_label`). pdf: whether report.pdf is written."""

    label: str | None = None
    pdf: bool = False
