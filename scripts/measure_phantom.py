"""Measure the inside of virtual patients and draw them: docs/results/phantom.json and phantom.png.

python scripts/measure_phantom.py --patients 16 --out docs/results
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from skimage.measure import perimeter

from bonelift.anatomy.shape_model import load_shape_model
from bonelift.drr.subject import bone_attenuation
from bonelift.images import View
from bonelift.phantom.bare_bones import around_bones
from bonelift.phantom.body import Body
from bonelift.phantom.ct import ScanSettings, draw_unknown_scanner, hounsfield, scan
from bonelift.phantom.patient import VirtualPatient, make_patient
from bonelift.phantom.xray import expose
from bonelift.phantom.xray_geometry import PoseSpread, draw_geometry

FIRST_SEED = 7_000_000
"""Seeds of the measured patients: no training or evaluation cohort starts here."""
REFERENCE_SCAN = ScanSettings((0.4, 0.4, 0.6), (0.7, 0.7), noise_hu=15.0)
"""As the adult CT against which the levels were set."""
DRAWN = 3
DEPTHS_MM = (10, 20, 35, 50, 65)
WHOLE_IMAGE_PX, WHOLE_IMAGE_SPACING_MM = (660, 360), 0.5
QUALITIES = (
    "wall_scale",
    "cortical_g_cm3",
    "trabecular_g_cm3",
    "endosteal_blend_mm",
    "near_wall",
    "sclerosis",
    "level_shift_mm",
)


def section_index(world_from_voxel: np.ndarray, depth_mm: float) -> int:
    return round((-depth_mm - world_from_voxel[2, 3]) / world_from_voxel[2, 2])


def ring_thickness_mm(mineral: np.ndarray, inside: np.ndarray, spacing_mm: float, cortical: float) -> float:
    """Thickness of the ring of compact bone that holds the section's mineral beyond its core's (5th percentile)."""
    core = np.percentile(mineral[inside], 5)
    near = mineral - core * inside
    compact_mm2 = near[mineral > 0].clip(0).sum() / (cortical - core) * spacing_mm**2
    around_mm = perimeter(inside) * spacing_mm
    return float((around_mm - np.sqrt(max(around_mm**2 - 4 * np.pi * compact_mm2, 0.0))) / (2 * np.pi))


def measure(patient: VirtualPatient, rng: np.random.Generator) -> dict[str, float]:
    ct, labels = scan(patient.body, rng, REFERENCE_SCAN)
    body, row = patient.body, {}
    cortical = float(patient.facts["cortical_g_cm3"])
    for bone, label in (("radius", 1), ("ulna", 2)):
        for depth in DEPTHS_MM:
            k = section_index(ct.world_from_voxel, depth)
            inside = labels.labels[:, :, k] == label
            hu = ct.values[:, :, k][inside]
            row[f"{bone} share over 1000 HU at {depth} mm"] = float((hu > 1000).mean())
            k = section_index(body.radius_from_voxel, depth)
            inside = body.labels[:, :, k] == label
            mineral = np.where(inside, body.mineral_g_cm3[:, :, k], 0)
            if depth >= 20:
                wall = ring_thickness_mm(mineral, inside, body.spacing_mm, cortical)
                row[f"{bone} wall at {depth} mm (mm)"] = wall
    k = section_index(ct.world_from_voxel, 10)
    hu = ct.values[:, :, k][labels.labels[:, :, k] == 1]
    row["radius spongiosa at 10 mm (HU)"] = float(np.median(hu[hu < 700]))
    k = section_index(ct.world_from_voxel, 65)
    hu = ct.values[:, :, k][labels.labels[:, :, k] == 1]
    row["radius canal at 65 mm (HU)"] = float(np.percentile(hu, 5))
    row["radius cortex at 65 mm (HU)"] = float(np.percentile(hu, 95))
    row |= unknown_scanner(patient, rng)
    return row | {f"drawn: {name}": float(patient.facts[name]) for name in QUALITIES}


def unknown_scanner(patient: VirtualPatient, rng: np.random.Generator) -> dict[str, float]:
    """The same bones in the CT of a scanner that nobody knows, beside the reference scan of them."""
    bones = around_bones(patient.body)
    settings = draw_unknown_scanner(rng)
    sums, tops = [], []
    for used in (REFERENCE_SCAN, settings):
        ct, labels = scan(bones, rng, used)
        sums.append(float(bone_attenuation(ct, labels).values.sum(dtype=np.float64)) * float(np.prod(used.spacing_mm)))
        tops.append(float(np.percentile(ct.values[labels.labels == 1], 99)))
    return {
        "unknown scanner, scale of HU": settings.scale,
        "unknown scanner, attenuation of both bones over the reference scan's": sums[1] / sums[0],
        "unknown scanner, densest 1 % of the radius (HU)": tops[1],
        "reference scan, densest 1 % of the radius (HU)": tops[0],
    }


def films(body: Body, rng: np.random.Generator) -> list[np.ndarray]:
    """A PA and a lateral film of the whole hand and half of the forearm, drawn settings."""
    straight = PoseSpread(0.0, 0.0, 0.0, 0.0, 0.0)
    views: tuple[View, View] = ("pa", "lateral")
    pictures = []
    for view in views:
        geometry = draw_geometry(rng, view, WHOLE_IMAGE_PX, WHOLE_IMAGE_SPACING_MM, straight)
        pictures.append(expose(body, geometry.camera, geometry.camera_from_radius, rng))
    return pictures


def draw(patients: list[VirtualPatient], path: Path) -> None:
    """One row a patient: PA film, lateral film, CT in three planes."""
    widths = {"width_ratios": [1.1, 1.1, 1, 1, 0.8, 0.8]}
    size = (11.5, 3.9 * len(patients))
    figure, axes = plt.subplots(len(patients), 6, figsize=size, facecolor="black", gridspec_kw=widths)
    for row, patient in zip(axes, patients, strict=True):
        body = patient.body
        hu = hounsfield(body.mineral_g_cm3, body.soft_g_cm3)
        x, y = (round(-body.radius_from_voxel[a, 3] / body.spacing_mm) for a in (0, 1))
        planes = [hu[:, y, ::-1].T, hu[x, :, ::-1].T]
        planes += [hu[:, :, section_index(body.radius_from_voxel, depth)].T for depth in (8, 60)]
        rng = np.random.default_rng(int(patient.facts["seed"]))
        for axis, picture in zip(row, films(body, rng), strict=False):
            axis.imshow(picture, cmap="gray", vmin=picture.min(), vmax=picture.max())
        for axis, plane in zip(row[2:], planes, strict=True):
            axis.imshow(plane, cmap="gray", vmin=-250, vmax=1700)
        for axis in row:
            axis.axis("off")
        row[0].set_title(f"{patient.shape.sex}, {patient.shape.age_years:.0f} years", color="white", fontsize=9)
    figure.subplots_adjust(0.01, 0.01, 0.99, 0.95, 0.02, 0.06)
    figure.savefig(path, dpi=75)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=16)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    model = load_shape_model()
    make_patient(FIRST_SEED, model)
    rows, drawn = [], []
    seconds: dict[bool, list[float]] = {True: [], False: []}
    for seed in range(FIRST_SEED, FIRST_SEED + arguments.patients):
        whole_hand = seed < FIRST_SEED + DRAWN
        start = time.process_time()
        patient = make_patient(seed, model, whole_hand=whole_hand)
        seconds[whole_hand].append(time.process_time() - start)
        rows.append(measure(patient, np.random.default_rng(seed)))
        if whole_hand:
            drawn.append(patient)
    table = {}
    for name in rows[0]:
        values = np.array([row[name] for row in rows])
        table[name] = {
            "mean": round(float(values.mean()), 3),
            "sd": round(float(values.std(ddof=1)), 3),
            "min": round(float(values.min()), 3),
            "max": round(float(values.max()), 3),
        }
        print(
            f"| {name} | {values.mean():.2f} +- {values.std(ddof=1):.2f} | {values.min():.2f} to {values.max():.2f} |"
        )
    costs = {
        name: round(float(np.median(seconds[whole])), 2) if seconds[whole] else None
        for name, whole in (("whole hand", True), ("wrist alone", False))
    }
    print(f"make_patient, median s of CPU: {costs}")
    result = {
        "patients": arguments.patients,
        "first_seed": FIRST_SEED,
        "cpu_s": costs,
        "table": table,
    }
    (arguments.out / "phantom.json").write_text(json.dumps(result, indent=1) + "\n")
    draw(drawn, arguments.out / "phantom.png")


if __name__ == "__main__":
    main()
