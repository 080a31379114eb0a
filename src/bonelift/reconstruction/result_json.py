"""``reconstruction.json``: the numbers of a reconstruction, for programs. Format 3; docs/reconstruction-json.md."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonelift import RESEARCH_NOTICE, __version__
from bonelift.geometry.patient_frame import PATIENT_FRAME_NOTE, PATIENT_FROM_OWN_SIDE
from bonelift.reconstruction.bones import BONES, FitRecord
from bonelift.reconstruction.cut import PreparedFilm
from bonelift.reconstruction.judge import Quality
from bonelift.reconstruction.measured import measurement_rows
from bonelift.reconstruction.measurement_errors import KnownErrors
from bonelift.reconstruction.place import PlacedFilm
from bonelift.reconstruction.reconsider import Hypothesis
from bonelift.reconstruction.result import Reconstruction
from bonelift.reconstruction.suggest import Suggestion
from bonelift.registration import PoseResult

SCHEMA_VERSION = 4
SCHEMA_FILE = Path(__file__).with_name("reconstruction.schema.json")
"""JSON Schema (draft 2020-12) of what is written here; the documentation has a copy."""
RADIUS_FRAME_NOTE = (
    "mm; +z along the radial shaft, distal; origin where it meets the distal joint surface; +y palmar; "
    "+x ulnar for a right wrist, radial for a left one (its frame is the mirror image)"
)


def reconstruction_json(result: Reconstruction, files: list[str]) -> dict[str, Any]:
    """JSON-able content; undefined numbers are null. files: names of the files beside it. No path, no identity."""
    placed = list(result.placed) or [None] * len(result.films)
    first = placed[0]
    return {
        "schema_version": SCHEMA_VERSION,
        "bonelift_version": __version__,
        "notice": RESEARCH_NOTICE,
        "side": result.side,
        "frame": {
            "files": f"patient frame: {PATIENT_FRAME_NOTE}",
            "radius": f"radius frame: {RADIUS_FRAME_NOTE}",
            "patient_from_radius": _matrix(PATIENT_FROM_OWN_SIDE),
        },
        "model": {
            "name": result.model_name,
            "weights_sha256": result.model_sha256,
            "method": result.bones.method if result.bones else None,
            "fitted_to_films": bool(result.bones and result.bones.fitted),
            "fit": _fit(result.bones.fit) if result.bones else None,
        },
        "settings": result.settings.as_json(),
        "images": [_image(film, there) for film, there in zip(result.films, placed, strict=True)],
        "hypotheses": [[_hypothesis(one) for one in tried] for tried in result.tried],
        "world_from_radius": None if first is None else _matrix(first.world_from_radius),
        "world_from_patient": None if first is None else _matrix(_from_patient(first.world_from_radius)),
        "bones": {name: _bone(result, name, files) for name in BONES},
        "measurements": measurement_rows(result.measurements),
        "measurement_errors": _measurement_errors(result.measurement_errors),
        "suggestions": [_suggestion(one) for one in result.suggestions],
        "quality": _quality(result.quality),
        "warnings": [flag.text for flag in result.quality.flags if flag.severity != "info"],
        "timings_s": {step: round(seconds, 3) for step, seconds in result.timings_s.items()},
        "files": files,
    }


def _fit(fit: FitRecord | None) -> dict[str, Any] | None:
    if fit is None:
        return None
    moved = {name: _number(fit.moved_mm.get(name, float("nan"))) for name in BONES}
    return {
        "kept": fit.kept,
        "reason": fit.reason,
        "misfit_gain": _number(fit.gain),
        "mean_square_sd": _number(fit.charge),
        "moved_mm": moved,
    }


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _image(film: PreparedFilm, placed: PlacedFilm | None) -> dict[str, Any]:
    radiograph, located = film.radiograph, film.located
    return {
        "view": radiograph.view,
        "hanging": radiograph.hanging,
        "image_from_recorded": _matrix(radiograph.image_from_recorded),
        "size_px": [radiograph.camera.width_px, radiograph.camera.height_px],
        "detector_spacing_mm": radiograph.camera.detector_spacing_mm,
        "sdd_mm": radiograph.camera.sdd_mm,
        "source_to_object_mm": radiograph.source_to_object_mm,
        "image_from_camera": _matrix(radiograph.camera.image_from_camera),
        "camera_from_world": _matrix(radiograph.camera.camera_from_world),
        "provenance": {fact: asdict(origin) for fact, origin in radiograph.provenance.items()},
        "locator": {
            "confidence": located.confidence,
            "origin_px": located.origin_px.tolist(),
            "shaft_px": located.shaft_px.tolist(),
            "ulnar_head_px": located.ulnar_head_px.tolist(),
            "turned_clockwise_deg": located.turn_deg,
            "source_on_ulnar_side": located.from_ulnar,
        },
        "film": {"film_from_image": _matrix(film.film.film_from_image), "coverage": film.film.coverage},
        "pose": None if placed is None else _poses(placed),
    }


def _hypothesis(tried: Hypothesis) -> dict[str, Any]:
    located = tried.sighting.located
    return {
        "hanging": tried.sighting.radiograph.hanging,
        "source_on_ulnar_side": located.from_ulnar,
        "turned_clockwise_deg": located.turn_deg,
        "origin_px": located.origin_px.tolist(),
        "moved_mm": tried.moved_mm if math.isfinite(tried.moved_mm) else None,
        "evidence": tried.sighting.evidence,
        "film_agreement": tried.agreement,
        "score": tried.score,
    }


def _suggestion(suggested: Suggestion) -> dict[str, Any]:
    as_given, as_suggested = suggested.agreement
    return {
        "facts": list(suggested.facts),
        "image": suggested.image,
        "changes": dict(suggested.changes),
        "options": suggested.options,
        "text": suggested.text,
        "film_agreement": {"as_given": as_given, "as_suggested": as_suggested},
    }


def _poses(placed: PlacedFilm) -> dict[str, Any]:
    return {
        "world_from_radius": _matrix(placed.world_from_radius),
        "world_from_patient": _matrix(_from_patient(placed.world_from_radius)),
        "wrist_registration": _convergence(placed.wrist),
        "bones": {
            name: {
                "world_from_patient": _matrix(_from_patient(placed.world_from_bone[name])),
                "registration": _convergence(placed.bones[name]),
            }
            for name in BONES
        },
    }


def _from_patient(target_from_radius: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same pose for what is written in the patient frame instead of the radius frame of the patient's own side."""
    return target_from_radius @ np.linalg.inv(PATIENT_FROM_OWN_SIDE)


