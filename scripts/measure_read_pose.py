"""Where S and the outlines read that the wrist stands, beside where the search around that ended, and the truth.

    python scripts/measure_read_pose.py --first 957000 --count 14 --out rows.csv

One film of each view of virtual patients (right wrists, as recorded), whole, through `reconstruct`. Errors are those of
the wrist as one, in directions of the film: two tilts out of its plane and the turn in it (degrees), right, down and
depth (mm). Writes a row a film and prints a table.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from virtual_films import read_films, seeds_and_file, write_rows

from bonelift.geometry import invert_rigid
from bonelift.reconstruction.result import Reconstruction
from bonelift.registration.chart import pose_chart

Float = NDArray[np.float64]
NUMBERS = ("tilt_1_deg", "tilt_2_deg", "turn_deg", "right_mm", "down_mm", "depth_mm")


def errors(found: Reconstruction, world_from_radius: Float) -> dict[str, Float]:
    """{"read" or "searched": (6,)} of the one film of a result; {} where no wrist stands in it.

    world_from_radius: (4, 4), true, in the world of the radiograph's camera.
    """
    if not found.placed or found.bones is None or not found.bones.motions:
        return {}
    film = found.films[0].film
    true = invert_rigid(film.world_from_canonical) @ world_from_radius
    poses = {
        "read": film.nominal_camera_from_radius() @ found.bones.motions[0],
        "searched": found.placed[0].wrist.world_from_bone,
    }
    chart = pose_chart(film.camera, true, found.bones.wrist_solid.centre_mm)
    six = {name: chart.parameters(pose) for name, pose in poses.items()}
    return {name: np.concatenate([np.rad2deg(values[:3]), values[3:]]) for name, values in six.items()}


def table(rows: list[dict[str, str]]) -> str:
    lines = [f"| view | pose | films | {' | '.join(NUMBERS)} |", "|---|---|---|" + "---|" * len(NUMBERS)]
    for view, pose in dict.fromkeys((row["view"], row["pose"]) for row in rows):
        here = np.array(
            [[float(row[n]) for n in NUMBERS] for row in rows if (row["view"], row["pose"]) == (view, pose)]
        )
        squares, middle = np.sqrt((here**2).mean(axis=0)), np.median(np.abs(here), axis=0)
        cells = " | ".join(f"{a:.2f} ({b:.2f})" for a, b in zip(squares, middle, strict=True))
        lines.append(f"| {view} | {pose} | {len(here)} | {cells} |")
    return "\n".join([*lines, "", "Root mean square (median of the sizes)."])


def main() -> None:
    arguments = seeds_and_file(__doc__, count=14)
    rows = []
    for read in read_films(arguments.first, arguments.count):
        found = errors(read.result, read.world_from_radius)
        for pose in ("read", "searched"):
            numbers = found.get(pose, np.full(6, np.nan))
            row = {"seed": str(read.seed), "view": read.view, "pose": pose}
            rows.append(row | {name: f"{value:.3f}" for name, value in zip(NUMBERS, numbers, strict=True)})
    write_rows(arguments.out, rows)
    print(table(rows))


if __name__ == "__main__":
    main()
