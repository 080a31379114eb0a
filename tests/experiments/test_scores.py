"""Scores and tables of the experiments against truth: a mean of balls, known errors, known groups."""

from __future__ import annotations

import csv
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from bonelift.experiments import scores
from bonelift.experiments.folds import ALL_PAIRS, draw_folds
from bonelift.experiments.presets import load_study_preset
from bonelift.experiments.results.figures import box_plots, pyplot
from bonelift.experiments.results.tables import (
    collect_scores,
    experiment_2,
    experiment_3,
    failures,
    four_inputs,
    patient_values,
)
from bonelift.experiments.results.tables import (
    tests_of as statistics_of,
)
from bonelift.experiments.run.case_records import CaseRecord, write_record
from bonelift.experiments.run.folder import RunPaths
from bonelift.experiments.scores import (
    NAN,
    SOURCES,
    CaseRow,
    bone_rows,
    mean_bones,
    score_case,
    translation_row,
    with_skill,
)
from bonelift.experiments.surface_scores import ALIGNMENTS
from bonelift.geometry import apply_transform, invert_rigid, rotation_about_axis, translation
from bonelift.images import LabelGrid
from bonelift.reconstruction.bones import BONES
from bonelift.surface.isosurface import extract_surface
from builders.bare_study import cohort

GRID = LabelGrid((30, 30, 30), 1.0, (-14.5, -14.5, -14.5))
ROW = CaseRow("fold-1", "p1", "c1", "right", True, "CT-DRR", 0, "pa", "radius", "model", "as predicted")


def row(**changes) -> CaseRow:
    return replace(ROW, **changes)


def test_the_mean_of_two_balls_is_the_ball_between_at_the_place_between():
    distance = np.linalg.norm(GRID.centres_mm(), axis=-1)
    fields = np.stack([np.stack([distance - radius] * 2) for radius in (6.0, 9.0)])
    places = np.array([[5.0, 0, -3], [1.0, 8, 1]])
    laid_from_right = np.stack([[translation(-place)] * 2 for place in places])
    for bone in mean_bones(fields, laid_from_right, GRID).values():
        radii = np.linalg.norm(bone.vertices - places.mean(axis=0), axis=1)
        # Linear interpolation between voxels of 1 mm errs by 1 / (8 * 7.5) mm at most on such a ball.
        assert radii == pytest.approx(7.5, abs=0.02)


def test_the_mean_of_two_turned_capsules_lies_at_the_mean_of_their_poses():
    """Of one shape, off the origin of the common frame: only the order of turning and moving puts it right."""
    centre, half, radius = np.array([2.0, 1.0, 0.0]), 4.0, 4.5
    at = GRID.centres_mm() - centre
    along = np.clip(at[..., 0], -half, half)
    distance = np.linalg.norm(at - along[..., None] * [1.0, 0, 0], axis=-1) - radius
    right_from_laid = [
        translation([x, 2.0, 1.0]) @ rotation_about_axis([0, 0, 1], np.deg2rad(angle))
        for x, angle in ((3, 20), (-1, 50))
    ]
    laid_from_right = np.stack([[invert_rigid(pose)] * 2 for pose in right_from_laid])
    bones = mean_bones(np.stack([np.stack([distance] * 2)] * 2), laid_from_right, GRID)
    middle = np.mean([apply_transform(pose, centre) for pose in right_from_laid], axis=0)
    axis = np.array([np.cos(np.deg2rad(35)), np.sin(np.deg2rad(35)), 0])
    for bone in bones.values():
        from_middle = bone.vertices - middle
        from_axis = from_middle - np.clip(from_middle @ axis, -half, half)[:, None] * axis
        # Voxels of 1 mm on a curvature of 1 / 4.5 mm: 1 / (8 * 4.5) = 0.028 mm at most.
        assert np.linalg.norm(from_axis, axis=1) == pytest.approx(radius, abs=0.035)


