"""Reconstruct each adult film as a user would and lay the result on the outlines drawn by hand; and identity.

The specimen's two films go the same way, with their cameras; they are listed and in no total.

    BONELIFT_DATA=... nice python scripts/measure_adult_films.py
    BONELIFT_DATA=... nice python scripts/measure_adult_films.py --model RUN/model --films p004 p012

Writes docs/results/adult-films.csv (one row a film, failures included), adult-films-identity.csv and adult-films.md.
No film, crop or overlay is written anywhere. Where adult-films-before.csv and its -identity.csv stand beside them,
their totals are shown too.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from adult_films_page import page
from numpy.typing import NDArray
from tqdm import tqdm

from bonelift.anatomy.landmarks import find_landmarks
from bonelift.anatomy.shape_model import load_shape_model
from bonelift.errors import InputError
from bonelift.experiments.film_outlines import (
    DrawnFilm,
    hanging,
    outline_distance,
    read_drawn_film,
    whole_distance_px,
)
from bonelift.experiments.identity import ALIGNMENTS, Alignment, compared_bone, distance_rows, rank_of_own
from bonelift.geometry import XrayCamera, apply_transform, camera_from_file
from bonelift.images.radiograph import View
from bonelift.images.reading import RadiographOptions
from bonelift.networks.model import WristModel, load_model
from bonelift.reconstruction.bones import BONES, SHOWN_ABOVE_MM
from bonelift.reconstruction.inputs import ImageInput, read_radiographs
from bonelift.reconstruction.job import reconstruct
from bonelift.reconstruction.judge import view_name
from bonelift.reconstruction.result import Reconstruction
from bonelift.report.overlay import silhouette_outlines
from bonelift.surface.clip import clip_below
from bonelift.surface.mesh import TriangleMesh

SPACING_MM = 0.125
SPECIMEN: tuple[tuple[str, View, float], ...] = (("cam02", "pa", 1063.0), ("cam01", "lateral", 1040.0))
"""Camera, view, and distance from the source to the wrist (mm) where the rays through matched beads cross."""
RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results"
_AXIS_MM = 20.0


@dataclass(frozen=True)
class FilmRow:
    """One film. *_mm at the guessed spacing, of the specimen at its wrist; *_share of the distal width of the radius in
    the patient's PA film. *_told_mm: how unsure the film says that it is of an outline. view: pa or lat; patient:
    "specimen" for its two films."""

    film: str
    patient: str
    side: str
    view: str
    answer: str
    score: float = np.nan
    unflagged: bool = False
    severe: int = 0
    doubtful: int = 0
    joint_off_mm: float = np.nan
    joint_distal_mm: float = np.nan
    distal_right: str = ""
    hanging_right: str = ""
    radius_width_mm: float = np.nan
    radius_mean_mm: float = np.nan
    radius_p95_mm: float = np.nan
    radius_signed_mm: float = np.nan
    radius_share: float = np.nan
    radius_compared: float = np.nan
    radius_told_mm: float = np.nan
    radius_whole_mm: float = np.nan
    ulna_mean_mm: float = np.nan
    ulna_p95_mm: float = np.nan
    ulna_signed_mm: float = np.nan
    ulna_share: float = np.nan
    ulna_compared: float = np.nan
    ulna_told_mm: float = np.nan
    ulna_whole_mm: float = np.nan
    seconds: float = np.nan
    flags: str = ""


@dataclass(frozen=True)
class IdentityRow:
    """The bone of a patient's PA film among those of all laterals. rank: NaN where either film gave no bone."""

    patient: str
    bone: str
    alignment: str
    rank: float
    candidates: int
    own_mm: float
    nearest_other_mm: float


@dataclass(frozen=True, eq=False)
class Film:
    """A film to be measured. spacing_mm: of a pixel, in which distances are told; axis_px: (2,) where the reader lets
    the central ray pass the recorded image."""

    name: str
    patient: str
    side: str
    view: str
    image: ImageInput
    drawn: DrawnFilm
    spacing_mm: float
    axis_px: NDArray[np.float64]


