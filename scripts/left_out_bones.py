"""How well a population that never saw a real bone knows it: for the shape model's report.

The shape model is rebuilt without the bone's subject, wrists are drawn from it, and their basis of modes is laid on the
bone. The settings of ``population.py`` were set on these same bones, a few scalars for all: so this is calibration and
not a blind test of them.
"""

from __future__ import annotations

import numpy as np
from build_shape_model import Registered, build, without_scale
from numpy.typing import NDArray
from reference_bones import NOT_NORMAL, rigid_match
from scipy.spatial import KDTree

from bonelift.anatomy.localised_modes import weighted_mean
from bonelift.anatomy.model_fit import fit_model
from bonelift.anatomy.population import draw_bones
from bonelift.anatomy.shape_basis import SEEN_ABOVE_MM, BoneBasis, fit_basis
from bonelift.anatomy.statistical_shape import ShapeModel, WristShape
from bonelift.anatomy.surface_fit import SurfaceCloud, surface_cloud
from bonelift.surface.distance import distance_to_surface
from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]

MODES = 80
BANDS = {"1": slice(0, 1), "2-5": slice(1, 5), "6-20": slice(5, 20), "21-80": slice(20, 80)}
DRAWN, UNSEEN = 300, 16
FIRST_SEED, FIRST_UNSEEN_SEED = 1_100_000, 1_200_000

Row = dict[str, float | str]


def left_out(radii: Registered, ulnae: Registered, template: ShapeModel) -> dict[str, list[Row]]:
    """One row a bone, and one ("unseen virtual") for the mean of ``UNSEEN`` virtual bones of the whole model."""
    registered = {"radius": radii, "ulna": ulnae}
    rows: dict[str, list[Row]] = {"radius": [], "ulna": []}
    subjects = list(dict.fromkeys(bone.subject for bone in [*radii.bones, *ulnae.bones]))
    for subject in subjects:
        model = build(radii, ulnae, template, [subject])
        drawn = drawn_bones(model, FIRST_SEED, DRAWN)
        for bone, registration in registered.items():
            for index, real in enumerate(registration.bones):
                if real.subject == subject:
                    basis = basis_of(drawn[bone])
                    rows[bone].append(_row(registration, index, bone, basis))
                    print(bone, rows[bone][-1], flush=True)
    model = build(radii, ulnae, template)
    drawn, unseen = drawn_bones(model, FIRST_SEED, DRAWN), drawn_bones(model, FIRST_UNSEEN_SEED, UNSEEN)
    for bone in registered:
        basis = basis_of(drawn[bone])
        virtual = [_virtual_row(basis, mesh) for mesh in unseen[bone]]
        rows[bone].append({"bone": "unseen virtual"} | {k: float(np.mean([r[k] for r in virtual])) for k in virtual[0]})
        print(bone, rows[bone][-1], flush=True)
    return rows


def drawn_bones(model: ShapeModel, first_seed: int, count: int) -> dict[str, list[TriangleMesh]]:
    """Radii and ulnae of ``count`` virtual persons, women and men in turn, each bone by itself."""
    bones: dict[str, list[TriangleMesh]] = {"radius": [], "ulna": []}
    for number in range(count):
        drawn = draw_bones(model, np.random.default_rng(first_seed + number), ("female", "male")[number % 2])
        if drawn is not None:
            bones["radius"].append(drawn[0])
            bones["ulna"].append(drawn[1])
    return bones


def basis_of(meshes: list[TriangleMesh]) -> BoneBasis:
    """The basis of MODES modes that a network would be trained with."""
    return fit_basis(np.stack([mesh.vertices for mesh in meshes]), meshes[0].faces, MODES)


def _row(registration: Registered, index: int, bone: str, basis: BoneBasis) -> Row:
    real = registration.bones[index]
    pose = rigid_match(registration.shapes[index], basis.reference, registration.seen[index] * basis.weights)
    surface = real.mesh.transformed(pose @ registration.poses[index])
    cloud = surface_cloud(surface, 0.6)
    others = registration.without([real.subject, *NOT_NORMAL[bone]])
    mean = weighted_mean(without_scale(others), others.seen)
    mean_pose = rigid_match(mean, basis.reference, basis.weights)
    row: Row = {"bone": real.subject, "used": float(real.subject not in NOT_NORMAL[bone])}
    row["long_mm"] = float(min(np.ptp(surface.vertices[:, 2]), 99.0))
    row["others_mean_mm"] = laid_rigidly(TriangleMesh(mean, basis.faces).transformed(mean_pose), cloud)
    row["virtual_mean_mm"] = laid_rigidly(TriangleMesh(basis.reference, basis.faces), cloud)
    return row | codes(basis, cloud)


