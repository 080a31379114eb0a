"""`bonelift simulate`: a virtual cohort, and back into the radius frame."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from bonelift.cli import main
from bonelift.drr.normalised_case import PosedRadiograph, case_occupancy
from bonelift.errors import InputError
from bonelift.film.standard import FILM_SHAPE, FILM_SPACING_MM, nominal_camera_from_radius
from bonelift.geometry import apply_transform, default_film_camera, invert_rigid, rotation_angle
from bonelift.geometry.patient_frame import patient_from_radius
from bonelift.images import LAPTOP_GRID, Radiograph
from bonelift.images.volume_reading import read_volume
from bonelift.learning.study_samples import (
    ct_drr_samples,
    film_sample,
    locator_samples,
)
from bonelift.study.folder import Study, StudyCase, StudyRadiograph, read_pose, read_study, write_study
from bonelift.study.normalised_cases import read_study_case
from bonelift.study.training_run import split_by_patient
from bonelift.study.virtual_cohort import CohortSettings, patient_seed
from bonelift.surface.distance import surface_distances
from bonelift.surface.files import read_mesh

CALL = ["--seed", "5", "--views", "pa"]


@pytest.fixture(scope="module")
def study_folder(tmp_path_factory) -> Path:
    """Two virtual wrists, the second one left."""
    folder = tmp_path_factory.mktemp("cohort") / "study"
    assert main(["simulate", "--patients", "2", *CALL, "--out", str(folder), "--quiet"]) == 0
    return folder


@pytest.fixture(scope="module")
def read_cases(study_folder):
    return [read_study_case(study_folder, case) for case in read_study(study_folder).cases]


def truth_of(study_folder: Path, case: StudyCase) -> dict:
    return json.loads((study_folder / str(case.truth_file)).read_text())


def test_a_study_lists_its_cases_and_half_are_left(study_folder):
    study = read_study(study_folder)
    assert [case.side for case in study.cases] == ["right", "left"]
    assert len({case.patient for case in study.cases}) == 2
    for case in study.cases:
        files = [case.ct, case.labels, case.landmarks, *case.truth_meshes.values()]
        assert all((study_folder / name).is_file() for name in files)
        assert read_volume(study_folder / case.ct).values.dtype == np.int16


def test_simulate_goes_on_where_it_was_stopped(study_folder, capsys):
    kept = study_folder / "case-0001" / "ct.nrrd"
    before = kept.stat().st_mtime_ns
    call = ["simulate", "--patients", "2", *CALL, "--out", str(study_folder), "--json"]
    assert main(call) == 0
    assert json.loads(capsys.readouterr().out)["cases"] == 2
    assert kept.stat().st_mtime_ns == before


def test_another_cohort_or_foreign_files_are_left_alone(study_folder, tmp_path, capsys):
    other = ["simulate", "--patients", "2", "--seed", "6", "--out", str(study_folder)]
    assert main(other) == 2
    assert "other settings" in capsys.readouterr().err
    (tmp_path / "letter.txt").write_text("dear")
    assert main([*other[:-1], str(tmp_path)]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_patients_seed_does_not_depend_on_the_size_of_the_cohort():
    small, large = CohortSettings(2, 5), CohortSettings(50, 5)
    assert patient_seed(small, 1) == patient_seed(large, 1)
    assert len({patient_seed(large, index) for index in range(50)}) == 50


def test_a_case_returns_to_its_radius_frame(study_folder, read_cases):
    """The frame built from labels and two landmarks is the one the patient was made in; the bones lie on the truth."""
    for case, (normalised, _) in zip(read_study(study_folder).cases, read_cases, strict=True):
        world_from_own = np.array(truth_of(study_folder, case)["world_from_radius"])
        mirror = np.diag([-1.0 if case.side == "left" else 1.0, 1, 1, 1])
        step = normalised.right_from_world @ world_from_own @ mirror
        # Voxels of 0.6 mm: the shaft axis, fitted over 35 mm of it, and the joint point move by a fraction of one.
        assert np.linalg.norm(step[:3, 3]) < 1.0
        assert np.rad2deg(rotation_angle(step)) < 1.5
        truth = read_mesh(study_folder / case.truth_meshes["radius"])
        truth = truth.transformed(np.linalg.inv(patient_from_radius(case.side)))
        found = normalised.radius.transformed(invert_rigid(step))
        distances = surface_distances(found, truth, exclude_open_ends=True)
        # CT voxels of up to 1.25 mm along the shaft, labels at half level.
        assert distances.asd_surface_mm < 0.45


def test_films_and_drrs_show_the_same_bones(read_cases):
    """Where the true DRR is thick the film is bright, left or right; and the locator's landmarks lie in its picture."""
    for normalised, radiographs in read_cases:
        rng = np.random.default_rng(0)
        sample = film_sample(normalised, radiographs[0], rng, 0.0, 0.0)
        assert sample.drr.shape == sample.pixels.shape == FILM_SHAPE
        assert 0.3 < sample.drr.max() < 2.0  # rays along 10 to 30 mm of cortex at 0.03 to 0.06 per mm
        assert np.corrcoef(sample.drr[30:140].ravel(), sample.pixels[30:140].ravel())[0, 1] > 0.5
        mirrored = np.corrcoef(sample.drr[30:140, ::-1].ravel(), sample.pixels[30:140].ravel())[0, 1]
        assert mirrored < 0.5
        upright, turned = locator_samples(normalised, radiographs[0], rng)
        assert upright.present
        assert not turned.present
        origin, shaft, ulnar_head = upright.landmarks_px
        assert shaft[1] > origin[1] + 10  # 40 mm further down, at 2 mm a pixel
        assert ulnar_head[0] > origin[0] + 4  # a right wrist, whichever it was


