"""``bonelift simulate``: virtual patients written as a study folder, as a lab would bring its own.

Half of the wrists are left. Each CT lies in a world of its own, as scanners leave it; radiographs are whole images with
the wrist somewhere in them. What was drawn is kept beside each case as its truth, also where the study does not tell:
landmarks can carry a person's error, and radiographs can come without their poses.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bonelift.anatomy.frame import SHOWN_ABOVE_MM
from bonelift.anatomy.population import turned_wrist
from bonelift.anatomy.shape_model import load_shape_model
from bonelift.anatomy.side import mirror_transform, mirrored_pose
from bonelift.errors import InputError
from bonelift.geometry import apply_transform, invert_rigid, rigid_from_vector
from bonelift.geometry.camera import mirrored_camera
from bonelift.geometry.camera_files import write_camera_json
from bonelift.geometry.patient_frame import patient_from_radius
from bonelift.images import Side, View, Volume
from bonelift.images.markups import write_landmarks
from bonelift.images.nrrd_files import write_labels_seg_nrrd, write_volume_nrrd
from bonelift.images.raster import write_png
from bonelift.images.volume import BONES
from bonelift.phantom.ct import draw_scan_settings, scan
from bonelift.phantom.patient import VirtualPatient, make_patient, wrist_of
from bonelift.phantom.xray import draw_settings, expose
from bonelift.phantom.xray_geometry import LOCATOR_SPREAD, WristGeometry, draw_geometry
from bonelift.storage.input_files import read_json
from bonelift.storage.output_folder import claimed_folder
from bonelift.storage.whole import whole_folder, writing
from bonelift.study.folder import Study, StudyCase, StudyRadiograph, case_from_entry, write_pose, write_study
from bonelift.surface.clip import clip_below
from bonelift.surface.files import write_stl

Float = NDArray[np.float64]

SETTINGS_FILE = "simulation.json"
CASE_FILE = "case.json"
TRUTH_FILE = "truth.json"
RADIOGRAPH_SHAPE_PX = (960, 800)
RADIOGRAPH_SPACING_MM = 0.2
"""Pixel side at the wrist: an image of 192 x 160 mm."""
RADIOGRAPH_SPREAD = replace(LOCATOR_SPREAD, shift_mm=25.0)
HAND_ERROR_MM = 1.0
"""SD along each axis of a landmark that a person places on a CT: 2.5 degrees about the radius frame's Z."""
LARGEST_HAND_ERROR_MM = 5.0


@dataclass(frozen=True)
class CohortSettings:
    """patients: how many; one wrist each, left for every second one. seed: of the whole cohort.

    views: radiographs of each patient, in this order. scans: CTs in all, or None for one each. turned: how many
    patients the scans beyond one each are spread over, in further forearm rotations. with_radiographs: how many
    patients have the radiographs, or None for all; they show the first CT's forearm rotation. landmark_error_mm: SD
    along each axis, 0 to LARGEST_HAND_ERROR_MM, with which the study's landmarks are off the true ones. poses: the
    study lists the true poses of the radiographs; without, they are left to registration.
    """

    patients: int
    seed: int
    views: tuple[View, ...] = ("pa",)
    scans: int | None = None
    turned: int = 0
    with_radiographs: int | None = None
    landmark_error_mm: float = 0.0
    poses: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.landmark_error_mm <= LARGEST_HAND_ERROR_MM:
            raise InputError(
                f"virtual cohort: landmark error of {self.landmark_error_mm} mm; expected 0 to "
                f"{LARGEST_HAND_ERROR_MM:g} mm (a person's is about {HAND_ERROR_MM:g})"
            )
        if self.patients < 1 or self.seed < 0 or not self.views:
            raise InputError(f"virtual cohort: {self}; expected patients and views, and a seed of 0 or more")
        further = 0 if self.scans is None else self.scans - self.patients
        if not self.turned <= self.patients or further < self.turned or (further > 0) != (self.turned > 0):
            raise InputError(
                f"virtual cohort: {self.scans} scans of {self.patients} patients, {self.turned} of them turned; "
                "expected one scan of each patient and at least one further scan of each turned one"
            )
        if self.with_radiographs is not None and not 0 <= self.with_radiographs <= self.patients:
            raise InputError(f"virtual cohort: radiographs of {self.with_radiographs} of {self.patients} patients")

    @property
    def is_plain(self) -> bool:
        """One CT and the radiographs of each patient: such a cohort can grow."""
        return self.scans is None and self.with_radiographs is None


