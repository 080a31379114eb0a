"""Build the packaged shape model from the real reference bones in BONELIFT_DATA.

Registers a template to every bone, takes scale out, and keeps the mean and the modes of the localised covariance:
statistics over subjects, never a subject's shape. The registered shapes stay in memory.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from reference_bones import (
    RADIUS_FILES,
    ULNA_FILES,
    ReferenceBone,
    align_to,
    mean_of_corresponding,
    read_bone,
    relative_pose,
    rigid_match,
)
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation
from template_mesh import build_template, relax

from bonelift.anatomy.frame import radius_from_mesh
from bonelift.anatomy.landmarks import find_landmarks
from bonelift.anatomy.localised_modes import LocalCovariance, localised_modes, weighted_mean
from bonelift.anatomy.measurements import ulnar_head_centre
from bonelift.anatomy.shape_model import MODEL_FILE
from bonelift.anatomy.statistical_shape import BoneModel, ShapeModel, save_model
from bonelift.anatomy.surface_fit import fit_template, smooth_basis, surface_cloud
from bonelift.geometry import apply_transform, compose, invert_rigid
from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]

END_MM = -104.0
EDGE_MM = {"radius": 1.45, "ulna": 1.25}
LENGTHS_MM, SDS_MM, INDUCING = (45.0, 18.0, 8.0, 4.0), (3.0, 1.5, 0.8, 0.35), 600
MODES = 90
COVARIANCE = LocalCovariance(taper_mm=12.0, global_share=0.4)
POSED_SUBJECTS = ("ControlSample1", "ControlSample2")
"""Radius and ulna in one scan: they give the mean pose of the ulna."""

# Where the mean bones' landmarks lie in the rough frame of the references, mm: seeds of the search.
ROUGH_STYLOID, ROUGH_NOTCH_VOLAR = (-8.6, -0.6, 9.0), (15.6, 11.6, -5.2)
SEEDS = {
    "radial_styloid_tip": (-10.4, 6.4, 6.9),
    "sigmoid_notch_volar": (17.3, 8.3, -4.2),
    "sigmoid_notch_dorsal": (12.8, -7.9, -3.2),
    "volar_rim": (9.9, 12.0, -2.5),
    "dorsal_rim": (10.1, -7.3, -0.9),
    "lister_tubercle": (-3.0, -10.4, -8.5),
}


@dataclass(frozen=True)
class Registered:
    """shapes (B, V, 3): the template on each bone, laid rigidly on the template; seen (B, V) in [0, 1];
    poses (B, 4, 4): template frame from the bone's."""

    template: TriangleMesh
    bones: list[ReferenceBone]
    shapes: Float
    seen: Float
    poses: Float


def register(bones: list[ReferenceBone], edge_mm: float) -> Registered:
    """Two rounds: the template of the first is the mean of the whole bones, of the second the mean of all bones."""
    reference = mean_of_corresponding(bones)
    bones = [align_to(bone, reference) for bone in bones]
    template = build_template(reference, END_MM, edge_mm, smoothing_mm=0.9)
    for rounds in (2, 4):
        basis = smooth_basis(template.vertices, LENGTHS_MM, SDS_MM, INDUCING)
        shapes, seen, poses = [], [], []
        for bone in bones:
            cloud = surface_cloud(bone.mesh, 0.6)
            fitted, matched = fit_template(template, basis, cloud, repeats=rounds)
            used = matched & (template.vertices[:, 2] > -70)
            pose = rigid_match(fitted[used], template.vertices[used])
            shapes.append(apply_transform(pose, fitted))
            seen.append(matched)
            poses.append(pose)
            print(f"  {bone.subject}: {matched.mean():.2f} of the template seen", flush=True)
        near = np.exp(-cdist(template.vertices, template.vertices, "sqeuclidean") / (2 * 7.0**2))
        weights = np.clip(np.array(seen, dtype=np.float64) @ near / near.sum(axis=0), 0.03, 1.0)
        result = Registered(template, bones, np.array(shapes), weights, np.array(poses))
        if rounds == 2:
            template = relax(TriangleMesh(weighted_mean(result.shapes, weights), template.faces), 15)
    return result


