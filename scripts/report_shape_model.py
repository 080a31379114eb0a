"""Measure the shape model's realism and write docs/results/shape-model.md with its figures.

``BONELIFT_DATA=... python scripts/report_shape_model.py --leave-one-out``; without it the figures of the bones left
out stay as they are and no data are needed.
Only per-bone error numbers leave this script, no shapes.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import subprocess
import time
from pathlib import Path

import numpy as np
from build_shape_model import COVARIANCE, Registered, register_all, without_scale
from numpy.typing import NDArray
from reference_bones import rigid_match
from scipy.spatial import KDTree
from shape_model_page import page

from bonelift.anatomy.landmarks import FAR_POINTS, expected_landmarks, find_landmarks
from bonelift.anatomy.localised_modes import localised_modes, weighted_mean
from bonelift.anatomy.measurements import Measurements, measure
from bonelift.anatomy.model_fit import fit_model
from bonelift.anatomy.shape_model import ShapeModel, WristShape, load_shape_model, sample_wrist
from bonelift.anatomy.surface_fit import surface_cloud
from bonelift.geometry import apply_transform
from bonelift.surface.align import rigid_align
from bonelift.surface.clip import clip_below
from bonelift.surface.distance import distance_to_surface, surface_distances
from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]

LOWEST_MM = -40.0
FIELD = dataclasses.replace(COVARIANCE, field_sd_mm=0.25, field_length_mm=6.0)
LOCAL_MODES = 250


def plain_modes(residuals: Float, weights: Float) -> Float:
    """(B - 1, V, 3): the untapered modes of the bones, one SD each."""
    seen = (np.sqrt(weights)[:, :, None] * residuals).reshape(len(residuals), -1) / np.sqrt(len(residuals) - 1)
    _, values, axes = np.linalg.svd(seen, full_matrices=False)
    return (values[:, None] * axes)[: len(residuals) - 1].reshape(-1, *residuals.shape[1:])


def leave_one_out(registered: Registered, only: str | None = None) -> list[dict[str, float | str]]:
    """Errors (mm) of models without the bone, fitted to that bone."""
    shapes, rows = without_scale(registered), []
    for left, bone in enumerate(registered.bones):
        if only is not None and bone.subject != only:
            continue
        others = np.arange(len(shapes)) != left
        mean = weighted_mean(shapes[others], registered.seen[others])
        residuals, weights = shapes[others] - mean, registered.seen[others]
        template = TriangleMesh(mean, registered.template.faces)
        target = bone.mesh.transformed(registered.poses[left])
        row: dict[str, float | str] = {"bone": bone.subject}
        models: dict[str, Float] = {
            "mean": np.zeros((0, *mean.shape)),
            "few_modes": plain_modes(residuals, weights),
            "packaged_kind": localised_modes(mean, residuals, weights, 90, COVARIANCE, controls=300),
            "local_field": localised_modes(mean, residuals, weights, LOCAL_MODES, FIELD, controls=300),
        }
        cloud, points = surface_cloud(target, 0.8), real_points(target)
        for name, modes in models.items():
            fit = fit_model(template, modes, cloud, noise_mm=0.15)
            row[name], row[f"{name}_p95"] = surface_error(points, fit.surface)
            row[f"{name}_no_cap"] = surface_error(off_end_cap(points, target), fit.surface)[0]
        print(row, flush=True)
        rows.append(row)
    return rows


def real_points(bone: TriangleMesh) -> Float:
    """(N, 3) points spread over the distal real surface, clear of its open end."""
    real = surface_cloud(bone, 0.6)
    points = real.points[~real.on_border & (real.points[:, 2] > LOWEST_MM)]
    return points[np.random.default_rng(0).permutation(len(points))[:6000]]


def off_end_cap(points: Float, bone: TriangleMesh) -> Float:
    """``points`` without those within 4 mm of the bone's lowest point whose surface faces proximal: no bone."""
    cloud = surface_cloud(bone, 0.6)
    facing = cloud.normals[KDTree(cloud.points).query(points)[1], 2]
    return points[~((points[:, 2] < bone.vertices[:, 2].min() + 4.0) & (facing < -0.5))]


def surface_error(points: Float, fitted: TriangleMesh) -> tuple[float, float]:
    """Mean and 95th percentile (mm) of the distance from points of the real bone to the fitted surface."""
    distance = distance_to_surface(points, fitted)
    return float(distance.mean()), float(np.percentile(distance, 95))


def population(model: ShapeModel, count: int) -> tuple[list[WristShape], dict[str, tuple[float, float, int]]]:
    """Wrists of seeds 1,000,000 on, and mean, SD and number of finite values of each measurement."""
    wrists = [sample_wrist(model, np.random.default_rng(1_000_000 + i)) for i in range(count)]
    rows = [measure(w.radius, w.ulna, w.landmarks) for w in wrists]
    table = {}
    for field in dataclasses.fields(Measurements):
        values = np.array([getattr(row, field.name) for row in rows])
        values = values[np.isfinite(values)]
        table[field.name] = (float(values.mean()), float(values.std(ddof=1)), len(values))
    return wrists, table


