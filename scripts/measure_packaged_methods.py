"""What needs no training of its own, on the tested films of an earlier run of all methods: rows of today's model.

    bonelift simulate --patients 24 --seed 917000 --out study --without-poses
    bonelift register study --out registered --adopt
    python scripts/measure_packaged_methods.py study run --work scores --out packaged
    python scripts/methods_page.py --packaged packaged

The films and the mean bone that skill is measured against are those of docs/results/methods/rows.csv; a study that is
made anew has to hold the same patients. The packaged translator makes the bone-only image, which the packaged networks
read, and which a shape model with the packaged modes is rendered and compared with. Scores that are there are kept.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from measure_registered_poses import study_images, surface_rows
from methods_made import run_facts

from bonelift.errors import InputError
from bonelift.experiments.methods.grounds import MEAN, Reader, read_image, readers
from bonelift.experiments.results.tables import read_rows, write_rows
from bonelift.experiments.run.folder import RunPaths
from bonelift.experiments.scores import MEAN_BONE, CaseRow, with_skill
from bonelift.networks.inference import translate
from bonelift.networks.model import WristModel, load_model
from bonelift.networks.own_network import WristImage
from bonelift.networks.views import view_of
from bonelift.reconstruction.bones import BONES
from bonelift.study.folder import StudyCase, read_study
from bonelift.surface.mesh import TriangleMesh

KNOWN = Path("docs/results/methods/rows.csv")
FILE = "packaged.csv"
NOTHING = TriangleMesh(np.zeros((0, 3)), np.zeros((0, 3), np.int32))


@dataclass(frozen=True)
class PackagedRow(CaseRow):
    """A row of the packaged model. read_s, read_mib: of the processor, and of the process, while it read the image.
    made: by which commit, when and on what."""

    read_s: float = float("nan")
    read_mib: float = float("nan")
    model: str = ""
    made: str = ""


def rows_of_case(
    study: Path, case: StudyCase, paths: RunPaths, model: WristModel, reads: dict[str, Reader], known: Sequence[CaseRow]
) -> list[PackagedRow]:
    """Every method on the tested films of a case. known: the earlier run's rows of it."""
    images = study_images(study, case, paths)
    truth = {bone: images.truth(bone) for bone in BONES}
    baseline = [row for row in known if row.method == MEAN_BONE]
    rows = []
    numbers, first = np.unique(images.film_number, return_index=True)
    for number, at in zip(numbers.tolist(), first.tolist(), strict=True):
        film, view = np.asarray(images.film[at], dtype=np.float32), view_of(int(images.film_view[at]))
        image = WristImage(view, translate(film, view, model), film)
        for method, reader in reads.items():
            read = read_image(reader, image)
            found = read.bones.surfaces if read.bones else dict.fromkeys(BONES, NOTHING)
            start = replace(baseline[0], method=method, source="film", image=number, view=view, dice=float("nan"))
            for row in surface_rows(start, found, truth):
                told = asdict(with_skill(replace(row, note=read.reason or row.note), baseline))
                rows.append(PackagedRow(**told, read_s=read.seconds, read_mib=read.peak_mib, model=model.name,
                                        made=run_facts()))  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("run", type=Path, help="folder of the images, which may be new")
    parser.add_argument("--work", type=Path, required=True, help="folder for each case's scores")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for folder in (options.work, options.out):
        folder.mkdir(parents=True, exist_ok=True)
    known, model = read_rows(KNOWN, CaseRow), load_model(None)
    reads = {name: reader for name, reader in readers(model).items() if name != MEAN}
    cases = {case.case: case for case in read_study(options.study).cases}
    rows: list[PackagedRow] = []
    for name, patient in sorted({(row.case, row.patient) for row in known}):
        case = cases.get(name)
        if case is None or case.patient != patient:
            raise InputError(f"{options.study}: {name} is not {patient}; expected the study of {KNOWN}")
        path = options.work / f"packaged-{model.weights_sha256[:12]}-{name}.csv"
        if not path.is_file():
            of_case = [row for row in known if row.case == name]
            write_rows(
                path, PackagedRow, rows_of_case(options.study, case, RunPaths(options.run), model, reads, of_case)
            )
            print(name, flush=True)
        rows += read_rows(path, PackagedRow)
    write_rows(options.out / FILE, PackagedRow, rows)


if __name__ == "__main__":
    main()