def films(data: Path, wanted: Sequence[str]) -> list[Film]:
    """All, or those whose patient or name is wanted."""
    with (data / "adult_films" / "metadata.csv").open(newline="") as file:
        found = [_adult_film(row, data / "adult_films") for row in csv.DictReader(file)]
    found += [_specimen_film(data / "specimen", *known) for known in SPECIMEN]
    return [film for film in found if not wanted or film.patient in wanted or film.name in wanted]


def _adult_film(row: Mapping[str, str], folder: Path) -> Film:
    name = row["file"].removesuffix(".jpg")
    options = RadiographOptions(
        side="left" if row["side"] == "L" else "right",
        view="pa" if row["view"] == "pa" else "lateral",
        pixel_spacing_mm=SPACING_MM,
    )
    drawn = read_drawn_film(RESULTS / "outlines" / f"{name}.json")
    middle = (np.array(drawn.size_px) - 1) / 2
    image = ImageInput(folder / row["file"], options)
    return Film(name, row["patient"], row["side"], row["view"], image, drawn, SPACING_MM, middle)


def _specimen_film(folder: Path, camera_name: str, view: View, depth_mm: float) -> Film:
    name = f"{camera_name}_0002"
    camera = camera_from_file(folder / f"xr_calib_wrist_{camera_name}.txt").camera
    options = RadiographOptions(side="right", view=view, camera=camera, source_to_object_mm=depth_mm, invert="yes")
    drawn = replace(read_drawn_film(RESULTS / "outlines" / f"{name}.json"), view="pa" if view == "pa" else "lat")
    spacing_mm = depth_mm / float(camera.image_from_camera[0, 0])
    image = ImageInput(folder / f"{name}.tif", options)
    return Film(name, "specimen", "R", drawn.view, image, drawn, spacing_mm, _axis_px(camera))


def _axis_px(camera: XrayCamera) -> NDArray[np.float64]:
    return camera.image_from_camera[:2, 2] / camera.image_from_camera[2, 2]


def score_film(film: Film, model: WristModel, width_px: float) -> tuple[FilmRow, dict[str, TriangleMesh]]:
    """The row, and the bones (right-handed, radius frame); none where there is no answer."""
    started = time.perf_counter()
    result, failed = found_in(film, model, width_px)
    if result is None:
        return failed, {}
    return film_row(film, result, width_px, time.perf_counter() - started)


def blank_row(film: Film, width_px: float) -> FilmRow:
    """What is known of a film before anything is made of it."""
    return FilmRow(film.name, film.patient, film.side, film.view, "", radius_width_mm=width_px * film.spacing_mm)


def found_in(film: Film, model: WristModel, width_px: float) -> tuple[Reconstruction | None, FilmRow]:
    """What the main job makes of a film; None, and the row that says why, where it refuses the film or fails."""
    blank = blank_row(film, width_px)
    try:
        return reconstruct(read_radiographs([film.image]), model), blank
    except InputError as error:
        return None, replace(blank, answer="refused", flags=str(error))
    except Exception as error:  # A fault of ours is a row of the table, and the others are still measured.
        return None, replace(blank, answer="fault", flags=f"{type(error).__name__}: {error}")


def film_row(
    film: Film, result: Reconstruction, width_px: float, seconds: float
) -> tuple[FilmRow, dict[str, TriangleMesh]]:
    """The row of a result, and its bones; none where none were placed."""
    flags = [flag for flag in result.quality.flags if flag.severity != "info"]
    row = replace(
        blank_row(film, width_px),
        seconds=seconds,
        score=result.quality.score,
        unflagged=not flags,
        severe=sum(flag.severity == "severe" for flag in flags),
        doubtful=sum(flag.severity != "severe" for flag in flags),
        flags="; ".join(f"{flag.severity}: {flag.text}" for flag in flags),
    )
    if result.bones is None or not result.placed:
        return replace(row, answer="no bones"), {}
    seen = {check.name: check.value for check in result.quality.checks}
    where = view_name(result.films[0].radiograph.view)
    told = {f"{bone}_told_mm": seen.get(f"outline of the {bone}, unsure by (mm), {where}", np.nan) for bone in BONES}
    return replace(row, answer="bones", **placing(result, film, width_px), **told), dict(result.bones.surfaces)


