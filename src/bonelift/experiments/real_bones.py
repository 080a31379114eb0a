"""Real bones as wrists that a virtual scanner and tube can look at, and the no-skill bones beside them.

Each real surface is covered by the shape model's template (a smooth deformation, no mode of the model in it), which
closes it and carries the shaft on where the scan ends; only what the scan shows is ever scored. A bone without its
partner stands beside the mean one. What a network knows of a bone's subject is for whoever scores to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from bonelift.anatomy.frame import radius_from_mesh
from bonelift.anatomy.landmarks import find_landmarks
from bonelift.anatomy.localised_modes import weighted_mean
from bonelift.anatomy.statistical_shape import BoneModel, ShapeModel, WristShape
from bonelift.anatomy.surface_fit import fit_template, smooth_basis, surface_cloud
from bonelift.errors import InputError
from bonelift.geometry import apply_transform, compose, invert_rigid, rigid_between
from bonelift.images.volume import BONES
from bonelift.surface.distance import distance_to_surface
from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]

LENGTHS_MM, SDS_MM, INDUCING = (45.0, 18.0, 8.0, 4.0), (3.0, 1.5, 0.8, 0.35), 500
"""Of the smooth deformation that lays the template on a bone, as for the shape model (scripts/build_shape_model.py)."""
ROUNDS = 3
SHORTEST_MM = 25.0
"""A bone of which less is seen is not scored."""
SEEN_SHARE = 0.97
"""Of the template's vertices above the lowest scored height, that lie on real surface."""
SCORED_ABOVE_MM = -40.0
_STEP_MM = 0.5


@dataclass(frozen=True, eq=False)
class RealSurface:
    """A surface as scanned: right bone, distal along +Z, laid roughly on the shape model's mean (within some mm).

    scan_pose: (4, 4) this frame from that of the subject's scan. same_scan: whether the subject's bones share one, so
    that they tell how radius and ulna lie.
    """

    subject: str
    bone: str
    mesh: TriangleMesh
    scan_pose: Float
    same_scan: bool


@dataclass(frozen=True, eq=False)
class CoveredBone:
    """subject, bone, same_scan: see RealSurface. vertices: (V, 3) of the template on the bone, laid rigidly on the
    template. seen: (V,) bool, on real surface. template_from_scan: (4, 4). off_mm: mean distance of the real surface
    (above SCORED_ABOVE_MM) from the cover."""

    subject: str
    bone: str
    same_scan: bool
    vertices: Float
    seen: NDArray[np.bool_]
    template_from_scan: Float
    off_mm: float


@dataclass(frozen=True, eq=False)
class RealWrist:
    """shape: closed bones in the radius frame. scored_above_mm: bone -> radius-frame height above which the surface is
    the subject's own; bones that are not real have none. off_mm: bone -> see CoveredBone."""

    subject: str
    shape: WristShape
    scored_above_mm: Mapping[str, float]
    off_mm: Mapping[str, float]


def cover(surface: RealSurface, model: BoneModel) -> CoveredBone:
    """The template of ``model`` laid on a real bone."""
    template = model.mean
    basis = smooth_basis(template.vertices, LENGTHS_MM, SDS_MM, INDUCING)
    fitted, seen = fit_template(template, basis, surface_cloud(surface.mesh, 0.6), repeats=ROUNDS)
    used = seen & (template.vertices[:, 2] > -70)
    pose = rigid_between(fitted[used], template.vertices[used])
    real = surface.mesh.vertices[~_near_border(surface.mesh)]
    real = real[real[:, 2] > SCORED_ABOVE_MM]
    off_mm = float(distance_to_surface(real, TriangleMesh(fitted, template.faces)).mean())
    return CoveredBone(
        surface.subject,
        surface.bone,
        surface.same_scan,
        apply_transform(pose, fitted),
        seen,
        compose(pose, surface.scan_pose),
        off_mm,
    )


def _near_border(mesh: TriangleMesh, margin_mm: float = 1.0) -> NDArray[np.bool_]:
    border = mesh.vertices[mesh.border_vertices()]
    if not len(border):
        return np.zeros(len(mesh.vertices), dtype=bool)
    return np.asarray(KDTree(border).query(mesh.vertices)[0]) < margin_mm


def lowest_seen_mm(vertices: Float, seen: NDArray[np.bool_]) -> float:
    """The lowest height z (>= SCORED_ABOVE_MM) above which SEEN_SHARE of the vertices are real surface.

    The slice just above the cut has to be seen, too: a long seen bone must not pay for a missing end.
    """
    for low in np.arange(SCORED_ABOVE_MM, vertices[:, 2].max() - 10, _STEP_MM):
        above = vertices[:, 2] >= low
        slice_ = above & (vertices[:, 2] < low + 2.0)
        if seen[above].mean() >= SEEN_SHARE and seen[slice_].mean() >= 0.9:
            return float(low)
    return float("nan")