def paper_cohort(seed: int) -> CohortSettings:
    """As in Shiode et al. 2021: 126 patients, 173 CTs (46 patients in several rotations), 105 with a radiograph, and
    landmarks placed by hand."""
    return CohortSettings(
        126, seed, ("pa",), scans=173, turned=46, with_radiographs=105, landmark_error_mm=HAND_ERROR_MM
    )


@dataclass(frozen=True)
class PlannedCase:
    """One CT to make: number counts the CTs of a patient from 0, the first being the one with the radiographs."""

    name: str
    patient: int
    number: int
    views: tuple[View, ...]


def plan_cohort(settings: CohortSettings) -> tuple[PlannedCase, ...]:
    """Every case of the cohort; which patients are turned, and which have no radiograph, follows from the seed."""
    rng = np.random.default_rng([settings.seed, 126])
    turned = rng.permutation(settings.patients)[: settings.turned]
    filmed = settings.patients if settings.with_radiographs is None else settings.with_radiographs
    with_films = set(rng.permutation(settings.patients)[:filmed].tolist())
    counts = np.ones(settings.patients, dtype=int)
    for extra in range(0 if settings.scans is None else settings.scans - settings.patients):
        counts[turned[extra % settings.turned]] += 1
    return tuple(
        PlannedCase(
            f"case-{patient + 1:04d}" + (f"-{number + 1}" if number else ""),
            patient,
            number,
            settings.views if number == 0 and patient in with_films else (),
        )
        for patient in range(settings.patients)
        for number in range(int(counts[patient]))
    )


def patient_seed(settings: CohortSettings, index: int) -> int:
    """Seed of one patient: the same whatever the size of the cohort; spread over 63 bits, so that cohorts and the
    training patients (small seeds) do not meet."""
    low, high = np.random.SeedSequence([settings.seed, index]).generate_state(2)
    return (int(high) >> 1) << 32 | int(low)


def simulate_cohort(
    folder: Path, settings: CohortSettings, workers: int = 1, on_case: Callable[[str], None] = lambda _: None
) -> Study:
    """Write the cohort into ``folder``; cases that are there already are kept, so an interrupted run goes on.

    on_case: called with each case's name when it is there. Raises InputError where ``folder`` holds something else.
    """
    with claimed_folder(folder, SETTINGS_FILE, _begun_with(settings), "a virtual cohort"):
        return _simulate_all(folder, settings, workers, on_case)


def _simulate_all(folder: Path, settings: CohortSettings, workers: int, on_case: Callable[[str], None]) -> Study:
    plan = plan_cohort(settings)
    for planned in plan:
        if (folder / planned.name).is_dir():
            on_case(planned.name)
    todo = [planned for planned in plan if not (folder / planned.name).is_dir()]
    for name in _made(folder, settings, todo, workers):
        on_case(name)
    cases = [read_case(folder / planned.name) for planned in plan]
    shape = "" if settings.is_plain else f" ({len(plan)} CTs, {settings.turned} patients in more than one rotation)"
    study = Study(tuple(cases), f"bonelift simulate --patients {settings.patients} --seed {settings.seed}{shape}")
    with writing(folder):
        write_study(folder, study)
    return study


def _begun_with(settings: CohortSettings) -> dict[str, Any]:
    """What has to be the same where a run goes on; more patients may be asked for."""
    content: dict[str, Any] = {"seed": settings.seed, "views": list(settings.views)}
    if not settings.is_plain:  # its plan hangs together, so it cannot grow
        shape = ("patients", "scans", "turned", "with_radiographs")
        content |= {name: getattr(settings, name) for name in shape}
    if settings.landmark_error_mm:
        content["landmark_error_mm"] = settings.landmark_error_mm
    if not settings.poses:
        content["poses"] = False
    return content


def _made(folder: Path, settings: CohortSettings, todo: Sequence[PlannedCase], workers: int):
    """Names of the cases as they are written."""
    make = partial(write_case, folder, settings)
    if workers <= 1 or len(todo) <= 1:
        yield from map(make, todo)
        return
    with multiprocessing.get_context("spawn").Pool(min(workers, len(todo))) as pool:
        yield from pool.imap_unordered(make, todo)


