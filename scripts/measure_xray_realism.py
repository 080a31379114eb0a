"""Do real wrist radiographs lie inside the spread of the virtual ones? Statistics of films, real and virtual.

    BONELIFT_DATA=... nice python scripts/measure_xray_realism.py --patients 40 --out docs/results/xray-realism.md

For looking, not for the repository: ``--picture FILE.png`` makes a contact sheet that holds real films.
Nothing is tuned on these films by number; no film, crop or overlay of one is written by default.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from film_statistics import FineFilm, film_statistics, fine_film
from numpy.typing import NDArray
from PIL import Image

from bonelift.experiments.film_outlines import DrawnFilm, read_drawn_film
from bonelift.geometry import default_film_camera
from bonelift.images.radiograph import Radiograph, Side, View
from bonelift.phantom.patient import make_patient
from bonelift.phantom.xray import draw_geometry, draw_settings, expose
from bonelift.phantom.xray_geometry import WristGeometry
from bonelift.report.overlay import silhouette_outlines
from bonelift.surface.mesh import TriangleMesh

Float = NDArray[np.float64]
OUTLINES = Path(__file__).resolve().parent.parent / "docs" / "results" / "outlines"
FIRST_PATIENT = 900_000
ADULT_SPACING_MM = 0.125
"""A guess: the films' own spacing is lost."""
EXPOSURE_PX, EXPOSURE_SPACING_MM = (768, 624), 0.125
OUTSIDE_SHARE = 0.1
"""A statistic is named where more than this share of the clinic's films lies outside of the virtual 1 to 99 %."""


@dataclass(frozen=True)
class LandmarkedFilm:
    """A reference radiograph and two landmarks placed by hand (column, row px): the radius frame's origin and a point
    up the shaft. spacing_at_wrist_mm: pixel side at the wrist."""

    path: str
    side: Side
    view: View
    spacing_at_wrist_mm: float
    origin_px: tuple[float, float]
    proximal_px: tuple[float, float]
    bone_dark: bool = False


CHILDREN = (
    LandmarkedFilm("radiographs/0007_0812696320_01_WRI-R1_M015.png", "right", "pa", 0.140, (268, 362), (303, 690)),
    LandmarkedFilm("radiographs/0084_0923524247_01_WRI-R1_F008.jpg", "right", "pa", 0.140, (296, 422), (350, 785)),
    LandmarkedFilm("radiographs/0085_0898944259_01_WRI-L1_M007.jpg", "left", "pa", 0.140, (254, 483), (260, 834)),
    LandmarkedFilm("radiographs/0065_1047068896_02_WRI-L1_F011.jpg", "left", "pa", 0.140, (312, 452), (320, 861)),
    LandmarkedFilm("radiographs/0001_1297860435_01_WRI-L2_M014.jpg", "left", "lateral", 0.140, (269, 360), (235, 793)),
)
SPECIMEN = (LandmarkedFilm("specimen/cam02_0002.tif", "right", "pa", 0.173, (608, 1223), (566, 1729), bone_dark=True),)


def _radiograph(pixels: NDArray[np.floating], side: Side, view: View, spacing_mm: float) -> Radiograph:
    camera = default_film_camera(pixels.shape[1], pixels.shape[0], spacing_mm / 0.97)
    return Radiograph(pixels, camera, side, view, 970.0)


def _pixels(path: Path) -> NDArray[np.float32]:
    pixels = np.asarray(Image.open(path)).astype(np.float32)
    return pixels[..., 0] if pixels.ndim == 3 else pixels


def landmarked_film(film: LandmarkedFilm, folder: Path) -> FineFilm:
    pixels = _pixels(folder / film.path)
    pixels = pixels.max() - pixels if film.bone_dark else pixels
    return fine_film(
        _radiograph(pixels, film.side, film.view, film.spacing_at_wrist_mm), film.origin_px, film.proximal_px
    )