def test_rows_of_two_balls_have_the_difference_of_their_radii_and_the_overlap_of_their_voxels():
    distance = np.linalg.norm(GRID.centres_mm(), axis=-1)
    large, small = (extract_surface(distance - r, GRID.radius_from_voxel, 0.0, inside="below") for r in (5.0, 3.5))
    # Exactly half in the voxels between 3.5 and 4.5 mm: a voxel is bone from one half on.
    fields = np.stack([np.where(distance < 3.5, 1.0, np.where(distance < 4.5, 0.5, 0.4))] * 2)
    true_field = np.stack([(distance < 5).astype(float)] * 2)
    shown = GRID.centres_mm()[..., 2] > 0
    blank = row(bone="", alignment="")
    rows = bone_rows(blank, dict.fromkeys(BONES, small), fields, dict.fromkeys(BONES, large), true_field, shown)
    assert [(r.bone, r.alignment) for r in rows] == list(product(BONES, ALIGNMENTS))
    ours, theirs = (int(((distance < limit) & shown).sum()) for limit in (4.5, 5.0))
    for scored in rows:
        # Facets of 1 mm on the smaller ball lie 1 / (8 * 3.5) mm inside of it at most, on the larger one less.
        assert scored.asd_surface_mm == pytest.approx(1.5, abs=0.05)
        if scored.alignment == "as predicted":
            assert scored.dice == pytest.approx(2 * ours / (ours + theirs))
        else:
            assert np.isnan(scored.dice)


def test_skill_is_what_is_left_of_the_mean_bones_error_of_the_same_bone_and_alignment():
    baseline = [
        row(bone=bone, alignment=alignment, asd_paper_mm=4.0 + n, asd_surface_mm=2.0 + n)
        for n, (bone, alignment) in enumerate(product(BONES, ALIGNMENTS))
    ]
    for mean in baseline:
        scored = with_skill(replace(mean, asd_paper_mm=1.0, asd_surface_mm=1.5), baseline)
        assert scored.skill_paper == pytest.approx(1 - 1.0 / mean.asd_paper_mm)
        assert scored.skill_surface == pytest.approx(1 - 1.5 / mean.asd_surface_mm)


def test_a_case_is_translated_by_a_pix2pix_that_never_saw_its_patient(tmp_path, monkeypatch):
    study = cohort(8, 6, 6)
    folds = draw_folds(study, 2, seed=0)
    monkeypatch.setattr(scores, "_translator", lambda group, *key: group)
    for case in study.cases:
        group = scores.case_translator(RunPaths(tmp_path), case, folds, load_study_preset("smoke"), 0)
        if group == ALL_PAIRS:
            assert case.patient not in folds.pairs
        else:
            (fold,) = (fold for fold in folds.folds if fold.name == group)
            assert case.patient in fold.test
    assert {case.patient in folds.pairs for case in study.cases} == {True, False}


def test_translation_errors_of_a_known_image():
    true = np.zeros((10, 8))
    true[2:7, 1:5] = 0.5  # 20 of 80 pixels are bone
    made = true.copy()
    made[2:7, 1:5] += 0.1
    made[0] += 0.04  # 8 pixels beside the bone
    scored = translation_row(("fold-1", "p", "c"), "GAN-DRR", 0, made, true)
    assert scored.mae == pytest.approx((20 * 0.1 + 8 * 0.04) / 80)
    assert scored.mae_in_bone == pytest.approx(0.1)
    assert scored.range == pytest.approx(0.5)
    assert scored.fraction == pytest.approx(scored.mae / 0.5)
    assert "no bone" in translation_row(("fold-1", "p", "c"), "GAN-DRR", 0, made, 0 * true).note


