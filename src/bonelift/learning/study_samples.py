"""Training samples from a CT with labels and landmarks, and from radiographs whose pose against that CT is known.

Everything is brought into the radius frame of a right wrist first; left wrists are mirrored on the way. Source of the
normalisation and of the random CT-DRRs: Shiode et al. 2021, Methods.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bonelift.anatomy.frame import radius_from_mesh
from bonelift.anatomy.side import mirror_transform
from bonelift.drr.joseph import project
from bonelift.errors import InputError
from bonelift.geometry import apply_transform
from bonelift.images import RADIUS, ULNA, LabelGrid, LabelMap, Radiograph, Side, View, Volume
from bonelift.images.film import FILM_SHAPE, film_from_landmarks
from bonelift.learning.virtual_samples import FilmSample, LocatorSample
from bonelift.networks.locator_input import LOCATOR_SHAPE, locator_input
from bonelift.phantom.ct import bone_attenuation
from bonelift.phantom.xray_geometry import PROXIMAL_POINT_MM, draw_geometry
from bonelift.surface.label_surface import label_surface
from bonelift.surface.mesh import TriangleMesh
from bonelift.surface.voxelize import soft_label

Float = NDArray[np.float64]

STYLOID, NOTCH_VOLAR, ULNAR_HEAD = "radial_styloid_tip", "sigmoid_notch_volar", "ulnar_head_centre"
"""Landmarks a case must have; without the last one the locator's third landmark is taken from the ulna's mesh."""
STYLOID_ABOVE_JOINT_MM = 9.0


@dataclass(frozen=True, eq=False)
class NormalisedCase:
    """A CT in the radius frame of a right wrist.

    radius, ulna: surfaces, mm. bones: attenuation (1/mm) of both, zero elsewhere. ulnar_head_mm: (3,).
    right_from_world: (4, 4) from the CT's world; determinant -1 for a left wrist.
    """

    radius: TriangleMesh
    ulna: TriangleMesh
    bones: Volume
    ulnar_head_mm: Float
    right_from_world: Float


@dataclass(frozen=True, eq=False)
class PosedRadiograph:
    """A radiograph and camera_from_world (4, 4): where the CT's world lies in the frame of its camera."""

    radiograph: Radiograph
    camera_from_world: Float


def normalise_case(ct: Volume, labels: LabelMap, landmarks: Mapping[str, Float], side: Side) -> NormalisedCase:
    """Bring a case into the radius frame. landmarks: (3,) mm in the CT's world, by name.

    Raises InputError: a landmark or a bone is missing, grids differ, or the bones do not make a radius frame.
    """
    missing = [name for name in (STYLOID, NOTCH_VOLAR) if name not in landmarks]
    if missing:
        raise InputError(f"landmarks lack {missing[0]!r}; expected {STYLOID!r} and {NOTCH_VOLAR!r}")
    mirror = mirror_transform() if side == "left" else np.eye(4)
    meshes = {label: label_surface(labels, label).transformed(mirror) for label in (RADIUS, ULNA)}
    tip, notch = (apply_transform(mirror, landmarks[name]) for name in (STYLOID, NOTCH_VOLAR))
    rough = _rough_frame(meshes[RADIUS], tip, notch)
    tip, notch = apply_transform(rough, np.stack([tip, notch]))
    right_from_world = radius_from_mesh(meshes[RADIUS].transformed(rough), tip, notch) @ rough @ mirror
    bones = bone_attenuation(ct, labels)
    ulna = label_surface(labels, ULNA).transformed(right_from_world)
    head = landmarks.get(ULNAR_HEAD)
    distal = ulna.vertices[ulna.vertices[:, 2] > ulna.vertices[:, 2].max() - 12.0]
    return NormalisedCase(
        label_surface(labels, RADIUS).transformed(right_from_world),
        ulna,
        Volume(bones.values, right_from_world @ bones.world_from_voxel),
        distal.mean(axis=0) if head is None else apply_transform(right_from_world, head),
        right_from_world,
    )


def _rough_frame(radius: TriangleMesh, tip: Float, notch: Float) -> Float:
    """(4, 4) within some degrees and mm of the radius frame: shaft by principal axis, joint from the styloid."""
    centre = radius.vertices.mean(axis=0)
    z = np.linalg.svd(radius.vertices - centre, full_matrices=False)[2][0]
    z = z if (tip - centre) @ z > 0 else -z
    x = notch - tip - ((notch - tip) @ z) * z
    x = x / max(np.linalg.norm(x), 1e-9)
    rough = np.eye(4)
    rough[:3, :3] = np.stack([x, np.cross(z, x), z])
    origin = centre + ((tip - centre) @ z - STYLOID_ABOVE_JOINT_MM) * z
    rough[:3, 3] = -rough[:3, :3] @ origin
    return rough