def adult_film(folder: Path, file: str) -> tuple[View, FineFilm]:
    """A clinical film, cut along the outlines drawn by hand and hung as standard films are."""
    drawn = read_drawn_film(OUTLINES / f"{Path(file).stem}.json")
    view: View = "pa" if drawn.view == "pa" else "lateral"
    pixels = _pixels(folder / "adult_films" / file)
    origin = _joint_on_axis(drawn)
    radiograph = _radiograph(pixels, _picture_side(drawn, view), view, ADULT_SPACING_MM)
    lines = tuple(_visible(drawn, bone) for bone in ("radius", "ulna"))
    return view, fine_film(radiograph, origin, origin - 300 * drawn.distal, (lines[0], lines[1]))


def _visible(drawn: DrawnFilm, bone: str) -> Float:
    outline = drawn.bones[bone]
    return np.where(outline.visible[:, None], outline.points, np.nan)


def _joint_on_axis(drawn: DrawnFilm) -> Float:
    """The shaft's middle line at the height of the joint line's middle."""
    points = drawn.bones["radius"].points
    height = points @ drawn.distal
    shaft = points[height < height.min() + 0.3 * np.ptp(height)].mean(axis=0)
    along = (drawn.joint_px.mean(axis=0) - shaft) @ drawn.distal
    return shaft + along * drawn.distal


def _picture_side(drawn: DrawnFilm, view: View) -> Side:
    """Which side the film has to be called so that the ulna comes to lie on the right, or the palm on the left."""
    down = -drawn.distal
    right = np.array([down[1], -down[0]])
    wanted = 1.0 if view == "pa" else -1.0
    return "right" if wanted * float(right @ drawn.toward_px) > 0 else "left"


def virtual_films(patients: int, per_patient: int) -> Iterator[tuple[View, FineFilm]]:
    """Films of virtual patients as the networks learn from them, every third a lateral."""
    for seed in range(FIRST_PATIENT, FIRST_PATIENT + patients):
        patient = make_patient(seed, whole_hand=False)
        rng = np.random.default_rng(seed)
        for number in range(per_patient):
            view: View = "lateral" if number % 3 == 2 else "pa"
            geometry = draw_geometry(rng, view, EXPOSURE_PX, EXPOSURE_SPACING_MM)
            pixels = expose(patient.body, geometry.camera, geometry.camera_from_radius, rng, draw_settings(rng))
            radiograph = Radiograph(pixels, geometry.camera, "right", view, geometry.source_to_object_mm)
            lines = tuple(_silhouette(getattr(patient.shape, bone), geometry) for bone in ("radius", "ulna"))
            yield view, fine_film(radiograph, geometry.origin_px, geometry.proximal_px, (lines[0], lines[1]))


def _silhouette(bone: TriangleMesh, geometry: WristGeometry) -> Float:
    lines = silhouette_outlines(bone.transformed(geometry.camera_from_radius), geometry.camera, subpixels=1)
    return max(lines, key=len) if lines else np.full((1, 2), np.nan)


Rows = list[dict[str, float]]


def view_table(title: str, virtual: Rows, groups: dict[str, Rows]) -> tuple[str, list[str]]:
    """A Markdown table, and for the clinic (the first group) what lies outside of the virtual spread."""
    names = list(groups)
    lines = [
        f"## {title}\n",
        f"| statistic | virtual ({len(virtual)}): 1 % | median | 99 % | "
        + " | ".join(f"{name} ({len(rows)}): median (range), outside" for name, rows in groups.items())
        + " |",
        "|---|---|---|---|" + "---|" * len(names),
    ]
    outside = []
    for statistic in virtual[0]:
        low, middle, high = np.nanpercentile([row[statistic] for row in virtual], [1, 50, 99])
        cells = []
        for number, rows in enumerate(groups.values()):
            values = np.array([row[statistic] for row in rows])
            values = values[np.isfinite(values)]
            if not len(values):
                cells.append("")
                continue
            below, above = int((values < low).sum()), int((values > high).sum())
            text = f"{np.median(values):.3f} ({values.min():.3f} to {values.max():.3f}), {below + above}"
            far = below + above > OUTSIDE_SHARE * len(values)
            cells.append(f"**{text}**" if far else text)
            if far and number == 0:
                side = f"{below} below, {above} above"
                outside.append(f"{title.lower()}: {statistic}: {below + above} of {len(values)} films ({side})")
        lines.append(f"| {statistic} | {low:.3f} | {middle:.3f} | {high:.3f} | " + " | ".join(cells) + " |")
    return "\n".join(lines), outside