def mode_shares(model: ShapeModel) -> dict[str, list[float]]:
    """Share of the variance of the first modes, at z >= LOWEST_MM."""
    shares = {}
    for name, bone in (("radius", model.radius), ("ulna", model.ulna)):
        distal = bone.mean.vertices[:, 2] >= LOWEST_MM
        power = (bone.modes[:, distal].astype(np.float64) ** 2).sum(axis=(1, 2))
        shares[name] = np.round(power[:4] / power.sum(), 3).tolist()
    return shares


def shares_with_size(wrists: list[WristShape]) -> dict[str, list[float]]:
    """First shares of a plain PCA of the sampled bones, laid rigidly on their mean, size kept, z >= LOWEST_MM."""
    shares = {}
    for name in ("radius", "ulna"):
        shapes = np.array([getattr(wrist, name).vertices for wrist in wrists])
        shapes = shapes[:, shapes.mean(axis=0)[:, 2] >= LOWEST_MM]
        mean = shapes[0]
        for _ in range(3):
            shapes = np.array([apply_transform(rigid_match(shape, mean), shape) for shape in shapes])
            mean = shapes.mean(axis=0)
        power = np.linalg.svd((shapes - mean).reshape(len(shapes), -1), compute_uv=False) ** 2
        shares[name] = np.round(power[:4] / power.sum(), 3).tolist()
    return shares


def joint_gaps(wrists: list[WristShape]) -> list[float]:
    """Smallest distance (mm) between the bones of each wrist, between points 0.5 mm apart, z >= -60."""
    gaps = []
    for wrist in wrists:
        radius, ulna = surface_cloud(wrist.radius, 0.5).points, surface_cloud(wrist.ulna, 0.5).points
        near = KDTree(radius).query(ulna[ulna[:, 2] >= -60], distance_upper_bound=6.0)[0]
        gaps.append(float(near.min()))
    return gaps


def uniformity(wrists: list[WristShape], count: int) -> dict[str, list[float]]:
    """ASD (mm) of the population's mean bone to single bones after rigid alignment: mean, least, greatest."""
    result = {}
    for name in ("radius", "ulna"):
        meshes = [getattr(w, name) for w in wrists]
        mean = clip_below(TriangleMesh(np.mean([mesh.vertices for mesh in meshes], axis=0), meshes[0].faces), LOWEST_MM)
        values = []
        for mesh in meshes[:count]:
            single = clip_below(mesh, LOWEST_MM)
            values.append(surface_distances(mean.transformed(rigid_align(mean, single)), single).asd_paper_mm)
        result[name] = [float(np.mean(values)), float(np.min(values)), float(np.max(values))]
    return result


def automatic(model: ShapeModel, wrists: list[WristShape]) -> dict[str, dict[str, list[float]]]:
    """Landmarks searched from the mean wrist's positions against those known by correspondence: error and its effect.

    Per landmark the mean and 95th percentile of the error (mm); per measurement the mean absolute change.
    """
    errors: dict[str, list[float]] = {name: [] for name in FAR_POINTS}
    changes: dict[str, list[float]] = {field.name: [] for field in dataclasses.fields(Measurements)}
    for wrist in wrists:
        seeds = expected_landmarks(model.landmarks, wrist.ulna)
        found = find_landmarks(wrist.radius, wrist.ulna, seeds)
        for name, values in errors.items():
            values.append(float(np.linalg.norm(found[name] - wrist.landmarks[name])))
        ours, truth = (measure(wrist.radius, wrist.ulna, marks) for marks in (found, wrist.landmarks))
        for name, values in changes.items():
            change = abs(getattr(ours, name) - getattr(truth, name))
            values.extend([change] if np.isfinite(change) else [])
    return {
        "landmarks_mm": {n: [float(np.mean(v)), float(np.percentile(v, 95))] for n, v in errors.items()},
        "measurements": {n: [float(np.mean(v)), float(np.percentile(v, 95))] for n, v in changes.items()},
    }


def footer(samples: int) -> str:
    """What made the page."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    return (
        f"\nCommand: `python scripts/report_shape_model.py`, population of {samples} wrists (seeds from 1,000,000) at "
        f"commit {commit}, {platform.machine()}, {time.strftime('%Y-%m-%d')}; the bones left out: "
        "the same script's functions at commit 56ad310, no random numbers.\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--leave-one-out", action="store_true", help="again (minutes); else the file's numbers stay")
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "results")
    options = parser.parse_args()
    file = options.out / "shape-model.json"
    numbers = json.loads(file.read_text()) if file.exists() else {}
    if options.leave_one_out:
        radii, ulnae = register_all(Path(os.environ["BONELIFT_DATA"]) / "reference_bones")
        numbers["leave_one_out"] = {"radius": leave_one_out(radii), "ulna": leave_one_out(ulnae)}
    model = load_shape_model()
    numbers["mode_shares"] = mode_shares(model)
    wrists, numbers["population"] = population(model, options.samples)
    numbers["shares_with_size"] = shares_with_size(wrists)
    gaps = joint_gaps(wrists[:60])
    numbers["joint_gap_mm"] = [min(gaps), float(np.median(gaps)), max(gaps)]
    numbers["uniformity"] = uniformity(wrists, 24)
    numbers["automatic"] = automatic(model, wrists[:60])
    file.write_text(json.dumps(numbers, indent=1) + "\n")
    (options.out / "shape-model.md").write_text(page(numbers) + footer(options.samples))


if __name__ == "__main__":
    main()
