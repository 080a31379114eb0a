"""One case of a study registered: CT bones to its radiographs, each film with its pose, pictures and record.

A film that cannot be used, or is not found, becomes a record with its reason; the other films of the case go on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bonelift.errors import InputError
from bonelift.geometry import XrayCamera, invert_rigid
from bonelift.images import LabelMap, Radiograph, Side, Volume
from bonelift.images.masks import mask_of, read_mask
from bonelift.images.volume_reading import read_ct, read_labels
from bonelift.registration.ct_bone import PART_LABELS, CtBone, Part, check_ct, ct_bone
from bonelift.registration.ct_frame import rough_right_from_world
from bonelift.registration.film_views import FilmView
from bonelift.registration.films import RELATIVE, UNPOSITIONED, FilmPose, FilmSettings, register_to_films
from bonelift.registration.starts import ShaftPoints, pixel_mm_at, start_from_outline, start_from_points
from bonelift.registration.verdict import Verdict, pose_verdict
from bonelift.study.folder import StudyCase, StudyRadiograph, read_case_radiograph, read_pose

Float = NDArray[np.float64]
BoneChoice = Literal["both", "radius", "ulna", "each"]
StartKind = Literal["auto", "landmarks", "outline", "pose"]
LocatePoints = Callable[[Radiograph], ShaftPoints]
_FROM_ULNAR = ", source on the ulnar side"


@dataclass(frozen=True)
class RegistrationOptions:
    """bones: as one rigid object, one of them, or each after both. start: from the drawn outline, the landmarks that a
    network finds, the pose that the study lists, or (auto) the outline where there is one and else the landmarks.
    together: all films of a case at once; their camera files must share a world."""

    bones: BoneChoice = "both"
    start: StartKind = "auto"
    together: bool = False
    seed: int = 0


@dataclass(frozen=True, eq=False)
class FilmInput:
    """A radiograph with its mask (images.masks) and the pose that a registration may start from, where there are."""

    name: str
    radiograph: Radiograph
    mask: NDArray[np.uint8] | None = None
    camera_from_start: Float | None = None

    @property
    def camera_alone(self) -> XrayCamera:
        """The camera with its own frame as the world."""
        return replace(self.radiograph.camera, camera_from_world=np.eye(4))


@dataclass(frozen=True, eq=False)
class RegisteredBone:
    """camera_from_ct: (4, 4). found: with the convergence record."""

    part: Part
    camera_from_ct: Float
    found: FilmPose
    verdict: Verdict


@dataclass(frozen=True, eq=False)
class RegisteredFilm:
    """bones: in the order in which they were registered; the first is the pose of the film. Empty where it failed for
    ``reason``. start: what the registration started from."""

    film: FilmInput
    bones: tuple[RegisteredBone, ...] = ()
    start: str = ""
    reason: str = ""


def read_film(folder: Path, case: StudyCase, entry: StudyRadiograph, name: str | None = None) -> FilmInput:
    """Read a radiograph of a study with what belongs to it. name: of what is written of it (study.folder.film_names);
    None: the file's. Raises InputError."""
    mask = None if entry.mask_file is None else read_mask(folder / entry.mask_file)
    radiograph = read_case_radiograph(folder, case, entry, trim=mask is None)
    if mask is not None and radiograph.pixels.shape != mask.shape:
        raise InputError(f"the mask has {mask.shape} (rows, columns), the image {radiograph.pixels.shape}")
    pose = None if entry.pose_file is None else read_pose(folder / entry.pose_file)
    return FilmInput(name or Path(entry.file).stem, radiograph, mask, pose)


def read_case_ct(folder: Path, case: StudyCase) -> tuple[Volume, LabelMap]:
    """CT and labels of a case, checked. Raises InputError."""
    ct, labels = read_ct(folder / case.ct), read_labels(folder / case.labels)
    check_ct(ct, labels)
    return ct, labels


def register_case(
    ct: Volume,
    labels: LabelMap,
    side: Side,
    films: Sequence[FilmInput],
    options: RegistrationOptions,
    locate_points: LocatePoints,
) -> list[RegisteredFilm]:
    """Register the bones to each film, or to all together. Films that fail carry their reason."""
    right_from_ct = rough_right_from_world(labels, side)
    parts: tuple[Part, ...] = ("both", "radius", "ulna") if options.bones == "each" else (options.bones,)
    bones: dict[Part, CtBone] = {part: ct_bone(ct, labels, part) for part in parts}
    groups = [list(films)] if options.together else [[film] for film in films]
    results = []
    for group in groups:
        try:
            results += _register_group(bones, group, right_from_ct, options, locate_points)
        except InputError as error:
            results += [RegisteredFilm(film, reason=str(error)) for film in group]
    return results