def real_wrist(
    subject: str, covered: Sequence[CoveredBone], model: ShapeModel, rng: np.random.Generator
) -> RealWrist | None:
    """The subject's wrist in its radius frame; None where no bone of it is seen over SHORTEST_MM.

    covered: of this subject. Sex and age are not known and are drawn, as the inside will be.
    """
    own = {bone.bone: bone for bone in covered if bone.subject == subject}
    means = {"radius": model.radius.mean, "ulna": model.ulna.mean}
    vertices = {name: own[name].vertices if name in own else means[name].vertices for name in BONES}
    if "radius" in own and "ulna" in own and own["radius"].same_scan:
        radius_from_ulna = compose(own["radius"].template_from_scan, invert_rigid(own["ulna"].template_from_scan))
        vertices["ulna"] = apply_transform(radius_from_ulna, vertices["ulna"])
    else:
        vertices["ulna"] = vertices["ulna"] + _clearance(vertices["radius"], vertices["ulna"])
    meshes = {name: TriangleMesh(vertices[name], means[name].faces) for name in BONES}
    shape = _in_radius_frame(meshes, model, rng)
    placed = {"radius": shape.radius.vertices, "ulna": shape.ulna.vertices}
    above = {}
    for name, bone in own.items():
        low = lowest_seen_mm(placed[name], bone.seen)
        if np.isfinite(low) and placed[name][:, 2].max() - low >= SHORTEST_MM:
            above[name] = low
    if not above:
        return None
    return RealWrist(subject, shape, above, {name: own[name].off_mm for name in above})


def _clearance(radius: Float, ulna: Float, gap_mm: float = 1.5) -> Float:
    """(3,) by how much an ulna of another wrist has to move ulnar-wards to stand ``gap_mm`` off the radius."""
    near = ulna[ulna[:, 2] > -50]
    tree = KDTree(radius)
    shift = np.zeros(3)
    for _ in range(40):
        distance, nearest = (np.asarray(part) for part in tree.query(near + shift))
        closest = int(np.argmin(distance))
        inside = radius[nearest[closest], 0] > (near[closest] + shift)[0]
        if distance[closest] >= gap_mm and not inside:
            break
        shift[0] += 0.3
    return shift


def _in_radius_frame(meshes: Mapping[str, TriangleMesh], model: ShapeModel, rng: np.random.Generator) -> WristShape:
    """Landmarks carried along by correspondence, found again, and the frame that they define."""
    radius, ulna = meshes["radius"], meshes["ulna"]
    means = {"radius": model.radius.mean, "ulna": model.ulna.mean}
    carried = {}
    for name, point in model.landmarks.items():
        bone = "ulna" if name.startswith("ulnar") else "radius"
        near = np.argsort(np.linalg.norm(means[bone].vertices - point, axis=1))[:6]
        carried[name] = point + (meshes[bone].vertices[near] - means[bone].vertices[near]).mean(axis=0)
    found = find_landmarks(radius, ulna, carried)
    found["ulnar_head_centre"] = carried["ulnar_head_centre"]
    pose = radius_from_mesh(radius, found["radial_styloid_tip"], found["sigmoid_notch_volar"])
    landmarks = {name: apply_transform(pose, point) for name, point in found.items()}
    sex = ("female", "male")[int(rng.integers(2))]
    return WristShape(
        radius.transformed(pose), ulna.transformed(pose), landmarks, sex, float(np.clip(rng.normal(45, 16), 18, 85))
    )


def mean_of_others(subject: str, covered: Sequence[CoveredBone], model: ShapeModel) -> dict[str, TriangleMesh]:
    """Bone -> mean of the other subjects' real bones, size kept, at the pose of the model's mean: no skill.

    Where no other bone is seen the model's own mean shaft carries on. Raises InputError without two other bones.
    """
    means = {}
    for name, template in (("radius", model.radius.mean), ("ulna", model.ulna.mean)):
        others = [bone for bone in covered if bone.bone == name and bone.subject != subject]
        if len(others) < 2:
            raise InputError(f"{name}: {len(others)} bones of other subjects than {subject}; expected two at least")
        weights = np.array([np.where(bone.seen, 1.0, 0.02) for bone in others])
        shapes = np.array([bone.vertices for bone in others])
        mean = weighted_mean(shapes, weights)
        for _ in range(3):
            laid = [
                apply_transform(rigid_between(shape, mean, weight * (mean[:, 2] > -60)), shape)
                for shape, weight in zip(shapes, weights, strict=True)
            ]
            mean = weighted_mean(np.array(laid), weights)
        means[name] = TriangleMesh(mean, template.faces)
    return means


def at_true_size(mean: TriangleMesh, truth: TriangleMesh, above_mm: float) -> TriangleMesh:
    """The mean bone scaled to the truth (corresponding vertices, the part above ``above_mm`` of the truth)."""
    used = truth.vertices[:, 2] >= above_mm
    source = apply_transform(rigid_between(mean.vertices[used], truth.vertices[used]), mean.vertices)
    centre, aim = source[used].mean(axis=0), truth.vertices[used]
    offset = source[used] - centre
    scale = float((offset * (aim - aim.mean(axis=0))).sum() / (offset**2).sum())
    return TriangleMesh(centre + scale * (source - centre), mean.faces)