def case_occupancy(case: NormalisedCase, grid: LabelGrid) -> NDArray[np.uint8]:
    """(2, I, J, K) partial-volume labels of radius and ulna on ``grid``, 0 to 255."""
    return np.round(255 * np.stack([soft_label(bone, grid) for bone in (case.radius, case.ulna)])).astype(np.uint8)


def ct_drr_samples(
    case: NormalisedCase, views: Sequence[View], rng: np.random.Generator, error_mm: float = 1.5, error_deg: float = 2.5
) -> list[FilmSample]:
    """One random CT-DRR for each of ``views``, on a film cut with the given errors; its radiograph is blank."""
    samples = []
    for view in views:
        geometry = draw_geometry(rng, view, ulnar_head_mm=case.ulnar_head_mm)
        blank = Radiograph(
            np.zeros(geometry.camera.shape_px, np.float32), geometry.camera, "right", view, geometry.source_to_object_mm
        )
        sample = film_sample(case, PosedRadiograph(blank, geometry.camera_from_radius @ case.right_from_world), rng,
                             error_mm, error_deg)  # fmt: skip
        samples.append(sample)
    return samples


def film_sample(
    case: NormalisedCase, posed: PosedRadiograph, rng: np.random.Generator, error_mm: float, error_deg: float
) -> FilmSample:
    """The film of a posed radiograph, cut with a random error (standard deviations given), and its DRR.

    A blank radiograph posed by hand is taken as one of a right wrist.
    """
    radiograph = posed.radiograph
    points = _landmarks_px(case, posed)
    spacing_mm = radiograph.spacing_at_wrist_mm
    angle = np.deg2rad(rng.normal(0, error_deg))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    origin = points[0] + rng.normal(0, error_mm / spacing_mm, 2)
    shaft = origin + turn @ (points[1] - points[0])
    film = film_from_landmarks(radiograph, origin, shaft, _from_ulnar(case, posed))
    mirror = mirror_transform() if film.mirrored else np.eye(4)
    canonical_from_right = mirror @ posed.camera_from_world @ np.linalg.inv(case.right_from_world)
    drr = project(
        np.asarray(case.bones.values[None], dtype=np.float32),
        film.camera.image_from_camera,
        canonical_from_right @ case.bones.world_from_voxel,
        FILM_SHAPE,
    )
    return FilmSample(film.pixels, drr[0], radiograph.view)


def locator_samples(case: NormalisedCase, posed: PosedRadiograph, rng: np.random.Generator) -> list[LocatorSample]:
    """The whole radiograph upright with its landmarks, and once turned by a random quarter, as what is no answer."""
    from_ulnar = _from_ulnar(case, posed)
    image, image_from_locator = locator_input(posed.radiograph, 0, from_ulnar)
    locator_from_image = np.linalg.inv(image_from_locator)
    points = _landmarks_px(case, posed) @ locator_from_image[:2, :2].T + locator_from_image[:2, 2]
    inside = ((points >= 0) & (points <= np.array(LOCATOR_SHAPE[::-1]) - 1)).all()
    turned, _ = locator_input(posed.radiograph, int(rng.integers(1, 4)), from_ulnar)
    nowhere = np.full((3, 2), np.nan, dtype=np.float32)
    upright = LocatorSample(image, points.astype(np.float32) if inside else nowhere, bool(inside))
    return [upright, LocatorSample(turned, nowhere, False)]


def _from_ulnar(case: NormalisedCase, posed: PosedRadiograph) -> bool:
    """Whether it is a lateral with the source on the ulnar side (images.film), going by the pose."""
    camera_from_right = posed.camera_from_world @ np.linalg.inv(case.right_from_world)
    return posed.radiograph.view == "lateral" and bool(camera_from_right[2, 0] < 0)  # ulnar is towards the source


def _landmarks_px(case: NormalisedCase, posed: PosedRadiograph) -> Float:
    """(3, 2) px of the radiograph: radius origin, shaft point, ulnar head."""
    points_right = np.stack([np.zeros(3), np.asarray(PROXIMAL_POINT_MM), case.ulnar_head_mm])
    points_camera = apply_transform(posed.camera_from_world @ np.linalg.inv(case.right_from_world), points_right)
    # Poses are given in the camera's own frame, wherever the camera stands in its world.
    return replace(posed.radiograph.camera, camera_from_world=np.eye(4)).project(points_camera)
