"""Landmarks and radius frame of a segmented wrist without any landmark by hand, wherever the bones lie.

The long axis, its distal end and the ulna's side give starts; the mean radius is laid on the bone rigidly, then bent by
the shape model's modes, which carries the mean wrist's landmarks along; from there each landmark is the far point of
the bone's own surface (:mod:`bonelift.anatomy.landmarks`), and the frame is built as from landmarks by hand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from bonelift.anatomy.frame import radius_from_mesh
from bonelift.anatomy.landmarks import expected_landmarks, find_landmarks
from bonelift.anatomy.model_fit import fit_model
from bonelift.anatomy.shape_model import load_shape_model
from bonelift.anatomy.side import mirror_transform
from bonelift.anatomy.statistical_shape import ShapeModel
from bonelift.anatomy.surface_fit import surface_cloud
from bonelift.errors import InputError
from bonelift.geometry import apply_transform, compose, invert_rigid, rotation_about_axis, translation
from bonelift.images import Side
from bonelift.surface.clip import clip_below
from bonelift.surface.mesh import TriangleMesh
from bonelift.surface.nearest import build_tree, find_nearest
from bonelift.surface.point_to_plane import StepRules, point_to_plane_step

Float = NDArray[np.float64]

USED_ABOVE_MM = -70.0
"""What lies further proximal is left out of the fit: scans end there or before."""
SHORTEST_MM = 45.0
"""Distal length of radius below which no shaft axis can be had (frame.fit_shaft_axis needs it to z = -35 mm)."""
CUT_MM = 2.0
"""Taken off the proximal end, which the scan cut: its cap is no surface of bone."""
LARGEST_RESIDUAL_MM = 1.2
"""Mean distance of the bone from the bent mean bone beyond which it is not taken for a distal radius."""
LARGEST_UNBENT_MM = 1.5
CLEAR_RATIO = 1.5
"""Virtual wrists lie 0.4 to 0.7 mm from the mean bone of their side and 3 to 5 times as far from the other side's."""
_JOINT_BELOW_END_MM = 8.0
_END_MM = 25.0
"""Proximal of the origin to which the mean bone's distal end is looked at, to tell a bone that slid along the shaft."""
_STARTS_DEG = (0.0, -30.0, 30.0)
_MODES = 30
_POINTS, _ITERATIONS = 1500, 40
_FEW_POINTS, _FEW_ITERATIONS = 300, 20
_LAYING = StepRules(smallest_mm=0.1, damping=1e-3, largest_turn=0.3)
"""The mean bone is another one: it is never nearer than a tenth of a millimetre, and it can slide along the shaft."""


@dataclass(frozen=True, eq=False)
class FoundFrame:
    """What was found on a wrist.

    right_from_world: (4, 4) from the bones' world to the radius frame of a right wrist; determinant -1 for a left one.
    landmarks: name -> (3,) mm in the bones' world, the names of landmarks.FAR_POINTS and ulnar_head_centre.
    residual_mm: mean distance of the distal radius from the bent mean bone.
    """

    right_from_world: Float
    landmarks: dict[str, Float]
    residual_mm: float


@dataclass(frozen=True)
class SideEvidence:
    """Mean distance (mm) of the distal radius from the mean right one, moved and scaled onto it: as is and mirrored."""

    as_right_mm: float
    as_left_mm: float

    @property
    def side(self) -> Side | None:
        """The side whose shape the bone has; None where neither fits clearly better, or none fits at all."""
        near, far = sorted((self.as_right_mm, self.as_left_mm))
        if near > LARGEST_UNBENT_MM or far < CLEAR_RATIO * near:
            return None
        return "right" if self.as_right_mm < self.as_left_mm else "left"


def side_evidence(radius: TriangleMesh, ulna: TriangleMesh, model: ShapeModel | None = None) -> SideEvidence:
    """Which side's shape a radius has. radius, ulna: in one world, mm, any pose. InputError: radius too short."""
    model = load_shape_model() if model is None else model
    distances = []
    for mirror in (np.eye(4), mirror_transform()):
        own = radius.transformed(mirror)
        model_from_own = _laid_on_mean(own, ulna.transformed(mirror), model)
        distances.append(_bent_mean(own.transformed(model_from_own), model, modes=0)[1])
    return SideEvidence(*distances)


