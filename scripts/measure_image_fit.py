"""Does a fit of the predicted bones to their CT-DRR help? Prints a table for docs/results/one-film-fit.md.

    python scripts/measure_image_fit.py --patients 12

Virtual patients that no network saw, one PA CT-DRR each. The shape regressor reads codes, their expected errors and the
pose; from there the bones are fitted to the same DRR (bonelift.registration.image_fit), and half or all of the step is
taken. ASD of each bone in mm, surface to surface, after rigid alignment.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from bonelift.anatomy.shape_model import load_shape_model
from bonelift.experiments.holdout import ct_drr
from bonelift.experiments.methods.render_and_compare import nominal_film_camera, nominal_pose
from bonelift.experiments.surface_scores import score_surface
from bonelift.networks.inference import read_shape
from bonelift.networks.model import WristModel, load_model
from bonelift.phantom.patient import make_patient
from bonelift.reconstruction.bones import BONES, bones_of_code, code_by_bone
from bonelift.registration.image_fit import ImageFitSettings, fit_to_image
from bonelift.registration.shape_fit import ShapedWrist
from bonelift.registration.views import FixedView
from bonelift.surface.mesh import TriangleMesh

FIRST_SEED = 970_700
SHARES = (0.5, 1.0)


def patient_row(seed: int, model: WristModel) -> tuple[dict[str, list[float]], float]:
    """What is predicted and each share of the step -> ASD of radius and ulna; and the seconds of one fit."""
    patient = make_patient(seed, load_shape_model())
    drr = ct_drr(patient, seed)
    truth = {bone: getattr(patient.shape, bone) for bone in BONES}
    reading = read_shape([drr], ["pa"], model)
    codes, sds = code_by_bone(reading.code, model), code_by_bone(reading.sd, model)
    camera = nominal_film_camera()
    pose = nominal_pose(camera, "pa") @ reading.motions[0]
    started = time.process_time()
    whole = fit_to_image(
        model.bases, FixedView(drr.astype(np.float64), camera), ShapedWrist(pose, codes), sds, ImageFitSettings()
    )
    seconds = time.process_time() - started
    row = {"predicted": distances(reading.code, truth, model)}
    for share in SHARES:
        step = [codes[bone] + share * (whole.wrist.codes[bone] - codes[bone]) for bone in BONES]
        row[f"{share:g} of the step"] = distances(np.concatenate(step), truth, model)
    return row, seconds


def distances(code: NDArray[np.float64], truth: Mapping[str, TriangleMesh], model: WristModel) -> list[float]:
    surfaces = bones_of_code(code, model).surfaces
    return [score_surface(surfaces[bone], truth[bone], "rigid")[0][1] for bone in BONES]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=12)
    arguments = parser.parse_args()
    model = load_model()
    rows, seconds = zip(
        *(patient_row(seed, model) for seed in tqdm(range(FIRST_SEED, FIRST_SEED + arguments.patients))), strict=True
    )
    print("| | radius, mm | ulna, mm | difference, radius | difference, ulna | worse in |\n|---|---|---|---|---|---|")
    start = np.array([row["predicted"] for row in rows])
    for name in rows[0]:
        found = np.array([row[name] for row in rows])
        change = found - start
        error = change.std(axis=0, ddof=1) / len(rows) ** 0.5
        cells = [f"{mean:+.3f} +- {sd:.3f}" for mean, sd in zip(change.mean(axis=0), error, strict=True)]
        worse = " and ".join(f"{count}" for count in (change > 0).sum(axis=0))
        means = found.mean(axis=0)
        told = "| | |" if name == "predicted" else f"| {cells[0]} | {cells[1]} | {worse} of {len(rows)} |"
        print(f"| {name} | {means[0]:.3f} | {means[1]:.3f} {told}")
    print(f"\nModel {model.name}, {np.median(seconds):.1f} s of CPU for a fit (median).")


if __name__ == "__main__":
    main()
