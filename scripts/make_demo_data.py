"""Make the packaged demo case from a virtual patient that neither training nor evaluation uses.

python scripts/make_demo_data.py
"""

from __future__ import annotations

import json

import numpy as np

from bonelift.anatomy.shape_model import load_shape_model
from bonelift.geometry.camera_files import write_camera_json
from bonelift.images import LAPTOP_GRID
from bonelift.images.raster import write_png
from bonelift.phantom.patient import make_patient
from bonelift.reconstruct.bones import BONES
from bonelift.reconstruct.demo_case import CAMERA_NAME, FACTS_NAME, FOLDER, IMAGE_NAME, SHAPES_NAME
from bonelift.study.holdout import no_skill_surfaces, whole_radiograph
from bonelift.surface.clip import clip_below
from bonelift.surface.mesh import TriangleMesh

SEED = 990_001
"""Beyond the seeds of training, validation and evaluation (scripts/train_default_model.py)."""
TRUTH_ABOVE_MM = -55.0
MEAN_SEEDS = tuple(range(200_000, 200_200))
"""Training wrists whose mean is the no-skill bone, as in scripts/evaluate_default_model.py."""


def main() -> None:
    patient = make_patient(SEED, load_shape_model())
    radiograph = whole_radiograph(patient, SEED, "right")
    truth = {name: clip_below(getattr(patient.shape, name), TRUTH_ABOVE_MM) for name in BONES}
    mean = no_skill_surfaces(MEAN_SEEDS, LAPTOP_GRID)["mean bone"]
    FOLDER.mkdir(exist_ok=True)
    write_png(FOLDER / IMAGE_NAME, np.rint(radiograph.pixels).astype(np.uint16))
    write_camera_json(FOLDER / CAMERA_NAME, radiograph.camera)
    arrays: dict[str, np.ndarray] = {}
    for kind, meshes in (("true", truth), ("mean", mean)):
        for name, mesh in meshes.items():
            arrays |= arrays_of(f"{kind}_{name}", mesh)
    np.savez_compressed(FOLDER / SHAPES_NAME, allow_pickle=False, **arrays)
    facts = {
        "side": radiograph.side,
        "view": radiograph.view,
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
