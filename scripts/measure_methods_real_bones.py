"""Several methods on the bench of real bones: the same CT-DRR and the same simulated film, read in turn; no training.

    BONELIFT_DATA=... python scripts/measure_methods_real_bones.py --work WORK --out OUT
    python scripts/methods_page.py --real-bones OUT

WORK is a folder outside the repository: it keeps the covers of the bones and the rows of each subject, so a stopped run
goes on. OUT gets real-bones.csv. Networks, modes and mean are the packaged model's; "seen" in a row means that its
population holds the subject.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np
import torch
from measure_real_bones import covered_bones, networks_for, read_model_option
from methods_made import outside_the_repository, run_facts

from bonelift.anatomy.shape_model import load_shape_model
from bonelift.experiments.methods.grounds import readers
from bonelift.experiments.methods.on_real_bones import MethodOnBone, images_of, rows_of_images, rows_without_skill
from bonelift.experiments.real_bones import mean_of_others, real_wrist
from bonelift.experiments.real_bones_scores import pictures
from bonelift.experiments.results.tables import read_rows, write_rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=outside_the_repository, required=True, help="folder outside the repository")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--interiors", type=int, default=1, help="drawn insides of each wrist")
    parser.add_argument("--subjects", nargs="*", help="only these")
    options = parser.parse_args()
    torch.set_num_threads(1)
    shape_model = load_shape_model()
    covered = covered_bones(Path(os.environ["BONELIFT_DATA"]) / "reference_bones", shape_model, options.work)
    model, without = read_model_option("default")
    reads, made = readers(model), run_facts()
    kept = options.work / f"real-bones-{model.weights_sha256[:12]}-{options.interiors}"
    kept.mkdir(parents=True, exist_ok=True)
    rows: list[MethodOnBone] = []
    for subject in sorted({bone.subject for bone in covered}):
        wrist = real_wrist(subject, covered, shape_model, np.random.default_rng(sum(subject.encode())))
        if wrist is None or (options.subjects and subject not in options.subjects):
            continue
        path = kept / f"{subject}.csv"
        if not path.is_file():
            found = rows_without_skill(wrist, mean_of_others(subject, covered, shape_model), made)
            for interior in range(options.interiors):
                [(_, saw)] = networks_for(wrist, [(model, without)])
                images = images_of(pictures(wrist, interior, films=True), model)
                found += rows_of_images(wrist, images, reads, (interior, model.name, saw, made))
            write_rows(path, MethodOnBone, found)
            print(f"{subject}: {len(found)} rows", file=sys.stderr, flush=True)
        rows += read_rows(path, MethodOnBone)
    options.out.mkdir(parents=True, exist_ok=True)
    write_rows(options.out / "real-bones.csv", MethodOnBone, rows)


if __name__ == "__main__":
    main()
