"""How well outlines alone could tell a bone: docs/results/outline-limit.md.

python scripts/measure_outline_limit.py [--out docs/results/outline-limit.md]

No picture and no network: of each real bone of BONELIFT_DATA, left out of the population with its subject, and of
virtual bones that the basis has not seen, the exact offsets of the points where the surface turns away from a view are
given, and nothing else. The most probable bone of the population that has them is compared with the true one: mean
distance along the normals after rigid alignment, mm, on the part of the bone that is scored. The pose is not known.
Statistics leave the process, no surface does.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from build_shape_model import build, register_all
from left_out_bones import DRAWN, FIRST_SEED, FIRST_UNSEEN_SEED, basis_of, drawn_bones
from measure_real_bones import covered_bones
from numpy.typing import NDArray
from reference_bones import NOT_NORMAL

from bonelift.anatomy.shape_basis import BoneBasis
from bonelift.anatomy.shape_model import load_shape_model
from bonelift.experiments.real_bones import SCORED_ABOVE_MM, SHORTEST_MM, lowest_seen_mm
from bonelift.geometry import apply_transform, rigid_between
from bonelift.images.volume import BONES
from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]

VIRTUAL = 100
ALONG = {"PA": 1, "lateral": 0}
"""Axis of the radius frame along which each view looks."""
GRAZING = 0.12
"""Greatest cosine between normal and view of a point on the outline."""
NOISES_MM = (0.1, 0.3)
ALIKE = 4.0
"""Neighbouring points have the same error."""
POSE_SD = (0.1, 0.1, 0.1, 20.0, 20.0, 20.0)
"""rad, mm: hardly anything is known of the pose."""
PAGE = """# How much an outline tells

What an image can tell of a bone is limited by what it shows. Here nothing is read from images. The exact place of the
outline in one view or in two is given, and no more, and the most probable bone of the virtual population that has this
outline is taken (in brackets the SD, mm, of the noise that is expected of each point). The pose is not given. Mean
distance from the true bone along its normals after *rigid* alignment, mm. Real bones were left out of the population
with their subject ({radii} radii, {ulnae} ulnae); virtual ones ({virtual} of each bone) are of the whole population and
unseen by its basis.

{table}

*Mean at true size*: the mean bone of the population, scaled to the bone. *All points*: the bone is told at every point,
and only what 80 modes cannot write is left.

So from the outline of one PA view nobody who knows this population could tell a new person's radius better than about
{pa:.2f} mm. What is better than that has to come from the inside of the picture, and the population has to know how the
inside goes with the shape. Two views leave about half of it.