TURN_DEG = (20.0, 55.0)
"""By how much further CTs of a patient are turned, either way; the forearm stays within ROTATION_LIMIT_DEG."""
ROTATION_LIMIT_DEG = 75.0


def scanned_patient(seed: int, number: int) -> VirtualPatient:
    """The patient of a seed as in its CT ``number``: 0 as drawn, further ones in other forearm rotations.

    A turn that would make the bones collide is drawn again.
    """
    if number == 0:
        return make_patient(seed, load_shape_model())
    rng = np.random.default_rng([seed, 4, number])
    drawn = wrist_of(seed, load_shape_model())
    own_deg = drawn.description["forearm_rotation_deg"]
    for _ in range(60):
        turn_deg = float(rng.choice([-1.0, 1.0]) * rng.uniform(*TURN_DEG))
        if abs(own_deg + turn_deg) <= ROTATION_LIMIT_DEG and turned_wrist(drawn, turn_deg) is not None:
            return make_patient(seed, load_shape_model(), forearm_turn_deg=turn_deg)
    raise RuntimeError(f"virtual patient {seed}: no other forearm rotation in 60 draws; the shape model is damaged")


def write_case(folder: Path, settings: CohortSettings, planned: PlannedCase) -> str:
    """Make one CT of a patient and its radiographs as a folder that appears whole or not at all. Returns its name."""
    with whole_folder(folder / planned.name) as staging:
        _write_case_files(staging, settings, planned)
    return planned.name


def _write_case_files(staging: Path, settings: CohortSettings, planned: PlannedCase) -> None:
    name = planned.name
    seed = patient_seed(settings, planned.patient)
    side: Side = "left" if planned.patient % 2 else "right"
    rng = np.random.default_rng([seed, 2, planned.number] if planned.number else [seed, 2])
    patient = scanned_patient(seed, planned.number)
    world_from_radius = _write_ct(staging, patient, side, rng)
    # A generator of its own: but for its landmarks a case is the same with and without a hand's error.
    hand = np.random.default_rng([seed, 5, planned.number])
    points = placed_landmarks(patient.shape.landmarks, settings.landmark_error_mm, hand)
    world_from_right = _world_from_right(world_from_radius, side)
    placed = {point: apply_transform(world_from_right, place) for point, place in points.items()}
    write_landmarks(staging / "landmarks.mrk.json", placed)
    radiographs, poses = _write_radiographs(staging, planned, patient, side, settings.poses, rng, world_from_radius)
    for bone, mesh in (("radius", patient.shape.radius), ("ulna", patient.shape.ulna)):
        shown = clip_below(mesh, SHOWN_ABOVE_MM)
        write_stl(staging / f"true-{bone}.stl", shown.transformed(patient_from_radius(side)))
    truth = {
        "seed": seed,
        "side": side,
        "sex": patient.shape.sex,
        "age_years": patient.shape.age_years,
        "shape": patient.shape.description,
        "facts": patient.facts,
        "world_from_radius": world_from_radius.tolist(),
        "landmark_error_mm": settings.landmark_error_mm,
        "radiographs": poses,
    }
    (staging / TRUTH_FILE).write_text(json.dumps(truth, indent=1, default=float) + "\n", encoding="utf-8")
    case = StudyCase(
        case=name,
        patient=f"virtual-{seed}",
        side=side,
        ct=f"{name}/ct.nrrd",
        labels=f"{name}/labels.seg.nrrd",
        landmarks=f"{name}/landmarks.mrk.json",
        radiographs=tuple(radiographs),
        truth_file=f"{name}/{TRUTH_FILE}",
        truth_meshes={bone: f"{name}/true-{bone}.stl" for bone in BONES},
    )
    (staging / CASE_FILE).write_text(json.dumps(asdict(case), indent=1) + "\n", encoding="utf-8")


def read_case(case_folder: Path) -> StudyCase:
    """What :func:`write_case` wrote of a case."""
    try:
        return case_from_entry(read_json(case_folder / CASE_FILE, "a virtual case"))
    except InputError as error:
        raise InputError(f"{case_folder}: is damaged ({error}); remove it and run simulate again") from error


