"""How far the outlines of a result lie from the true ones on its film: as read, and where each search ends.

    python scripts/measure_placing.py --first 957000 --count 12 --out rows.csv

One film of each view of virtual patients (right wrists, as recorded), whole, through `reconstruct`. Of each bone the
two edges in every row of the standard film are compared with those of the true bone where it truly stands: mean
distance in mm at the wrist, distal 40 mm; and how far its distal end lies from the true one along the film's columns,
proximal positive. "read": where S and the outlines read both bones; "wrist": where the search for both bones as one
ends; "each by itself": where the searches for each bone end. Writes a row for each and prints a table.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from virtual_films import ReadFilm, read_films, seeds_and_file, write_rows

from bonelift.film.standard import FILM_SPACING_MM
from bonelift.geometry import apply_transform, invert_rigid
from bonelift.images.volume import BONES

Float = NDArray[np.float64]
POSES = ("read", "wrist", "each by itself")
END = "{}: end"
SCORED_ABOVE_MM = -40.0
_END_PX = 4


def edges_off_mm(found_px: Float, true_px: Float) -> float:
    """Mean distance of the edges on both sides of projected points (N, 2), (column, row) px, row by row."""
    first = int(max(found_px[:, 1].min(), true_px[:, 1].min())) + _END_PX
    last = int(min(found_px[:, 1].max(), true_px[:, 1].max())) - 2 * _END_PX
    off = []
    for row in range(first, last):
        sides = []
        for points in (found_px, true_px):
            columns = points[np.abs(points[:, 1] - row) < 1.5, 0]
            sides.append((columns.min(), columns.max()) if len(columns) > 3 else (np.nan, np.nan))
        off.append(np.subtract(*sides))
    return float(np.nanmean(np.abs(off))) * FILM_SPACING_MM


def table(rows: list[dict[str, str]]) -> str:
    lines = ["| view | bone | films | " + " | ".join(POSES) + " |", "|---|---|---|" + "---|" * len(POSES)]
    for view, bone in dict.fromkeys((row["view"], row["bone"]) for row in rows):
        here = [row for row in rows if (row["view"], row["bone"]) == (view, bone)]
        cells = []
        for pose in POSES:
            edges, end = (np.array([float(row[name]) for row in here]) for name in (pose, END.format(pose)))
            spread = f"{np.nanmean(edges):.2f} ({np.nanmedian(edges):.2f}, {np.nanmax(edges):.2f})"
            cells.append(f"{spread}; {np.nanmedian(np.abs(end)):.2f} ({np.nanmedian(end):+.2f})")
        seen = sum(np.isfinite(float(row[POSES[0]])) for row in here)
        lines.append(f"| {view} | {bone} | {seen} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", "Edges: mean (median, largest), mm; distal end: median distance (median), mm."])


def off_mm(read: ReadFilm, bone: str) -> dict[str, float]:
    """Of each of POSES its edges and END; NaN where no wrist stands in the film."""
    result = read.result
    if not result.placed or result.bones is None or not result.bones.motions:
        return dict.fromkeys((name for pose in POSES for name in (pose, END.format(pose))), np.nan)
    film, placed = result.films[0].film, result.placed[0]
    poses = {
        "read": film.nominal_camera_from_radius() @ result.bones.motions[0],
        "wrist": placed.wrist.world_from_bone,
        "each by itself": placed.bones[bone].world_from_bone,
    }
    true_pose = invert_rigid(film.world_from_canonical) @ read.world_from_radius

    def shown_px(pose: Float, vertices: Float) -> Float:
        return film.camera.project(apply_transform(pose, vertices[vertices[:, 2] > SCORED_ABOVE_MM]))

    true_px = shown_px(true_pose, getattr(read.patient.shape, bone).vertices)
    own = result.bones.surfaces[bone].vertices
    off = {}
    for name, pose in poses.items():
        found_px = shown_px(pose, own)
        off[name] = edges_off_mm(found_px, true_px)
        off[END.format(name)] = float(found_px[:, 1].min() - true_px[:, 1].min()) * FILM_SPACING_MM
    return off


def main() -> None:
    arguments = seeds_and_file(__doc__, count=12)
    rows = []
    for read in read_films(arguments.first, arguments.count):
        for bone in BONES:
            told = {name: f"{value:.3f}" for name, value in off_mm(read, bone).items()}
            rows.append({"seed": str(read.seed), "view": read.view, "bone": bone, **told})
    write_rows(arguments.out, rows)
    print(table(rows))


if __name__ == "__main__":
    main()
