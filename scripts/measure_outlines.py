"""What outlines and the reading of two pictures together are worth: prints a table for docs/results/accuracy.md.

    python scripts/train_default_model.py validation --work runs/default --images 0
    python scripts/measure_outlines.py --work runs/default
    python scripts/measure_outlines.py --work runs/default --ulna-apart-mm 3

The 48 validation patients of the packaged model, true DRRs and what the translator makes of the films, each by itself
and up to two pairs of a PA and a lateral of each patient. Root mean square distance along the normals, mm, mean over
pictures: S as it reads (of two pictures the mean of both, weighed by the errors of each number), and corrected. The
last column: how far the true surface points of the ulna lie from its corrected outline, mm at the wrist; mean of
pictures, and 90th percentile. ``--ulna-apart-mm``: SD along each axis by which the ulna of every reading is moved
before.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bonelift.film.standard import FILM_SPACING_MM
from bonelift.images import View
from bonelift.learning.code_facts import read_all, without_pictures
from bonelift.learning.samples import FilmSamples, SurfaceSamples, load_samples
from bonelift.learning.shape_regression import encode_surfaces
from bonelift.learning.translated import translated
from bonelift.networks.bundle import ModelBundle, load_bundle
from bonelift.networks.occluding_contour import OutlinedBones, outlined
from bonelift.networks.outlines import SeenWrist, Source, corrected
from bonelift.networks.shape_regressor import metric_matrices, surface_errors
from bonelift.networks.views import view_of

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Watched:
    """Pictures of one source: readings (N, numbers), what was shown, true codes (N, outputs)."""

    source: Source
    samples: FilmSamples
    readings: Float
    true: Float

    def seen(self, row: int) -> SeenWrist:
        film = self.samples.radiograph[row] if self.source == "film" else None
        return SeenWrist(view_of(int(self.samples.view[row])), self.readings[row], self.samples.drr[row], film)

    def rows(self, view: View) -> NDArray[np.int64]:
        return np.array([row for row, code in enumerate(self.samples.view) if view_of(int(code)) == view])


def watched(folder: Path, bundle: ModelBundle, source: Source) -> Watched:
    assert bundle.shape is not None
    bases = (bundle.shape.radius, bundle.shape.ulna)
    films = load_samples(folder, FilmSamples)
    shown = films if source == "drr" else replace(films, drr=translated(folder, bundle.generator))
    read = shown if source == "film" else without_pictures(films)
    readings, _ = read_all(bundle.shape.network, read)
    codes = encode_surfaces(load_samples(folder, SurfaceSamples), bases)
    return Watched(source, shown, readings.astype(np.float64), codes[films.patient].astype(np.float64))


def moved_ulnae(found: Watched, bones: OutlinedBones, apart_mm: float) -> Watched:
    """Readings whose ulna lies beside where it was read, by normal draws of SD ``apart_mm`` along each axis."""
    readings = found.readings.copy()
    moves = apart_mm * np.random.default_rng(1).normal(size=(len(readings), 3))
    readings[:, bones.ulna_place] += moves / bones.ulna_place_sd_mm
    return replace(found, readings=readings)


def ulna_outline_off_mm(found: Watched, row: int, bones: OutlinedBones, reading: Float) -> float:
    """Mean distance of the true surface points of the ulna from its outline as read, mm at the wrist."""
    contour = outlined(bones, reading, view_of(int(found.samples.view[row])))
    off = contour.offsets(found.true[row], found.samples.px_from_radius[row].astype(np.float64))
    return float(np.abs(off[len(contour.parts[0].points_px) :]).mean() * FILM_SPACING_MM)


def pairs_of(found: Watched) -> list[list[int]]:
    rng, pairs = np.random.default_rng(0), []
    for patient in np.unique(found.samples.patient):
        own = [[row for row in found.rows(view) if found.samples.patient[row] == patient] for view in ("pa", "lateral")]
        combined = [[first, second] for first in own[0] for second in own[1]]
        pairs += [combined[number] for number in rng.permutation(len(combined))[:2]]
    return pairs


def lines_of(found: Watched, bundle: ModelBundle, bones: OutlinedBones, apart_mm: float) -> list[list[str]]:
    assert bundle.shape is not None
    metrics = metric_matrices(bundle.shape.radius, bundle.shape.ulna)
    outputs = bones.code_length
    off = found.readings[:, :outputs] - found.true
    sds = {code: np.sqrt((off[found.samples.view == code] ** 2).mean(axis=0)) for code in (0, 1)}
    found = moved_ulnae(found, bones, apart_mm)

    def as_read(rows: Sequence[int]) -> Float:
        weights = np.array([1 / np.square(sds[int(found.samples.view[row])]) for row in rows])
        return (weights * found.readings[list(rows), :outputs]).sum(axis=0) / weights.sum(axis=0)

    groups = {
        "PA": [[row] for row in found.rows("pa")],
        "lateral": [[row] for row in found.rows("lateral")],
        "PA and lateral": pairs_of(found),
    }
    lines = []
    for name, group in groups.items():
        cells = [f"{found.source}, {name} ({len(group)})"]
        by_outlines = [corrected([found.seen(row) for row in rows], bones, bundle.outlines) for rows in group]
        true = torch.from_numpy(found.true[[rows[0] for rows in group]])
        errors = []
        for codes in (np.array([as_read(rows) for rows in group]), np.array([code for code, _ in by_outlines])):
            errors.append(surface_errors(torch.from_numpy(codes), true, metrics).mean(dim=0).numpy())
        for alignment in (1, 0):
            cells += [f"{error[0, alignment]:.3f}, {error[1, alignment]:.3f}" for error in errors]
        ulnae = [
            ulna_outline_off_mm(found, row, bones, np.concatenate([code, pose]))
            for rows, (code, poses) in zip(group, by_outlines, strict=True)
            for row, pose in zip(rows, poses, strict=True)
        ]
        lines.append([*cells, f"{np.mean(ulnae):.2f}, {np.percentile(ulnae, 90):.2f}"])
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/default"), help="folder with validation samples")
    parser.add_argument("--model", type=Path, help="default: the packaged one")
    parser.add_argument("--ulna-apart-mm", type=float, default=0.0, help="the ulna of readings is moved by this SD")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    bundle = load_bundle(arguments.model)
    assert bundle.shape is not None
    bones = OutlinedBones((bundle.shape.radius, bundle.shape.ulna))
    head = [
        "pictures (number)",
        "rigid, as read",
        "rigid, corrected",
        "as predicted, as read",
        "as predicted, corrected",
        "ulna's outline off",
    ]
    print(f"| {' | '.join(head)} |\n|{' --- |' * len(head)}")
    for source in ("drr", "film"):
        found = watched(arguments.work / "validation", bundle, source)
        for line in lines_of(found, bundle, bones, arguments.ulna_apart_mm):
            print(f"| {' | '.join(line)} |", flush=True)


if __name__ == "__main__":
    main()