def test_a_patient_counts_once_whatever_the_number_of_images_and_failures_stay_failures():
    rows = [
        row(asd_paper_mm=1.0),
        row(case="c1-2", asd_paper_mm=2.0),
        row(patient="p2", asd_paper_mm=4.0),
        row(patient="p2", image=1, note="no surface"),
        row(patient="p3", note="no surface"),
    ]
    values = patient_values(rows, "asd_paper_mm")
    assert values == {"p1": 1.5, "p2": 4.0, "p3": pytest.approx(NAN, nan_ok=True)}
    line = experiment_2(rows)[0].means["asd_paper_mm"]
    assert (line.count, line.failed, line.mean) == (2, 1, pytest.approx(2.75))
    assert failures(rows, []) == [("c1", "no surface", 2)]


def test_experiment_2_leaves_pairs_out_of_the_gan_drr_and_experiment_3_the_others():
    rows = [
        row(patient=patient, pair=pair, source=source, asd_paper_mm=value)
        for (patient, pair, value), source in product((("p", True, 1.0), ("q", False, 3.0)), ("CT-DRR", "GAN-DRR"))
    ]
    second = {line.label: line.means["asd_paper_mm"] for line in experiment_2(rows)}
    assert second["CT-DRR, all patients"].count == 2
    assert (second["GAN-DRR, never seen by pix2pix"].count, second["GAN-DRR, never seen by pix2pix"].mean) == (1, 3.0)
    third = {line.label: line.means["asd_paper_mm"].mean for line in experiment_3(rows)}
    assert third == {"CT-DRR": 1.0, "GAN-DRR": 1.0}


def test_the_worst_input_is_found_and_patients_stay_in_line():
    rng = np.random.default_rng(3)
    patients = [f"p{n}" for n in range(12)]
    base = rng.normal(1.0, 0.1, 12)
    rows = []
    for source in SOURCES:
        for patient, value in zip(patients, base, strict=True):
            worse = 1.0 if source == "histogram-matched" else 0.0
            rows.append(row(patient=patient, source=source, asd_paper_mm=value + worse + rng.normal(0, 0.02)))
    rows.reverse()
    groups = four_inputs(rows, "radius", "as predicted", "asd_paper_mm")
    # The same patients in the same order: what is left of a patient's own value is noise of 0.02 mm, twice.
    assert np.abs(np.subtract(groups["CT-DRR"], groups["GAN-DRR"])).max() < 0.15
    tests = statistics_of(rows, "asd_paper_mm")[0]
    significant = {frozenset((c.first, c.second)) for c in tests.tukey if c.p < 0.05}
    assert significant == {frozenset((source, "histogram-matched")) for source in SOURCES[:3]}
    assert [group.count for group in tests.groups] == [12] * 4


def test_a_case_that_failed_is_counted_with_its_reason(tmp_path):
    study = cohort(8, 6, 6)
    folds = draw_folds(study, 2, seed=0)
    case = next(case for case in study.cases if case.patient in folds.pairs)
    paths = RunPaths(tmp_path)
    folder = paths.images(case.case)
    folder.mkdir(parents=True)
    write_record(folder, CaseRecord(case.case, case.patient, case.side, {}, {}, [], None, "labels: unknown values 7"))
    # Four inputs read by two networks (TL and S), two bones, two alignments; and its translation.
    assert score_case(paths, case, study.cases, folds, load_study_preset("smoke"), 0) == 33
    rows, translated = collect_scores(paths)
    assert failures(rows, translated) == [(case.case, "labels: unknown values 7", 33)]
    with (tmp_path / "rows.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    assert len(written) == 32
    assert {entry["asd_paper_mm"] for entry in written} == {""}


def test_every_box_lies_inside_the_plot():
    """The ulna errs far more than the radius, whose axis it shares."""
    rows = [
        row(patient=f"p{n}", source=source, bone=bone, asd_paper_mm=scale * (1 + n / 10))
        for n in range(6)
        for source in SOURCES
        for bone, scale in (("radius", 0.6), ("ulna", 3.0))
    ]
    plt = pyplot()
    figure = box_plots(plt, rows, statistics_of(rows, "asd_paper_mm")[::2], "as predicted")
    for axis in figure.axes:
        low, high = axis.get_ylim()
        assert low == 0
        assert high > 3.0 * 1.5
    plt.close(figure)