def made_by(patients: int, films: int, seconds: float) -> str:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return (
        f"`python scripts/measure_xray_realism.py --patients {patients} --films {films}`, "
        f"{time.strftime('%Y-%m-%d')}, commit {commit.stdout.strip() or 'unknown'}, virtual patients from seed "
        f"{FIRST_PATIENT}, one thread of {platform.machine()}, {seconds:.0f} s of processor time."
    )


def contact_sheet(films: list[FineFilm], columns: int = 10) -> Image.Image:
    pictures = [film.pixels for film in films]
    pictures += [np.zeros_like(pictures[0])] * (-len(pictures) % columns)
    rows = [np.hstack(pictures[start : start + columns]) for start in range(0, len(pictures), columns)]
    return Image.fromarray((np.vstack(rows) / 1.2 * 255).astype(np.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=40)
    parser.add_argument("--films", type=int, default=3, help="films a patient; every third is a lateral")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--remark", type=Path, help="Markdown, put behind the tables")
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    folder = Path(os.environ["BONELIFT_DATA"])
    with (folder / "adult_films" / "metadata.csv").open(newline="") as file:
        adults = [adult_film(folder, row["file"]) for row in csv.DictReader(file)]
    others = {
        "children": [(film.view, landmarked_film(film, folder)) for film in CHILDREN],
        "specimen": [(film.view, landmarked_film(film, folder)) for film in SPECIMEN],
    }
    virtual = list(virtual_films(options.patients, options.films))
    text, outside = [], []
    views: tuple[tuple[View, str], ...] = (("pa", "PA films"), ("lateral", "Laterals"))
    for view, title in views:
        rows = [film_statistics(film) for of, film in virtual if of == view]
        groups = {"clinic": [film_statistics(film) for of, film in adults if of == view]}
        for name, films in others.items():
            found = [film_statistics(film) for of, film in films if of == view]
            if found:
                groups[name] = found
        table, far = view_table(title, rows, groups)
        text.append(table)
        outside += far
    remark = options.remark.read_text(encoding="utf-8").strip() if options.remark else ""
    listed = "\n".join(f"- {line}" for line in outside) or "Nowhere."
    page = (OUT_HEAD, *text, "## Where the clinic lies outside", listed, *([remark] if remark else []))
    made = made_by(options.patients, options.films, time.process_time())
    options.out.write_text("\n\n".join(page) + f"\n\n{made}\n", encoding="utf-8")
    if options.picture:
        contact_sheet([film for _, film in adults + virtual]).save(options.picture)


OUT_HEAD = """# Do real wrist radiographs lie inside the virtual spread?

Statistics of films cut along the radius as the networks read them, at 0.25 mm pixels, grey levels 0 and 1 at the 1st
and 99.5th percentile (`normalise_film`). A cell holds the median and range of a group and how many of its films lie
outside of the virtual 1 to 99 %; **bold** where those are more than a tenth.

- *clinic*: the adult films of one clinic, hung as standard films along outlines that were drawn by hand. They were
  looked at while the ranges of virtual films were set; no number here was fitted. Their pixel is a guess (0.125 mm),
  so every mm and every frequency of theirs is uncertain by some 10 %. A box around the scaphoid was inpainted.
- *children*: films of GRAZPEDWRI-DX with landmarks placed by hand: growth plates and fewer carpals, which virtual
  patients do not have.
- *specimen*: fluoroscopy of one adult forearm, with beads and pads on the skin.
- *virtual*: two PA films and a lateral of each patient, settings drawn as in training, a seventh of them fluoroscopy.

The cortex is measured where the walls of the radius stand free, 12 to 42 mm proximal of the joint: profiles across
the outline are aligned to their steepest rise and averaged over runs of 4 mm; a value is the median over the runs of
a film. `noise` is Immerkaer's estimate (1996, doi:10.1006/cviu.1996.0060), which holds fine texture, too."""


if __name__ == "__main__":
    main()