def test_ct_drrs_and_occupancy_come_from_one_bone(read_cases):
    normalised, _ = read_cases[1]
    samples = ct_drr_samples(normalised, ["pa", "lateral"], np.random.default_rng(1))
    assert [sample.view for sample in samples] == ["pa", "lateral"]
    assert all(0.3 < sample.drr.max() < 2.0 for sample in samples)
    occupancy = case_occupancy(normalised, LAPTOP_GRID)
    volume = occupancy[0].astype(float).sum() / 255 * LAPTOP_GRID.spacing_mm**3
    inside = LAPTOP_GRID.first_centre_mm[2] - LAPTOP_GRID.spacing_mm / 2
    assert volume == pytest.approx(normalised_volume(normalised.radius, inside), rel=0.03)


def test_a_lateral_from_the_ulnar_side_is_trained_on_as_it_is_read(read_cases):
    """Its film shows the palm to the left as well, left wrist or right; only the perspective differs."""
    camera = default_film_camera(*FILM_SHAPE[::-1], FILM_SPACING_MM / 0.97)
    blank = Radiograph(np.zeros(FILM_SHAPE, np.float32), camera, "right", "lateral", 970.0)
    for normalised, _ in read_cases:
        usual, other = (
            film_sample(
                normalised,
                PosedRadiograph(
                    blank, nominal_camera_from_radius(camera, "lateral", 970.0, side) @ normalised.right_from_world
                ),
                np.random.default_rng(0),
                0.0,
                0.0,
            ).drr
            for side in (False, True)
        )
        assert np.corrcoef(usual.ravel(), other.ravel())[0, 1] > 0.95
        assert np.corrcoef(usual.ravel(), other[:, ::-1].ravel())[0, 1] < 0.9


def normalised_volume(mesh, above_mm: float) -> float:
    """Volume of a closed mesh above a plane, by stacking its sections 0.5 mm apart."""
    from bonelift.anatomy.frame import section_centroid

    heights = np.arange(above_mm + 0.25, mesh.vertices[:, 2].max(), 0.5)
    return float(sum(section_centroid(mesh, height)[1] for height in heights) * 0.5)


def test_both_wrists_of_a_patient_stay_on_one_side_of_the_split(tmp_path):
    radiograph = StudyRadiograph("x.png", "pa")
    cases = [
        StudyCase(f"{n}{side}", f"patient-{n}", side, "ct.nrrd", "l.seg.nrrd", "m.mrk.json", (radiograph,))
        for n in range(10)
        for side in ("left", "right")
    ]
    training, validation = split_by_patient(Study(tuple(cases), "test"), tmp_path, "smoke", seed=3)
    assert len(training) + len(validation) == 20
    assert len(validation) == 4  # 15 % of ten patients, rounded to two
    assert not {case.patient for case in training} & {case.patient for case in validation}
    assert split_by_patient(Study(tuple(cases), "test"), tmp_path, "smoke", seed=3) == (training, validation)
    with pytest.raises(InputError, match="another seed"):
        split_by_patient(Study(tuple(cases), "test"), tmp_path, "smoke", seed=99)
    with pytest.raises(InputError, match="at least 3"):
        split_by_patient(Study(tuple(cases[:4]), "test"), tmp_path / "small", "smoke", seed=3)


@pytest.mark.parametrize("seed", range(8))
def test_of_two_patients_with_known_poses_one_validates(tmp_path, seed):
    known = StudyRadiograph("x.png", "pa", pose_file="pose.json")
    cases = [
        StudyCase(
            f"{n}", f"patient-{n}", "left", "ct.nrrd", "l.seg.nrrd", "m.mrk.json", (known,) if n in (3, 7) else ()
        )
        for n in range(10)
    ]
    _, validation = split_by_patient(Study(tuple(cases), "test"), tmp_path, "smoke", seed)
    assert len(validation) == 2
    assert len({"3", "7"} & {case.case for case in validation}) in (1, 2)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda content: content.update(schema_version=99), "version"),
        (lambda content: content["cases"][0].pop("ct"), "incomplete"),
        (lambda content: content["cases"][0].update(side="both"), "side"),
        (lambda content: content["cases"][0].update(ct="../elsewhere.nrrd"), "inside"),
        (lambda content: content["cases"].append(content["cases"][0]), "twice"),
    ],
    ids=["version", "incomplete", "side", "outside", "twice"],
)
def test_a_broken_study_file_is_one_line(tmp_path, capsys, spoil, words):
    radiograph = StudyRadiograph("x.png", "pa")
    case = StudyCase("a", "p", "left", "ct.nrrd", "l.seg.nrrd", "m.mrk.json", (radiograph,))
    write_study(tmp_path, Study((case,), "test"))
    assert asdict(read_study(tmp_path).cases[0]) == asdict(case)
    content = json.loads((tmp_path / "study.json").read_text())
    spoil(content)
    (tmp_path / "study.json").write_text(json.dumps(content))
    assert main(["train", "tl", str(tmp_path), "--preset", "smoke", "--run", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_a_pose_that_is_a_mirror_is_refused(study_folder, tmp_path):
    case = read_study(study_folder).cases[0]
    pose = read_pose(study_folder / str(case.radiographs[0].pose_file))
    assert np.isfinite(apply_transform(pose, np.zeros(3))).all()
    (tmp_path / "pose.json").write_text(json.dumps({"camera_from_world": np.diag([-1.0, 1, 1, 1]).tolist()}))
    with pytest.raises(InputError, match="rigid"):
        read_pose(tmp_path / "pose.json")
