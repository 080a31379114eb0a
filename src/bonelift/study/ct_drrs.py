"""``bonelift drr``: DRRs of a CT, or of every CT of a study, as files with their camera, poses and units beside them.

Source of the random poses: Shiode et al. 2021, Methods (40 a CT, within 30 degrees and 30 mm).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bonelift import RESEARCH_NOTICE, __version__
from bonelift.anatomy.side import mirror_transform, mirrored_pose
from bonelift.drr.attenuation import EFFECTIVE_ENERGY_KEV, mu_water_per_mm
from bonelift.drr.joseph import Rule, project
from bonelift.drr.normalised_case import normalise_case
from bonelift.drr.poses import ROTATION_DEG, TRANSLATION_MM, moved_poses, random_motions, share_in_view
from bonelift.drr.ray_volume import prepare
from bonelift.drr.subject import PARTS, Content, attenuation_stack, cropped_to_bones
from bonelift.errors import InputError
from bonelift.film.standard import FILM_ORIGIN_PX, nominal_camera_from_radius
from bonelift.geometry import XrayCamera, apply_transform, default_film_camera, write_camera_json
from bonelift.geometry.camera import mirrored_camera
from bonelift.images import LabelMap, Side, View, Volume, write_png, write_volume_nrrd
from bonelift.images.reading import OBJECT_TO_DETECTOR_MM

Float = NDArray[np.float64]
FileFormat = Literal["png", "nrrd", "npy"]

DRR_FILE = "drr.json"
SCHEMA_VERSION = 1
PER_LEVEL = 1e-4
"""Line integral of one grey level of a 16-bit PNG; doubled until the strongest ray of the set fits."""
_POINTS_IN_VIEW = 20_000


def paper_camera() -> XrayCamera:
    """500 x 625 px of 0.4 mm, 1000 mm from the source: the radiographs of Shiode et al. 2021."""
    return default_film_camera(500, 625, 0.4)


@dataclass(frozen=True)
class DrrSettings:
    """What is rendered, and from where.

    poses: random poses around the nominal one, within rotation_deg about and translation_mm along each axis of the
    camera; 0 renders the nominal pose itself. seed: of the random poses; every case draws its own. view: nominal pose
    where the radius frame decides it. energy_kev: at which HU become attenuation. file_format: png (16 bit, one image
    a file), nrrd (a float stack for each part) or npy (one float array).
    """

    content: Content = "bones"
    view: View = "pa"
    poses: int = 0
    rotation_deg: float = ROTATION_DEG
    translation_mm: float = TRANSLATION_MM
    seed: int = 0
    energy_kev: float = EFFECTIVE_ENERGY_KEV
    rule: Rule = "simpson"
    file_format: FileFormat = "png"

    def __post_init__(self) -> None:
        mu_water_per_mm(self.energy_kev)
        if self.poses < 0 or self.seed < 0 or not (self.rotation_deg >= 0 and self.translation_mm >= 0):
            raise InputError(f"drr: {self}; expected poses, ranges and seed of zero or more")
        for value, allowed in ((self.content, Content), (self.file_format, FileFormat), (self.rule, Rule)):
            if value not in get_args(allowed):
                raise InputError(f"drr: got {value!r}; expected one of {', '.join(get_args(allowed))}")


@dataclass(frozen=True)
class Viewpoint:
    """Nominal poses of a CT in front of a camera.

    camera_from_world: (N, 4, 4) rigid, from the CT's world to the camera's frame. centre_world: (3,) mm, about which
    random poses turn, or None for the middle of the bones. origin: what gave the poses.
    """

    camera: XrayCamera
    camera_from_world: Float
    centre_world: Float | None
    origin: str


@dataclass(frozen=True)
class DrrSet:
    """images: (N, C, rows, columns) float32, dimensionless line integrals, one channel for each of ``parts``.

    camera_from_world: (N, 4, 4). motions: (N, 6) from the nominal pose (rad, mm), or None where there was none.
    in_view: (N,) share of the bones (of the arm where there are no labels) on the image.
    """

    images: NDArray[np.float32]
    parts: tuple[str, ...]
    camera: XrayCamera
    camera_from_world: Float
    motions: Float | None
    in_view: Float
    centre_world: Float


def anatomical_viewpoint(
    ct: Volume, labels: LabelMap, landmarks: Mapping[str, Float], side: Side, camera: XrayCamera, view: View
) -> Viewpoint:
    """The wrist straight in the beam, its radius frame's origin on the image's centre, 30 mm before the detector.

    A left wrist stands as the mirror image of a right one does; poses stay rigid and the image shows a left wrist.
    """
    right_from_world = normalise_case(ct, labels, landmarks, side).right_from_world
    left = side == "left"
    towards = mirrored_camera(camera) if left else camera
    to_film_origin = np.eye(3)
    centre = (np.array([camera.width_px, camera.height_px]) - 1) / 2
    to_film_origin[:2, 2] = FILM_ORIGIN_PX[view] - centre
    film = towards.viewed_through(to_film_origin, camera.width_px, camera.height_px)
    pose = nominal_camera_from_radius(film, view, camera.sdd_mm - OBJECT_TO_DETECTOR_MM)
    own_from_world = mirror_transform() @ right_from_world if left else right_from_world
    camera_from_world = (mirrored_pose(pose) if left else pose) @ own_from_world
    origin_world = apply_transform(np.linalg.inv(right_from_world), np.zeros(3))
    return Viewpoint(camera, camera_from_world[None], origin_world, f"radius frame of the {side} wrist, {view}")


def render(
    ct: Volume,
    labels: LabelMap | None,
    viewpoint: Viewpoint,
    settings: DrrSettings,
    rng: np.random.Generator,
    threads: int = 1,
    on_image: Callable[[], None] = lambda: None,
) -> DrrSet:
    """DRRs of one CT. on_image: called after each.

    Raises InputError: a CT without the labels that its parts need, labels on another grid, NaN, or a nominal pose at
    which nothing falls on the image.
    """
    points = _points_world(ct, labels)
    centre = points.mean(axis=0) if viewpoint.centre_world is None else viewpoint.centre_world
    for index, pose in enumerate(viewpoint.camera_from_world):
        if share_in_view(viewpoint.camera, pose, points) == 0:
            raise InputError(
                f"drr: at pose {index + 1} ({viewpoint.origin}) the wrist lies beside the image or behind the source; "
                "camera and pose do not belong together, or the pose is not one of this CT"
            )
    poses, motions = viewpoint.camera_from_world, None
    if settings.poses:
        if len(poses) > 1:
            raise InputError(f"drr: {len(poses)} nominal poses; random poses are drawn around one")
        motions = random_motions(rng, settings.poses, np.radians(settings.rotation_deg), settings.translation_mm)
        poses = moved_poses(poses[0], centre, motions)
    if labels is not None and settings.content in ("bones", "each bone"):
        ct, labels = cropped_to_bones(ct, labels)
    volume = prepare(attenuation_stack(ct, labels, settings.content, mu_water_per_mm(settings.energy_kev)))
    images = []
    for pose in poses:
        images.append(
            project(
                volume,
                viewpoint.camera.image_from_camera,
                pose @ ct.world_from_voxel,
                viewpoint.camera.shape_px,
                threads=threads,
                rule=settings.rule,
            )
        )
        on_image()
    in_view = np.array([share_in_view(viewpoint.camera, pose, points) for pose in poses])
    parts = PARTS[settings.content]
    return DrrSet(np.stack(images), parts, viewpoint.camera, poses, motions, in_view, centre)


def _points_world(ct: Volume, labels: LabelMap | None) -> Float:
    """(M, 3) mm: voxels of radius and ulna, or of whatever is denser than fat where there are no labels."""
    if not np.isfinite(ct.values).all():
        raise InputError("drr: the CT holds NaN or infinite voxels; replace them (air is -1000 HU) before projecting")
    marked = np.isin(labels.labels, (1, 2)) if labels is not None else np.asarray(ct.values, dtype=np.float32) > -200
    indices = np.argwhere(marked)
    if len(indices) == 0:
        raise InputError("drr: neither radius nor ulna is labelled, or the CT holds air alone; nothing to project")
    frame = ct.world_from_voxel if labels is None else labels.world_from_voxel
    return apply_transform(frame, indices[:: max(1, len(indices) // _POINTS_IN_VIEW)])


def write_drr_set(
    folder: Path, drrs: DrrSet, settings: DrrSettings, viewpoint: Viewpoint, sources: dict[str, str | None]
) -> dict[str, Any]:
    """Write images, ``camera.json`` and ``drr.json`` into an empty folder; returns the content of the last.

    sources: what it came from: names in a study, SHA-256 of loose files.
    """
    files, scale = _write_images(folder, drrs, settings.file_format)
    write_camera_json(folder / "camera.json", replace(drrs.camera, camera_from_world=np.eye(4)))
    content: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "made_by": f"bonelift {__version__} drr",
        "notice": RESEARCH_NOTICE,
        "sources": sources,
        "unit": "line integral of linear attenuation, dimensionless (1/mm times mm)",
        "integral_per_grey_level": scale,
        "attenuation": {
            "effective_energy_kev": settings.energy_kev,
            "mu_water_per_mm": mu_water_per_mm(settings.energy_kev),
            "from": "mu = mu_water (1 + HU / 1000); water: Hubbell and Seltzer 1995, NISTIR 5632",
        },
        "rule": settings.rule,
        "content": settings.content,
        "parts": list(drrs.parts),
        "camera_file": "camera.json",
        "image_size_px": [drrs.camera.width_px, drrs.camera.height_px],
        "frame": "camera_from_world takes the CT's world (DICOM LPS, mm) to the camera: x right, y down, z from source "
        "to detector; images are [row, column], rows downwards",
        "nominal_pose": viewpoint.origin,
        "random_poses": None,
        "images": _image_entries(drrs, files),
    }
    if drrs.motions is not None:
        content["random_poses"] = {
            "seed": settings.seed,
            "rotation_deg": settings.rotation_deg,
            "translation_mm": settings.translation_mm,
            "centre_world_mm": drrs.centre_world.tolist(),
            "nominal_camera_from_world": viewpoint.camera_from_world[0].tolist(),
        }
    (folder / DRR_FILE).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return content


def _image_entries(drrs: DrrSet, files: list[dict[str, str]]) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    for index, pose in enumerate(drrs.camera_from_world):
        entry: dict[str, Any] = {
            "files": files[index],
            "camera_from_world": pose.tolist(),
            "share_in_view": round(float(drrs.in_view[index]), 4),
            "largest": dict(zip(drrs.parts, drrs.images[index].max(axis=(1, 2)).tolist(), strict=True)),
        }
        if drrs.motions is not None:
            entry["turn_deg"] = np.degrees(drrs.motions[index, :3]).tolist()
            entry["shift_mm"] = drrs.motions[index, 3:].tolist()
        entries.append(entry)
    return entries


def _write_images(folder: Path, drrs: DrrSet, file_format: FileFormat) -> tuple[list[dict[str, str]], float | None]:
    """File names of each image by part, and the integral of one grey level (PNG only)."""
    suffixes = [f"-{part}" if len(drrs.parts) > 1 else "" for part in drrs.parts]
    count = len(drrs.images)
    if file_format == "npy":
        np.save(folder / "drr.npy", drrs.images)
        return [dict.fromkeys(drrs.parts, "drr.npy")] * count, None
    if file_format == "nrrd":
        spacing = np.diag([drrs.camera.detector_spacing_mm, drrs.camera.detector_spacing_mm, 1.0, 1.0])
        for channel, suffix in enumerate(suffixes):
            stack = drrs.images[:, channel].transpose(2, 1, 0)  # [column, row, pose]
            write_volume_nrrd(folder / f"drr{suffix}.nrrd", Volume(np.ascontiguousarray(stack), spacing))
        return [{part: f"drr{s}.nrrd" for part, s in zip(drrs.parts, suffixes, strict=True)}] * count, None
    scale = PER_LEVEL
    while drrs.images.max() > 65535 * scale:
        scale *= 2
    files = []
    for number, channels in enumerate(drrs.images, start=1):
        names = {part: f"drr-{number:04d}{s}.png" for part, s in zip(drrs.parts, suffixes, strict=True)}
        for name, image in zip(names.values(), channels, strict=True):
            write_png(folder / name, np.rint(image / scale).astype(np.uint16))
        files.append(names)
    return files, scale
