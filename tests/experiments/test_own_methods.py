"""Methods that somebody brings to `evaluate`: what they are given, how their rows are scored, and how they may fail."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace

import numpy as np
import pytest
import trimesh

from bonelift.anatomy.frame import SHOWN_ABOVE_MM
from bonelift.anatomy.shape_model import load_shape_model
from bonelift.errors import InputError
from bonelift.experiments import own_methods
from bonelift.experiments.own_methods import check_methods, learn_method, score_method, training_fold
from bonelift.experiments.results.tables import brought, collect_scores, experiment_2
from bonelift.experiments.run.cost import run_costs
from bonelift.experiments.run.folder import RunPaths
from bonelift.experiments.scores import MEAN_BONE, SCORES_FILE, CaseRow
from bonelift.experiments.surface_scores import ALIGNMENTS
from bonelift.networks.own_network import WristImage, checked_bones
from bonelift.networks.pix2pix import Generator
from bonelift.phantom.patient import wrist_of
from bonelift.reconstruction import against_truth
from bonelift.surface.clip import clip_below
from bonelift.surface.mesh import TriangleMesh
from builders.toy_run import FOLDS, SEED, STUDY, toy_preset, write_toy_images

FOLD = FOLDS.folds[0]
MODEL = load_shape_model()


def coarse(mesh: TriangleMesh) -> TriangleMesh:
    """An ellipsoid as wide as the shown part of a bone and as high, reaching 10 mm below the cut."""
    shown = clip_below(mesh, SHOWN_ABOVE_MM).vertices
    low, high = shown.min(axis=0) - [0, 0, 10.0], shown.max(axis=0)
    ball = trimesh.creation.icosphere(2)
    return TriangleMesh(np.asarray(ball.vertices) * (high - low) / 2 + (high + low) / 2, np.asarray(ball.faces))


BONES = {"radius": coarse(MODEL.radius.mean), "ulna": coarse(MODEL.ulna.mean)}


def moved(mesh: TriangleMesh, *offset_mm: float) -> TriangleMesh:
    return TriangleMesh(mesh.vertices + np.array(offset_mm), mesh.faces)


class MeanBones:
    """Answers every film with the population's mean, whatever it is shown; says what it was given."""

    name = "mean-of-population"
    inputs = ("film", "GAN-DRR")

    def __init__(self) -> None:
        self.folds = []
        self.images: list[WristImage] = []

    def learn(self, fold):
        self.folds.append(fold)

        def predict(images):
            self.images += images
            return BONES

        return predict


class Faulty:
    """Fails in another way at each film."""

    name = "faulty"
    inputs = ("film",)
    faults = (
        lambda: None,
        lambda: {"radius": BONES["radius"]},
        lambda: BONES | {"ulna": TriangleMesh(BONES["ulna"].vertices * np.nan, BONES["ulna"].faces)},
        lambda: BONES | {"radius": TriangleMesh(BONES["radius"].vertices, BONES["radius"].faces[::3])},
        lambda: {name: moved(mesh, 120.0, 0, 0) for name, mesh in BONES.items()},
        lambda: 1 / 0,
    )

    def learn(self, fold):
        calls = iter(self.faults)
        return lambda images: next(calls)()


class Untaught:
    name = "untaught"
    inputs = ("CT-DRR",)

    def learn(self, fold):
        raise MemoryError("no room for the network")


MEAN_BONE_MM = 2.0


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Iterator[RunPaths]:
    """Toy patients of one fold whose mean bone was scored, and is MEAN_BONE_MM off; the translator learned nothing."""
    paths = RunPaths(tmp_path_factory.mktemp("own"))
    write_toy_images(paths.run)
    for case in fold_cases():
        mean = CaseRow(FOLD.name, case.patient, case.case, case.side, True, "none", 0, "", "", MEAN_BONE, "rigid")
        rows = [
            replace(mean, bone=bone, alignment=alignment, asd_paper_mm=MEAN_BONE_MM, asd_surface_mm=MEAN_BONE_MM)
            for bone in BONES
            for alignment in ALIGNMENTS
        ]
        folder = paths.scores(case.case)
        folder.mkdir(parents=True)
        (folder / SCORES_FILE).write_text(json.dumps({"rows": [asdict(row) for row in rows], "translation": []}))
    generator = Generator(toy_preset().networks.pix2pix).eval()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(own_methods, "case_translator", lambda *_: generator)
        # A bone laid on a toy patient's ball slides for long; alignment has its own tests.
        patch.setattr(against_truth, "rigid_align", lambda *_: np.eye(4))
        yield paths


def fold_cases():
    return [case for case in STUDY.cases if case.patient in FOLD.test]


def scored(run: RunPaths, method):
    """The method learns the fold and is scored on its patients; (why learning failed, its rows)."""
    preset = toy_preset()
    failed = learn_method(run, STUDY.cases, FOLDS, preset, method, FOLD.name, SEED)
    for case in fold_cases():
        score_method(run, case, STUDY.cases, FOLDS, preset, method, SEED)
    return failed, [row for row in collect_scores(run)[0] if row.method == method.name]


