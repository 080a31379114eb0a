"""A model scored on real bones: with drawn insides as CT-DRRs, and as simulated films, from one view or two.

Every distance is taken on the part of the bone that the scan shows, after rigid alignment of the bone by itself and
as predicted. The inside, the soft tissue and the carpus are virtual: what is tested is the bone's shape.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bonelift.drr.subject import bone_attenuation
from bonelift.experiments.real_bones import RealWrist, at_true_size
from bonelift.experiments.surface_scores import ALIGNMENTS, Alignment, score_surface
from bonelift.images import Radiograph, View
from bonelift.images.volume import BONES
from bonelift.learning.bare_samples import bare_film
from bonelift.learning.virtual_samples import VirtualSampleConfig
from bonelift.networks.model import WristModel
from bonelift.phantom.bare_bones import bare_bones
from bonelift.phantom.body import assemble_body, draw_anatomy
from bonelift.phantom.ct import draw_scan_settings, scan
from bonelift.phantom.patient import VirtualPatient
from bonelift.phantom.whole_film import simulated_film
from bonelift.reconstruction.bones import predict
from bonelift.reconstruction.job import reconstruct
from bonelift.surface.mesh import TriangleMesh

GAINS = (0.5, 0.7, 1.0, 1.3, 1.5)
Saw = Literal["left out", "seen", "unknown"]
"""Whether the networks' population was built with the bone's subject."""


@dataclass(frozen=True)
class RealBoneRow:
    """One bone. source: "CT-DRR PA", "film lateral", ...; "none" where no image was used. gain: of the CT-DRR.
    interior: number of the drawn inside. model, saw: which network and whether it knew the subject. Distances in mm;
    NaN with a ``note`` where nothing came out; quality: the job's score, films only."""

    subject: str
    bone: str
    scored_above_mm: float
    source: str
    gain: float
    interior: int
    method: str
    model: str
    saw: Saw
    alignment: Alignment
    asd_paper_mm: float
    asd_surface_mm: float
    hd95_mm: float
    maximum_mm: float
    quality: float = float("nan")
    note: str = ""


@dataclass(frozen=True, eq=False)
class Pictures:
    """What is shown of a real wrist with one drawn inside. drrs: view -> FILM_SHAPE line integrals. films: view ->
    whole simulated radiograph; empty where none were asked for."""

    drrs: Mapping[View, NDArray[np.float32]]
    films: Mapping[View, Radiograph]


def pictures(wrist: RealWrist, interior: int, films: bool) -> Pictures:
    """DRRs of a virtual CT of the bones alone, and films of a whole virtual wrist around them.

    The same wrist and number give the same pictures; inside, scanner, pose and tube are drawn.
    """
    seed = [sum(wrist.subject.encode()), interior]
    rng = np.random.default_rng([*seed, 0])
    anatomy = draw_anatomy(wrist.shape, rng)
    body = bare_bones(wrist.shape, anatomy, rng)
    bones = bone_attenuation(*scan(body, rng, draw_scan_settings(rng)))
    config = VirtualSampleConfig()
    views: tuple[View, ...] = get_args(View)
    drrs: dict[View, NDArray[np.float32]] = {
        view: bare_film(bones, np.random.default_rng([*seed, 1 + i]), view, config).drr for i, view in enumerate(views)
    }
    if not films:
        return Pictures(drrs, {})
    whole = assemble_body(wrist.shape, anatomy, np.random.default_rng([*seed, 3]), 0.6)
    patient = VirtualPatient(wrist.shape, whole, {})
    return Pictures(
        drrs,
        {
            view: simulated_film(patient, np.random.default_rng([*seed, 4 + i]), view, "right")[0]
            for i, view in enumerate(views)
        },
    )


def score_model(
    wrist: RealWrist,
    shown: Pictures,
    interior: int,
    model: WristModel,
    saw: Saw,
    gains: Sequence[float] = GAINS,
) -> list[RealBoneRow]:
    """All rows of one model on one wrist: CT-DRRs of each view and of both, the PA one at ``gains``, and the films
    through the whole job, each alone and both together."""
    rows = []

    def add(source: str, surfaces: Mapping[str, TriangleMesh], method: str, **facts: object) -> None:
        made = score_wrist(wrist, surfaces, source, method)
        rows.extend(replace(row, interior=interior, model=model.name, saw=saw, **facts) for row in made)

    pa, lateral = shown.drrs["pa"], shown.drrs["lateral"]
    for gain in gains:
        add("CT-DRR PA", predict([gain * pa], ["pa"], model).surfaces, "predicted", gain=gain)
    add("CT-DRR lateral", predict([lateral], ["lateral"], model).surfaces, "predicted")
    add("CT-DRR PA and lateral", predict([pa, lateral], ["pa", "lateral"], model).surfaces, "predicted")
    if shown.films:
        film_pa, film_lateral = shown.films["pa"], shown.films["lateral"]
        for source, radiographs in (
            ("film PA", [film_pa]),
            ("film lateral", [film_lateral]),
            ("film PA and lateral", [film_pa, film_lateral]),
        ):
            result = reconstruct(radiographs, model)
            flags = "; ".join(flag.text for flag in result.quality.flags if flag.severity == "severe")
            found = result.bones.surfaces if result.bones else {}
            method = "fitted" if result.bones and result.bones.fitted else "predicted"
            add(source, found, method, quality=result.quality.score, note=flags)
    return rows


def score_no_skill(wrist: RealWrist, means: Mapping[str, TriangleMesh]) -> list[RealBoneRow]:
    """The mean bone of the other subjects' real bones, and the same at the true size of the bone."""
    sized = {
        name: at_true_size(means[name], getattr(wrist.shape, name), above)
        for name, above in wrist.scored_above_mm.items()
    }
    rows = score_wrist(wrist, means, "none", "mean of the others")
    return rows + score_wrist(wrist, sized, "none", "the same at true size")


def score_wrist(wrist: RealWrist, surfaces: Mapping[str, TriangleMesh], source: str, method: str) -> list[RealBoneRow]:
    """Rows of the wrist's real bones, both alignments."""
    rows = []
    for bone in BONES:
        if bone not in wrist.scored_above_mm:
            continue
        above = wrist.scored_above_mm[bone]
        truth = getattr(wrist.shape, bone)
        for alignment in ALIGNMENTS:
            numbers, note = score_surface(surfaces.get(bone), truth, alignment, above)
            rows.append(
                RealBoneRow(
                    wrist.subject, bone, above, source, 1.0, 0, method, "", "left out", alignment, *numbers, note=note
                )
            )
    return rows
