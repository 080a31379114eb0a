"""Run the packaged model on the real films of BONELIFT_DATA and tabulate what came out; pictures stay outside.

    BONELIFT_DATA=... python scripts/run_real_films.py --pictures /tmp/films > table.md

The films have no 3D truth: the table says whether there is an answer, its score and its flags. What overlays look like
is written by hand in docs/results/real-films.md after looking at them.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import time
from pathlib import Path
from typing import get_args

from tqdm import tqdm

from bonelift.errors import InputError
from bonelift.geometry.camera_files import camera_from_file
from bonelift.images.radiograph import View
from bonelift.images.reading import RadiographOptions
from bonelift.networks.model import WristModel, load_model
from bonelift.reconstruction.bones import Method
from bonelift.reconstruction.inputs import ImageInput, read_radiographs
from bonelift.reconstruction.job import reconstruct
from bonelift.reconstruction.save import save
from bonelift.reconstruction.settings import JobSettings
from bonelift.storage.output_folder import output_folder

SPECIMEN: tuple[tuple[str, View, float], ...] = (("cam02", "pa", 1063.0), ("cam01", "lateral", 1040.0))
"""Camera, view, and distance from the source to the wrist (mm) where the rays through matched beads cross."""


def films(data: Path) -> list[tuple[str, str, ImageInput]]:
    """(name, what it shows, input) of every real film."""
    with (data / "radiographs" / "metadata.csv").open() as file:
        rows = {row["filestem"]: row for row in csv.DictReader(file)}
    found = []
    for path in sorted((data / "radiographs").glob("*.[jp][pn]g")):
        row = rows.get(path.stem.removeprefix("mdciri_")) or next(
            row for stem, row in rows.items() if stem.split("_")[1] == path.stem.split("_")[-4]
        )
        signs = [name for name in ("cast", "fracture_visible") if row[name]]
        view: View = "pa" if row["projection"] == "1" else "lateral"
        options = RadiographOptions(
            side="left" if row["laterality"] == "L" else "right",
            view=view,
            pixel_spacing_mm=float(row["pixel_spacing"]),
        )
        shown = ", ".join([f"{row['age']} years", view, *(sign.replace("_visible", "") for sign in signs)])
        found.append((path.stem[:15], shown, ImageInput(path, options)))
    for camera, view, depth_mm in SPECIMEN:
        folder = data / "specimen"
        calibrated = camera_from_file(folder / f"xr_calib_wrist_{camera}.txt")
        options = RadiographOptions(
            side="right", view=view, camera=calibrated.camera, source_to_object_mm=depth_mm, invert="yes"
        )
        found.append(
            (f"specimen {camera}", f"adult specimen, {view}", ImageInput(folder / f"{camera}_0002.tif", options))
        )
    return found


def run_film(images: list[ImageInput], model: WristModel, method: Method | None, out: Path) -> str:
    """Table cells: answer, score, flags, seconds."""
    started = time.perf_counter()
    try:
        result = reconstruct(read_radiographs(images), model, JobSettings(method=method))
    except InputError as error:
        return f"refused | | {error} | {time.perf_counter() - started:.1f}"
    seconds = time.perf_counter() - started
    with output_folder(out) as folder:
        save(result, folder)
    flags = "; ".join(f"{flag.severity}: {flag.text}" for flag in result.quality.flags if flag.severity != "info")
    answer = "bones" if result.bones is not None and result.bones.complete else "no bones"
    return f"{answer} | {result.quality.score:.2f} | {flags or 'none'} | {seconds:.1f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", required=True, help="folder for the results, outside the repository")
    parser.add_argument("--model", help="model folder; default: the packaged one")
    parser.add_argument("--method", choices=get_args(Method), help="default: that of bonelift reconstruct")
    arguments = parser.parse_args()
    if not os.environ.get("BONELIFT_DATA"):
        print("BONELIFT_DATA is not set; expected the folder with radiographs/ and specimen/", file=sys.stderr)
        return 2
    model = load_model(arguments.model)
    print("| film | shows | answer | score | flags | s |\n|---|---|---|---|---|---|")
    single = films(Path(os.environ["BONELIFT_DATA"]))
    pair = [image for name, _, image in single if name.startswith("specimen")]
    runs = [(name, shown, [image]) for name, shown, image in single]
    for name, shown, images in tqdm([*runs, ("specimen both", "the two cameras together", pair)], desc="films"):
        out = Path(arguments.pictures) / name.replace(" ", "-")
        print(f"| {name} | {shown} | {run_film(images, model, arguments.method, out)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
