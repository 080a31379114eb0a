"""Contact sheets of the affines that pix2pix learned under, one for each registered radiograph, to check by eye."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bonelift.experiments.affine_pairs import affine_pairs, contact_sheet
from bonelift.experiments.folds import read_folds
from bonelift.experiments.images import load_case_images
from bonelift.experiments.run.case_records import failure_of
from bonelift.experiments.run.folder import RunPaths, read_run
from bonelift.learning.augmentation import AffineRange
from bonelift.report.palette import png_bytes
from bonelift.storage.whole import write_whole


def write_affine_sheets(paths: RunPaths) -> list[Path]:
    """One ``figures/affines/CASE-N.png`` for each radiograph of the pairs whose images are there; returns all of them.

    Training draws new affines for every batch; a sheet shows a hundred from the same ranges (run.json).
    """
    content = read_run(paths)
    spread = AffineRange(**content["preset"]["networks"]["pix2pix_training"]["affine"])
    pairs = set(read_folds(paths.folds).pairs)
    folder = paths.figures / "affines"
    folder.mkdir(parents=True, exist_ok=True)
    sheets = []
    for case in sorted(name for name, entry in content["cases"].items() if entry["patient"] in pairs):
        images = paths.images(case)
        if not images.is_dir() or failure_of(images):
            continue
        held = load_case_images(images)
        for number in np.unique(held.film_number[held.film_registered]):
            sheet = folder / f"{case}-{number + 1}.png"
            sheets.append(sheet)
            if not sheet.is_file():
                first = int(np.flatnonzero(held.film_number == number)[0])
                made = affine_pairs(held.film[first], held.film_drr[first], int(content["seed"]), spread)
                write_whole(sheet, png_bytes(contact_sheet(made, f"{case}, radiograph {number + 1}")))
    return sheets
