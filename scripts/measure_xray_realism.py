"""Do real wrist radiographs lie inside the spread of the virtual ones? Statistics of standard films, real and virtual.

Run from the repository root, with the reference radiographs at hand:
``BONELIFT_DATA=... python scripts/measure_xray_realism.py --patients 24 --films 6 --out docs/results/xray-realism.md``
Add ``--picture FILE.png`` for a contact sheet to look at; it holds real images and does not belong in the repository.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from bonelift.geometry import default_film_camera
from bonelift.images.film import FILM_SHAPE, film_from_landmarks
from bonelift.images.radiograph import Radiograph, Side, View
from bonelift.phantom.patient import make_patient
from bonelift.phantom.xray import draw_geometry, draw_settings, expose

BAND_SIGMAS_PX = (0.0, 0.7, 1.4, 2.8, 5.6, 11.2)
"""Gaussians between which the energy of a film is taken: bands of 0.5 mm pixels."""
FIRST_PATIENT = 900_000
READING = """Films, left to right: 0007 (15 years, open growth plates; the closest to an adult), camera 2 of the adult
specimen (fluoroscopy, beads and pads on the skin), three children (PA) and one lateral. `noise` is Immerkaer's estimate
(1996, doi:10.1006/cviu.1996.0060); it also holds trabecular texture. A contrast band is the standard deviation between
two Gaussians of the stated widths.