def find_frame(radius: TriangleMesh, ulna: TriangleMesh, side: Side, model: ShapeModel | None = None) -> FoundFrame:
    """Landmarks and frame of a wrist.

    radius, ulna: closed or open surfaces in one world, mm, any pose, at least SHORTEST_MM of the radius. model: None
    loads the packaged one.

    Raises InputError where the bone is too short, has the other side's shape, or looks like no distal radius. A
    malunited fracture or a child's open physis may be found wrongly: look at the overlay.
    """
    model = load_shape_model() if model is None else model
    evidence = side_evidence(radius, ulna, model)
    if evidence.side not in (None, side):
        raise InputError(
            f"automatic landmarks: the radius is stated to be {side}, but has the shape of a {evidence.side} one "
            f"({min(evidence.as_right_mm, evidence.as_left_mm):.1f} mm against "
            f"{max(evidence.as_right_mm, evidence.as_left_mm):.1f} mm from the mean bone); correct the side, or a scan "
            "that is mirrored"
        )
    mirror = mirror_transform() if side == "left" else np.eye(4)
    own_radius, own_ulna = radius.transformed(mirror), ulna.transformed(mirror)
    model_from_own = _laid_on_mean(own_radius, own_ulna, model)
    bone, other = own_radius.transformed(model_from_own), own_ulna.transformed(model_from_own)
    surface, residual_mm = _bent_mean(bone, model)
    if residual_mm > LARGEST_RESIDUAL_MM:
        raise InputError(
            f"automatic landmarks: the radius lies {residual_mm:.1f} mm (mean) from the shape model's "
            "nearest; expected a whole distal radius; check the labels, or place the landmarks by hand"
        )
    # The directions in which far points are sought belong to the mean wrist's frame, on which the bone now lies.
    found = find_landmarks(bone, other, expected_landmarks(_carried(model, surface), other))
    frame_from_model = radius_from_mesh(bone, found["radial_styloid_tip"], found["sigmoid_notch_volar"])
    found["ulnar_head_centre"] = _ulnar_head(model, other)
    world_from_model = mirror @ invert_rigid(model_from_own)
    landmarks = {name: apply_transform(world_from_model, point) for name, point in found.items()}
    return FoundFrame(frame_from_model @ model_from_own @ mirror, landmarks, residual_mm)


