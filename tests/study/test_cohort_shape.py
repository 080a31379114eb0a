"""The paper's cohort: how many CTs of whom, and that a turned forearm has the same bones."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest

from bonelift.anatomy.population import turned_wrist
from bonelift.anatomy.shape_model import load_shape_model, sample_wrist
from bonelift.cli import main
from bonelift.geometry import rigid_between, rotation_angle
from bonelift.images import read_labels
from bonelift.study.folder import read_study
from bonelift.study.virtual_cohort import CohortSettings, paper_cohort, plan_cohort
from bonelift.surface.files import read_mesh


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_the_papers_cohort(seed):
    plan = plan_cohort(paper_cohort(seed))
    scans = Counter(case.patient for case in plan)
    assert (len(plan), len(scans)) == (173, 126)
    assert sum(count > 1 for count in scans.values()) == 46
    assert sum(len(case.views) for case in plan) == 105
    assert all(not case.views for case in plan if case.number > 0)
    assert len({case.name for case in plan}) == 173
    assert plan == plan_cohort(paper_cohort(seed))
    plain = plan_cohort(CohortSettings(3, seed))
    assert [(case.name, case.number, case.views) for case in plain] == [(f"case-000{n}", 0, ("pa",)) for n in (1, 2, 3)]


@pytest.mark.parametrize("change_deg", [-45.0, 30.0])
def test_a_turned_forearm_has_the_same_bones(change_deg):
    wrist = sample_wrist(load_shape_model(), np.random.default_rng(3))
    turned = turned_wrist(wrist, change_deg)
    assert turned is not None
    np.testing.assert_array_equal(turned.radius.vertices, wrist.radius.vertices)
    new_from_old = rigid_between(wrist.ulna.vertices, turned.ulna.vertices)
    # The ulna moved rigidly: every vertex follows one transform, to rounding; and turned by what was asked.
    moved = wrist.ulna.transformed(new_from_old).vertices
    np.testing.assert_allclose(moved, turned.ulna.vertices, atol=1e-9)
    assert np.rad2deg(rotation_angle(new_from_old)) == pytest.approx(abs(change_deg), abs=1e-6)
    before, after = (w.description["forearm_rotation_deg"] for w in (wrist, turned))
    assert after - before == pytest.approx(change_deg)
    for name, point in wrist.landmarks.items():
        assert np.allclose(turned.landmarks[name], point) != name.startswith("ulnar")


def test_further_scans_are_of_the_same_patient(tmp_path, capsys):
    call = ["simulate", "--patients", "1", "--seed", "5", "--scans", "2", "--turned", "1", "--with-radiographs", "0"]
    assert main([*call, "--out", str(tmp_path / "study"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "study": str(tmp_path / "study"),
        "cases": 2,
        "patients": 1,
        "radiographs": 0,
    }
    first, second = read_study(tmp_path / "study").cases
    assert (first.patient, first.side) == (second.patient, second.side)
    radii, ulnas = (
        [read_mesh(tmp_path / "study" / case.truth_meshes[bone]) for case in (first, second)]
        for bone in ("radius", "ulna")
    )
    np.testing.assert_array_equal(radii[0].vertices, radii[1].vertices)
    assert ulnas[0].vertices.shape != ulnas[1].vertices.shape or not np.allclose(ulnas[0].vertices, ulnas[1].vertices)
    truths = [json.loads((tmp_path / "study" / str(case.truth_file)).read_text()) for case in (first, second)]
    rotations = [truth["shape"]["forearm_rotation_deg"] for truth in truths]
    assert 20 <= abs(rotations[1] - rotations[0]) <= 55
    assert truths[0]["world_from_radius"] != truths[1]["world_from_radius"]
    assert read_labels(tmp_path / "study" / second.labels).names == {1: "radius", 2: "ulna"}
    assert main([*call[:2], "2", *call[3:], "--out", str(tmp_path / "study")]) == 2
    assert "at least one further scan" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--preset", "paper", "--patients", "3"], "one or the other"),
        ([], "no --patients and no --preset"),
        (["--patients", "3", "--scans", "5"], "at least one further scan"),
        (["--patients", "3", "--scans", "4", "--turned", "2"], "at least one further scan"),
        (["--patients", "3", "--with-radiographs", "4"], "radiographs of 4 of 3"),
    ],
)
def test_an_impossible_cohort_is_refused(tmp_path, capsys, options, words):
    assert main(["simulate", "--seed", "1", *options, "--out", str(tmp_path / "study")]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "study").exists()