def placing(result: Reconstruction, film: Film, width_px: float) -> dict[str, Any]:
    """How the result lies in the picture beside what was drawn there."""
    camera, placed, drawn = result.films[0].radiograph.camera, result.placed[0], film.drawn
    corner = kept_corner(camera, film)
    frame = placed.world_from_radius
    steps = np.array([np.zeros(3), frame[:3, 2], frame[:3, 1]]) * _AXIS_MM
    origin, distal, palmar = camera.project(frame[:3, 3] + steps) + corner
    middle = {bone: camera.project(placed.bones_world[bone].vertices).mean(axis=0) for bone in BONES}
    # As in the drawing: the ends of the joint line are ulnar and radial in a PA film and in the specimen's.
    toward = middle["ulna"] - middle["radius"] if drawn.across == "ulnar" else palmar - origin
    hangs = hanging(drawn, distal - origin, toward)
    world_from_radius = result.films[0].film.world_from_canonical @ placed.canonical_from_bone["radius"]
    assert result.bones is not None
    ends = apply_transform(world_from_radius, joint_ends(result.bones.surfaces, film.view))
    joint = camera.project(ends).mean(axis=0) + corner
    off = (joint - drawn.joint_px[: len(ends)].mean(axis=0)) * film.spacing_mm
    found: dict[str, Any] = {
        "joint_off_mm": float(np.linalg.norm(off)),
        "joint_distal_mm": float(off @ drawn.distal),
        "distal_right": "yes" if hangs.distal_right else "no",
        "hanging_right": "yes" if hangs.right else "no",
    }
    for bone in BONES:
        lines = [line + corner for line in silhouette_outlines(placed.bones_world[bone], camera, 2)]
        distance, whole = outline_distance(drawn.bones[bone], lines), whole_distance_px(drawn.bones[bone], lines)
        found |= {
            f"{bone}_mean_mm": distance.mean_px * film.spacing_mm,
            f"{bone}_p95_mm": distance.p95_px * film.spacing_mm,
            f"{bone}_signed_mm": distance.signed_mean_px * film.spacing_mm,
            f"{bone}_share": distance.mean_px / width_px,
            f"{bone}_compared": distance.compared,
            f"{bone}_whole_mm": whole * film.spacing_mm,
        }
    return found


def joint_ends(surfaces: Mapping[str, TriangleMesh], view: str) -> NDArray[np.float64]:
    """(1 or 2, 3) mm, what is drawn as the ends of the joint line: of a PA film the ulnar end, the middle of the
    sigmoid notch's corners (the radial one lies under the inpainted box); of a lateral the dorsal and the volar rim.
    Right bones, radius frame. The ulna, which may lie anywhere, has no part in them."""
    model = load_shape_model()
    found = find_landmarks(surfaces["radius"], model.ulna.mean, model.landmarks)
    if view == "pa":
        return np.mean([found["sigmoid_notch_volar"], found["sigmoid_notch_dorsal"]], axis=0)[None]
    return np.stack([found["dorsal_rim"], found["volar_rim"]])


def kept_corner(camera: XrayCamera, film: Film) -> NDArray[np.float64]:
    """(2,) column and row, in the recorded image, of the first pixel that the reader kept of its dark margins."""
    corner = film.axis_px - _axis_px(camera)
    kept = corner + np.array([camera.width_px, camera.height_px])
    whole_pixels = np.abs(corner - corner.round()).max() < 1e-6
    if not whole_pixels or corner.min() < -1e-6 or (kept > np.array(film.drawn.size_px) + 1e-6).any():
        raise ValueError(f"{film.name}: the image read is no part of the recorded one; first pixel {corner}")
    return corner.round()


