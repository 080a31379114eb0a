"""What a registered film leaves behind: its pose in the study's format, its registration-DRR, an overlay, a record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bonelift.drr.joseph import project
from bonelift.drr.subject import attenuation_stack
from bonelift.images import LabelMap, Volume
from bonelift.images.raster import write_png
from bonelift.images.volume import BONES, LABEL_NAMES
from bonelift.registration.verdict import record_of
from bonelift.report.content import ReportFilm
from bonelift.report.overlay import overlay_image
from bonelift.study.folder import write_pose
from bonelift.study.registration.case import RegisteredFilm
from bonelift.surface.label_surface import label_surface
from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]

NUMBERS = (
    "trust", "similarity", "overlap", "agreeing", "spread_deg", "spread_mm", "slack_deg", "slack_turn_deg", "slack_mm",
    "slack_depth_mm", "prior_sigmas", "seen", "evaluations",
)  # fmt: skip


@dataclass(frozen=True)
class RecordRow:
    """One bone on one film. verdict: "ok", "turn undecided" or "failed"; reason: why not ok. numbers: NUMBERS by
    name, NaN where there is none. drr_full_scale: line integral at which the 16-bit picture of the registration-DRR is
    white."""

    case: str
    radiograph: str
    view: str
    bones: str
    verdict: str
    reason: str
    start: str
    pose_file: str
    drr_full_scale: float
    numbers: dict[str, float]

    def flat(self) -> dict[str, str | float]:
        """Plain columns."""
        columns: dict[str, str | float] = {
            name: getattr(self, name)
            for name in ("case", "radiograph", "view", "bones", "verdict", "reason", "start", "pose_file")
        }
        return columns | {"drr_full_scale": self.drr_full_scale} | self.numbers


def failed_row(case: str, radiograph: str, view: str, reason: str) -> RecordRow:
    """The record of what could not be registered at all."""
    return RecordRow(case, radiograph, view, "", "failed", reason, "", "", np.nan, dict.fromkeys(NUMBERS, np.nan))


def write_films(
    folder: Path, case: str, ct: Volume, labels: LabelMap, films: Sequence[RegisteredFilm]
) -> list[RecordRow]:
    """Write pose, registration-DRR and overlay of every film that was registered into ``folder``; rows for all."""
    rows: list[RecordRow] = []
    stack = attenuation_stack(ct, labels, "each bone")
    surfaces = {name: label_surface(labels, label) for label, name in LABEL_NAMES.items()}
    for film in films:
        name, view = film.film.name, film.film.radiograph.view
        if not film.bones:
            rows.append(failed_row(case, name, view, film.reason))
            continue
        poses = bone_poses(film)
        drr = registration_drr(stack, ct.world_from_voxel, film, poses)
        scale = max(float(drr.max()), 1e-6)
        write_png(folder / f"{name}-drr.png", np.rint(drr / scale * 65535).astype(np.uint16))
        overlay = overlay_of(film, {bone: surfaces[bone].transformed(pose) for bone, pose in poses.items()})
        overlay.save(folder / f"{name}-overlay.png")
        for number, bone in enumerate(film.bones):
            pose_file = f"{name}-pose.json" if number == 0 else f"{name}-{bone.part}-pose.json"
            write_pose(folder / pose_file, bone.camera_from_ct)
            numbers = {"trust": bone.verdict.trust} | record_of(bone.found)
            rows.append(
                RecordRow(
                    case,
                    name,
                    view,
                    bone.part,
                    bone.verdict.kind,
                    bone.verdict.reason,
                    film.start,
                    pose_file,
                    scale,
                    numbers,
                )
            )
    return rows


def bone_poses(film: RegisteredFilm) -> dict[str, Float]:
    """Bone -> camera_from_ct (4, 4): its own where it was registered by itself, else that of both as one."""
    found = {bone.part: bone.camera_from_ct for bone in film.bones}
    return {name: found.get(name, found.get("both", film.bones[0].camera_from_ct)) for name in BONES}  # type: ignore[call-overload]


def registration_drr(
    stack: NDArray[np.float32], world_from_voxel: Float, film: RegisteredFilm, poses: dict[str, Float]
) -> NDArray[np.float32]:
    """(rows, columns) line integrals of radius and ulna (dimensionless) where they were found: the paper's
    registration-DRR. stack: (2, I, J, K) attenuation of each, 1/mm."""
    camera = film.film.camera_alone
    total = np.zeros(camera.shape_px, dtype=np.float32)
    for values, name in zip(stack, BONES, strict=True):
        total += project(values[None], camera.image_from_camera, poses[name] @ world_from_voxel, camera.shape_px)[0]
    return total


def overlay_of(film: RegisteredFilm, bones_camera: dict[str, TriangleMesh]):
    """The radiograph with the outlines of the bones where they were found, to check by eye."""
    radiograph = replace(film.film.radiograph, camera=film.film.camera_alone)
    shown = ReportFilm(
        radiograph.view, radiograph.pixels, radiograph.camera, radiograph.source_to_object_mm, bones_camera
    )
    return overlay_image(shown)
