"""Several methods on a clinic's films of adults: each film found and cut once, then read in turn; no training.

    BONELIFT_DATA=... python scripts/measure_methods_adult_films.py --work WORK --out OUT
    python scripts/methods_page.py --adult-films OUT

Where the wrist is, how the film is cut and what the translator makes of it is the main job's answer, for all methods
alike. The bones of each are then registered to the same bone-only image and judged by the same checks. WORK is a folder
outside the repository: it keeps each film's rows and bones, so a stopped run goes on. OUT gets adult-films.csv and
adult-films-identity.csv, no film and no shape.
"""

from __future__ import annotations

import argparse
import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
from adult_films_page import Row, read_rows
from measure_adult_films import Film, FilmRow, IdentityRow, film_row, films, found_in, identity, widths, write_csv
from methods_made import outside_the_repository, run_facts
from tqdm import tqdm

from bonelift.experiments.identity import ALIGNMENTS, Alignment
from bonelift.experiments.methods.grounds import Reader, read_image, readers
from bonelift.experiments.methods.on_films import image_of, with_bones
from bonelift.networks.model import WristModel, load_model
from bonelift.reconstruction.bones import BONES
from bonelift.surface.mesh import TriangleMesh


@dataclass(frozen=True)
class MethodOnFilm(FilmRow):
    """A row of one method. seconds: of the processor, to make bones of the image that was cut out. read_mib: most
    memory of the process meanwhile. made: by which commit, when and on what."""

    method: str = ""
    read_mib: float = np.nan
    model: str = ""
    made: str = ""


@dataclass(frozen=True)
class MethodIdentity(IdentityRow):
    """An identity row of one method."""

    method: str = ""


Bones = dict[str, TriangleMesh]


def rows_of_film(
    film: Film, model: WristModel, reads: Mapping[str, Reader], width_px: float, made: str
) -> tuple[list[MethodOnFilm], dict[str, Bones]]:
    """A row a method, and its bones."""
    found, blank = found_in(film, model, width_px)
    image = image_of(found) if found else None
    rows, bones = [], {}
    for method, reader in reads.items():
        row, mib = blank, np.nan
        if found and image is None:
            row = film_row(film, found, width_px, np.nan)[0]
        elif found and image is not None:
            read = read_image(reader, image)
            mib = read.peak_mib
            if read.bones is None:
                row = _failed(blank, read.reason, read.seconds)
            else:
                row, bones[method] = film_row(film, with_bones(found, read.bones, model), width_px, read.seconds)
        rows.append(MethodOnFilm(**asdict(row), method=method, read_mib=mib, model=model.name, made=made))
    return rows, bones


def _failed(blank: FilmRow, reason: str, seconds: float) -> FilmRow:
    return FilmRow(**asdict(blank) | {"answer": "no bones", "flags": reason, "seconds": seconds})


def save_bones(path: Path, bones: Mapping[str, Bones]) -> None:
    """One NPZ of a film: method/bone/vertices and method/bone/faces."""
    arrays = {
        f"{method}/{bone}/{part}": getattr(mesh, part)
        for method, of in bones.items()
        for bone, mesh in of.items()
        for part in ("vertices", "faces")
    }
    with path.open("wb") as stream:
        np.savez_compressed(stream, **arrays)  # pyright: ignore[reportArgumentType]


def read_bones(path: Path, method: str) -> Bones:
    """The bones that a method made of a film; none where it failed."""
    with np.load(path, allow_pickle=False) as stored:
        return {
            bone: TriangleMesh(stored[f"{method}/{bone}/vertices"], stored[f"{method}/{bone}/faces"])
            for bone in BONES
            if f"{method}/{bone}/faces" in stored.files
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=outside_the_repository, required=True, help="folder outside the repository")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--films", nargs="*", default=[], help="patients or films; default: all")
    parser.add_argument("--report-only", action="store_true", help="write OUT from what WORK holds so far")
    options = parser.parse_args()
    torch.set_num_threads(1)
    wanted = films(Path(os.environ["BONELIFT_DATA"]), options.films)
    wanted = [film for film in wanted if film.patient != "specimen"]
    model, width_px = load_model(None), widths(wanted)
    reads, made = readers(model), run_facts()
    kept = options.work / f"adult-films-{model.weights_sha256[:12]}"
    kept.mkdir(parents=True, exist_ok=True)
    columns = [field.name for field in fields(MethodOnFilm)]
    for film in tqdm(wanted, desc="films"):
        path = kept / f"{film.name}.csv"
        if not path.is_file() and not options.report_only:
            rows, bones = rows_of_film(film, model, reads, width_px[film.name], made)
            save_bones(kept / f"{film.name}.npz", bones)
            write_csv(path, rows, columns)
    options.out.mkdir(parents=True, exist_ok=True)
    rows = [row for film in wanted for row in _kept(kept / f"{film.name}.csv")]
    _write_dicts(options.out / "adult-films.csv", rows, columns)
    for alignment in ALIGNMENTS:
        for method in reads:
            if not options.report_only:
                identity_of(kept, method, alignment, wanted)
    ranks = [row for method in reads for alignment in ALIGNMENTS for row in _kept(_ranks(kept, method, alignment))]
    _write_dicts(options.out / "adult-films-identity.csv", ranks, [field.name for field in fields(MethodIdentity)])


def identity_of(kept: Path, method: str, alignment: Alignment, wanted: Sequence[Film]) -> None:
    """The ranks of one method's bones, in a file of their own; each takes a minute or two."""
    path = _ranks(kept, method, alignment)
    if path.is_file():
        return
    bones = {film.name: read_bones(kept / f"{film.name}.npz", method) for film in wanted}
    found = identity(bones, sorted({film.patient for film in wanted}), [alignment])
    rows = [MethodIdentity(**asdict(row), method=method) for row in found]
    write_csv(path, rows, [field.name for field in fields(MethodIdentity)])


def _ranks(kept: Path, method: str, alignment: Alignment) -> Path:
    return kept / f"identity-{method.replace(' ', '-')}-{alignment}.csv"


def _kept(path: Path) -> list[Row]:
    return read_rows(path) if path.is_file() else []


def _write_dicts(path: Path, rows: Sequence[Row], columns: Sequence[str]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