def test_a_method_learns_from_the_fold_alone_and_its_rows_are_those_of_its_surfaces(run):
    method = MeanBones()
    failed, rows = scored(run, method)
    assert failed == ""
    fold = method.folds[0]
    given = {case.patient for case in (*fold.training, *fold.validation)}
    assert given == {*FOLD.tl.training, *FOLD.tl.validation}
    assert not given & set(FOLD.test)
    with_films = {case.patient for case in (*fold.training, *fold.validation) if len(case.load().films)}
    assert with_films == {*FOLD.pix2pix.training, *FOLD.pix2pix.validation} & given
    # One film of each radiograph, twice: the film itself, and what pix2pix made of it, beside it.
    films = [case for case in fold_cases() for _ in case.radiographs]
    assert len(method.images) == 2 * len(films) > 0
    assert sorted(image.drr is None for image in method.images) == [False] * len(films) + [True] * len(films)
    assert all(image.film is not None and image.film.dtype == np.float32 for image in method.images)
    # Each input is a row for each bone and alignment, none failed, and skill is against the fold's mean bone.
    assert len(rows) == 4 * len(method.images)
    assert {row.note for row in rows} == {""}
    for row in rows:
        assert row.asd_surface_mm > 0
        assert row.skill_surface == pytest.approx(1 - row.asd_surface_mm / MEAN_BONE_MM)


def test_its_rows_stand_in_the_tables_with_their_cost(run):
    scored(run, MeanBones())
    rows = collect_scores(run)[0]
    assert "mean-of-population: film" in brought(rows)
    labels = [line.label for line in experiment_2([replace(row, pair=False) for row in rows])]
    assert "mean-of-population: film, never seen by pix2pix" in labels
    cost = next(cost for cost in run_costs(run) if cost.step == "method mean-of-population")
    assert cost.pieces == 1 + len(fold_cases())
    assert cost.peak_mib > 0


def test_what_a_method_does_wrong_is_a_row_with_its_reason_and_the_others_go_on(run):
    _, rows = scored(run, Faulty())
    films = [case for case in fold_cases() for _ in case.radiographs]
    assert len(rows) == 4 * len(films)
    said = list(dict.fromkeys(row.note for row in rows))
    told = [
        "faulty: gave back nothing (None)", "faulty: gave back no ulna", "mesh has NaN", "faulty: the radius is open",
        "faulty: the radius lies", "ZeroDivisionError: division by zero",
    ]  # fmt: skip
    assert len(said) == len(films) >= 3
    for note, begin in zip(said, told, strict=False):
        assert note.startswith(begin), note
    assert all(np.isnan([row.asd_surface_mm, row.hd95_mm, row.dice, row.skill_surface]).all() for row in rows)
    # What was scored is not scored again: a run that goes on keeps its failures.
    assert scored(run, MeanBones())[1]
    assert [row.note for row in scored(run, Faulty())[1]] == [row.note for row in rows]


def test_a_method_that_cannot_learn_fails_in_every_row_of_the_fold(run):
    failed, rows = scored(run, Untaught())
    assert failed == "MemoryError: no room for the network"
    assert rows
    assert {row.note for row in rows} == {f"the method did not learn this fold: {failed}"}
    assert {row.source for row in rows} == {"CT-DRR"}


def test_the_folder_of_a_fold_stays(run):
    method = MeanBones()
    fold = training_fold(run, STUDY.cases, FOLDS, toy_preset(), method, FOLD.name, SEED)
    (fold.folder / "weights").write_text("learned")
    again = training_fold(run, STUDY.cases, FOLDS, toy_preset(), method, FOLD.name, SEED)
    assert (again.folder / "weights").read_text() == "learned"


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (None, r"mine: gave back nothing \(None\); expected bones named radius and ulna"),
        ([BONES["radius"]], "gave back list; expected a mapping"),
        ({"radius": BONES["radius"]}, "gave back no ulna"),
        (BONES | {"ulna": np.zeros((3, 3))}, "the ulna is ndarray; expected a bonelift.TriangleMesh"),
        (BONES | {"radius": TriangleMesh(np.zeros((0, 3)), np.zeros((0, 3), np.int32))}, "no surface"),
        (
            BONES | {"radius": TriangleMesh(BONES["radius"].vertices / 1000, BONES["radius"].faces)},
            "the radius ends at z = -0.1 mm",
        ),
        (BONES | {"ulna": moved(BONES["ulna"], -38.0, 0, 0)}, "another frame, side or unit"),
        (BONES | {"ulna": moved(BONES["ulna"], 0, 0, -90.0)}, "another frame"),
        ({"radius": BONES["ulna"], "ulna": BONES["radius"]}, "another frame, side or unit"),
    ],
)
def test_what_is_no_bone_is_refused_with_what_was_got(found, reason):
    with pytest.raises(InputError, match=reason):
        checked_bones(found, "mine")


def test_true_bones_of_many_wrists_pass():
    """The limits are wider than people are: a dozen wrists, whole and cut at the height that is scored."""
    for seed in range(12):
        shape = wrist_of(seed, MODEL)
        whole = {"radius": shape.radius, "ulna": shape.ulna}
        checked_bones(whole, "whole")
        checked_bones({name: clip_below(mesh, SHOWN_ABOVE_MM) for name, mesh in whole.items()}, "cut")


@pytest.mark.parametrize(
    ("spoilt", "reason"),
    [
        ({"name": "mean bone"}, "expected letters, digits"),
        ({"name": "model"}, "the name is taken"),
        ({"inputs": "film"}, "expected a tuple of film"),
        ({"inputs": ("x-ray",)}, "expected a tuple of film"),
    ],
)
def test_a_wrong_method_is_refused_before_anything_is_made(spoilt, reason):
    method = MeanBones()
    for name, value in spoilt.items():
        setattr(method, name, value)
    with pytest.raises(InputError, match=reason):
        check_methods([method])
    with pytest.raises(InputError, match="expected an object with name, inputs and learn"):
        check_methods([print])  # pyright: ignore[reportArgumentType]