def _laid_on_mean(radius: TriangleMesh, ulna: TriangleMesh, model: ShapeModel) -> Float:
    """model_from_own (4, 4) of a radius taken as a right one: the best start, chosen on few points, then refined."""
    mean, points = _Target(model.radius.mean), _even_points(radius)
    few = points[:: _POINTS // _FEW_POINTS]
    fits = [_laid_on(few, mean, start, _FEW_ITERATIONS) for start in _start_frames(radius, ulna)]
    best = min(fits, key=lambda fit: fit[1] + mean.distance_of_end(apply_transform(fit[0], points)))
    return _laid_on(points, mean, best[0], _ITERATIONS)[0]


def _start_frames(radius: TriangleMesh, ulna: TriangleMesh) -> list[Float]:
    """Rough model_from_world poses: either end of the long axis as the distal one, the ulna on the ulnar side."""
    centre, axis, length = _long_axis(radius)
    if length < SHORTEST_MM:
        raise InputError(
            f"automatic landmarks: the radius is {length:.0f} mm long; expected {SHORTEST_MM:.0f} mm or more of its "
            "distal end; segment more of the shaft"
        )
    frames = []
    for z in (axis, -axis):
        end = ((radius.vertices - centre) @ z).max()
        near = radius.vertices[(radius.vertices - centre) @ z > end - 35.0]
        beside = ulna.vertices[np.abs((ulna.vertices - centre) @ z - end + 15.0) < 20.0]
        beside = ulna.vertices if len(beside) == 0 else beside
        x = beside.mean(axis=0) - near.mean(axis=0)
        x = x - (x @ z) * z
        x = x / max(float(np.linalg.norm(x)), 1e-9)
        shaft = radius.vertices[(radius.vertices - centre) @ z < end - 25.0].mean(axis=0)
        origin = shaft + ((centre - shaft) @ z + end - _JOINT_BELOW_END_MM) * z
        frame = np.eye(4)
        frame[:3, :3] = np.stack([x, np.cross(z, x), z])
        frame[:3, 3] = -frame[:3, :3] @ origin
        # The ulna's head lies dorsal of the radius's middle: x to it points some 25 degrees off the frame's own.
        frames += [rotation_about_axis([0, 0, 1], np.deg2rad(-25.0 + turn)) @ frame for turn in _STARTS_DEG]
    return frames


def _long_axis(bone: TriangleMesh) -> tuple[Float, Float, float]:
    """Centroid (3,), unit direction (3,) and extent (mm) of a bone along its longest principal axis, by area."""
    areas = bone.face_areas_mm2
    middles = bone.triangles.mean(axis=1)
    centre = areas @ middles / areas.sum()
    offset = (middles - centre) * np.sqrt(areas)[:, None]
    axis = np.linalg.eigh(offset.T @ offset)[1][:, -1]
    return centre, axis, float(np.ptp(bone.vertices @ axis))


class _Target:
    """A mean bone prepared for :func:`_laid_on`: dense points with normals and their tree."""

    def __init__(self, mean: TriangleMesh) -> None:
        self.cloud = surface_cloud(mean, 1.0)
        self.tree = KDTree(self.cloud.points)

    def distance_of_end(self, points: Float) -> float:
        """Mean distance (mm) from the mean bone's distal end to points (N, 3) laid on it: large where a bone slid along
        the shaft, whose few points left on the mean bone fit well."""
        end = self.cloud.points[self.cloud.points[:, 2] > -_END_MM]
        return float(KDTree(points).query(end)[0].mean())


def _even_points(bone: TriangleMesh) -> Float:
    """(N, 3) up to _POINTS vertices, spread evenly over the bone."""
    rng = np.random.default_rng(0)
    areas = bone.face_areas_mm2
    return bone.triangles.mean(axis=1)[rng.choice(len(areas), size=_POINTS, p=areas / areas.sum())]


def _laid_on(points_world: Float, mean: _Target, start: Float, iterations: int) -> tuple[Float, float]:
    """model_from_world (4, 4) by point-to-plane iteration from ``start``, and the mean distance (mm) it leaves.

    Only points above USED_ABOVE_MM and off the scan's cut count.
    """
    model_from_world = start
    distance = np.zeros(0)
    for _ in range(iterations):
        moved = apply_transform(model_from_world, points_world)
        low = max(USED_ABOVE_MM, float(moved[:, 2].min()) + CUT_MM)
        moved = moved[moved[:, 2] > low]
        if len(moved) < len(points_world) // 20:  # slid off along the shaft
            return start, np.inf
        distance, nearest = mean.tree.query(moved)
        step = point_to_plane_step(moved, mean.cloud.points[nearest], mean.cloud.normals[nearest], rules=_LAYING)
        model_from_world = step.motion @ model_from_world
        if step.largest < 1e-4:
            break
    return model_from_world, float(np.mean(distance))


def _bent_mean(bone: TriangleMesh, model: ShapeModel, modes: int = _MODES) -> tuple[TriangleMesh, float]:
    """The mean radius scaled and bent by ``modes`` onto ``bone`` (model frame), and the mean distance (mm) left."""
    used = clip_below(bone, max(USED_ABOVE_MM, float(bone.vertices[:, 2].min()) + CUT_MM))
    iterations = 16 if modes else 8  # pose and scale alone settle sooner
    fitted = fit_model(model.radius.mean, model.radius.modes[:modes], surface_cloud(used, 1.0), 0.4, iterations)
    return fitted.surface, _mean_distance(used, fitted.surface)


def _mean_distance(bone: TriangleMesh, template: TriangleMesh) -> float:
    """Mean distance (mm) from the bone's vertices above -35 mm to the template."""
    points = bone.vertices[bone.vertices[:, 2] > -35.0]
    if len(points) == 0:
        return np.inf
    return float(find_nearest(points[:: max(1, len(points) // 3000)], build_tree(template)).distance_mm.mean())


def _carried(model: ShapeModel, surface: TriangleMesh) -> dict[str, Float]:
    """The mean wrist's landmarks where the bent surface has the same vertices; those of the ulna stay."""
    carried = {}
    for name, point in model.landmarks.items():
        nearest = int(np.argmin(((model.radius.mean.vertices - point) ** 2).sum(axis=1)))
        carried[name] = point if name.startswith("ulnar") else surface.vertices[nearest]
    return carried


def _ulnar_head(model: ShapeModel, ulna: TriangleMesh) -> Float:
    """(3,) centre of the ulnar head, in the frame of ``ulna`` (the radius's): the mean ulna laid on it, from starts
    turned about its own axis."""
    mean, points = _Target(model.ulna.mean), _even_points(ulna)
    head = model.landmarks["ulnar_head_centre"]
    top = points[points[:, 2] > points[:, 2].max() - 20.0].mean(axis=0)
    own = model.ulna.mean.vertices
    offset = own[own[:, 2] > own[:, 2].max() - 20.0].mean(axis=0) - top
    fits = []
    for turn in np.deg2rad([-45.0, 0.0, 45.0]):
        start = compose(translation(head), rotation_about_axis([0, 0, 1], turn), translation(offset - head))
        fits.append(_laid_on(points, mean, start, _ITERATIONS))
    return apply_transform(invert_rigid(min(fits, key=lambda fit: fit[1])[0]), head)
