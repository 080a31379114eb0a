"""Registration put to the test on virtual patients: known poses, drawn masks, starts that are off by so much."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bonelift.geometry import XrayCamera, apply_transform, rotation_about_axis, translation
from bonelift.geometry.camera_files import camera_from_file
from bonelift.images import LABEL_NAMES, LabelMap, View, Volume
from bonelift.images.reading import RadiographOptions, read_radiograph
from bonelift.images.volume_reading import read_labels, read_volume
from bonelift.phantom.annotator import OUTLINE_ERROR_PX, drawn_mask
from bonelift.registration.chart import pose_chart
from bonelift.registration.ct_bone import CtBone, Part, ct_bone
from bonelift.registration.film_views import FilmView
from bonelift.registration.films import RELATIVE, FilmPose, FilmSettings, register_to_films
from bonelift.registration.pose import long_axis
from bonelift.registration.starts import pixel_mm_at
from bonelift.report.rasterise import fill_mask
from bonelift.study.folder import StudyCase, read_pose
from bonelift.surface.label_surface import label_surface

Float = NDArray[np.float64]

CUT_RANGE_MM = (8.0, 30.0)
"""The CT is made to end so much further distal than the radiograph's bones, which all virtual CTs share with it."""
FOREARM_TURN_DEG, FOREARM_SHIFT_MM = 20.0, 1.0
"""How differently the forearm was turned in the CT."""
FOREARM_MM, HEAD_MM = 210.0, 12.0
Mirror = Literal["none", "side", "depth"]


@dataclass(frozen=True, eq=False)
class TrialFilm:
    """A radiograph, the true pose camera_from_ct (4, 4), and drawn masks by bone ("radius", "ulna")."""

    view: View
    image: Float
    camera: XrayCamera
    camera_from_ct: Float
    masks: Mapping[str, NDArray[np.bool_]]

    def mask(self, part: Part) -> NDArray[np.bool_]:
        return self.masks["radius"] | self.masks["ulna"] if part == "both" else self.masks[part]

    def shown(self, bone: CtBone, part: Part, masked: bool = True) -> FilmView:
        """What registration is given. The camera's world is the CT's, so that the true pose is the identity."""
        camera = replace(self.camera, camera_from_world=self.camera_from_ct)
        pixel_mm = pixel_mm_at(camera, self.camera_from_ct, bone.points_mm)
        return FilmView(self.image, camera, self.mask(part) if masked else None, pixel_mm)


@dataclass(frozen=True, eq=False)
class TrialPatient:
    """bones: "both", "radius", "ulna" -> cut out of the shortened CT."""

    case: str
    bones: Mapping[Part, CtBone]
    films: Mapping[View, TrialFilm]


@dataclass(frozen=True)
class TrialErrors:
    """How far a pose is from the truth. angle_deg: of the rotation between them. in_plane_mm, depth_mm: of the bone's
    centre, in the plane of the first view and along its ray. target_mm: mean distance of the bone's points in 3D."""

    angle_deg: float
    in_plane_mm: float
    depth_mm: float
    target_mm: float

    @property
    def good(self) -> bool:
        """Within 1 mm in the plane and 2 degrees."""
        return self.angle_deg <= 2.0 and self.in_plane_mm <= 1.0


