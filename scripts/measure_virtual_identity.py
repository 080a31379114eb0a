"""Identity on virtual patients: how often can a patient's own lateral be told by the bone that a PA film gives?

    python scripts/measure_virtual_identity.py --patients 18

The same comparison as of the adults (measure_adult_films.py), on as many virtual patients, whose films are what the
networks learned from. It says how much of the adults' result is the film, and how much is what one view tells at all.
Prints a table for docs/results/accuracy.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

import numpy as np
from tqdm import tqdm

from bonelift.anatomy.shape_model import load_shape_model
from bonelift.drr.subject import bone_attenuation
from bonelift.experiments.identity import ALIGNMENTS, ComparedBone, compared_bone, distance_rows, rank_of_own
from bonelift.images.radiograph import View
from bonelift.learning.bare_samples import bare_film
from bonelift.learning.virtual_samples import VirtualSampleConfig
from bonelift.networks.model import WristModel, load_model
from bonelift.phantom.ct import draw_scan_settings, scan
from bonelift.phantom.patient import make_patient
from bonelift.phantom.whole_film import simulated_film
from bonelift.reconstruction.bones import BONES, SHOWN_ABOVE_MM, predict
from bonelift.reconstruction.job import reconstruct
from bonelift.surface.clip import clip_below
from bonelift.surface.mesh import TriangleMesh

FIRST_SEED = 970_600
VIEWS: tuple[View, View] = ("pa", "lateral")
Shown = dict[str, dict[tuple[str, View, str], ComparedBone]]
"""Source ("film", "CT-DRR") -> (owner, view, bone) -> the bone that was read."""


def read_patient(seed: int, model: WristModel, shown: Shown) -> None:
    """Add what both views of one virtual patient give; each view is exposed and projected at a pose of its own."""
    patient = make_patient(seed, load_shape_model())
    rng = np.random.default_rng([seed, 3])
    attenuation = bone_attenuation(*scan(patient.body, rng, draw_scan_settings(rng)))
    for number, view in enumerate(VIEWS):
        film, _ = simulated_film(patient, np.random.default_rng([seed, 4, number]), view, "right")
        read = reconstruct([film], model).bones
        _keep(shown, "film", str(seed), view, read.surfaces if read else {})
        drr = bare_film(attenuation, rng, view, VirtualSampleConfig()).drr
        _keep(shown, "CT-DRR", str(seed), view, predict([drr], [view], model).surfaces)
    for bone in BONES:
        _keep(shown, "true bone", str(seed), "pa", {bone: getattr(patient.shape, bone)})


def _keep(shown: Shown, source: str, owner: str, view: View, surfaces: Mapping[str, TriangleMesh]) -> None:
    for bone, mesh in surfaces.items():
        if not mesh.is_empty:
            part = compared_bone(clip_below(mesh, SHOWN_ABOVE_MM + 1.0))
            shown.setdefault(source, {})[owner, view, bone] = part


def ranks(asked: Mapping[str, ComparedBone], candidates: Mapping[str, ComparedBone]) -> dict[str, list[float]]:
    """Alignment -> ranks of the own bone."""
    found = {}
    for alignment in ALIGNMENTS:
        table = distance_rows(asked, candidates, alignment)
        found[alignment] = [rank_of_own(row, owner) for owner, row in table.items()]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=18)
    parser.add_argument("--model", help="model folder; default: the packaged one")
    arguments = parser.parse_args()
    model, shown = load_model(arguments.model), Shown()
    for seed in tqdm(range(FIRST_SEED, FIRST_SEED + arguments.patients), desc="patients"):
        read_patient(seed, model, shown)
    print("| the bone of a PA ... | against | bone | alignment | own first | mean rank |\n|---|---|---|---|---|---|")
    pairs = [("film", "film"), ("CT-DRR", "CT-DRR"), ("film", "true bone"), ("CT-DRR", "true bone")]
    for asking, against in pairs:
        view: View = "pa" if against == "true bone" else "lateral"
        for bone in BONES:
            asked = {o: b for (o, v, name), b in shown[asking].items() if (v, name) == ("pa", bone)}
            candidates = {o: b for (o, v, name), b in shown[against].items() if (v, name) == (view, bone)}
            for alignment, found in ranks(asked, candidates).items():
                first = sum(rank == 1 for rank in found)
                told = f"{first} of {arguments.patients} | {np.nanmean(found):.1f}"
                what = against if against == "true bone" else f"lateral {against}"
                print(f"| {asking} | {what} | {bone} | {alignment} | {told} |")


if __name__ == "__main__":
    main()
