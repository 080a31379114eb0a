"""Make the packaged demo case from a virtual patient that neither training nor evaluation uses.

python scripts/make_demo_data.py
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace

import numpy as np

from bonelift.anatomy.shape_model import load_shape_model
from bonelift.experiments.holdout import no_skill_surfaces
from bonelift.geometry.camera_files import write_camera_json
from bonelift.images import LAPTOP_GRID
from bonelift.images.raster import write_png
from bonelift.phantom.patient import make_patient
from bonelift.phantom.xray import draw_settings, expose
from bonelift.phantom.xray_geometry import FILM_SPREAD, draw_geometry
from bonelift.reconstruction.bones import BONES
from bonelift.reconstruction.demo_case import CAMERA_NAME, FACTS_NAME, FOLDER, IMAGE_NAME, SHAPES_NAME
from bonelift.study.virtual_cohort import full_scale_16_bit
from bonelift.surface.clip import clip_below
from bonelift.surface.mesh import TriangleMesh

SEED = 990_001
"""Beyond the seeds of training, validation and evaluation (scripts/train_default_model.py)."""
EXPOSURE = 3
"""Chosen for a film that shows the whole wrist; not by how well it is reconstructed."""
TRUTH_ABOVE_MM = -55.0
MEAN_SEEDS = tuple(range(200_000, 200_200))
"""Training wrists whose mean is the no-skill bone, as in scripts/evaluate_default_model.py."""


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    patient = make_patient(SEED, load_shape_model())
    rng = np.random.default_rng([SEED, EXPOSURE])
    geometry = draw_geometry(rng, "pa", (960, 800), 0.2, replace(FILM_SPREAD, shift_mm=12.0))
    settings = draw_settings(rng, "film", field_half_size=(0.7, 0.95), field_centre=geometry.origin_fraction)
    pixels = expose(patient.body, geometry.camera, geometry.camera_from_radius, rng, settings)
    truth = {name: clip_below(getattr(patient.shape, name), TRUTH_ABOVE_MM) for name in BONES}
    mean = no_skill_surfaces(MEAN_SEEDS, LAPTOP_GRID)["mean bone"]
    FOLDER.mkdir(exist_ok=True)
    write_png(FOLDER / IMAGE_NAME, full_scale_16_bit(pixels))
    write_camera_json(FOLDER / CAMERA_NAME, geometry.camera)
    arrays: dict[str, np.ndarray] = {}
    for kind, meshes in (("true", truth), ("mean", mean)):
        for name, mesh in meshes.items():
            arrays |= arrays_of(f"{kind}_{name}", mesh)
    np.savez_compressed(FOLDER / SHAPES_NAME, allow_pickle=False, **arrays)
    facts = {
        "side": "right",
        "view": geometry.view,
        "invert": "no",
        "seed": SEED,
        "sex": patient.shape.sex,
        "age_years": round(patient.shape.age_years, 1),
        "made_by": "scripts/make_demo_data.py; a virtual patient, no person's data",
    }
    (FOLDER / FACTS_NAME).write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


def arrays_of(name: str, mesh: TriangleMesh) -> dict[str, np.ndarray]:
    return {f"{name}_vertices": mesh.vertices.astype(np.float32), f"{name}_faces": mesh.faces}


if __name__ == "__main__":
    main()