def _register_group(
    bones: dict[Part, CtBone],
    films: Sequence[FilmInput],
    right_from_ct: Float,
    options: RegistrationOptions,
    locate_points: LocatePoints,
) -> list[RegisteredFilm]:
    """Films whose poses are one: a single film, or several with cameras in one world."""
    part, bone = next(iter(bones.items()))
    cameras = [film.radiograph.camera if options.together else film.camera_alone for film in films]
    if len(films) > 1 and all(np.allclose(c.camera_from_world, cameras[0].camera_from_world) for c in cameras[1:]):
        raise InputError("the cameras stand in one place, so they share no world; register the films one by one")

    def find(
        part: Part, world_from_start: Float, settings: FilmSettings, others: Sequence[tuple[CtBone, Float]] = ()
    ) -> FilmPose:
        bone = bones[part]
        views = [_view(film, camera, part, bone, world_from_start) for film, camera in zip(films, cameras, strict=True)]
        return register_to_films(bone, views, world_from_start, settings, others, options.seed)

    tried: dict[str, FilmPose] = {}
    for start, camera_from_start in starts_of(films[0], bone, right_from_ct, options.start, locate_points).items():
        settings = FilmSettings() if start == "pose file" else UNPOSITIONED
        tried[start] = find(part, invert_rigid(cameras[0].camera_from_world) @ camera_from_start, settings)
    start = max(tried, key=lambda name: tried[name].pose.similarity)
    found: dict[Part, FilmPose] = {part: tried[start]}
    world_from_ct = found[part].pose.world_from_bone
    for later in list(bones)[1:]:
        other: Part = "ulna" if later == "radius" else "radius"
        at = found[other].pose.world_from_bone if other in found else world_from_ct
        found[later] = find(later, world_from_ct, RELATIVE, [(bones[other], at)])
    return [
        RegisteredFilm(
            film,
            tuple(
                RegisteredBone(part, camera.camera_from_world @ pose.pose.world_from_bone, pose, pose_verdict(pose))
                for part, pose in found.items()
            ),
            start,
        )
        for film, camera in zip(films, cameras, strict=True)
    ]


def _view(film: FilmInput, camera: XrayCamera, part: Part, bone: CtBone, world_from_ct: Float) -> FilmView:
    mask = None if film.mask is None else mask_of(film.mask, PART_LABELS[part])
    pixel_mm = pixel_mm_at(camera, camera.camera_from_world @ world_from_ct, bone.points_mm)
    return FilmView(np.asarray(film.radiograph.pixels, dtype=np.float64), camera, mask, pixel_mm)


def starts_of(
    film: FilmInput, bone: CtBone, right_from_ct: Float, kind: StartKind, locate_points: LocatePoints
) -> dict[str, Float]:
    """camera_from_ct (4, 4) to start from, by what it rests on. An outline does not say from which side a lateral was
    taken: there are two then, and the images decide. Raises InputError where what ``kind`` asks for is not there."""
    alone = replace(film.radiograph, camera=film.camera_alone)
    mask = None if film.mask is None else mask_of(film.mask, PART_LABELS[bone.part])
    if kind == "pose":
        if film.camera_from_start is None:
            raise InputError("no pose file to start from; start from landmarks or from an outline")
        return {"pose file": film.camera_from_start}
    if kind == "outline" or (kind == "auto" and mask is not None):
        if mask is None:
            raise InputError("no outline of the bone to start from; pass a mask or start from landmarks")
        pixel_mm = film.radiograph.spacing_at_wrist_mm
        return {
            f"outline{_FROM_ULNAR if ulnar else ''}": start_from_outline(
                alone, mask, bone, right_from_ct, pixel_mm, ulnar
            )
            for ulnar in ((False, True) if alone.view == "lateral" else (False,))
        }
    points = locate_points(film.radiograph)
    return {f"landmarks{_FROM_ULNAR if points.from_ulnar else ''}": start_from_points(alone, points, right_from_ct)}