What this does not show: the children's shapes (growth plates, fewer carpals) are not in the virtual population, so a
value inside the range says that exposure and processing are covered, not that the anatomy is. Six films of two
sources are few. Settings were widened while looking at these films, so this is a check of coverage, not a test.
The specimen lies at the soft end of every contrast band: image intensifiers are the thinnest part of the coverage.
Casts, splints and metalwork are not simulated.
"""


@dataclass(frozen=True)
class RealFilm:
    """A reference radiograph and two landmarks placed by hand (column, row px): the radius frame's origin and a point
    up the shaft. spacing_at_wrist_mm: pixel side at the wrist."""

    path: str
    side: Side
    view: View
    spacing_at_wrist_mm: float
    origin_px: tuple[float, float]
    proximal_px: tuple[float, float]
    bone_dark: bool = False


REAL_FILMS = (
    RealFilm("radiographs/0007_0812696320_01_WRI-R1_M015.png", "right", "pa", 0.140, (268, 362), (303, 690)),
    RealFilm("specimen/cam02_0002.tif", "right", "pa", 0.173, (608, 1223), (566, 1729), bone_dark=True),
    RealFilm("radiographs/0084_0923524247_01_WRI-R1_F008.jpg", "right", "pa", 0.140, (296, 422), (350, 785)),
    RealFilm("radiographs/0085_0898944259_01_WRI-L1_M007.jpg", "left", "pa", 0.140, (254, 483), (260, 834)),
    RealFilm("radiographs/0065_1047068896_02_WRI-L1_F011.jpg", "left", "pa", 0.140, (312, 452), (320, 861)),
    RealFilm("radiographs/0001_1297860435_01_WRI-L2_M014.jpg", "left", "lateral", 0.140, (269, 360), (235, 793)),
)


def film_statistics(film: NDArray[np.floating]) -> dict[str, float]:
    """Numbers that describe the look of a standard film (values 0 to 1.2, FILM_SHAPE)."""
    statistics = {f"percentile {p}": float(np.percentile(film, p)) for p in (5, 25, 50, 75, 95)}
    levels = [ndimage.gaussian_filter(film.astype(float), sigma) if sigma else film for sigma in BAND_SIGMAS_PX]
    for (low, high), finer, coarser in zip(pairwise(BAND_SIGMAS_PX), levels[:-1], levels[1:], strict=True):
        statistics[f"contrast {low * 0.5:.2f}-{high * 0.5:.2f} mm"] = float((finer - coarser).std())
    # Immerkaer 1996: this mask cancels planes and quadratics, so smooth structure leaves little; median for robustness.
    mask = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])
    noise = ndimage.convolve(film.astype(float), mask)[1:-1, 1:-1]
    statistics["noise"] = float(np.median(np.abs(noise)) / 0.6745 / 6)
    gradient = np.hypot(*np.gradient(film.astype(float), 0.5))
    for p in (50, 90, 99):
        statistics[f"gradient/mm, percentile {p}"] = float(np.percentile(gradient, p))
    return statistics


def read_real_film(real: RealFilm, folder: Path) -> NDArray[np.float32]:
    """FILM_SHAPE pixels of a reference radiograph, bone bright."""
    pixels = np.asarray(Image.open(folder / real.path)).astype(np.float32)
    pixels = pixels[..., 0] if pixels.ndim == 3 else pixels
    pixels = pixels.max() - pixels if real.bone_dark else pixels
    camera = default_film_camera(pixels.shape[1], pixels.shape[0], real.spacing_at_wrist_mm / 0.97)
    radiograph = Radiograph(pixels, camera, real.side, real.view, 970.0)
    return film_from_landmarks(radiograph, real.origin_px, real.proximal_px).pixels


def virtual_films(patients: int, films: int) -> Iterator[NDArray[np.float32]]:
    """Standard films of virtual patients, five in six of them PA."""
    for patient in range(FIRST_PATIENT, FIRST_PATIENT + patients):
        body = make_patient(patient).body
        rng = np.random.default_rng(patient)
        for number in range(films):
            view: View = "lateral" if number % 6 == 5 else "pa"
            geometry = draw_geometry(rng, view, (400, 340))
            pixels = expose(body, geometry.camera, geometry.camera_from_radius, rng, draw_settings(rng))
            radiograph = Radiograph(pixels, geometry.camera, "right", view, geometry.source_to_object_mm)
            yield film_from_landmarks(radiograph, geometry.origin_px, geometry.proximal_px).pixels


def table(real: list[dict[str, float]], virtual: list[dict[str, float]]) -> tuple[str, float]:
    """Markdown table, and the share of real values inside the virtual range (1st to 99th percentile)."""
    names = [Path(film.path).stem[:10] for film in REAL_FILMS]
    lines = [
        "| statistic | virtual: 1 % | median | 99 % | " + " | ".join(names) + " |",
        "|---|---|---|---|" + "---|" * len(names),
    ]
    inside = 0
    for name in real[0]:
        values = np.array([row[name] for row in virtual])
        low, middle, high = np.percentile(values, [1, 50, 99])
        cells = []
        for row in real:
            within = low <= row[name] <= high
            inside += within
            rank = 100 * float((values < row[name]).mean())
            cells.append(f"{row[name]:.4f} ({rank:.0f} %)" if within else f"**{row[name]:.4f}** ({rank:.0f} %)")
        lines.append(f"| {name} | {low:.4f} | {middle:.4f} | {high:.4f} | " + " | ".join(cells) + " |")
    return "\n".join(lines), inside / (len(real) * len(real[0]))


def contact_sheet(films: list[NDArray[np.float32]], columns: int = 10) -> Image.Image:
    """Films side by side, display range 0 to 1.2."""
    blank = np.zeros(FILM_SHAPE, dtype=np.float32)
    films = films + [blank] * (-len(films) % columns)
    rows = [np.hstack(films[start : start + columns]) for start in range(0, len(films), columns)]
    return Image.fromarray((np.vstack(rows) / 1.2 * 255).astype(np.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=24)
    parser.add_argument("--films", type=int, default=6, help="films a patient")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    folder = Path(os.environ["BONELIFT_DATA"])
    real = [read_real_film(film, folder) for film in REAL_FILMS]
    virtual = list(virtual_films(options.patients, options.films))
    text, share = table([film_statistics(film) for film in real], [film_statistics(film) for film in virtual])
    head = (
        "# Do real wrist radiographs lie inside the virtual spread?\n\n"
        "Made by `scripts/measure_xray_realism.py`; landmarks of the real films placed by hand. Values of standard"
        " films (160 x 128 px of 0.5 mm, 0 and 1 at the 1st and 99.5th percentile). In brackets the"
        " share of virtual films below the real value; **bold** lies outside their 1 to 99 % range.\n\n"
    )
    tail = (
        f"\n\n{len(virtual)} virtual films of {options.patients} patients (seeds from {FIRST_PATIENT});"
        f" {100 * share:.0f} % of the real values inside.\n\n{READING}"
    )
    options.out.write_text(head + text + tail)
    if options.picture:
        contact_sheet(real + virtual).save(options.picture)


if __name__ == "__main__":
    main()
