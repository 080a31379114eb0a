"""Registration by another package beside ours: nanodrr's renderer and torch's Adam, from the same starts.

nanodrr is no dependency; where it (and einops, which its metrics need) imports, ``bonelift bench register --peers``
measures it. It is run as its author's registration tool runs (eigenvivek/xvr, defaults of ``xvr register``): Adam at
0.01 rad and 1 mm, a tenth of that after 5 steps without gain, stopped at the second such cut or after 500 steps;
similarity is the mean of correlation and gradient correlation, whole and in patches. It sees what our search sees: the
bones above soft tissue, on the film within the drawn mask, at 1.6 and then (rates halved) at 0.8 mm a pixel.
"""

from __future__ import annotations

import importlib
import time
import warnings
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bonelift.bench.register import TRIALS, append_rows, drawn_start, number_cells, read_rows
from bonelift.bench.register_trials import TrialPatient, pose_errors, read_trial_patient, run_trial
from bonelift.registration.chart import pose_chart
from bonelift.registration.ct_bone import CtBone
from bonelift.registration.film_views import FilmView, bone_alone, cropped, dilated, window_of
from bonelift.registration.starts import laid_on_outlines
from bonelift.registration.views import FixedView, coarser
from bonelift.study.folder import read_study

Float = NDArray[np.float64]
Method = Literal["bonelift", "nanodrr", "nanodrr, laid on the outline"]
METHODS: tuple[Method, ...] = ("bonelift", "nanodrr", "nanodrr, laid on the outline")
PEERS_FILE = "peers.csv"
TRIAL = TRIALS["near"][0]
"""Both bones as one, one PA film, a drawn mask."""
LEVEL_MM = (1.6, 0.8)
SAMPLES = 128
"""Along each ray inside the volume: 0.5 mm or less."""
_RATES, _FACTOR, _PATIENCE, _THRESHOLD, _PLATEAUS, _STEPS = (1e-2, 1.0), 0.1, 5, 1e-4, 3, 500
_MARGIN_MM = 8.0


def installed_version() -> str | None:
    """nanodrr's version, or None where it or its metrics do not import."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module("nanodrr.registration")
            importlib.import_module("nanodrr.metrics.ncc")
        return version("nanodrr")
    except (ImportError, PackageNotFoundError):
        return None


def register_with_nanodrr(bone: CtBone, film: FilmView, world_from_start: Float, seed: int = 0) -> Float:
    """world_from_bone (4, 4) that Adam reaches from ``world_from_start`` on one masked film, on one thread."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    subject = _subject(bone)
    camera_from_world = film.camera.camera_from_world
    bone_from_camera = np.asarray(np.linalg.inv(camera_from_world @ world_from_start), dtype=np.float64)
    for stage, level_mm in enumerate(LEVEL_MM):
        bone_from_camera = _adam(subject, _target(film, level_mm), bone_from_camera, 0.5**stage)
    return np.linalg.inv(camera_from_world) @ np.linalg.inv(bone_from_camera)


def run_peers(
    study_folder: Path,
    out: Path,
    patients: int | None = None,
    seed: int = 1,
    on_patient: Callable[[str], None] = lambda _: None,
) -> list[dict[str, str]]:
    """A row for each patient and method that ``out`` does not hold yet, the methods in turn; returns all rows."""
    table = out / PEERS_FILE
    known = {row["case"] for row in read_rows(table)}
    for case in read_study(study_folder).cases[:patients]:
        if case.case not in known:
            patient = read_trial_patient(study_folder, case, seed)
            append_rows(table, [_row(patient, method, seed) for method in METHODS])
        on_patient(case.case)
    return read_rows(table)