def _virtual_row(basis: BoneBasis, mesh: TriangleMesh) -> dict[str, float]:
    cloud = surface_cloud(mesh.transformed(rigid_match(mesh.vertices, basis.reference, basis.weights)), 0.6)
    mean = laid_rigidly(TriangleMesh(basis.reference, basis.faces), cloud)
    return {"virtual_mean_mm": mean} | codes(basis, cloud)


def codes(basis: BoneBasis, cloud: SurfaceCloud) -> dict[str, float]:
    """Mean square of the standardised codes in each band, and mean distance (mm) of the surface to what they give.

    The codes are the most probable ones; where the bone is short, each band is divided by what its surface fixes of it,
    so that a bone of the population has 1 on average whatever its length.
    """
    seen = basis.reference[:, 2] > SEEN_ABOVE_MM
    fit = fit_model(_part(basis, seen), basis.modes[:, seen], cloud, free_scale=False)
    squares = fit.coefficients**2
    found = {band: float(squares[part].sum() / fit.known[part].sum()) for band, part in BANDS.items()}
    return found | {"fitted_mm": _mean_distance(fit.surface, cloud)}


def laid_rigidly(mesh: TriangleMesh, cloud: SurfaceCloud) -> float:
    """Mean distance (mm) from the real surface, where scored, to ``mesh`` laid rigidly on it, size kept."""
    seen = mesh.vertices[:, 2] > SEEN_ABOVE_MM
    part = TriangleMesh(mesh.vertices[seen], _faces_of(mesh.faces, seen))
    fit = fit_model(part, np.zeros((0, int(seen.sum()), 3)), cloud, free_scale=False)
    return _mean_distance(fit.surface, cloud)


def _part(basis: BoneBasis, seen: NDArray[np.bool_]) -> TriangleMesh:
    return TriangleMesh(basis.reference[seen], _faces_of(basis.faces, seen))


def _faces_of(faces: NDArray[np.int32], kept: NDArray[np.bool_]) -> NDArray[np.int32]:
    number = np.cumsum(kept) - 1
    return number[faces[kept[faces].all(axis=1)]].astype(np.int32)


def _mean_distance(surface: TriangleMesh, cloud: SurfaceCloud) -> float:
    """From real points clear of open ends, 2 mm and more above the scored part's end."""
    points = cloud.points[~cloud.on_border & (cloud.points[:, 2] > SEEN_ABOVE_MM + 2.0)]
    points = points[np.random.default_rng(0).permutation(len(points))[:4000]]
    return float(distance_to_surface(points, surface).mean())


def specificity(
    registration: Registered, bone: str, wrists: list[WristShape], count: int = 12
) -> dict[str, list[float]]:
    """Distances (mm, mean, least, greatest) to the nearest real bone that reaches SEEN_ABOVE_MM, rigid, size kept.

    "virtual": of ``count`` virtual bones; "real": of each real bone to the nearest other one. One way, vertices of the
    registered bones to points of the other, the corresponding points having been laid on each other.
    """
    normal = registration.without(NOT_NORMAL[bone])
    scored = weighted_mean(normal.shapes, normal.seen)[:, 2] > SEEN_ABOVE_MM
    whole = [i for i, seen in enumerate(normal.seen) if (seen[scored] > 0.6).mean() > 0.95]
    real = [normal.shapes[i] for i in whole]
    virtual = [getattr(wrist, bone).vertices for wrist in wrists[:count]]
    faces = registration.template.faces

    def nearest(shape: Float, others: list[Float]) -> float:
        cloud = surface_cloud(TriangleMesh(shape, faces), 0.8)
        found = []
        for other in others:
            moved = (rigid_match(other, shape, scored.astype(float)) @ np.c_[other, np.ones(len(other))].T)[:3].T
            fit = fit_model(
                TriangleMesh(moved[scored], _faces_of(faces, scored)),
                np.zeros((0, int(scored.sum()), 3)),
                cloud,
                iterations=6,
                free_scale=False,
            )
            found.append(float(KDTree(cloud.points).query(fit.surface.vertices)[0].mean()))
        return min(found)

    to_virtual = [nearest(shape, real) for shape in virtual]
    to_real = [nearest(shape, [o for j, o in enumerate(real) if j != i]) for i, shape in enumerate(real)]
    return {
        name: [float(np.mean(v)), float(np.min(v)), float(np.max(v))]
        for name, v in (("virtual", to_virtual), ("real", to_real))
    }
