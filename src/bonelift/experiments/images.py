"""What the networks of a study read of one case: label grid, CT-DRRs, films with their registration-DRRs.

Made once a case, whatever the folds, and kept in the run folder as plain arrays, beside a record of what they were made
from.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from bonelift.anatomy.correspondence import corresponding_points
from bonelift.anatomy.shape_model import load_shape_model
from bonelift.drr.normalised_case import NormalisedCase, PosedRadiograph, case_occupancy
from bonelift.errors import InputError
from bonelift.experiments.presets import StudyPreset
from bonelift.experiments.run.case_records import CaseRecord, case_files, failure_of, write_record
from bonelift.experiments.run.cost import write_cost
from bonelift.experiments.run.folder import written_once
from bonelift.film.standard import film_from_landmarks
from bonelift.images import LabelGrid, Radiograph, View
from bonelift.learning.study_samples import ct_drr_samples, film_sample, located_sample
from bonelift.learning.virtual_samples import FilmSample, projections_of
from bonelift.networks.inference import WRIST_FOUND, LocatedWrist, locate
from bonelift.networks.model import load_model
from bonelift.networks.views import view_codes
from bonelift.reconstruction.bones import BONES, SHOWN_ABOVE_MM
from bonelift.study.checking import check_case
from bonelift.study.findings import Level
from bonelift.study.fingerprint import fingerprint
from bonelift.study.folder import StudyCase, StudyRadiograph, read_case_radiograph
from bonelift.study.normalised_cases import read_study_case
from bonelift.study.training_source import CUT_ERROR_DEG, CUT_ERROR_MM
from bonelift.surface.align import rigid_align
from bonelift.surface.clip import clip_below
from bonelift.surface.mesh import TriangleMesh
from bonelift.surface.voxelize import signed_distance_grid

Float = NDArray[np.float64]

MEAN_BAND_MM = 8.0


@dataclass(frozen=True, eq=False)
class CaseImages:
    """One case in the radius frame of a right wrist.

    occupancy: (2, I, J, K) uint8 labels, 0 to 255. laid_distance: (2, I, J, K) float16 signed distance (mm, clipped to
        MEAN_BAND_MM) of each bone laid rigidly on the shape model's mean bone; laid_from_right: (2, 4, 4) how.
    drr: (N, H, W) float16 CT-DRRs; drr_view: (N,); drr_projection: (N, 3, 4) float32, px from mm of the radius frame.
    film: (M, H, W) float16; film_drr: their registration-DRR, 0 where the pose is unknown; film_view: (M,);
        film_projection: (M, 3, 4), NaN where the pose is unknown; film_number: (M,) radiograph of the case;
        film_registered: (M,) bool. The first film of each is the tested one.
    radius_vertices, _faces, ulna_...: surfaces of the CT's labels, mm: the truth. radius_points, ulna_points: (V, 3)
        corresponding points of the bones (anatomy.correspondence), which S learns to tell.
    """

    occupancy: NDArray[np.uint8]
    laid_distance: NDArray[np.float16]
    laid_from_right: Float
    drr: NDArray[np.float16]
    drr_view: NDArray[np.uint8]
    drr_projection: NDArray[np.float32]
    film: NDArray[np.float16]
    film_drr: NDArray[np.float16]
    film_view: NDArray[np.uint8]
    film_projection: NDArray[np.float32]
    film_number: NDArray[np.int32]
    film_registered: NDArray[np.bool_]
    radius_vertices: NDArray[np.float32]
    radius_faces: NDArray[np.int32]
    ulna_vertices: NDArray[np.float32]
    ulna_faces: NDArray[np.int32]
    radius_points: NDArray[np.float32]
    ulna_points: NDArray[np.float32]

    def truth(self, bone: str) -> TriangleMesh:
        vertices, faces = getattr(self, f"{bone}_vertices"), getattr(self, f"{bone}_faces")
        return TriangleMesh(np.asarray(vertices, dtype=np.float64), np.asarray(faces))


def make_case_images(study_folder: Path, case: StudyCase, folder: Path, preset: StudyPreset, seed: int) -> None:
    """Write the images of ``case`` and its record into ``folder``, which may be there already.

    A case in which ``bonelift check`` finds an error, or that cannot be used for another reason, leaves the reason in
    its record. Raises InputError where nothing can be written.
    """
    if folder.is_dir():
        return
    started = time.monotonic()
    with written_once(folder) as staging:
        files = {name: fingerprint(study_folder / name) for name in case_files(case)}
        check, digest = check_case(study_folder, case)
        found = {
            level: [f"{f.what}: {f.text}" for f in check.findings if f.level == level] for level in get_args(Level)
        }
        failure = next(iter(found["error"]), "")
        if not failure:
            try:
                _save_arrays(staging, case_images(study_folder, case, preset, seed))
            except InputError as error:
                failure = " ".join(str(error).split())
        facts = check.facts
        record = CaseRecord(case.case, case.patient, case.side, files, facts, found["warning"], digest, failure)
        write_record(staging, record)
        write_cost(staging, started)


def case_images(study_folder: Path, case: StudyCase, preset: StudyPreset, seed: int) -> CaseImages:
    """All images of a case; the same for the same seed. Raises InputError with what is wrong with the case."""
    rng = np.random.default_rng([seed, zlib.crc32(case.case.encode())])
    normalised, posed = read_study_case(study_folder, case)
    grid = preset.networks.grid
    views: list[View] = [radiograph.view for radiograph in case.radiographs] or ["pa"]
    chosen: list[View] = [views[number % len(views)] for number in range(preset.ct_drrs)]
    drrs = ct_drr_samples(normalised, chosen, rng, CUT_ERROR_MM, CUT_ERROR_DEG, preset.networks.drr_poses)
    films, numbers, registered = _films(study_folder, case, normalised, posed, preset, rng)
    laid, distances = _laid_bones(normalised, grid)
    shape = preset.networks.tl.film_shape
    return CaseImages(
        case_occupancy(normalised, grid),
        distances,
        laid,
        np.stack([sample.drr for sample in drrs]).astype(np.float16),
        view_codes([sample.view for sample in drrs]),
        projections_of(drrs),
        np.array([film.pixels for film in films], np.float16).reshape(-1, *shape),
        np.array([film.drr for film in films], np.float16).reshape(-1, *shape),
        view_codes([film.view for film in films]),
        np.array([film.px_from_radius for film in films], np.float32).reshape(-1, 3, 4),
        np.array(numbers, dtype=np.int32),
        np.array(registered, dtype=np.bool_),
        normalised.radius.vertices.astype(np.float32),
        normalised.radius.faces.astype(np.int32),
        normalised.ulna.vertices.astype(np.float32),
        normalised.ulna.faces.astype(np.int32),
        *(points.astype(np.float32) for points in _corresponding_points(normalised)),
    )


def _corresponding_points(case: NormalisedCase) -> list[Float]:
    """Of radius and ulna."""
    model = load_shape_model()
    return [corresponding_points(getattr(case, bone), getattr(model, bone)) for bone in BONES]


def _films(
    study_folder: Path,
    case: StudyCase,
    normalised: NormalisedCase,
    posed: Sequence[PosedRadiograph],
    preset: StudyPreset,
    rng: np.random.Generator,
) -> tuple[list[FilmSample], list[int], list[bool]]:
    """Films, the number of the radiograph each was cut from, and whether its registration-DRR is known.

    A registered radiograph is cut along its projected landmarks with a person's error, but for its first, tested film
    where the preset has the locator place it; one without a pose along the landmarks that the packaged locator finds.
    """
    films, numbers, registered = [], [], []
    known = iter(posed)
    for number, entry in enumerate(case.radiographs):
        if entry.pose_file is None:
            films.append(_located_film(study_folder, case, entry))
            numbers.append(number)
            registered.append(False)
            continue
        radiograph = next(known)
        cuts = []
        if preset.tested_films == "locator":
            found = _found_wrist(radiograph.radiograph, entry)
            cuts.append(located_sample(normalised, radiograph, found.origin_px, found.shaft_px))
        while len(cuts) < preset.films_per_pair:
            cuts.append(film_sample(normalised, radiograph, rng, CUT_ERROR_MM, CUT_ERROR_DEG))
        films += cuts
        numbers += [number] * len(cuts)
        registered += [True] * len(cuts)
    return films, numbers, registered


def _found_wrist(radiograph: Radiograph, entry: StudyRadiograph) -> LocatedWrist:
    found = locate(radiograph, load_model(), turns_deg=(0,))
    if found.confidence < WRIST_FOUND:
        raise InputError(
            f"{entry.file}: no upright wrist was found (confidence {found.confidence:.2f}); register the radiograph "
            "or leave it out"
        )
    return found


def _located_film(study_folder: Path, case: StudyCase, entry: StudyRadiograph) -> FilmSample:
    radiograph = read_case_radiograph(study_folder, case, entry)
    found = _found_wrist(radiograph, entry)
    film = film_from_landmarks(radiograph, found.origin_px, found.shaft_px, found.from_ulnar)
    return FilmSample(film.pixels, np.zeros_like(film.pixels), entry.view)


def _laid_bones(case: NormalisedCase, grid: LabelGrid) -> tuple[Float, NDArray[np.float16]]:
    """Each bone laid on the shape model's mean bone: (2, 4, 4) laid_from_right, (2, I, J, K) signed distances."""
    model = load_shape_model()
    laid, distances = [], []
    for name in BONES:
        bone = getattr(case, name)
        target = clip_below(getattr(model, name).mean, SHOWN_ABOVE_MM)
        laid_from_right = rigid_align(clip_below(bone, SHOWN_ABOVE_MM), target)
        laid.append(laid_from_right)
        moved = bone.transformed(laid_from_right)
        distances.append(signed_distance_grid(moved, grid.shape, grid.radius_from_voxel, band_mm=MEAN_BAND_MM))
    return np.stack(laid), np.stack(distances).astype(np.float16)


def _save_arrays(folder: Path, images: CaseImages) -> None:
    for field in fields(images):
        np.save(folder / f"{field.name}.npy", getattr(images, field.name), allow_pickle=False)


def load_case_images(folder: Path) -> CaseImages:
    """What was saved. Raises InputError where it failed or cannot be read."""
    if reason := failure_of(folder):
        raise InputError(reason)
    try:
        arrays = {f.name: np.load(folder / f"{f.name}.npy", allow_pickle=False) for f in fields(CaseImages)}
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: images cannot be read ({error}); delete the folder and run again") from error
    return CaseImages(**arrays)