def _row(patient: TrialPatient, method: Method, seed: int) -> dict[str, Any]:
    offset = drawn_start(patient.case, TRIAL, seed)
    if method == "bonelift":
        _, errors, wall_s, cpu_s = run_trial(patient, TRIAL.part, TRIAL.views, offset, seed=seed)
    else:
        bone = patient.bones[TRIAL.part]
        film = patient.films[TRIAL.views[0]].shown(bone, TRIAL.part)
        start = pose_chart(film.camera, np.eye(4), bone.fine.centre_mm).poses(offset[None])[0]
        clock, processor = time.perf_counter(), time.process_time()
        if method != "nanodrr":
            start = laid_on_outlines(bone, [film], start)
        pose = register_with_nanodrr(bone, film, start, seed)
        wall_s, cpu_s = time.perf_counter() - clock, time.process_time() - processor
        errors = pose_errors(pose, film.camera, bone)
    row = {"case": patient.case, "method": method, "angle_deg": errors.angle_deg, "in_plane_mm": errors.in_plane_mm,
           "depth_mm": errors.depth_mm, "target_mm": errors.target_mm, "good": int(errors.good),
           "wall_s": wall_s, "cpu_s": cpu_s}  # fmt: skip
    return number_cells(row)


def _target(film: FilmView, level_mm: float) -> FixedView:
    """What the drawn bone adds to the film, cut out around it, at ``level_mm`` a pixel."""
    assert film.mask is not None
    factor = max(1, round(level_mm / film.pixel_mm))
    window = window_of(dilated(film.mask, _MARGIN_MM / film.pixel_mm), 0, factor)
    view = FixedView(bone_alone(film.image, film.mask, film.pixel_mm), film.camera)
    return coarser(cropped(view, window), factor, 0.0)


def _subject(bone: CtBone) -> Any:
    import torch

    subject_class: Any = importlib.import_module("nanodrr.data").Subject
    image = torch.from_numpy(np.ascontiguousarray(bone.fine.volume.values[0].transpose(2, 1, 0)))[None, None]
    bone_from_voxel = torch.from_numpy(bone.fine.bone_from_voxel)
    return subject_class(
        image,
        torch.zeros(1, 1, 1, 1, 1),
        bone_from_voxel.float(),
        torch.linalg.inv(bone_from_voxel).float(),
        subject_class._make_voxel_to_grid(image.shape),
        torch.from_numpy(bone.fine.centre_mm).float(),
        max_label=0,
        convert_to_mu=False,
    )


def _adam(subject: Any, view: FixedView, bone_from_camera: Float, rate: float) -> Float:
    """bone_from_camera (4, 4) after one resolution."""
    import torch

    registration: Any = importlib.import_module("nanodrr.registration").Registration
    half_pixel = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    camera_from_image = np.linalg.inv(half_pixel @ view.camera.image_from_camera)
    moving = registration(
        subject,
        torch.from_numpy(bone_from_camera).float()[None],
        torch.from_numpy(camera_from_image).float()[None],
        torch.tensor([view.camera.sdd_mm], dtype=torch.float32),
        *view.camera.shape_px,
    )
    fixed, similarity = torch.from_numpy(view.image).float()[None, None], _similarity()
    groups = [{"params": [moving._rot], "lr": rate * _RATES[0]}, {"params": [moving._xyz], "lr": rate * _RATES[1]}]
    optimiser = torch.optim.Adam(groups, maximize=True)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, "max", _FACTOR, _PATIENCE, _THRESHOLD)
    lowest, plateaus = np.inf, 0
    for _ in range(_STEPS):
        optimiser.zero_grad()
        score = similarity(fixed, moving(n_samples=SAMPLES))
        score.backward()
        optimiser.step()
        scheduler.step(score.detach())
        now = min(scheduler.get_last_lr())
        lowest, plateaus = (now, plateaus + 1) if now < lowest else (lowest, plateaus)
        if plateaus >= _PLATEAUS:
            break
    return moving.pose.detach()[0].numpy().astype(np.float64)


def _similarity() -> Callable[[Any, Any], Any]:
    metrics: Any = importlib.import_module("nanodrr.metrics.ncc")
    intensities = metrics.MultiscaleNormalizedCrossCorrelation2d([None, 9], [0.5, 0.5])
    edges = metrics.GradientNormalizedCrossCorrelation2d(patch_size=11, sigma=1.0)
    return lambda fixed, moving: 0.5 * (intensities(fixed, moving) + edges(fixed, moving)).squeeze()
