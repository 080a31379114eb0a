"""A virtual patient: one seed, one wrist."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from bonelift.anatomy.shape_model import ShapeModel, WristShape, load_shape_model, sample_wrist
from bonelift.phantom.body import Body, assemble_body, draw_anatomy


@dataclass(frozen=True)
class VirtualPatient:
    """One wrist.

    shape: surfaces, landmarks, sex and age, in the radius frame (right side). body: densities on a grid of that frame.
    facts: what was drawn, by name.
    """

    shape: WristShape
    body: Body
    facts: dict[str, float | str]


def make_patient(seed: int, model: ShapeModel | None = None, spacing_mm: float = 0.6) -> VirtualPatient:
    """The virtual patient of a seed: the same seed gives the same patient, different seeds independent ones.

    model: population of shapes; None loads the packaged one (pass it when making many). spacing_mm: of the body.
    """
    model = load_shape_model() if model is None else model
    shape_seed, anatomy_seed, tissue_seed = np.random.SeedSequence(seed).spawn(3)
    shape = sample_wrist(model, np.random.default_rng(shape_seed))
    anatomy = draw_anatomy(shape, np.random.default_rng(anatomy_seed))
    body = assemble_body(shape, anatomy, np.random.default_rng(tissue_seed), spacing_mm)
    facts: dict[str, float | str] = {"seed": seed, "sex": shape.sex, "age_years": shape.age_years}
    facts |= asdict(anatomy.quality)
    facts |= {f"habitus_{name}": value for name, value in asdict(anatomy.habitus).items()}
    carpus = anatomy.carpus
    facts |= {"carpal_scale": carpus.scale, "flexion_deg": carpus.flexion_deg, "deviation_deg": carpus.deviation_deg}
    return VirtualPatient(shape, body, facts)