def widths(wanted: Sequence[Film]) -> dict[str, float]:
    """Film -> distal width of the radius in px, from the PA film of the same wrist where it is there."""
    pa_of = {"cam01_0002": "cam02_0002"}
    drawn = {film.name: film for film in wanted}
    found = {}
    for name, film in drawn.items():
        pa = drawn.get(pa_of.get(name, name.replace("lat", "pa")), film)
        found[name] = pa.drawn.bones["radius"].width_px() * pa.spacing_mm / film.spacing_mm
    return found


def identity(
    bones: Mapping[str, Mapping[str, TriangleMesh]],
    patients: Sequence[str],
    alignments: Sequence[Alignment] = ALIGNMENTS,
) -> list[IdentityRow]:
    """bones: film -> bones. The first PA and the first lateral of each patient, so that no one counts twice."""
    rows = []
    for bone in BONES:
        shown = {
            film: compared_bone(clip_below(there[bone], SHOWN_ABOVE_MM + 1.0))
            for film, there in bones.items()
            if bone in there and not there[bone].is_empty
        }
        asked = {film[:4]: shape for film, shape in shown.items() if film.endswith("_pa0")}
        candidates = {film[:4]: shape for film, shape in shown.items() if film.endswith("_lat0")}
        for alignment in alignments:
            table = distance_rows(asked, candidates, alignment)
            rows += [_identity_row(patient, bone, alignment, table.get(patient, {})) for patient in patients]
    return rows


def _identity_row(patient: str, bone: str, alignment: str, distances: Mapping[str, float]) -> IdentityRow:
    others = [value for name, value in distances.items() if name != patient]
    return IdentityRow(
        patient,
        bone,
        alignment,
        rank_of_own(distances, patient),
        len(distances),
        distances.get(patient, np.nan),
        min(others, default=np.nan),
    )


def write_csv(path: Path, rows: Sequence[FilmRow] | Sequence[IdentityRow], columns: Sequence[str]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            cells = asdict(row)
            writer.writerow({name: f"{v:.4g}" if isinstance(v, float) else v for name, v in cells.items()})


def made(arguments: argparse.Namespace, model: WristModel) -> str:
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
    chosen = "the packaged model" if arguments.model is None else "a model folder given with --model"
    return (
        f"`python scripts/measure_adult_films.py` with BONELIFT_DATA set, {chosen} ({model.name}, weights "
        f"{model.weights_sha256[:12]}), commit {commit.stdout.strip()}, seed 0, {platform.machine()}, two cores shared "
        f"with other work, {time.strftime('%Y-%m-%d')}."
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="model folder; default: the packaged one")
    parser.add_argument("--films", nargs="*", default=[], help="patients or films; default: all")
    parser.add_argument("--keep-before", action="store_true", help="keep what stands in --out as the run before")
    parser.add_argument("--out", type=Path, default=RESULTS, help="default: docs/results")
    arguments = parser.parse_args()
    if not os.environ.get("BONELIFT_DATA"):
        print("BONELIFT_DATA is not set; expected the folder that holds adult_films/", file=sys.stderr)
        return 2
    wanted = films(Path(os.environ["BONELIFT_DATA"]), arguments.films)
    model, width_px = load_model(arguments.model), widths(wanted)
    rows, bones = [], {}
    for film in tqdm(wanted, desc="films"):
        row, bones[film.name] = score_film(film, model, width_px[film.name])
        rows.append(row)
    arguments.out.mkdir(parents=True, exist_ok=True)
    if arguments.keep_before:
        for end in (".csv", "-identity.csv"):
            (arguments.out / f"adult-films{end}").replace(arguments.out / f"adult-films-before{end}")
    write_csv(arguments.out / "adult-films.csv", rows, [f.name for f in fields(FilmRow)])
    ranks = identity(bones, sorted({film.patient for film in wanted} - {"specimen"}))
    write_csv(arguments.out / "adult-films-identity.csv", ranks, [f.name for f in fields(IdentityRow)])
    (arguments.out / "adult-films.md").write_text(page(arguments.out, made(arguments, model)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