def read_trial_patient(
    study_folder: Path, case: StudyCase, seed: int, outline_error_px: float = OUTLINE_ERROR_PX
) -> TrialPatient:
    """Read a virtual case; its masks are drawn with the given error on the image as recorded."""
    rng = np.random.default_rng([seed, *case.case.encode()])
    ct, labels = read_volume(study_folder / case.ct), read_labels(study_folder / case.labels)
    surfaces = {name: label_surface(labels, label) for label, name in LABEL_NAMES.items()}
    films = {}
    for entry in case.radiographs:
        camera = camera_from_file(study_folder / str(entry.camera_file)).camera
        options = RadiographOptions(side=case.side, view=entry.view, camera=camera, invert=entry.invert)
        radiograph = read_radiograph(study_folder / entry.file, options)
        pose = read_pose(study_folder / str(entry.pose_file))
        posed = replace(radiograph.camera, camera_from_world=pose)
        masks = {
            name: drawn_mask(fill_mask(posed.project(mesh.vertices)[mesh.faces], posed.shape_px), rng, outline_error_px)
            for name, mesh in surfaces.items()
        }
        at_source = replace(radiograph.camera, camera_from_world=np.eye(4))
        films[entry.view] = TrialFilm(entry.view, radiograph.pixels.astype(np.float64), at_source, pose, masks)
    shortened = _shortened(ct, labels, float(rng.uniform(*CUT_RANGE_MM)))
    parts: tuple[Part, ...] = ("both", "radius", "ulna")
    return TrialPatient(case.case, {part: ct_bone(*shortened, part) for part in parts}, films)


def _shortened(ct: Volume, labels: LabelMap, cut_mm: float) -> tuple[Volume, LabelMap]:
    """The CT without its proximal ``cut_mm``; a virtual CT's k axis runs distally."""
    first = round(cut_mm / float(ct.spacing_mm[2]))
    world_from_voxel = ct.world_from_voxel.copy()
    world_from_voxel[:3, 3] += first * world_from_voxel[:3, 2]
    return (
        Volume(ct.values[:, :, first:], world_from_voxel),
        LabelMap(labels.labels[:, :, first:], world_from_voxel, labels.names),
    )


def mirrored(bone: CtBone, normal: Float) -> CtBone:
    """The mirror image of a bone in the plane through its centre across ``normal`` (3,), a unit vector of its world."""
    mirror = np.eye(4)
    mirror[:3, :3] -= 2 * np.outer(normal, normal)
    mirror[:3, 3] = 2 * normal * (normal @ bone.fine.centre_mm)
    return moved(bone, mirror)


def moved(bone: CtBone, matrix: Float) -> CtBone:
    """The bone elsewhere in its CT: ``matrix`` (4, 4), a rigid motion or a mirror."""
    cuts = tuple(
        replace(cut, centre_mm=apply_transform(matrix, cut.centre_mm), inward=matrix[:3, :3] @ cut.inward)
        for cut in bone.cuts
    )
    fine, coarse = (
        replace(
            level, bone_from_voxel=matrix @ level.bone_from_voxel, centre_mm=apply_transform(matrix, level.centre_mm)
        )
        for level in (bone.fine, bone.coarse)
    )
    return replace(bone, fine=fine, coarse=coarse, cuts=cuts, points_mm=apply_transform(matrix, bone.points_mm))


def forearm_turn(radius: CtBone, ulna: CtBone, rng: np.random.Generator) -> Float:
    """(4, 4) motion of the ulna against the radius between the CT and the film: a turn of up to FOREARM_TURN_DEG either
    way about the forearm's axis, from the ulnar head to the radial head, and a shift of FOREARM_SHIFT_MM (SD, each
    direction). The bones are cut off, so the radial head is put FOREARM_MM up the line of what is there of the radius.
    """
    along = long_axis(radius.fine)
    distal = along if (ulna.cuts[0].inward if ulna.cuts else along) @ along > 0 else -along
    height = ulna.points_mm @ distal
    head = ulna.points_mm[height > height.max() - HEAD_MM].mean(axis=0)
    axis = head - (radius.fine.centre_mm - FOREARM_MM * distal)
    angle = np.deg2rad(rng.uniform(-FOREARM_TURN_DEG, FOREARM_TURN_DEG))
    turn = rotation_about_axis(axis / np.linalg.norm(axis), angle)
    return translation(head + rng.normal(0, FOREARM_SHIFT_MM, 3)) @ turn @ translation(-head)