def _convergence(pose: PoseResult) -> dict[str, Any]:
    """The record of a registration; six-vectors are (tilt, tilt, turn; deg), (right, down, depth; mm)."""
    return {
        "converged": pose.converged,
        "reason": pose.reason,
        "similarity": pose.similarity,
        "starts": pose.starts,
        "agreeing_starts": pose.agreeing_starts,
        "spread_deg_mm": _degrees(pose.spread),
        "slack_deg_mm": _degrees(pose.slack),
        "prior_sigmas": list(pose.prior_sigmas),
        "seen_fraction": pose.seen,
        "evaluations": pose.evaluations,
    }


def _bone(result: Reconstruction, name: str, files: list[str]) -> dict[str, Any]:
    mesh = None if result.bones is None else result.bones.surfaces[name]
    if mesh is None or mesh.is_empty:
        return {"file": None, "area_mm2": None, "expected_error_mm": None}
    expected = None if result.expected is None else result.expected[name]
    told = None if expected is None else {"as_predicted": expected.as_predicted_mm, "rigid": expected.rigid_mm}
    file = f"{name}.stl"
    return {"file": file if file in files else None, "area_mm2": mesh.area_mm2, "expected_error_mm": told}


def _measurement_errors(errors: KnownErrors) -> dict[str, Any]:
    table = errors.table
    return {
        "known": table is not None,
        "model": None if table is None else table.model_name,
        "input": None if table is None else table.input,
        "virtual_patients": None if table is None else table.patients,
        "text": errors.said,
    }


def _quality(quality: Quality) -> dict[str, Any]:
    return {
        "score": quality.score,
        "verdict": quality.verdict,
        "flags": [asdict(flag) for flag in quality.flags],
        "checks": [
            {"name": c.name, "value": c.value if math.isfinite(c.value) else None, "factor": c.factor}
            for c in quality.checks
        ],
    }


def _matrix(matrix: NDArray[np.float64]) -> list[list[float]]:
    return np.asarray(matrix, dtype=np.float64).tolist()


def _degrees(six: tuple[float, ...]) -> list[float]:
    return [math.degrees(value) for value in six[:3]] + list(six[3:])