def without_scale(registered: Registered) -> Float:
    """Shapes (B, V, 3) laid on their mean by similarity; a bone seen in part is scaled in that part."""
    mean = weighted_mean(registered.shapes, registered.seen)
    scaled = []
    distal = mean[:, 2] > -75
    for shape, weight in zip(registered.shapes, registered.seen * distal, strict=True):
        moved = apply_transform(rigid_match(shape, mean, weight), shape)
        centre = np.average(mean, axis=0, weights=weight)
        offset = weight[:, None] * (moved - centre)
        scale = (offset * (mean - centre)).sum() / (offset * (moved - centre)).sum()
        trusted = 1 + (scale - 1) * min(1.0, float(weight.sum() / distal.sum()))
        scaled.append(centre + trusted * (moved - centre))
    return np.array(scaled)


def bone_model(registered: Registered, frame_from_template: Float) -> BoneModel:
    """Mean and modes of one bone in the radius frame."""
    shapes = without_scale(registered)
    mean = weighted_mean(shapes, registered.seen)
    residuals = (shapes - mean) @ frame_from_template[:3, :3].T
    placed = apply_transform(frame_from_template, mean)
    modes = localised_modes(placed, residuals, registered.seen, MODES, COVARIANCE)
    return BoneModel(TriangleMesh(placed, registered.template.faces), modes.astype(np.float32))


def mean_ulna_pose(radii: Registered, ulnae: Registered, frame_from_radius: Float) -> Float:
    """(4, 4) radius frame from the ulna's template, averaged over the subjects with both bones in one scan."""
    poses = []
    for subject in POSED_SUBJECTS:
        r = next(i for i, bone in enumerate(radii.bones) if bone.subject == subject)
        u = next(i for i, bone in enumerate(ulnae.bones) if bone.subject == subject)
        between = relative_pose(radii.bones[r], ulnae.bones[u])
        poses.append(compose(frame_from_radius, radii.poses[r], between, invert_rigid(ulnae.poses[u])))
    mean = np.mean(poses, axis=0)
    mean[:3, :3] = Rotation.from_matrix([pose[:3, :3] for pose in poses]).mean().as_matrix()
    return mean


def assemble(radii: Registered, ulnae: Registered) -> ShapeModel:
    """The model in the radius frame of the mean wrist."""
    mean = TriangleMesh(weighted_mean(without_scale(radii), radii.seen), radii.template.faces)
    tip, volar = (
        mean.vertices[np.argmin(((mean.vertices - seed) ** 2).sum(axis=1))]
        for seed in (ROUGH_STYLOID, ROUGH_NOTCH_VOLAR)
    )
    frame_from_radius = radius_from_mesh(mean, tip, volar)
    for _ in range(3):  # landmarks are searched in the frame that they define
        ulna_pose = mean_ulna_pose(radii, ulnae, frame_from_radius)
        radius, ulna = mean.transformed(frame_from_radius), ulnae.template.transformed(ulna_pose)
        seeds = {**SEEDS, "ulnar_styloid_tip": ulna.vertices[np.argmax(ulna.vertices[:, 2])]}
        marks = find_landmarks(radius, ulna, {name: np.asarray(p) for name, p in seeds.items()})
        step = radius_from_mesh(radius, marks["radial_styloid_tip"], marks["sigmoid_notch_volar"])
        frame_from_radius = compose(step, frame_from_radius)
    radius_model = bone_model(radii, frame_from_radius)
    ulna_model = bone_model(ulnae, mean_ulna_pose(radii, ulnae, frame_from_radius))
    marks = find_landmarks(radius_model.mean, ulna_model.mean, marks)
    marks["ulnar_head_centre"] = ulnar_head_centre(ulna_model.mean, marks["ulnar_styloid_tip"])
    return ShapeModel(radius_model, ulna_model, marks)


def register_all(folder: Path) -> tuple[Registered, Registered]:
    """Radii and ulnae of the reference bones in ``folder``, each with its template on every bone."""
    radii = register([read_bone(folder, *row) for row in RADIUS_FILES], EDGE_MM["radius"])
    ulnae = register([read_bone(folder, *row) for row in ULNA_FILES], EDGE_MM["ulna"])
    return radii, ulnae


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=MODEL_FILE)
    options = parser.parse_args()
    radii, ulnae = register_all(Path(os.environ["BONELIFT_DATA"]) / "reference_bones")
    model = assemble(radii, ulnae)
    save_model(options.out, model)
    for name, point in model.landmarks.items():
        print(f"{name}: {np.round(point, 2).tolist()}")
    for name, bone in (("radius", model.radius), ("ulna", model.ulna)):
        share = (bone.modes.astype(np.float64) ** 2).sum(axis=(1, 2))
        print(
            f"{name}: {len(bone.mean.vertices)} vertices, first modes {np.round(share[:4] / share.sum(), 3).tolist()}"
        )
    print(f"{options.out.name}: {options.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