Made by `python scripts/measure_outline_limit.py` at commit {commit}, {date}, {machine}, one thread, {seconds:.0f} s;
virtual seeds {first} and {unseen} onwards.
"""


@dataclass(frozen=True, eq=False)
class Known:
    """A basis, and which of its vertices are seen and scored."""

    basis: BoneBasis
    scored: NDArray[np.bool_]

    @cached_property
    def normals(self) -> Float:
        return TriangleMesh(self.basis.reference, self.basis.faces).vertex_normals

    @cached_property
    def modes(self) -> Float:
        """(V, K) along the normals."""
        return np.einsum("kvx,vx->vk", self.basis.modes, self.normals)

    @cached_property
    def rigid(self) -> Float:
        """(V, 6) along the normals."""
        from_centre = self.basis.reference - self.basis.centre_mm
        return np.concatenate([np.cross(from_centre, self.normals), self.normals], axis=1)

    @cached_property
    def roots(self) -> Float:
        """(V,) of the area that each scored vertex stands for."""
        weights = self.basis.weights * self.scored
        return np.sqrt(weights / weights.sum())

    def without(self, offsets: Float, columns: Float) -> Float:
        """Offsets (V,) less what ``columns`` (V, C) explain of them on the scored part."""
        found = np.linalg.lstsq(self.roots[:, None] * columns, self.roots * offsets)[0]
        return offsets - columns @ found

    def distance(self, offsets: Float) -> float:
        """Mean absolute offset after the best rigid motion, mm."""
        left = self.without(offsets, self.rigid)
        return float(np.abs(left) @ self.roots**2)

    def told(self, offsets: Float, views: Sequence[str], noise_mm: float) -> Float:
        """(V,) most probable offsets of the population, of which the outlines in ``views`` are known."""
        rows, seen = [], []
        for number, view in enumerate(views):
            outline = self.scored & (np.abs(self.normals[:, ALONG[view]]) < GRAZING)
            posed = np.zeros((int(outline.sum()), 6 * len(views)))
            posed[:, 6 * number : 6 * number + 6] = self.rigid[outline]
            rows.append(np.concatenate([self.modes[outline], posed], axis=1))
            seen.append(offsets[outline])
        matrix, values = np.concatenate(rows), np.concatenate(seen)
        count = self.modes.shape[1]
        prior = np.concatenate([np.ones(count), np.tile(np.power(POSE_SD, -2.0), len(views))])
        variance = ALIKE * noise_mm**2
        found = np.linalg.solve(matrix.T @ matrix / variance + np.diag(prior), matrix.T @ values / variance)
        return self.modes @ found[:count]


def distances(known: Known, vertices: Float) -> dict[str, float]:
    """One bone (V, 3), vertices as those of the basis."""
    pose = rigid_between(vertices, known.basis.reference, np.maximum(known.basis.weights * known.scored, 1e-12))
    offsets = ((apply_transform(pose, vertices) - known.basis.reference) * known.normals).sum(axis=1)
    size = ((known.basis.reference - known.basis.centre_mm) * known.normals).sum(axis=1)
    row = {
        "mean": known.distance(offsets),
        "mean at true size": known.distance(known.without(offsets, np.c_[size, known.rigid])),
    }
    for views in (["PA"], ["lateral"], ["PA", "lateral"]):
        for noise in NOISES_MM:
            left = offsets - known.told(offsets, views, noise)
            row[f"{' and '.join(views)} ({noise:g})"] = known.distance(left)
    return row | {"all points": known.distance(known.without(offsets, np.c_[known.modes, known.rigid]))}


def rows_by_group() -> dict[tuple[str, str], list[dict[str, float]]]:
    """(bone, "real, left out" or "virtual") -> a row for each bone."""
    folder, template = Path(os.environ["BONELIFT_DATA"]) / "reference_bones", load_shape_model()
    covers = covered_bones(folder, template, None)
    radii, ulnae = register_all(folder, template)
    rows: dict[tuple[str, str], list[dict[str, float]]] = {}
    for subject in sorted({cover.subject for cover in covers}):
        drawn = drawn_bones(build(radii, ulnae, template, [subject]), FIRST_SEED, DRAWN)
        for cover in covers:
            lowest = lowest_seen_mm(cover.vertices, cover.seen)
            long = np.isfinite(lowest) and cover.vertices[:, 2].max() - lowest >= SHORTEST_MM
            if cover.subject != subject or not long or subject in NOT_NORMAL[cover.bone]:
                continue
            known = Known(basis_of(drawn[cover.bone]), cover.seen & (cover.vertices[:, 2] > lowest))
            rows.setdefault((cover.bone, "real, left out"), []).append(distances(known, cover.vertices))
    whole = build(radii, ulnae, template)
    drawn, unseen = drawn_bones(whole, FIRST_SEED, DRAWN), drawn_bones(whole, FIRST_UNSEEN_SEED, VIRTUAL)
    for bone in BONES:
        basis = basis_of(drawn[bone])
        known = Known(basis, basis.reference[:, 2] > SCORED_ABOVE_MM)
        rows[bone, "virtual"] = [distances(known, mesh.vertices) for mesh in unseen[bone]]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/results/outline-limit.md"))
    out, started = parser.parse_args().out, time.process_time()
    rows = rows_by_group()
    means = {
        key: {name: float(np.mean([row[name] for row in found])) for name in found[0]} for key, found in rows.items()
    }
    names = list(next(iter(means.values())))
    lines = [["bone", "n", *names], ["---"] * (len(names) + 2)]
    for (bone, kind), mean in sorted(means.items()):
        lines.append([f"{bone}, {kind}", str(len(rows[bone, kind])), *(f"{mean[name]:.2f}" for name in names)])
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    page = PAGE.format(
        table="\n".join(f"| {' | '.join(line)} |" for line in lines),
        radii=len(rows["radius", "real, left out"]),
        ulnae=len(rows["ulna", "real, left out"]),
        virtual=VIRTUAL,
        pa=means["radius", "real, left out"][f"PA ({NOISES_MM[0]:g})"],
        commit=commit.stdout.strip(),
        date=time.strftime("%Y-%m-%d"),
        machine=platform.machine(),
        seconds=time.process_time() - started,
        first=FIRST_SEED,
        unseen=FIRST_UNSEEN_SEED,
    )
    out.write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
