"""Which bones of a case are compared with which truth: the networks and the comparison are stand-ins that say."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest

from bonelift.anatomy.frame import SHOWN_ABOVE_MM
from bonelift.experiments import scores
from bonelift.experiments.folds import draw_folds
from bonelift.experiments.presets import load_study_preset
from bonelift.experiments.run.case_records import CaseRecord, write_record
from bonelift.experiments.run.folder import RunPaths
from bonelift.experiments.scores import GRID_FLOOR, MEAN_BONE, SHAPE, TRUE_SIZE, Picture
from bonelift.experiments.surface_scores import ALIGNMENTS
from bonelift.reconstruction.bones import BONES
from builders.bare_study import cohort

PRESET = load_study_preset("smoke")
ASD_MM = {"mean": 4.0, "sized": 3.0, "floor": 0.5, "model's": 2.0, "regressor's": 1.0}
"""Of stand-ins for surfaces, by what they are."""


@pytest.fixture
def compared(monkeypatch, tmp_path):
    """The scores of one case, and what was compared: (method, surfaces, labels, voxels that count)."""
    study = cohort(8, 6, 6)
    seen = []

    def rows(start, surfaces, fields, truth, true_field, shown):
        assert truth == dict.fromkeys(BONES, "truth")
        assert np.all(true_field == 1)
        seen.append((start.method, surfaces, fields, shown))
        asd_mm = ASD_MM[surfaces["radius"]]
        return [
            replace(start, bone=bone, alignment=alignment, asd_paper_mm=asd_mm, asd_surface_mm=asd_mm)
            for bone, alignment in product(BONES, ALIGNMENTS)
        ]

    def predicted(model, picture, method):
        assert (model, picture.source) == ("the fold's model", "CT-DRR")
        return SimpleNamespace(fields="model's labels", surfaces=dict.fromkeys(BONES, "regressor's"))

    stand_ins = {
        "failure_of": lambda folder: "",
        "load_case_images": lambda folder: SimpleNamespace(
            occupancy=np.full((2, *PRESET.networks.grid.shape), 255, np.uint8), truth=lambda bone: "truth"
        ),
        "_translator": lambda *key: "translator",
        "_model": lambda *key: "the fold's model",
        "_mean_bones": lambda *key: dict.fromkeys(BONES, "mean"),
        "at_size_of": lambda mean, truth: "sized",
        "case_pictures": lambda *key: [Picture("CT-DRR", n, 0, np.zeros((2, 2))) for n in range(2)],
        "predicted_bones": predicted,
        "bone_rows": rows,
        "label_fields": lambda surfaces, grid: f"labels of {surfaces['radius']}",
        "_surfaces": lambda fields, grid: dict.fromkeys(BONES, "model's" if isinstance(fields, str) else "floor"),
        "_keep_surfaces": lambda *key: None,
    }
    for name, stand_in in stand_ins.items():
        monkeypatch.setattr(scores, name, stand_in)
    found = scores._scores(RunPaths(tmp_path), study.cases[0], study.cases, draw_folds(study, 2, seed=0), PRESET, 0)
    return found, seen


def test_each_method_is_compared_with_its_own_surfaces_and_labels(compared):
    _, seen = compared
    expected = {MEAN_BONE: "mean", TRUE_SIZE: "sized", GRID_FLOOR: "floor", "model": "model's", SHAPE: "regressor's"}
    assert {method: surfaces["radius"] for method, surfaces, *_ in seen} == expected
    for method, surfaces, fields, shown in seen:
        assert (shown == (PRESET.networks.grid.centres_mm()[..., 2] >= SHOWN_ABOVE_MM)).all()
        if method == "model":
            assert fields == "model's labels"
        elif method == GRID_FLOOR:
            assert np.all(fields == 1)
        else:
            assert fields == f"labels of {surfaces['radius']}"


def test_skill_is_told_of_what_reads_an_image_and_of_the_true_size(compared):
    found, _ = compared
    assert len(found.rows) == (3 + 2 * 2) * len(BONES) * len(ALIGNMENTS)
    for row in found.rows:
        asd_mm = row.asd_paper_mm
        if row.method in (MEAN_BONE, GRID_FLOOR):
            assert np.isnan(row.skill_paper)
        else:
            assert row.skill_paper == row.skill_surface == 1 - asd_mm / ASD_MM["mean"]
    assert {(row.image, row.view) for row in found.rows if row.method in ("model", SHAPE)} == {(0, "pa"), (1, "pa")}


def test_the_mean_bone_is_that_of_the_cases_that_did_not_fail(tmp_path, monkeypatch):
    """Each case's two arrays hold its number, so that who was asked for what is seen."""
    paths = RunPaths(tmp_path)
    for number, failure in enumerate(["", "labels: none", ""]):
        folder = paths.images(f"w{number}")
        folder.mkdir(parents=True)
        write_record(folder, CaseRecord(f"w{number}", f"p{number}", "right", {}, {}, [], None, failure))
        np.save(folder / "laid_distance.npy", np.full((2, 3), number))
        np.save(folder / "laid_from_right.npy", np.full((2, 4, 4), 10 + number))
    asked = {}
    monkeypatch.setattr(
        scores, "mean_bones", lambda distances, laid, grid, above: asked.update(d=distances, p=laid, g=grid, a=above)
    )
    scores._mean_bones.cache_clear()
    scores._mean_bones(("w0", "w1", "w2"), str(tmp_path), PRESET, -12.5)
    scores._mean_bones.cache_clear()
    assert (asked["d"].shape, asked["p"].shape) == ((2, 2, 3), (2, 2, 4, 4))
    assert asked["d"][:, 0, 0].tolist() == [0, 2]
    assert asked["p"][:, 0, 0, 0].tolist() == [10, 12]
    assert (asked["g"], asked["a"]) == (PRESET.networks.grid, -12.5)


def test_the_model_is_that_of_the_fold_and_seed(tmp_path, monkeypatch):
    monkeypatch.setattr(scores, "load_fold_model", lambda paths, *key: (paths.run, *key))
    scores._model.cache_clear()
    assert scores._model("fold-2", str(tmp_path), PRESET, 7) == (tmp_path, "fold-2", PRESET, 7)
    scores._model.cache_clear()