def draw_start(
    rng: np.random.Generator, angle_deg: float, in_plane_mm: float, depth_mm: float, farthest: bool = False
) -> Float:
    """(6,) chart parameters of a start: a random axis and an angle up to ``angle_deg``, a point of the disc of
    ``in_plane_mm``, a depth within +- ``depth_mm``; each uniform. farthest: all three at their ends instead."""
    share = np.ones(3) if farthest else rng.uniform(size=3)
    axis = rng.standard_normal(3)
    turn = axis / np.linalg.norm(axis) * np.deg2rad(angle_deg) * share[0]
    direction, distance = rng.uniform(0, 2 * np.pi), in_plane_mm * np.sqrt(share[1])
    shift = [distance * np.cos(direction), distance * np.sin(direction)]
    return np.array([*turn, *shift, depth_mm * share[2] * rng.choice([-1.0, 1.0])])


def run_trial(
    patient: TrialPatient,
    part: Part,
    views: Sequence[View],
    offset: Float,
    settings: FilmSettings | None = None,
    masks: bool = True,
    mirror: Mirror = "none",
    seed: int = 0,
) -> tuple[FilmPose, TrialErrors, float, float]:
    """Register one bone from the truth moved by ``offset`` (6,). Returns what was found, its errors, and the seconds
    that it took: on the clock, and of processor time.

    mirror: register its mirror image instead, left and right or front and back exchanged as the first film sees it.
    """
    bone, films = patient.bones[part], [patient.films[view] for view in views]
    if mirror != "none":
        axes = pose_chart(films[0].shown(bone, part).camera, np.eye(4), bone.fine.centre_mm).world_from_view
        bone = mirrored(bone, axes[:3, 0 if mirror == "side" else 2])
    shown = [film.shown(bone, part, masks) for film in films]
    chart = pose_chart(shown[0].camera, np.eye(4), bone.fine.centre_mm)
    start = chart.poses(offset[None])[0]
    clock, processor = time.perf_counter(), time.process_time()
    found = register_to_films(bone, shown, start, settings, seed=seed)
    seconds = time.perf_counter() - clock, time.process_time() - processor
    return found, pose_errors(found.pose.world_from_bone, shown[0].camera, bone), *seconds


def run_beside_radius(
    patient: TrialPatient, views: Sequence[View], offset: Float, rng: np.random.Generator, seed: int = 0
) -> tuple[FilmPose, TrialErrors, float, float]:
    """The ulna as ``bonelift register --bones ulna`` finds it: the radius first, from the truth moved by ``offset``,
    then the ulna beside it. The CT's forearm was turned otherwise (:func:`forearm_turn`). Returns as :func:`run_trial`.
    """
    radius, ulna = patient.bones["radius"], patient.bones["ulna"]
    motion = forearm_turn(radius, ulna, rng)
    films = {part: [patient.films[view].shown(patient.bones[part], part) for view in views] for part in patient.bones}
    chart = pose_chart(films["radius"][0].camera, np.eye(4), radius.fine.centre_mm)
    clock, processor = time.perf_counter(), time.process_time()
    first = register_to_films(radius, films["radius"], chart.poses(offset[None])[0], seed=seed)
    at = first.pose.world_from_bone
    found = register_to_films(moved(ulna, motion), films["ulna"], at, RELATIVE, [(radius, at)], seed=seed)
    seconds = time.perf_counter() - clock, time.process_time() - processor
    return found, pose_errors(found.pose.world_from_bone @ motion, films["ulna"][0].camera, ulna), *seconds


def pose_errors(world_from_ct: Float, camera: XrayCamera, bone: CtBone) -> TrialErrors:
    """Errors of a pose whose truth is the identity."""
    step = pose_chart(camera, np.eye(4), bone.fine.centre_mm).parameters(world_from_ct)
    moved = apply_transform(world_from_ct, bone.points_mm) - bone.points_mm
    return TrialErrors(
        float(np.rad2deg(np.linalg.norm(step[:3]))),
        float(np.linalg.norm(step[3:5])),
        float(abs(step[5])),
        float(np.linalg.norm(moved, axis=1).mean()),
    )
