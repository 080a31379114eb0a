"""A virtual patient: one seed, one wrist."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import numpy as np

from bonelift.anatomy.population import turned_wrist
from bonelift.anatomy.shape_model import ShapeModel, WristShape, load_shape_model, sample_wrist
from bonelift.errors import InputError
from bonelift.phantom.body import WHOLE_HAND, Body, assemble_body, draw_anatomy


@dataclass(frozen=True)
class VirtualPatient:
    """One wrist.

    shape: surfaces, landmarks, sex and age, in the radius frame (right side). body: densities on a grid of that frame.
    facts: what was drawn, by name.
    """

    shape: WristShape
    body: Body
    facts: dict[str, float | str]


def wrist_of(seed: int, model: ShapeModel) -> WristShape:
    """The surfaces alone of a seed's patient."""
    return sample_wrist(model, np.random.default_rng(np.random.SeedSequence(seed).spawn(3)[0]))


def make_patient(
    seed: int,
    model: ShapeModel | None = None,
    spacing_mm: float = 0.6,
    forearm_turn_deg: float = 0.0,
    whole_hand: bool = True,
) -> VirtualPatient:
    """The virtual patient of a seed: the same seed gives the same patient, different seeds independent ones.

    model: population of shapes; None loads the packaged one (pass it when making many). spacing_mm: of the body.
    forearm_turn_deg: the same patient with the forearm turned by this much further towards supination. Radius, bone
    quality and ulna's shape are the same, the ulna is moved rigidly; the pattern of its walls and spongiosa
    does not turn with it. whole_hand: the body's overview, with the fingers and half of the forearm, is made, too;
    without it films end 75 mm distal and 92 mm proximal of the joint, for a third less time.
    Raises InputError where the bones would collide.
    """
    model = load_shape_model() if model is None else model
    _, anatomy_seed, tissue_seed = np.random.SeedSequence(seed).spawn(3)
    shape = wrist_of(seed, model)
    if forearm_turn_deg:
        turned = turned_wrist(shape, forearm_turn_deg)
        if turned is None:
            raise InputError(
                f"virtual patient {seed}: the ulna cannot turn by {forearm_turn_deg:.0f} degrees; turn less"
            )
        shape = turned
    anatomy = draw_anatomy(shape, np.random.default_rng(anatomy_seed))
    body = assemble_body(shape, anatomy, np.random.default_rng(tissue_seed), spacing_mm)
    if whole_hand:
        tissue = np.random.default_rng(tissue_seed)
        body = replace(body, overview=assemble_body(shape, anatomy, tissue, 2 * spacing_mm, WHOLE_HAND))
    facts: dict[str, float | str] = {"seed": seed, "sex": shape.sex, "age_years": shape.age_years}
    facts |= asdict(anatomy.quality)
    facts |= {f"habitus_{name}": value for name, value in asdict(anatomy.habitus).items()}
    carpus = anatomy.carpus
    facts |= {"carpal_scale": carpus.scale, "flexion_deg": carpus.flexion_deg, "deviation_deg": carpus.deviation_deg}
    return VirtualPatient(shape, body, facts)
