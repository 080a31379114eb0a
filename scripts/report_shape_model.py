"""Measure the shape model's realism and write docs/results/shape-model.md with its figures.

``BONELIFT_DATA=... python scripts/report_shape_model.py --left-out``; without it the figures of the bones left out stay
as they are and no data are needed.
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
from typing import Any

import numpy as np
from build_shape_model import register_all
from left_out_bones import left_out, specificity
from numpy.typing import NDArray
from reference_bones import rigid_match
from scipy.spatial import KDTree
from shape_model_page import page

from bonelift.anatomy.landmarks import FAR_POINTS, expected_landmarks, find_landmarks
from bonelift.anatomy.measurements import Measurements, measure
from bonelift.anatomy.shape_model import ShapeModel, WristShape, load_shape_model, sample_wrist
from bonelift.anatomy.surface_fit import surface_cloud
from bonelift.geometry import apply_transform
from bonelift.surface.align import rigid_align
from bonelift.surface.clip import clip_below
from bonelift.surface.distance import surface_distances
from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]

LOWEST_MM = -40.0


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


def relative_spread(wrists: list[WristShape]) -> dict[str, float]:
    """SD of size, width and depth as a share of their means, and the correlations that a person's bones keep."""
    rows = [measure(w.radius, w.ulna, w.landmarks) for w in wrists]
    size = np.array([w.description["size"] for w in wrists])
    width, depth = np.array([row.radius_width_mm for row in rows]), np.array([row.radius_depth_mm for row in rows])
    radius, ulna = (np.cbrt([getattr(w, bone).volume_mm3 for w in wrists]) for bone in ("radius", "ulna"))
    return {
        "size": float(size.std() / size.mean()),
        "width": float(width.std() / width.mean()),
        "depth": float(depth.std() / depth.mean()),
        "size_with_width": float(np.corrcoef(size, width)[0, 1]),
        "width_with_depth": float(np.corrcoef(width, depth)[0, 1]),
        "radius_with_ulna": float(np.corrcoef(radius, ulna)[0, 1]),
    }


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


def made_by(what: str) -> str:
    """Commit, machine and date of ``what``, for the page's foot."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    return f"{what} at commit {commit}, {platform.machine()}, {time.strftime('%Y-%m-%d')}"


def real_bones(model: ShapeModel, numbers: dict[str, Any]) -> None:
    """Adds what needs the real bones: those left out, and the distances to the nearest one."""
    radii, ulnae = register_all(Path(os.environ["BONELIFT_DATA"]) / "reference_bones", model)
    numbers["left_out"] = left_out(radii, ulnae, model)
    wrists = [sample_wrist(model, np.random.default_rng(1_000_000 + i)) for i in range(12)]
    numbers["specificity"] = {
        bone: specificity(registered, bone, wrists) for bone, registered in (("radius", radii), ("ulna", ulnae))
    }
    numbers["left_out_made_by"] = made_by("`python scripts/report_shape_model.py --left-out`")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--left-out", action="store_true", help="again (ten minutes); else the file's numbers stay")
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "results")
    options = parser.parse_args()
    file = options.out / "shape-model.json"
    numbers = json.loads(file.read_text()) if file.exists() else {}
    model = load_shape_model()
    if options.left_out:
        real_bones(model, numbers)
        file.write_text(json.dumps(numbers, indent=1) + "\n")
    numbers["mode_shares"] = mode_shares(model)
    numbers.pop("leave_one_out", None)
    wrists, numbers["population"] = population(model, options.samples)
    numbers["relative_spread"] = relative_spread(wrists)
    numbers["shares_with_size"] = shares_with_size(wrists)
    gaps = joint_gaps(wrists[:60])
    numbers["joint_gap_mm"] = [min(gaps), float(np.median(gaps)), max(gaps)]
    numbers["uniformity"] = uniformity(wrists, 24)
    numbers["automatic"] = automatic(model, wrists[:60])
    numbers["made_by"] = made_by(
        f"`python scripts/report_shape_model.py`, {options.samples} wrists of seeds 1,000,000 on"
    )
    file.write_text(json.dumps(numbers, indent=1) + "\n")
    (options.out / "shape-model.md").write_text(page(numbers))


if __name__ == "__main__":
    main()
