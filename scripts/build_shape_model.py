"""Build the packaged shape model from the real reference bones in BONELIFT_DATA.

Lays the packaged template on every bone, takes scale out, and keeps the mean and the modes of the localised covariance:
statistics over subjects, never a subject's shape. The registered shapes stay in memory.

``--without Manske`` (or Py2d3d, Yr4, or one subject) leaves bones out, so that these can be tests of a population that
never saw them. The template's triangulation comes from the packaged model, which saw all bones: it says how vertices
are spread, and no more.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from reference_bones import (
    NOT_NORMAL,
    RADIUS_FILES,
    SOURCES,
    ULNA_FILES,
    BoneFile,
    ReferenceBone,
    align_to,
    read_bone,
    relative_pose,
    rigid_match,
)
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation

from bonelift.anatomy.frame import radius_from_mesh
from bonelift.anatomy.landmarks import find_landmarks
from bonelift.anatomy.localised_modes import LocalCovariance, localised_modes, weighted_mean
from bonelift.anatomy.measurements import ulnar_head_centre
from bonelift.anatomy.shape_model import MODEL_FILE, load_shape_model
from bonelift.anatomy.statistical_shape import BoneModel, ShapeModel, save_model
from bonelift.anatomy.surface_fit import fit_template, smooth_basis, surface_cloud
from bonelift.errors import InputError
from bonelift.geometry import apply_transform, compose, invert_rigid, translation
from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]

LENGTHS_MM, SDS_MM, INDUCING = (45.0, 18.0, 8.0, 4.0), (3.0, 1.5, 0.8, 0.35), 600
FIT_NOISE_MM = (2.0, 1.0, 0.5, 0.3, 0.2, 0.15)
MODES = 90
COVARIANCE = LocalCovariance(taper_mm=12.0, global_share=0.4)
POSED_SUBJECTS = ("ControlSample1", "ControlSample2", "Yr4")
"""Radius and ulna in one scan: they give the mean pose of the ulna."""


@dataclass(frozen=True)
class Registered:
    """shapes (B, V, 3): the template on each bone, laid rigidly on the template; seen (B, V) in [0, 1];
    poses (B, 4, 4): template frame from the bone's."""

    template: TriangleMesh
    bones: list[ReferenceBone]
    shapes: Float
    seen: Float
    poses: Float

    def without(self, left_out: Collection[str]) -> Registered:
        """Without the bones of these subjects or sources."""
        kept = [i for i, bone in enumerate(self.bones) if not {bone.subject, bone.source} & set(left_out)]
        bones = [self.bones[i] for i in kept]
        return replace(self, bones=bones, shapes=self.shapes[kept], seen=self.seen[kept], poses=self.poses[kept])


def register(folder: Path, files: list[BoneFile], mean: TriangleMesh) -> Registered:
    """The template ``mean`` on every bone, each by itself: what is left out changes no other bone's registration."""
    top = mean.vertices[:, 2].max()
    end = mean.vertices[mean.vertices[:, 2] > top - 25].mean(axis=0)
    template = mean.transformed(translation(-np.array([end[0], end[1], top - 10])))
    basis = smooth_basis(template.vertices, LENGTHS_MM, SDS_MM, INDUCING)
    bones, shapes, seen, poses = [], [], [], []
    for file in files:
        bone = align_to(read_bone(folder, file), template)
        noise = [max(stage, bone.noise_mm) for stage in FIT_NOISE_MM]
        fitted, matched = fit_template(template, basis, surface_cloud(bone.mesh, 0.6), noise_mm=noise)
        used = matched & (template.vertices[:, 2] > -70)
        pose = rigid_match(fitted[used], template.vertices[used])
        bones.append(bone)
        shapes.append(apply_transform(pose, fitted))
        seen.append(matched)
        poses.append(pose)
        print(f"  {bone.subject}: {matched.mean():.2f} of the template seen", flush=True)
    near = np.exp(-cdist(template.vertices, template.vertices, "sqeuclidean") / (2 * 7.0**2))
    weights = np.clip(np.array(seen, dtype=np.float64) @ near / near.sum(axis=0), 0.03, 1.0)
    return Registered(template, bones, np.array(shapes), weights, np.array(poses))


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
    """(4, 4) radius frame from the ulna's template, averaged over the subjects with both bones in one scan.

    Where all of these are left out, the ulna stands to the radius as in the template: one pose, and no shape, that the
    model then has from bones that it was built without.
    """
    poses = []
    present = {bone.subject for bone in radii.bones} & {bone.subject for bone in ulnae.bones}
    for subject in sorted(present & set(POSED_SUBJECTS)):
        r = next(i for i, bone in enumerate(radii.bones) if bone.subject == subject)
        u = next(i for i, bone in enumerate(ulnae.bones) if bone.subject == subject)
        between = relative_pose(radii.bones[r], ulnae.bones[u])
        poses.append(compose(frame_from_radius, radii.poses[r], between, invert_rigid(ulnae.poses[u])))
    if not poses:
        return frame_from_radius
    mean = np.mean(poses, axis=0)
    mean[:3, :3] = Rotation.from_matrix([pose[:3, :3] for pose in poses]).mean().as_matrix()
    return mean