def _write_ct(staging: Path, patient: VirtualPatient, side: Side, rng: np.random.Generator) -> Float:
    """CT and labels in a scanner's world. Returns world_from_radius (4, 4) of the patient's own side."""
    volume, labels = scan(patient.body, rng, draw_scan_settings(rng))
    turn, offset = np.deg2rad(rng.uniform(-20, 20, 3)), rng.uniform(-80, 80, 3)
    world_from_radius = rigid_from_vector(np.concatenate([turn, offset]))
    world_from_right = _world_from_right(world_from_radius, side)
    values = np.rint(volume.values).astype(np.int16)
    write_volume_nrrd(staging / "ct.nrrd", Volume(values, world_from_right @ volume.world_from_voxel))
    write_labels_seg_nrrd(
        staging / "labels.seg.nrrd", replace(labels, world_from_voxel=world_from_right @ labels.world_from_voxel)
    )
    return world_from_radius


def _world_from_right(world_from_radius: Float, side: Side) -> Float:
    """A left wrist is the mirror image of a right one, put into the world by a rigid pose."""
    return world_from_radius @ mirror_transform() if side == "left" else world_from_radius


def placed_landmarks(points: Mapping[str, Float], error_mm: float, rng: np.random.Generator) -> dict[str, Float]:
    """The points (3,), mm, as a person places them: each off by a normal error of SD ``error_mm`` along each axis.

    Points are taken by name, so that their order does not matter.
    """
    return {name: np.asarray(point) + error_mm * rng.standard_normal(3) for name, point in sorted(points.items())}


def _write_radiographs(
    staging: Path,
    planned: PlannedCase,
    patient: VirtualPatient,
    side: Side,
    list_poses: bool,
    rng: np.random.Generator,
    world_from_radius: Float,
) -> tuple[list[StudyRadiograph], list[dict[str, Any]]]:
    """A 16-bit PNG, a camera and, where the study may know it, a pose file for each view; what the study lists, and
    what was drawn."""
    listed, poses = [], []
    for number, view in enumerate(planned.views, start=1):
        geometry = draw_geometry(
            rng,
            view,
            RADIOGRAPH_SHAPE_PX,
            RADIOGRAPH_SPACING_MM,
            RADIOGRAPH_SPREAD,
            ulnar_head_mm=patient.shape.landmarks["ulnar_head_centre"],
        )
        settings = draw_settings(rng, field_centre=geometry.origin_fraction)
        pixels = expose(patient.body, geometry.camera, geometry.camera_from_radius, rng, settings)
        camera, camera_from_radius, landmarks = geometry.camera, geometry.camera_from_radius, _landmarks_px(geometry)
        if side == "left":
            pixels, camera = pixels[:, ::-1], mirrored_camera(camera)
            camera_from_radius = mirrored_pose(camera_from_radius)
            landmarks = {key: [camera.width_px - 1 - u, v] for key, (u, v) in landmarks.items()}
        stem = f"radiograph-{number}-{view}"
        write_png(staging / f"{stem}.png", full_scale_16_bit(pixels))
        write_camera_json(staging / f"{stem}.json", camera)
        if list_poses:
            write_pose(staging / f"{stem}-pose.json", camera_from_radius @ invert_rigid(world_from_radius))
        file, camera_file, pose_file = (f"{planned.name}/{stem}{end}" for end in (".png", ".json", "-pose.json"))
        listed.append(StudyRadiograph(file, view, camera_file, pose_file if list_poses else None, "no"))
        poses.append(
            {
                "camera_from_radius": camera_from_radius.tolist(),
                "source_to_object_mm": geometry.source_to_object_mm,
                "landmarks_px": landmarks,
                "settings": asdict(settings),
            }
        )
    return listed, poses


def _landmarks_px(geometry: WristGeometry) -> dict[str, list[float]]:
    points = {"origin": geometry.origin_px, "shaft": geometry.proximal_px, "ulnar_head": geometry.ulnar_head_px}
    return {name: np.asarray(point).tolist() for name, point in points.items()}


def full_scale_16_bit(pixels: NDArray[np.floating]) -> NDArray[np.uint16]:
    """Whole numbers of 8 to 16 bits, moved up to the top bit, so that any viewer shows them."""
    whole = np.rint(pixels).astype(np.uint32)
    bits = max(int(whole.max()).bit_length(), 1)
    return (whole << (16 - bits)).astype(np.uint16)