def assemble(radii: Registered, ulnae: Registered, template: ShapeModel) -> ShapeModel:
    """The model in the radius frame of the mean wrist; landmarks are searched from those of ``template``."""
    mean = TriangleMesh(weighted_mean(without_scale(radii), radii.seen), radii.template.faces)
    seeds = _vertices_at(template)
    tip, volar = (mean.vertices[seeds[name]] for name in ("radial_styloid_tip", "sigmoid_notch_volar"))
    frame_from_radius = radius_from_mesh(mean, tip, volar)
    ulna_mean = TriangleMesh(weighted_mean(without_scale(ulnae), ulnae.seen), ulnae.template.faces)
    for _ in range(3):  # landmarks are searched in the frame that they define
        radius = mean.transformed(frame_from_radius)
        ulna = ulna_mean.transformed(mean_ulna_pose(radii, ulnae, frame_from_radius))
        expected = {n: (ulna if n.startswith("ulnar") else radius).vertices[v] for n, v in seeds.items()}
        marks = find_landmarks(radius, ulna, expected)
        step = radius_from_mesh(radius, marks["radial_styloid_tip"], marks["sigmoid_notch_volar"])
        frame_from_radius = compose(step, frame_from_radius)
    radius_model = bone_model(radii, frame_from_radius)
    ulna_model = bone_model(ulnae, mean_ulna_pose(radii, ulnae, frame_from_radius))
    marks = find_landmarks(radius_model.mean, ulna_model.mean, marks)
    marks["ulnar_head_centre"] = ulnar_head_centre(ulna_model.mean, marks["ulnar_styloid_tip"])
    return ShapeModel(radius_model, ulna_model, marks)


def _vertices_at(model: ShapeModel) -> dict[str, int]:
    """Nearest vertex of each surface landmark, of the ulna where its name begins so."""
    found = {}
    for name, point in model.landmarks.items():
        if name != "ulnar_head_centre":
            bone = model.ulna if name.startswith("ulnar") else model.radius
            found[name] = int(np.argmin(((bone.mean.vertices - point) ** 2).sum(axis=1)))
    return found


def register_all(folder: Path, template: ShapeModel) -> tuple[Registered, Registered]:
    """Radii and ulnae of the reference bones in ``folder``, each with the means of ``template`` laid on every bone."""
    radii = register(folder, RADIUS_FILES, template.radius.mean)
    return radii, register(folder, ULNA_FILES, template.ulna.mean)


def build(radii: Registered, ulnae: Registered, template: ShapeModel, left_out: Collection[str] = ()) -> ShapeModel:
    """The shape model of all normal bones but those of the subjects or sources ``left_out``.

    radii, ulnae: as :func:`register_all` returns them for ``template``, whose vertices and faces the model has.
    """
    known = {*SOURCES, *(bone.subject for bone in [*radii.bones, *ulnae.bones])}
    if unknown := set(left_out) - known:
        raise InputError(
            f"--without {', '.join(sorted(unknown))}: no such bone; expected of {', '.join(sorted(known))}"
        )
    radii, ulnae = radii.without([*left_out, *NOT_NORMAL["radius"]]), ulnae.without([*left_out, *NOT_NORMAL["ulna"]])
    return replace(assemble(radii, ulnae, template), without=tuple(sorted(left_out)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=MODEL_FILE)
    parser.add_argument("--template", type=Path, help="shape model whose triangulation is kept (default: the packaged)")
    parser.add_argument("--without", nargs="+", default=[], metavar="NAME", help=f"subjects, or of {SOURCES}")
    options = parser.parse_args()
    if options.without and options.out == MODEL_FILE:
        parser.error("--without needs --out: a model with bones left out does not replace the packaged one")
    template = load_shape_model(options.template)
    radii, ulnae = register_all(Path(os.environ["BONELIFT_DATA"]) / "reference_bones", template)
    model = build(radii, ulnae, template, options.without)
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
